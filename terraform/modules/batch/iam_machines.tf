# One role for each state machine, with what its definition calls and nothing else.

locals {
  # IAM names have 64 characters at most; a longer one keeps its beginning and gets a fingerprint.
  role_names = {
    for name in concat(
      [for key in keys(local.machine_arns) : "${key}-machine"],
      [for key in keys(local.scheduled_jobs) : "${key}-schedule"],
      [for key in keys(local.scheduled_jobs) : "${key}-watchdog-schedule"],
      [for key, step in local.steps : "${step.job}-${step.name}-task"],
      [for key in keys(local.jobs) : "${key}-execution"],
      ["janitor-sweep-schedule", "janitor-rule"],
    ) :
    name => length("${local.prefix}-${name}") <= 64 ? "${local.prefix}-${name}" : "${substr("${local.prefix}-${name}", 0, 55)}-${substr(sha1(name), 0, 8)}"
  }

  task_arns      = "${local.arn.ecs}:task/${local.cluster}/*"
  in_the_cluster = { ArnEquals = { "ecs:cluster" = local.cluster_arn } }

  # A run may meet any job that shares its lock, as its holder or in line.
  jobs_of_lock = { for name, job in local.jobs : job.lock.key => name... }

  drain_statements = [
    {
      Sid       = "FindTasks"
      Effect    = "Allow"
      Action    = "ecs:ListTasks"
      Resource  = "*"
      Condition = local.in_the_cluster
    },
    {
      Sid       = "DrainTasks"
      Effect    = "Allow"
      Action    = ["ecs:DescribeTasks", "ecs:StopTask"]
      Resource  = local.task_arns
      Condition = local.in_the_cluster
    },
  ]
  notify_statement = {
    Sid      = "Notify"
    Effect   = "Allow"
    Action   = "sns:Publish"
    Resource = local.topic_arn
  }
  # Step Functions sets up log delivery and sends traces with the machine's role. None of these actions knows
  # resources.
  observe_statement = {
    Sid    = "LogAndTrace"
    Effect = "Allow"
    Action = [
      "logs:CreateLogDelivery",
      "logs:DeleteLogDelivery",
      "logs:DescribeLogGroups",
      "logs:DescribeResourcePolicies",
      "logs:GetLogDelivery",
      "logs:ListLogDeliveries",
      "logs:PutResourcePolicy",
      "logs:UpdateLogDelivery",
      "xray:GetSamplingRules",
      "xray:GetSamplingTargets",
      "xray:PutTelemetryRecords",
      "xray:PutTraceSegments",
    ]
    Resource = "*"
  }
  key_statements = local.customer_key == null ? [] : [
    {
      Sid      = "UseTheKey"
      Effect   = "Allow"
      Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
      Resource = local.customer_key.arn
    },
  ]

  # A fan-out reads the list of shards and runs a child execution of its own machine for each.
  fan_out_jobs = toset([for name, job in local.jobs : name if anytrue([for step in job.steps : try(step.fan_out, null) != null])])
  fan_out_statements = {
    for name in keys(local.jobs) : name => concat(
      [
        for key in ["shards/${name}/*"] : {
          Sid      = "ReadOwnShards"
          Effect   = "Allow"
          Action   = "s3:GetObject"
          Resource = "${local.bucket_arn}/${key}"
        } if contains(local.fan_out_jobs, name)
      ],
      [
        for arn in [local.machine_arns[name]] : {
          Sid      = "StartOwnShards"
          Effect   = "Allow"
          Action   = "states:StartExecution"
          Resource = arn
        } if contains(local.fan_out_jobs, name)
      ],
      [
        # A child's ARN has the map's label behind the machine's name.
        for arn in ["${local.arn.states}:execution:${local.prefix}-${name}/*"] : {
          Sid      = "FollowOwnShards"
          Effect   = "Allow"
          Action   = ["states:DescribeExecution", "states:StopExecution"]
          Resource = arn
        } if contains(local.fan_out_jobs, name)
      ],
    )
  }

  machine_policies = merge(
    {
      for name, job in local.jobs : name => concat(
        [
          {
            Sid       = "OwnLock"
            Effect    = "Allow"
            Action    = ["dynamodb:GetItem", "dynamodb:UpdateItem"]
            Resource  = local.lock_table_arn
            Condition = { "ForAllValues:StringEquals" = { "dynamodb:LeadingKeys" = [job.lock.key] } }
          },
          {
            Sid       = "OwnRecords"
            Effect    = "Allow"
            Action    = ["dynamodb:PutItem", "dynamodb:Query"]
            Resource  = local.runs_table_arn
            Condition = { "ForAllValues:StringEquals" = { "dynamodb:LeadingKeys" = [name] } }
          },
          {
            Sid       = "RunOwnSteps"
            Effect    = "Allow"
            Action    = "ecs:RunTask"
            Resource  = [for step in job.steps : "${local.arn.ecs}:task-definition/${step.family}:*"]
            Condition = local.in_the_cluster
          },
          {
            Sid       = "TagOwnTasks"
            Effect    = "Allow"
            Action    = "ecs:TagResource"
            Resource  = local.task_arns
            Condition = { StringEquals = { "ecs:CreateAction" = "RunTask" } }
          },
          {
            Sid    = "HandRolesToTasks"
            Effect = "Allow"
            Action = "iam:PassRole"
            Resource = concat(
              ["${local.arn.iam}:role/${local.role_names["${name}-execution"]}"],
              [for step in job.steps : "${local.arn.iam}:role/${local.role_names["${name}-${step.name}-task"]}"],
            )
            Condition = { StringEquals = { "iam:PassedToService" = "ecs-tasks.amazonaws.com" } }
          },
          {
            Sid      = "HearOfStoppedTasks"
            Effect   = "Allow"
            Action   = ["events:DescribeRule", "events:PutRule", "events:PutTargets"]
            Resource = "${local.arn.events}/StepFunctionsGetEventsForECSTaskRule"
          },
          {
            Sid    = "AskAboutHolders"
            Effect = "Allow"
            Action = ["states:DescribeExecution", "states:StopExecution"]
            Resource = [
              for other in local.jobs_of_lock[job.lock.key] : "${local.arn.states}:execution:${local.prefix}-${other}:*"
            ]
          },
        ],
        local.fan_out_statements[name],
        local.drain_statements,
        [local.notify_statement, local.observe_statement],
        local.key_statements,
      )
    },
    {
      janitor = concat(
        [
          {
            Sid      = "EveryLock"
            Effect   = "Allow"
            Action   = ["dynamodb:GetItem", "dynamodb:Scan", "dynamodb:UpdateItem"]
            Resource = local.lock_table_arn
          },
          {
            Sid      = "MissingRecords"
            Effect   = "Allow"
            Action   = "dynamodb:PutItem"
            Resource = local.runs_table_arn
          },
          {
            Sid      = "AskAboutRuns"
            Effect   = "Allow"
            Action   = "states:DescribeExecution"
            Resource = "${local.arn.states}:execution:${local.prefix}-*:*"
          },
          {
            Sid      = "FindRuns"
            Effect   = "Allow"
            Action   = "states:ListExecutions"
            Resource = "${local.arn.states}:stateMachine:${local.prefix}-*"
          },
          {
            Sid      = "FindMachines"
            Effect   = "Allow"
            Action   = "states:ListStateMachines"
            Resource = "*"
          },
        ],
        local.drain_statements,
        [local.notify_statement, local.observe_statement],
        local.key_statements,
      )
      watchdog = concat(
        [
          {
            Sid      = "ReadRecordsAndMarkTold"
            Effect   = "Allow"
            Action   = ["dynamodb:PutItem", "dynamodb:Query"]
            Resource = local.runs_table_arn
          },
          {
            Sid      = "SeeWhatRuns"
            Effect   = "Allow"
            Action   = "dynamodb:Scan"
            Resource = local.lock_table_arn
          },
        ],
        [local.notify_statement, local.observe_statement],
        local.key_statements,
      )
    },
  )
}

resource "aws_iam_role" "machine" {
  for_each = local.machine_arns

  name                 = local.role_names["${each.key}-machine"]
  description          = "What the state machine ${local.prefix}-${each.key} may do"
  permissions_boundary = var.permissions_boundary
  tags                 = local.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "states.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = {
        ArnEquals    = { "aws:SourceArn" = each.value }
        StringEquals = { "aws:SourceAccount" = local.account }
      }
    }]
  })
}

resource "aws_iam_role_policy" "machine" {
  for_each = local.machine_policies

  name   = "machine"
  role   = aws_iam_role.machine[each.key].name
  policy = jsonencode({ Version = "2012-10-17", Statement = each.value })
}
