# What the module makes of a jobs file. No network, no credentials: the provider is mocked, and ARNs are known
# while planning so that every policy can be read.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  environment     = "dev"
  jobs_file       = "./tests/jobs.yaml"
  network         = { vpc_id = "vpc-1", subnet_ids = ["subnet-1", "subnet-2"] }
  images          = { nightlatch = "registry.example/nightlatch@sha256:01", ruby = "registry.example/ruby@sha256:02" }
  repository_arns = ["arn:aws:ecr:ap-northeast-1:123456789012:repository/nightlatch"]
}

run "machines_and_task_definitions" {
  command = plan

  assert {
    condition     = toset(keys(aws_sfn_state_machine.jobs)) == toset(["nightly", "hourly", "documents", "by-hand"])
    error_message = "One state machine for each job."
  }
  assert {
    condition     = toset(keys(aws_ecs_task_definition.steps)) == toset(["nightly/generate", "nightly/check", "hourly/refresh", "documents/plan", "documents/work", "documents/collect", "by-hand/report"])
    error_message = "One task definition for each step."
  }
  assert {
    condition = alltrue(flatten([
      for name, machine in aws_sfn_state_machine.jobs : [
        for step in jsondecode(machine.definition).States.Begin.Assign.settings.steps :
        aws_ecs_task_definition.steps["${name}/${step.name}"].family == step.family
      ]
    ]))
    error_message = "Machines and task definitions must name the same families."
  }
  assert {
    condition = alltrue([
      for machine in values(aws_sfn_state_machine.jobs) :
      jsondecode(machine.definition).TimeoutSeconds == jsondecode(machine.definition).States.Begin.Assign.settings.run_timeout_seconds
      && jsondecode(machine.definition).TimeoutSeconds < jsondecode(machine.definition).States.Begin.Assign.settings.lease_seconds
      && alltrue([
        for step in jsondecode(machine.definition).States.Begin.Assign.settings.steps :
        step.timeout_seconds + step.stop_grace_seconds < jsondecode(machine.definition).TimeoutSeconds
      ])
    ])
    error_message = "Every step fits into its run's time limit, and every run into its lock's lease."
  }
  assert {
    condition     = !anytrue([for machine in values(aws_sfn_state_machine.jobs) : strcontains(machine.definition, "task-definition/") || strcontains(machine.definition, "$${")])
    error_message = "No revision is pinned and no placeholder is left."
  }
  assert {
    condition     = alltrue([for machine in concat(values(aws_sfn_state_machine.jobs), [aws_sfn_state_machine.janitor, aws_sfn_state_machine.watchdog]) : machine.tracing_configuration[0].enabled && machine.logging_configuration[0].level == "ERROR"])
    error_message = "Every machine logs and traces."
  }
  assert {
    condition = alltrue([
      for definition in values(aws_ecs_task_definition.steps) : alltrue([
        for container in jsondecode(definition.container_definitions) :
        container.logConfiguration.options["mode"] == "non-blocking" && container.readonlyRootFilesystem
      ])
    ])
    error_message = "Every container logs without blocking and has a read-only root."
  }
  assert {
    condition = [
      for container in jsondecode(aws_ecs_task_definition.steps["nightly/check"].container_definitions) :
      [container.name, container.image, container.stopTimeout, container.entryPoint, container.command]
    ] == [["job", "registry.example/nightlatch@sha256:01", 90, ["python", "-m", "tasks", "run"], ["missing-images", "--all"]]]
    error_message = "The container runs the step's command through the runtime, with the step's stop grace."
  }
  assert {
    condition = [
      for container in jsondecode(aws_ecs_task_definition.steps["by-hand/report"].container_definitions) :
      [container.name, container.image, container.essential, container.command, try(container.dependsOn, []), try(container.entryPoint, null)]
      ] == [
      ["claim", "registry.example/nightlatch@sha256:01", false, ["claim", "--directory", "/nightlatch"], [], ["python", "-m", "tasks"]],
      ["job", "registry.example/ruby@sha256:02", true, ["ruby", "report.rb"], [{ containerName = "claim", condition = "SUCCESS" }], null],
    ]
    error_message = "An image that is not ours starts behind a container of ours that claims the lock."
  }
}

run "schedules" {
  command = plan

  assert {
    condition     = toset(keys(aws_scheduler_schedule.jobs)) == toset(["nightly", "hourly"]) && toset(keys(aws_scheduler_schedule.watchdogs)) == toset(["nightly", "hourly"])
    error_message = "A schedule and a watchdog for each scheduled job, none for the others."
  }
  assert {
    condition     = aws_scheduler_schedule.jobs["nightly"].schedule_expression == "cron(0 6 * * ? *)" && aws_scheduler_schedule.jobs["nightly"].schedule_expression_timezone == "Asia/Tokyo"
    error_message = "The schedule has the file's expression and time zone."
  }
  assert {
    condition = alltrue([
      for name, watchdog in aws_scheduler_schedule.watchdogs :
      watchdog.schedule_expression == aws_scheduler_schedule.jobs[name].schedule_expression
      && watchdog.schedule_expression_timezone == aws_scheduler_schedule.jobs[name].schedule_expression_timezone
    ])
    error_message = "A watchdog comes at its job's times."
  }
  assert {
    condition     = alltrue([for schedule in concat(values(aws_scheduler_schedule.jobs), values(aws_scheduler_schedule.watchdogs), [aws_scheduler_schedule.sweep]) : schedule.target[0].arn == "arn:aws:scheduler:::aws-sdk:sfn:startExecution"])
    error_message = "Every schedule uses the universal target."
  }
  assert {
    condition     = alltrue([for schedule in concat(values(aws_scheduler_schedule.jobs), values(aws_scheduler_schedule.watchdogs), [aws_scheduler_schedule.sweep]) : length(schedule.target[0].dead_letter_config) == 1 && schedule.target[0].dead_letter_config[0].arn == local.queue_arn])
    error_message = "Every schedule has a dead-letter queue."
  }
  assert {
    condition     = length(aws_cloudwatch_event_target.janitor.dead_letter_config) == 1
    error_message = "The janitor's rule has a dead-letter queue."
  }
  assert {
    condition     = alltrue([for schedule in concat(values(aws_scheduler_schedule.jobs), values(aws_scheduler_schedule.watchdogs)) : strcontains(schedule.target[0].input, "<aws.scheduler.execution-id>") && strcontains(schedule.target[0].input, "<aws.scheduler.scheduled-time>") && !strcontains(schedule.target[0].input, "u003c")])
    error_message = "The Scheduler substitutes the bare form of its attributes only."
  }
  assert {
    condition     = jsondecode(jsondecode(aws_scheduler_schedule.jobs["nightly"].target[0].input).Input) == { trigger = "schedule", scheduled_time = "<aws.scheduler.scheduled-time>" }
    error_message = "A scheduled run is told its time."
  }
  assert {
    condition     = jsondecode(aws_scheduler_schedule.jobs["nightly"].target[0].input).StateMachineArn == "arn:aws:states:ap-northeast-1:123456789012:stateMachine:nightlatch-dev-nightly"
    error_message = "A schedule starts its own job."
  }
  assert {
    condition     = jsondecode(jsondecode(aws_scheduler_schedule.watchdogs["hourly"].target[0].input).Input) == { job = "hourly", scheduled_time = "<aws.scheduler.scheduled-time>", alert_after_minutes = 30 }
    error_message = "A watchdog is told job, time and deadline."
  }
  assert {
    condition     = aws_scheduler_schedule.jobs["nightly"].target[0].retry_policy[0].maximum_event_age_in_seconds == 2700
    error_message = "A start is given up after max_lateness_minutes."
  }
}

run "alarms" {
  command = plan

  assert {
    condition     = toset(keys(aws_cloudwatch_metric_alarm.machines)) == toset(["nightly", "hourly", "documents", "by-hand", "janitor", "watchdog"])
    error_message = "An alarm for each job, the janitor and the watchdog."
  }
  assert {
    condition     = alltrue([for alarm in concat(values(aws_cloudwatch_metric_alarm.machines), values(aws_cloudwatch_metric_alarm.schedules), [aws_cloudwatch_metric_alarm.undelivered]) : contains(alarm.alarm_actions, local.topic_arn) && alarm.treat_missing_data == "notBreaching"])
    error_message = "Every alarm reaches the topic; silence is no alarm."
  }
}

run "locks" {
  command = plan

  assert {
    condition     = aws_dynamodb_table.locks.hash_key == "lock_key" && aws_dynamodb_table.locks.range_key == null && aws_dynamodb_table.locks.ttl[0].attribute_name == "ttl" && aws_dynamodb_table.locks.ttl[0].enabled
    error_message = "The lock table is keyed by lock_key and expires free items."
  }
  assert {
    condition     = length(aws_dynamodb_table.locks.replica) == 0
    error_message = "A lock table has no replicas: a condition would be evaluated in each region on its own."
  }
  assert {
    condition     = alltrue([for table in [aws_dynamodb_table.locks, aws_dynamodb_table.runs] : table.deletion_protection_enabled && table.point_in_time_recovery[0].enabled])
    error_message = "Tables are protected and can be restored."
  }
}

run "own_cluster_and_group" {
  command = plan

  assert {
    condition     = length(aws_ecs_cluster.this) == 1 && length(aws_security_group.tasks) == 1 && length(aws_kms_key.this) == 0
    error_message = "Without cluster and groups of the adopter's, there are our own; a key only where it is asked for."
  }
}

run "existing_cluster_and_group" {
  command = plan

  variables {
    cluster = { arn = "arn:aws:ecs:ap-northeast-1:123456789012:cluster/shared" }
    network = { vpc_id = "vpc-1", subnet_ids = ["subnet-1"], security_group_ids = ["sg-1", "sg-2"], assign_public_ip = true }
  }

  assert {
    condition     = length(aws_ecs_cluster.this) == 0 && length(aws_security_group.tasks) == 0
    error_message = "What is there already is not made again."
  }
  assert {
    condition     = strcontains(aws_sfn_state_machine.jobs["nightly"].definition, "\"Cluster\": \"shared\"") && strcontains(aws_sfn_state_machine.jobs["nightly"].definition, "sg-1,sg-2") && strcontains(aws_sfn_state_machine.jobs["nightly"].definition, "\"AssignPublicIp\": \"ENABLED\"")
    error_message = "Containers run in the given cluster and network."
  }
  assert {
    condition     = output.installation.cluster == "shared"
    error_message = "The command is told of the given cluster."
  }
}

run "customer_key" {
  command = plan

  variables {
    create_customer_key = true
  }

  assert {
    condition     = aws_dynamodb_table.locks.server_side_encryption[0].enabled && aws_sns_topic.notifications.kms_master_key_id != null && aws_sqs_queue.undelivered.kms_master_key_id != null && aws_cloudwatch_log_group.tasks.kms_key_id != null
    error_message = "The key is used for tables, topic, queue and logs."
  }
  assert {
    condition     = alltrue([for policy in concat(values(aws_iam_role_policy.machine), values(aws_iam_role_policy.task), values(aws_iam_role_policy.schedule)) : strcontains(policy.policy, "kms:Decrypt")])
    error_message = "Whoever uses what the key encrypts may use the key."
  }
}

run "long_names_stay_within_the_limit" {
  command = plan

  assert {
    condition     = alltrue([for name in values(local.role_names) : length(name) <= 64])
    error_message = "IAM names have 64 characters at most."
  }
  assert {
    condition     = length(distinct(values(local.role_names))) == length(local.role_names)
    error_message = "Shortened names stay different."
  }
}

run "bad_environment" {
  command = plan

  variables {
    environment = "my-env"
  }

  expect_failures = [var.environment]
}

run "bad_retention" {
  command = plan

  variables {
    log_retention_days = 31
  }

  expect_failures = [var.log_retention_days]
}

run "reserved_variable" {
  command = plan

  variables {
    environment_variables = { NIGHTLATCH_TOKEN = "1" }
  }

  expect_failures = [var.environment_variables]
}

run "no_subnets" {
  command = plan

  variables {
    network = { vpc_id = "vpc-1", subnet_ids = [] }
  }

  expect_failures = [var.network]
}
