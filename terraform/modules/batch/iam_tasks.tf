# One role for each step's container, and one for starting each job's containers.

locals {
  ecs_trust = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "ecs-tasks.amazonaws.com" }
      Action    = "sts:AssumeRole"
      Condition = {
        ArnLike      = { "aws:SourceArn" = "${local.arn.ecs}:*" }
        StringEquals = { "aws:SourceAccount" = local.account }
      }
    }]
  })

  task_policies = {
    for key, step in local.steps : key => concat(
      [
        {
          Sid       = "ClaimOwnLock"
          Effect    = "Allow"
          Action    = ["dynamodb:GetItem", "dynamodb:UpdateItem"]
          Resource  = local.lock_table_arn
          Condition = { "ForAllValues:StringEquals" = { "dynamodb:LeadingKeys" = [step.lock_key] } }
        },
        {
          Sid    = "OwnCheckpointsAndOutput"
          Effect = "Allow"
          Action = ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"]
          Resource = [
            "${local.bucket_arn}/checkpoints/${step.job}/*",
            "${local.bucket_arn}/outputs/${step.job}/${step.name}/*",
          ]
        },
        {
          Sid      = "ReadTheJobsOtherOutputs"
          Effect   = "Allow"
          Action   = "s3:GetObject"
          Resource = "${local.bucket_arn}/outputs/${step.job}/*"
        },
        {
          # Without this S3 answers 403 where it should answer 404, and a first run could not tell them apart.
          Sid       = "ListTheJobsObjects"
          Effect    = "Allow"
          Action    = "s3:ListBucket"
          Resource  = local.bucket_arn
          Condition = { StringLike = { "s3:prefix" = ["checkpoints/${step.job}/*", "outputs/${step.job}/*", "shards/${step.job}/*"] } }
        },
      ],
      [
        # The planning step writes the list of shards, the collecting step reads it.
        for key in ["shards/${step.job}/*"] : {
          Sid      = "OwnShards"
          Effect   = "Allow"
          Action   = ["s3:GetObject", "s3:PutObject"]
          Resource = "${local.bucket_arn}/${key}"
        } if contains(local.fan_out_jobs, step.job)
      ],
      [
        for resource in [local.task_arns] : {
          Sid       = "ReadOwnAssignment"
          Effect    = "Allow"
          Action    = "ecs:DescribeTasks"
          Resource  = resource
          Condition = local.in_the_cluster
        } if step.claim_container
      ],
      local.key_statements,
    )
  }

  execution_policies = {
    for name in keys(local.jobs) : name => concat(
      [
        {
          Sid      = "SignInToTheRegistry"
          Effect   = "Allow"
          Action   = "ecr:GetAuthorizationToken"
          Resource = "*"
        },
        {
          Sid      = "WriteOwnLogs"
          Effect   = "Allow"
          Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
          Resource = "${local.arn.logs}:${local.task_log_group}:log-stream:${name}/*"
        },
      ],
      length(var.repository_arns) == 0 ? [] : [{
        Sid      = "PullImages"
        Effect   = "Allow"
        Action   = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
        Resource = var.repository_arns
      }],
      length(try(var.secrets[name].ssm, {})) == 0 ? [] : [{
        Sid      = "ReadParameters"
        Effect   = "Allow"
        Action   = "ssm:GetParameters"
        Resource = values(var.secrets[name].ssm)
      }],
      length(try(var.secrets[name].secrets_manager, {})) == 0 ? [] : [{
        Sid      = "ReadSecrets"
        Effect   = "Allow"
        Action   = "secretsmanager:GetSecretValue"
        Resource = values(var.secrets[name].secrets_manager)
      }],
      length(var.secret_key_arns) == 0 ? [] : [{
        Sid      = "DecryptSecrets"
        Effect   = "Allow"
        Action   = "kms:Decrypt"
        Resource = var.secret_key_arns
      }],
    )
  }
}

resource "aws_iam_role" "task" {
  for_each = local.steps

  name                 = local.role_names["${each.value.job}-${each.value.name}-task"]
  description          = "What the container of ${each.value.job}, step ${each.value.name}, may do"
  assume_role_policy   = local.ecs_trust
  permissions_boundary = var.permissions_boundary
  tags                 = local.tags
}

resource "aws_iam_role_policy" "task" {
  for_each = local.task_policies

  name   = "task"
  role   = aws_iam_role.task[each.key].name
  policy = jsonencode({ Version = "2012-10-17", Statement = each.value })
}

resource "aws_iam_role_policy_attachment" "task" {
  for_each = merge([
    for key, step in local.steps : {
      for index, arn in lookup(var.task_policy_arns, step.job, []) : "${key}/${index}" => { step = key, arn = arn }
    }
  ]...)

  role       = aws_iam_role.task[each.value.step].name
  policy_arn = each.value.arn
}

resource "aws_iam_role" "execution" {
  for_each = local.jobs

  name                 = local.role_names["${each.key}-execution"]
  description          = "How ECS starts the containers of ${each.key}: image, logs, secrets"
  assume_role_policy   = local.ecs_trust
  permissions_boundary = var.permissions_boundary
  tags                 = local.tags
}

resource "aws_iam_role_policy" "execution" {
  for_each = local.execution_policies

  name   = "execution"
  role   = aws_iam_role.execution[each.key].name
  policy = jsonencode({ Version = "2012-10-17", Statement = each.value })
}
