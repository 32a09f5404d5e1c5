# jobs.yaml -> checked, completed jobs. No provider, so plan, console and test need neither network nor account.
# The rules of merging and the derived numbers are those of nightlatch/catalog; tests/terraform holds both together.

locals {
  file         = yamldecode(file(var.jobs_file))
  defaults     = local.file.defaults
  environments = local.file.environments
  prefix       = "nightlatch-${var.environment}"

  # What the environment changes about each job; {} where it changes nothing.
  changes = { for name, job in local.file.jobs : name => merge(try(job.environments[var.environment], {})) }

  # defaults < job < environment. Mappings are merged key by key, lists and single values are replaced.
  # `schedule: null`, in the job or in the environment, switches the schedule off.
  scheduled = {
    for name, job in local.file.jobs : name =>
    contains(keys(local.changes[name]), "schedule")
    ? local.changes[name].schedule != null
    : try(job.schedule, null) != null
  }
  schedule = {
    for name, job in local.file.jobs : name => merge(
      local.defaults.schedule,
      try(job.schedule, {}),
      try(local.changes[name].schedule, {}),
    )
  }
  lock = {
    for name, job in local.file.jobs : name =>
    merge(local.defaults.lock, try(job.lock, {}), try(local.changes[name].lock, {}))
  }
  steps = {
    for name, job in local.file.jobs : name => [
      for step in try(local.changes[name].steps, job.steps) : merge(local.defaults.step, step, {
        environment = merge(local.defaults.step.environment, try(step.environment, {}))
        retry       = merge(local.defaults.step.retry, try(step.retry, {}))
        retry_wait  = merge(local.defaults.step.retry_wait, try(step.retry_wait, {}))
        # 0.35 minutes times 60 is not quite 21 in every arithmetic.
        timeout_seconds = try(floor(step.timeout_minutes * 60 + 0.5), 0)
      })
    ]
  }

  # How long a run may take and how long its lock is leased. See nightlatch/catalog/budget.py, where each number
  # is explained; an attempt that failed to launch or to start never worked.
  provisioning_seconds = 300
  drain_margin_seconds = 60
  acquire_seconds      = 900
  finish_seconds       = 300
  lease_margin_seconds = 300

  retries = {
    for name, steps in local.steps : name => [
      for step in steps : {
        launched = sum(concat([0], [for class, count in step.retry : count if contains(["launch", "start"], class)]))
        worked   = sum(concat([0], [for class, count in step.retry : count if !contains(["launch", "start"], class)]))
        overhead = local.provisioning_seconds + step.stop_grace_seconds + local.drain_margin_seconds
      }
    ]
  }
  # A fan-out counts once, with the time of all its shards.
  step_seconds = {
    for name, steps in local.steps : name => [
      for index, step in steps :
      can(step.fan_out) ? step.timeout_seconds + local.retries[name][index].overhead :
      (1 + local.retries[name][index].worked) * (step.timeout_seconds + local.retries[name][index].overhead)
      + local.retries[name][index].launched * local.retries[name][index].overhead
      + (local.retries[name][index].worked + local.retries[name][index].launched) * step.retry_wait.max_seconds
    ]
  }
  run_timeout_seconds = {
    for name, seconds in local.step_seconds : name =>
    local.acquire_seconds + local.lock[name].max_wait_minutes * 60 + sum(concat([0], seconds)) + local.finish_seconds
  }
  lease_seconds = {
    for name, steps in local.steps : name =>
    local.run_timeout_seconds[name] + max(0, [for step in steps : step.stop_grace_seconds]...) + local.lease_margin_seconds
  }

  jobs = {
    for name, job in local.file.jobs : name => {
      name        = name
      description = try(local.changes[name].description, job.description, "")
      image       = try(local.changes[name].image, job.image, local.defaults.image)
      # The image is not built on nightlatch's: a container of ours claims the lock before it.
      claim_container = try(local.changes[name].claim_container, job.claim_container, false)
      schedule = local.scheduled[name] ? {
        expression = try(coalesce(
          lookup(local.schedule[name], "cron", null),
          lookup(local.schedule[name], "rate", null),
          lookup(local.schedule[name], "at", null),
        ), "")
        timezone             = local.schedule[name].timezone
        alert_after_minutes  = try(local.schedule[name].alert_after_minutes, 0)
        max_lateness_minutes = local.schedule[name].max_lateness_minutes
      } : null
      lock = {
        key              = try(local.lock[name].key, "")
        on_conflict      = local.lock[name].on_conflict
        max_wait_minutes = local.lock[name].max_wait_minutes
        max_waiters      = local.lock[name].max_waiters
      }
      steps = [
        for step in local.steps[name] : {
          name               = try(step.name, "")
          family             = "${local.prefix}-${name}-${try(step.name, "")}"
          command            = try(step.command, [])
          timeout_seconds    = step.timeout_seconds
          cpu                = step.cpu
          memory             = step.memory
          stop_grace_seconds = step.stop_grace_seconds
          environment        = step.environment
          retry              = step.retry
          retry_wait         = step.retry_wait
          fan_out = can(step.fan_out) ? {
            shards_from                  = try(step.fan_out.shards_from, "")
            shard_timeout_seconds        = try(floor(step.fan_out.shard_timeout_minutes * 60 + 0.5), 0)
            max_concurrency              = try(step.fan_out.max_concurrency, 0)
            tolerated_failure_percentage = try(step.fan_out.tolerated_failure_percentage, -1)
          } : null
        }
      ]
      run_timeout_seconds = local.run_timeout_seconds[name]
      lease_seconds       = local.lease_seconds[name]
    }
  }

  # What each job's state machine is told; nightlatch.catalog.job_settings makes the same.
  settings = {
    for name, job in local.jobs : name => {
      job                 = name
      lock_key            = job.lock.key
      on_conflict         = job.lock.on_conflict
      max_wait_seconds    = job.lock.max_wait_minutes * 60
      max_waiters         = job.lock.max_waiters
      lease_seconds       = job.lease_seconds
      run_timeout_seconds = job.run_timeout_seconds
      steps = [
        for step in job.steps : merge(
          {
            name               = step.name
            family             = step.family
            timeout_seconds    = step.timeout_seconds
            stop_grace_seconds = step.stop_grace_seconds
            retry              = step.retry
            retry_wait         = step.retry_wait
          },
          # Not there at all for a step of one container.
          { for key in ["fan_out"] : key => step.fan_out if step.fan_out != null },
        )
      ]
    }
  }
}
