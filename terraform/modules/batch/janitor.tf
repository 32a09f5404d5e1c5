# The janitor is called by the status event, which is best effort, and by a sweep, which is not.
resource "aws_cloudwatch_event_rule" "janitor" {
  name        = "${local.prefix}-janitor"
  description = "A run ended badly: see that its lock is freed"
  tags        = local.tags

  # Its own executions and the watchdog's are left out: a janitor that fails must not call itself.
  event_pattern = jsonencode({
    source      = ["aws.states"]
    detail-type = ["Step Functions Execution Status Change"]
    detail = {
      status          = ["ABORTED", "FAILED", "TIMED_OUT"]
      executionArn    = [{ prefix = "${local.arn.states}:execution:${local.prefix}-" }]
      stateMachineArn = [{ anything-but = [local.machine_arns.janitor, local.machine_arns.watchdog] }]
    }
  })
}

resource "aws_cloudwatch_event_target" "janitor" {
  rule      = aws_cloudwatch_event_rule.janitor.name
  target_id = "janitor"
  arn       = local.machine_arns.janitor
  role_arn  = aws_iam_role.rule.arn

  retry_policy {
    maximum_event_age_in_seconds = 3600
    maximum_retry_attempts       = 185
  }

  dead_letter_config {
    arn = local.queue_arn
  }

  depends_on = [aws_sfn_state_machine.janitor, aws_sqs_queue_policy.undelivered]
}

resource "aws_scheduler_schedule" "sweep" {
  name                         = "janitor-sweep"
  group_name                   = aws_scheduler_schedule_group.this.name
  description                  = "Frees locks whose holders are gone, however they went"
  schedule_expression          = "rate(5 minutes)"
  schedule_expression_timezone = "UTC"
  kms_key_arn                  = try(local.customer_key.arn, null)

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = local.start_execution
    role_arn = aws_iam_role.schedule["janitor-sweep"].arn
    input    = local.bare.sweep["janitor"]

    # The next sweep comes in five minutes.
    retry_policy {
      maximum_event_age_in_seconds = 300
      maximum_retry_attempts       = 185
    }

    dead_letter_config {
      arn = local.queue_arn
    }
  }

  depends_on = [aws_iam_role_policy.schedule, aws_sqs_queue.undelivered]
}
