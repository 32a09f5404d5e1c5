# What would make a bad plan is refused here, all at once, with the name of the job. Terraform knows no line
# numbers: `nightlatch validate` does, and checks more (cron expressions, time zones, spelling).

locals {
  fargate_memory = {
    "256"   = [512, 1024, 2048]
    "512"   = range(1024, 4097, 1024)
    "1024"  = range(2048, 8193, 1024)
    "2048"  = range(4096, 16385, 1024)
    "4096"  = range(8192, 30721, 1024)
    "8192"  = range(16384, 61441, 4096)
    "16384" = range(32768, 122881, 8192)
  }

  step_keys     = concat(keys(local.defaults.step), ["name", "command", "timeout_minutes", "fan_out"])
  fan_out_keys  = ["shards_from", "shard_timeout_minutes", "max_concurrency", "tolerated_failure_percentage"]
  lock_keys     = concat(keys(local.defaults.lock), ["key"])
  schedule_keys = concat(keys(local.defaults.schedule), ["cron", "rate", "at", "alert_after_minutes"])
  job_keys      = ["description", "schedule", "image", "claim_container", "lock", "steps", "environments"]
  retry_pattern = "^(launch|infrastructure|spot|start|out_of_memory|timeout|exit|exit_([1-9]|[1-9][0-9]|1[0-9][0-9]|2[0-4][0-9]|25[0-5]))$"
  name_pattern  = "^[a-z][a-z0-9-]{0,40}$"

  # yamldecode takes unknown keys silently: compare with what there is.
  # Each entry: a place, its keys, the keys that may be there.
  key_sets = concat(
    [
      { at = "the file", keys = keys(local.file), known = ["defaults", "environments", "jobs"] },
      { at = "defaults", keys = keys(local.defaults), known = ["image", "schedule", "lock", "step"] },
    ],
    flatten([
      for name, job in local.file.jobs : concat(
        [
          { at = name, keys = keys(job), known = local.job_keys },
          { at = "${name}: environments", keys = keys(try(job.environments, {})), known = local.environments },
        ],
        flatten([
          for place, part in merge({ (name) = job }, { for env, part in try(job.environments, {}) : "${name}: ${env}" => merge(part) }) : concat(
            [
              { at = place, keys = keys(part), known = local.job_keys },
              { at = "${place}: lock", keys = keys(try(merge(part.lock), {})), known = local.lock_keys },
              { at = "${place}: schedule", keys = keys(try(merge(part.schedule), {})), known = local.schedule_keys },
            ],
            [
              for step in try(part.steps, []) :
              { at = "${place}: step ${try(step.name, "?")}", keys = keys(step), known = local.step_keys }
            ],
            [
              for step in try(part.steps, []) :
              { at = "${place}: step ${try(step.name, "?")}: retry_wait", keys = keys(try(step.retry_wait, {})), known = keys(local.defaults.step.retry_wait) }
            ],
            [
              for step in try(part.steps, []) :
              { at = "${place}: step ${try(step.name, "?")}: fan_out", keys = keys(try(merge(step.fan_out), {})), known = local.fan_out_keys }
            ],
          )
        ]),
      )
    ]),
  )
  unknown_keys = distinct(flatten([
    for set in local.key_sets : [for key in setsubtract(set.keys, set.known) : "unknown key ${key} (${set.at})"]
  ]))

  file_problems = concat(
    contains(local.environments, var.environment) ? [] : ["unknown environment ${var.environment}; the file has ${join(", ", local.environments)}"],
    can(regex("^[a-z][a-z0-9]{0,15}$", var.environment)) ? [] : ["malformed environment name ${var.environment}"],
  )

  job_problems = flatten([
    for name, job in local.jobs : [for text, bad in {
      "malformed job name"                                             = !can(regex(local.name_pattern, name))
      "reserved job name"                                              = contains(["janitor", "watchdog", "janitor-sweep"], name) || endswith(name, "-watchdog")
      "claim_container must be true or false"                          = !contains(["true", "false"], jsonencode(job.claim_container))
      "no lock key"                                                    = job.lock.key == ""
      "on_conflict must be skip, wait, replace or fail"                = !contains(["skip", "wait", "replace", "fail"], job.lock.on_conflict)
      "no steps"                                                       = length(job.steps) == 0
      "two steps have one name"                                        = length(distinct(job.steps[*].name)) != length(job.steps)
      "a schedule needs exactly one of cron, rate, at"                 = local.scheduled[name] && length([for kind in ["cron", "rate", "at"] : kind if lookup(local.schedule[name], kind, null) != null]) != 1
      "a scheduled job needs alert_after_minutes"                      = job.schedule != null && try(job.schedule.alert_after_minutes, 0) == 0
      "max_lateness_minutes must be 1 to 1440"                         = job.schedule != null && !try(job.schedule.max_lateness_minutes >= 1 && job.schedule.max_lateness_minutes <= 1440, false)
      "max_wait_minutes must be 0 to 1380"                             = !try(job.lock.max_wait_minutes >= 0 && job.lock.max_wait_minutes <= 1380, false)
      "a run could take longer than a year, which Step Functions ends" = job.lease_seconds > 31536000
    } : "${text}: ${name}" if bad]
  ])

  step_problems = flatten([
    for name, job in local.jobs : [
      for index, step in job.steps : [for text, bad in {
        "malformed step name"                              = !can(regex(local.name_pattern, step.name))
        "Fargate does not offer this cpu and memory"       = !contains(try(local.fargate_memory[tostring(step.cpu)], []), step.memory)
        "timeout_minutes must be a number above 0"         = !try(local.steps[name][index].timeout_minutes == tonumber(local.steps[name][index].timeout_minutes) && local.steps[name][index].timeout_minutes > 0, false)
        "timeout_minutes is not a whole number of seconds" = abs(try(local.steps[name][index].timeout_minutes * 60 - step.timeout_seconds, 0)) > 0.000001
        "stop_grace_seconds must be 2 to 120"              = !try(step.stop_grace_seconds >= 2 && step.stop_grace_seconds <= 120, false)
        "no command"                                       = length(step.command) == 0
        "unknown retry class"                              = !alltrue([for class in keys(step.retry) : can(regex(local.retry_pattern, class))])
        "a retry count must be 0 to 20"                    = !alltrue([for count in values(step.retry) : try(count >= 0 && count <= 20 && count == floor(count), false)])
        "first_seconds is longer than max_seconds"         = step.retry_wait.first_seconds > step.retry_wait.max_seconds
        "a variable begins with NIGHTLATCH_"               = anytrue([for key in keys(step.environment) : startswith(upper(key), "NIGHTLATCH_")])
        "text that Step Functions would evaluate ({% %})"  = can(regex("\\{%|%\\}", jsonencode([step.command, step.environment, job.lock.key])))
      } : "${text}: ${name}/${step.name} (cpu ${step.cpu}, memory ${step.memory})" if bad]
    ]
  ])

  fan_out_problems = flatten([
    for name, job in local.jobs : [
      for index, step in job.steps : [for text, bad in {
        "shards_from must name an earlier step with one container"       = !contains([for before in slice(job.steps, 0, index) : before.name if before.fan_out == null], step.fan_out.shards_from)
        "shard_timeout_minutes must be above 0, timeout_minutes at most" = !(step.fan_out.shard_timeout_seconds > 0 && step.fan_out.shard_timeout_seconds <= step.timeout_seconds)
        "max_concurrency must be 1 to 1000"                              = !try(step.fan_out.max_concurrency >= 1 && step.fan_out.max_concurrency <= 1000 && step.fan_out.max_concurrency == floor(step.fan_out.max_concurrency), false)
        "tolerated_failure_percentage must be 0 to 100"                  = !try(step.fan_out.tolerated_failure_percentage >= 0 && step.fan_out.tolerated_failure_percentage <= 100 && step.fan_out.tolerated_failure_percentage == floor(step.fan_out.tolerated_failure_percentage), false)
        "claim_container and fan_out exclude each other"                 = job.claim_container
      } : "${text}: ${name}/${step.name}" if bad] if step.fan_out != null
    ]
  ])

  # A step `b-c` of job `a` and a step `c` of job `a-b` would be one task family.
  families = flatten([for job in local.jobs : job.steps[*].family])
  family_problems = [
    for family in distinct(local.families) : "two steps share the task family ${family}"
    if length([for other in local.families : other if other == family]) > 1
  ]

  problems = concat(local.file_problems, local.unknown_keys, local.job_problems, local.step_problems, local.fan_out_problems, local.family_problems)
}
