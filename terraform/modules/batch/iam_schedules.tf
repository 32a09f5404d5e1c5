# One role for each schedule and for the janitor's rule: each may start one machine.

locals {
  started_by = merge(
    { for name in keys(local.scheduled_jobs) : name => local.machine_arns[name] },
    { for name in keys(local.scheduled_jobs) : "${name}-watchdog" => local.machine_arns.watchdog },
    { janitor-sweep = local.machine_arns.janitor },
  )
}

resource "aws_iam_role" "schedule" {
  for_each = local.started_by

  name                 = local.role_names["${each.key}-schedule"]
  description          = "Lets the schedule ${each.key} start its state machine"
  permissions_boundary = var.permissions_boundary
  tags                 = local.tags

  # The Scheduler names the group, never the schedule.
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "scheduler.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = {
        ArnEquals    = { "aws:SourceArn" = local.schedule_group }
        StringEquals = { "aws:SourceAccount" = local.account }
      }
    }]
  })
}

resource "aws_iam_role_policy" "schedule" {
  for_each = local.started_by

  name = "schedule"
  role = aws_iam_role.schedule[each.key].name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        { Sid = "Start", Effect = "Allow", Action = "states:StartExecution", Resource = each.value },
        { Sid = "KeepWhatCouldNotBeDelivered", Effect = "Allow", Action = "sqs:SendMessage", Resource = local.queue_arn },
      ],
      local.key_statements,
    )
  })
}

resource "aws_iam_role" "rule" {
  name                 = local.role_names["janitor-rule"]
  description          = "Lets the rule ${local.prefix}-janitor start the janitor"
  permissions_boundary = var.permissions_boundary
  tags                 = local.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "events.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = {
        ArnEquals    = { "aws:SourceArn" = "${local.arn.events}/${local.prefix}-janitor" }
        StringEquals = { "aws:SourceAccount" = local.account }
      }
    }]
  })
}

resource "aws_iam_role_policy" "rule" {
  name = "rule"
  role = aws_iam_role.rule.name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      { Sid = "Start", Effect = "Allow", Action = "states:StartExecution", Resource = local.machine_arns.janitor },
    ]
  })
}
