resource "aws_scheduler_schedule_group" "this" {
  name = local.prefix
  tags = local.tags
}

locals {
  # Two delivered messages for one time are one run: the machine compares scheduled_time with the lock's last one.
  # The name only has to be new, and the id is new for each delivery.
  #
  # jsonencode writes < and > as \u003c and \u003e, twice where JSON stands in JSON. The Scheduler substitutes only
  # the bare form, so every level is turned back.
  bare = { for key, request in {
    jobs = { for name in keys(local.scheduled_jobs) : name => {
      StateMachineArn = local.machine_arns[name]
      Name            = "${name}-<aws.scheduler.execution-id>"
      Input           = jsonencode({ trigger = "schedule", scheduled_time = "<aws.scheduler.scheduled-time>" })
    } }
    watchdogs = { for name, job in local.scheduled_jobs : name => {
      StateMachineArn = local.machine_arns.watchdog
      Name            = "${name}-<aws.scheduler.execution-id>"
      Input = jsonencode({
        job                 = name
        scheduled_time      = "<aws.scheduler.scheduled-time>"
        alert_after_minutes = job.schedule.alert_after_minutes
      })
    } }
    sweep = { janitor = {
      StateMachineArn = local.machine_arns.janitor
      Name            = "sweep-<aws.scheduler.execution-id>"
      Input           = jsonencode({ sweep = true })
    } }
    } : key => { for name, it in request : name => replace(replace(
      jsonencode(merge(it, { Input = replace(replace(it.Input, "\\u003c", "<"), "\\u003e", ">") })),
    "\\u003c", "<"), "\\u003e", ">") }
  }

  start_execution = "arn:${local.partition}:scheduler:::aws-sdk:sfn:startExecution"
}

resource "aws_scheduler_schedule" "jobs" {
  for_each = local.scheduled_jobs

  name                         = each.key
  group_name                   = aws_scheduler_schedule_group.this.name
  description                  = "Starts ${each.key}"
  schedule_expression          = each.value.schedule.expression
  schedule_expression_timezone = each.value.schedule.timezone
  state                        = var.schedules_enabled ? "ENABLED" : "DISABLED"
  kms_key_arn                  = try(local.customer_key.arn, null)

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = local.start_execution
    role_arn = aws_iam_role.schedule[each.key].arn
    input    = local.bare.jobs[each.key]

    # A start that could not be delivered for so long is given up; the watchdog tells.
    retry_policy {
      maximum_event_age_in_seconds = each.value.schedule.max_lateness_minutes * 60
      maximum_retry_attempts       = 185
    }

    dead_letter_config {
      arn = local.queue_arn
    }
  }

  # Who pauses a schedule wants it paused; the next apply must not wake it.
  lifecycle {
    ignore_changes = [state]
  }

  depends_on = [aws_iam_role_policy.schedule, aws_sqs_queue.undelivered]
}

resource "aws_scheduler_schedule" "watchdogs" {
  for_each = local.scheduled_jobs

  name                         = "${each.key}-watchdog"
  group_name                   = aws_scheduler_schedule_group.this.name
  description                  = "Tells when ${each.key} is not done by its deadline"
  schedule_expression          = each.value.schedule.expression
  schedule_expression_timezone = each.value.schedule.timezone
  state                        = var.schedules_enabled ? "ENABLED" : "DISABLED"
  kms_key_arn                  = try(local.customer_key.arn, null)

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = local.start_execution
    role_arn = aws_iam_role.schedule["${each.key}-watchdog"].arn
    input    = local.bare.watchdogs[each.key]

    retry_policy {
      maximum_event_age_in_seconds = 86400
      maximum_retry_attempts       = 185
    }

    dead_letter_config {
      arn = local.queue_arn
    }
  }

  lifecycle {
    ignore_changes = [state]
  }

  depends_on = [aws_iam_role_policy.schedule, aws_sqs_queue.undelivered]
}

# Where messages go that could not be delivered: from the schedules and from the janitor's rule.
resource "aws_sqs_queue" "undelivered" {
  name                              = local.queue
  message_retention_seconds         = 1209600
  sqs_managed_sse_enabled           = local.customer_key == null ? true : null
  kms_master_key_id                 = try(local.customer_key.arn, null)
  kms_data_key_reuse_period_seconds = local.customer_key == null ? null : 3600
  tags                              = local.tags
}

resource "aws_sqs_queue_policy" "undelivered" {
  queue_url = aws_sqs_queue.undelivered.id

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "FromTheJanitorsRule"
        Effect    = "Allow"
        Principal = { Service = "events.amazonaws.com" }
        Action    = "sqs:SendMessage"
        Resource  = local.queue_arn
        Condition = { ArnEquals = { "aws:SourceArn" = "${local.arn.events}/${local.prefix}-janitor" } }
      },
    ]
  })
}
