# A job tells of its own failure through the topic. The alarms are for what cannot tell: an execution that was
# aborted or timed out, a janitor that fails, a schedule that does not get through.

locals {
  alarm_actions = concat([local.topic_arn], var.alarm_topic_arns)

  schedule_alarms = {
    TargetErrorCount                 = "EventBridge Scheduler could not start a state machine"
    InvocationDroppedCount           = "EventBridge Scheduler gave up a start: the run is missing"
    InvocationsSentToDeadLetterCount = "A start went to the dead-letter queue: the run is missing"
  }
}

resource "aws_cloudwatch_metric_alarm" "machines" {
  for_each = local.machine_arns

  alarm_name          = "${local.prefix}-${each.key}-failed"
  alarm_description   = "A run of ${each.key} failed, timed out or was aborted. See: nightlatch history ${each.key} --env ${var.environment}"
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = 1
  evaluation_periods  = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.alarm_actions
  ok_actions          = []
  tags                = local.tags

  metric_query {
    id          = "bad"
    expression  = "FILL(failed, 0) + FILL(timed_out, 0) + FILL(aborted, 0)"
    label       = "Runs that ended badly"
    return_data = true
  }

  dynamic "metric_query" {
    for_each = { aborted = "ExecutionsAborted", failed = "ExecutionsFailed", timed_out = "ExecutionsTimedOut" }

    content {
      id = metric_query.key

      metric {
        namespace   = "AWS/States"
        metric_name = metric_query.value
        period      = 300
        stat        = "Sum"
        dimensions  = { StateMachineArn = each.value }
      }
    }
  }
}

resource "aws_cloudwatch_metric_alarm" "schedules" {
  for_each = local.schedule_alarms

  alarm_name          = "${local.prefix}-${each.key}"
  alarm_description   = each.value
  namespace           = "AWS/Scheduler"
  metric_name         = each.key
  dimensions          = { ScheduleGroup = local.prefix }
  statistic           = "Sum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.alarm_actions
  tags                = local.tags
}

resource "aws_cloudwatch_metric_alarm" "undelivered" {
  alarm_name          = "${local.prefix}-undelivered"
  alarm_description   = "A schedule or the janitor's rule could not deliver; the message is in the queue ${local.queue}"
  namespace           = "AWS/SQS"
  metric_name         = "ApproximateNumberOfMessagesVisible"
  dimensions          = { QueueName = local.queue }
  statistic           = "Maximum"
  period              = 300
  evaluation_periods  = 1
  comparison_operator = "GreaterThanOrEqualToThreshold"
  threshold           = 1
  treat_missing_data  = "notBreaching"
  alarm_actions       = local.alarm_actions
  tags                = local.tags
}

resource "aws_cloudwatch_dashboard" "this" {
  dashboard_name = local.prefix

  dashboard_body = jsonencode({
    widgets = concat(
      [
        {
          type = "metric", x = 0, y = 0, width = 12, height = 6
          properties = {
            title   = "Runs that ended well", region = local.region, stat = "Sum", period = 3600, view = "timeSeries", stacked = true
            metrics = [for name, arn in local.machine_arns : ["AWS/States", "ExecutionsSucceeded", "StateMachineArn", arn, { label = name }]]
          }
        },
        {
          type = "metric", x = 12, y = 0, width = 12, height = 6
          properties = {
            title = "Runs that ended badly", region = local.region, stat = "Sum", period = 3600, view = "timeSeries", stacked = true
            metrics = concat([
              for name, arn in local.machine_arns : [
                for metric in ["ExecutionsFailed", "ExecutionsTimedOut", "ExecutionsAborted"] :
                ["AWS/States", metric, "StateMachineArn", arn, { label = "${name} ${metric}" }]
              ]
            ]...)
          }
        },
        {
          type = "metric", x = 0, y = 6, width = 12, height = 6
          properties = {
            title   = "How long runs take", region = local.region, stat = "Maximum", period = 3600, view = "timeSeries", stacked = false
            metrics = [for name in keys(local.jobs) : ["AWS/States", "ExecutionTime", "StateMachineArn", local.machine_arns[name], { label = name }]]
          }
        },
        {
          type = "metric", x = 12, y = 6, width = 12, height = 6
          properties = {
            title   = "Deliveries by the Scheduler", region = local.region, stat = "Sum", period = 3600, view = "timeSeries", stacked = false
            metrics = [for metric in concat(["InvocationAttemptCount"], keys(local.schedule_alarms)) : ["AWS/Scheduler", metric, "ScheduleGroup", local.prefix]]
          }
        },
      ],
    )
  })
}
