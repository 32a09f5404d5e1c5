# For people: start, watch, stop, release. Not: run a container directly, or redrive an execution, because both
# would run a job without its lock.
resource "aws_iam_policy" "operator" {
  name        = "${local.prefix}-operator"
  description = "Operate the jobs of ${local.prefix} with the nightlatch command"
  tags        = local.tags

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat(
      [
        {
          Sid      = "FindTheInstallation"
          Effect   = "Allow"
          Action   = "ssm:GetParameter"
          Resource = "arn:${local.partition}:ssm:${local.region}:${local.account}:parameter${local.parameter}"
        },
        {
          Sid    = "StartAndLook"
          Effect = "Allow"
          Action = ["states:DescribeStateMachine", "states:ListExecutions", "states:StartExecution"]
          Resource = [
            for name in concat(keys(local.jobs), ["janitor"]) : local.machine_arns[name]
          ]
        },
        {
          # This and the next four let `nightlatch doctor` look.
          Sid      = "SeeTheWatchdog"
          Effect   = "Allow"
          Action   = "states:DescribeStateMachine"
          Resource = local.machine_arns["watchdog"]
        },
        {
          Sid      = "SeeRoles"
          Effect   = "Allow"
          Action   = "iam:GetRole"
          Resource = "${local.arn.iam}:role/${local.prefix}-*"
        },
        {
          Sid      = "SeeAlarms"
          Effect   = "Allow"
          Action   = "cloudwatch:DescribeAlarms"
          Resource = "arn:${local.partition}:cloudwatch:${local.region}:${local.account}:alarm:*"
        },
        {
          Sid      = "SeeWhoIsTold"
          Effect   = "Allow"
          Action   = "sns:ListSubscriptionsByTopic"
          Resource = local.topic_arn
        },
        {
          Sid      = "SeeImages"
          Effect   = "Allow"
          Action   = "ecr:DescribeImages"
          Resource = "arn:${local.partition}:ecr:${local.region}:*:repository/*"
        },
        {
          Sid      = "SeeShards"
          Effect   = "Allow"
          Action   = ["states:DescribeMapRun", "states:ListExecutions"]
          Resource = "${local.arn.states}:mapRun:${local.prefix}-*/*:*"
        },
        {
          Sid      = "FollowAndStop"
          Effect   = "Allow"
          Action   = ["states:DescribeExecution", "states:GetExecutionHistory", "states:StopExecution"]
          Resource = "${local.arn.states}:execution:${local.prefix}-*:*"
        },
        {
          Sid      = "SeeAndReleaseLocks"
          Effect   = "Allow"
          Action   = ["dynamodb:DescribeTable", "dynamodb:DescribeTimeToLive", "dynamodb:GetItem", "dynamodb:Scan", "dynamodb:UpdateItem"]
          Resource = local.lock_table_arn
        },
        {
          # Who pauses a schedule leaves a note with name and reason beside the records.
          Sid      = "ReadRecordsAndNotePauses"
          Effect   = "Allow"
          Action   = ["dynamodb:DeleteItem", "dynamodb:DescribeTable", "dynamodb:DescribeTimeToLive", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:Query"]
          Resource = local.runs_table_arn
        },
        {
          Sid      = "ReadLogs"
          Effect   = "Allow"
          Action   = ["logs:FilterLogEvents", "logs:GetLogEvents"]
          Resource = "${local.arn.logs}:${local.task_log_group}:*"
        },
        {
          Sid      = "FindLogs"
          Effect   = "Allow"
          Action   = "logs:DescribeLogGroups"
          Resource = "*"
        },
        {
          Sid      = "SeeTheCluster"
          Effect   = "Allow"
          Action   = "ecs:DescribeClusters"
          Resource = local.cluster_arn
        },
        {
          Sid       = "SeeTasks"
          Effect    = "Allow"
          Action    = ["ecs:DescribeTasks", "ecs:StopTask"]
          Resource  = local.task_arns
          Condition = local.in_the_cluster
        },
        {
          Sid       = "FindTasks"
          Effect    = "Allow"
          Action    = "ecs:ListTasks"
          Resource  = "*"
          Condition = local.in_the_cluster
        },
        {
          Sid      = "SeeDefinitions"
          Effect   = "Allow"
          Action   = "ecs:DescribeTaskDefinition"
          Resource = "*"
        },
        {
          Sid      = "SeeAndPauseSchedules"
          Effect   = "Allow"
          Action   = ["scheduler:GetSchedule", "scheduler:UpdateSchedule"]
          Resource = "arn:${local.partition}:scheduler:${local.region}:${local.account}:schedule/${local.prefix}/*"
        },
        {
          Sid      = "FindSchedules"
          Effect   = "Allow"
          Action   = "scheduler:ListSchedules"
          Resource = "*"
        },
        {
          # UpdateSchedule replaces the whole schedule and so hands its role over again.
          Sid    = "KeepTheSchedulesRole"
          Effect = "Allow"
          Action = "iam:PassRole"
          Resource = [
            for name in keys(local.started_by) : "${local.arn.iam}:role/${local.role_names["${name}-schedule"]}"
          ]
          Condition = { StringEquals = { "iam:PassedToService" = "scheduler.amazonaws.com" } }
        },
        {
          Sid      = "ReadArtifacts"
          Effect   = "Allow"
          Action   = ["s3:GetObject", "s3:ListBucket"]
          Resource = [local.bucket_arn, "${local.bucket_arn}/*"]
        },
        {
          Sid      = "NeverWithoutTheLock"
          Effect   = "Deny"
          Action   = ["ecs:RunTask", "ecs:StartTask", "states:RedriveExecution"]
          Resource = "*"
        },
      ],
      local.key_statements,
    )
  })
}
