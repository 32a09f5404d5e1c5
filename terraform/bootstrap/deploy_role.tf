# What may change an environment. The fence is names: every statement ends at nightlatch-*, but for actions that
# know no resources and for the network. Who may make roles could make a strong one: name a permissions boundary
# (variable `permissions_boundary`, here and in the environments) where that matters.

locals {
  any = "${var.region}:${local.account}"

  deploy_statements = [
    {
      Sid      = "State"
      Effect   = "Allow"
      Action   = ["s3:DeleteObject", "s3:GetObject", "s3:PutObject"]
      Resource = "arn:${local.partition}:s3:::${local.bucket}/nightlatch/*"
    },
    {
      Sid      = "FindState"
      Effect   = "Allow"
      Action   = "s3:ListBucket"
      Resource = "arn:${local.partition}:s3:::${local.bucket}"
    },
    {
      Sid    = "Tables"
      Effect = "Allow"
      Action = [
        "dynamodb:CreateTable", "dynamodb:DeleteTable", "dynamodb:DescribeContinuousBackups", "dynamodb:DescribeTable",
        "dynamodb:DescribeTimeToLive", "dynamodb:ListTagsOfResource", "dynamodb:TagResource", "dynamodb:UntagResource",
        "dynamodb:UpdateContinuousBackups", "dynamodb:UpdateTable", "dynamodb:UpdateTimeToLive",
      ]
      Resource = "arn:${local.partition}:dynamodb:${local.any}:table/nightlatch-*"
    },
    {
      Sid    = "Machines"
      Effect = "Allow"
      Action = [
        "states:CreateStateMachine", "states:DeleteStateMachine", "states:DescribeStateMachine",
        "states:ListStateMachineVersions", "states:ListTagsForResource", "states:TagResource", "states:UntagResource",
        "states:UpdateStateMachine",
      ]
      Resource = "arn:${local.partition}:states:${local.any}:stateMachine:nightlatch-*"
    },
    {
      # Without it a plan fails exactly when a definition changes.
      Sid      = "CheckDefinitions"
      Effect   = "Allow"
      Action   = "states:ValidateStateMachineDefinition"
      Resource = "*"
    },
    {
      Sid    = "Schedules"
      Effect = "Allow"
      Action = [
        "scheduler:CreateSchedule", "scheduler:CreateScheduleGroup", "scheduler:DeleteSchedule",
        "scheduler:DeleteScheduleGroup", "scheduler:GetSchedule", "scheduler:GetScheduleGroup",
        "scheduler:ListTagsForResource", "scheduler:TagResource", "scheduler:UntagResource", "scheduler:UpdateSchedule",
      ]
      Resource = [
        "arn:${local.partition}:scheduler:${local.any}:schedule-group/nightlatch-*",
        "arn:${local.partition}:scheduler:${local.any}:schedule/nightlatch-*/*",
      ]
    },
    {
      Sid    = "Rule"
      Effect = "Allow"
      Action = [
        "events:DeleteRule", "events:DescribeRule", "events:ListTagsForResource", "events:ListTargetsByRule",
        "events:PutRule", "events:PutTargets", "events:RemoveTargets", "events:TagResource", "events:UntagResource",
      ]
      Resource = "arn:${local.partition}:events:${local.any}:rule/nightlatch-*"
    },
    {
      Sid    = "Cluster"
      Effect = "Allow"
      Action = [
        "ecs:CreateCluster", "ecs:DeleteCluster", "ecs:DescribeClusters", "ecs:ListTagsForResource", "ecs:PutClusterCapacityProviders",
        "ecs:TagResource", "ecs:UntagResource", "ecs:UpdateCluster",
      ]
      Resource = [
        "arn:${local.partition}:ecs:${local.any}:cluster/nightlatch-*",
        "arn:${local.partition}:ecs:${local.any}:task-definition/nightlatch-*:*",
      ]
    },
    {
      Sid      = "RegisterTaskDefinitions"
      Effect   = "Allow"
      Action   = "ecs:RegisterTaskDefinition"
      Resource = "arn:${local.partition}:ecs:${local.any}:task-definition/nightlatch-*:*"
    },
    {
      # ECS knows no resources for these.
      Sid      = "Definitions"
      Effect   = "Allow"
      Action   = ["ecs:DeregisterTaskDefinition", "ecs:DescribeTaskDefinition"]
      Resource = "*"
    },
    {
      Sid    = "Roles"
      Effect = "Allow"
      Action = [
        "iam:DeleteRole", "iam:GetRole", "iam:GetRolePolicy", "iam:ListAttachedRolePolicies",
        "iam:ListInstanceProfilesForRole", "iam:ListRolePolicies", "iam:ListRoleTags", "iam:TagRole", "iam:UntagRole",
        "iam:UpdateAssumeRolePolicy", "iam:UpdateRole",
      ]
      Resource = "${local.iam}:role/nightlatch-*"
    },
    merge(
      {
        Sid    = "RolesPermissions"
        Effect = "Allow"
        Action = [
          "iam:AttachRolePolicy", "iam:CreateRole", "iam:DeleteRolePolicy", "iam:DetachRolePolicy", "iam:PutRolePolicy",
        ]
        Resource = "${local.iam}:role/nightlatch-*"
      },
      var.permissions_boundary == null ? null : {
        Condition = { StringEquals = { "iam:PermissionsBoundary" = var.permissions_boundary } }
      },
    ),
    {
      Sid    = "OperatorPolicy"
      Effect = "Allow"
      Action = [
        "iam:CreatePolicy", "iam:CreatePolicyVersion", "iam:DeletePolicy", "iam:DeletePolicyVersion", "iam:GetPolicy",
        "iam:GetPolicyVersion", "iam:ListPolicyVersions", "iam:TagPolicy", "iam:UntagPolicy",
      ]
      Resource = "${local.iam}:policy/nightlatch-*"
    },
    {
      Sid      = "HandRolesOver"
      Effect   = "Allow"
      Action   = "iam:PassRole"
      Resource = "${local.iam}:role/nightlatch-*"
      Condition = { StringEquals = { "iam:PassedToService" = [
        "ecs-tasks.amazonaws.com", "events.amazonaws.com", "scheduler.amazonaws.com", "states.amazonaws.com",
      ] } }
    },
    {
      Sid    = "Artifacts"
      Effect = "Allow"
      Action = [
        "s3:CreateBucket", "s3:DeleteBucket", "s3:DeleteBucketPolicy", "s3:GetAccelerateConfiguration", "s3:GetBucketAcl",
        "s3:GetBucketCORS", "s3:GetBucketLogging", "s3:GetBucketObjectLockConfiguration", "s3:GetBucketOwnershipControls",
        "s3:GetBucketPolicy", "s3:GetBucketPublicAccessBlock", "s3:GetBucketRequestPayment", "s3:GetBucketTagging",
        "s3:GetBucketVersioning", "s3:GetBucketWebsite", "s3:GetEncryptionConfiguration", "s3:GetLifecycleConfiguration",
        "s3:GetReplicationConfiguration", "s3:ListBucket", "s3:ListBucketVersions", "s3:PutBucketOwnershipControls",
        "s3:PutBucketPolicy", "s3:PutBucketPublicAccessBlock", "s3:PutBucketTagging", "s3:PutBucketVersioning",
        "s3:PutEncryptionConfiguration", "s3:PutLifecycleConfiguration",
      ]
      Resource = "arn:${local.partition}:s3:::nightlatch-*-artifacts-${local.account}"
    },
    {
      # `terraform destroy` empties a bucket that is not protected.
      Sid      = "EmptyArtifacts"
      Effect   = "Allow"
      Action   = ["s3:DeleteObject", "s3:DeleteObjectVersion"]
      Resource = "arn:${local.partition}:s3:::nightlatch-*-artifacts-${local.account}/*"
    },
    {
      Sid    = "Notifications"
      Effect = "Allow"
      Action = [
        "sns:CreateTopic", "sns:DeleteTopic", "sns:GetTopicAttributes",
        "sns:ListTagsForResource", "sns:SetTopicAttributes", "sns:Subscribe", "sns:TagResource", "sns:UntagResource",
      ]
      Resource = "arn:${local.partition}:sns:${local.any}:nightlatch-*"
    },
    {
      Sid      = "EndSubscriptions"
      Effect   = "Allow"
      Action   = ["sns:GetSubscriptionAttributes", "sns:Unsubscribe"]
      Resource = "*"
    },
    {
      Sid    = "Queue"
      Effect = "Allow"
      Action = [
        "sqs:CreateQueue", "sqs:DeleteQueue", "sqs:GetQueueAttributes", "sqs:GetQueueUrl", "sqs:ListQueueTags",
        "sqs:SetQueueAttributes", "sqs:TagQueue", "sqs:UntagQueue",
      ]
      Resource = "arn:${local.partition}:sqs:${local.any}:nightlatch-*"
    },
    {
      Sid    = "Logs"
      Effect = "Allow"
      Action = [
        "logs:AssociateKmsKey", "logs:CreateLogGroup", "logs:DeleteLogGroup", "logs:DeleteRetentionPolicy",
        "logs:DisassociateKmsKey", "logs:ListTagsForResource", "logs:PutRetentionPolicy", "logs:TagResource",
        "logs:UntagResource",
      ]
      Resource = [
        "arn:${local.partition}:logs:${local.any}:log-group:/aws/vendedlogs/states/nightlatch-*",
        "arn:${local.partition}:logs:${local.any}:log-group:/nightlatch-*",
      ]
    },
    {
      Sid      = "FindLogs"
      Effect   = "Allow"
      Action   = ["logs:DescribeLogGroups"]
      Resource = "*"
    },
    {
      Sid    = "Alarms"
      Effect = "Allow"
      Action = [
        "cloudwatch:DeleteAlarms", "cloudwatch:DescribeAlarms", "cloudwatch:ListTagsForResource",
        "cloudwatch:PutMetricAlarm", "cloudwatch:TagResource", "cloudwatch:UntagResource",
      ]
      Resource = "arn:${local.partition}:cloudwatch:${local.any}:alarm:nightlatch-*"
    },
    {
      Sid      = "Dashboard"
      Effect   = "Allow"
      Action   = ["cloudwatch:DeleteDashboards", "cloudwatch:GetDashboard", "cloudwatch:PutDashboard"]
      Resource = "arn:${local.partition}:cloudwatch::${local.account}:dashboard/nightlatch-*"
    },
    {
      Sid    = "Parameter"
      Effect = "Allow"
      Action = [
        "ssm:AddTagsToResource", "ssm:DeleteParameter", "ssm:GetParameter", "ssm:GetParameters",
        "ssm:ListTagsForResource", "ssm:PutParameter", "ssm:RemoveTagsFromResource",
      ]
      Resource = "arn:${local.partition}:ssm:${local.any}:parameter/nightlatch/*"
    },
    {
      Sid      = "FindParameters"
      Effect   = "Allow"
      Action   = "ssm:DescribeParameters"
      Resource = "*"
    },
  ]

  # Only for environments whose network or key this Terraform makes.
  network_statements = [
    {
      Sid    = "LookAtTheNetwork"
      Effect = "Allow"
      Action = [
        "ec2:DescribeAddresses", "ec2:DescribeAddressesAttribute", "ec2:DescribeAvailabilityZones", "ec2:DescribeInternetGateways",
        "ec2:DescribeNatGateways", "ec2:DescribeNetworkAcls", "ec2:DescribeNetworkInterfaces", "ec2:DescribePrefixLists",
        "ec2:DescribeRouteTables", "ec2:DescribeSecurityGroupRules", "ec2:DescribeSecurityGroups", "ec2:DescribeSubnets",
        "ec2:DescribeVpcEndpoints", "ec2:DescribeVpcs",
      ]
      Resource = "*"
    },
    {
      Sid    = "ChangeTheNetwork"
      Effect = "Allow"
      Action = [
        "ec2:AllocateAddress", "ec2:AssociateRouteTable", "ec2:AttachInternetGateway", "ec2:AuthorizeSecurityGroupEgress",
        "ec2:AuthorizeSecurityGroupIngress", "ec2:CreateInternetGateway", "ec2:CreateNatGateway", "ec2:CreateRoute",
        "ec2:CreateRouteTable", "ec2:CreateSecurityGroup", "ec2:CreateSubnet", "ec2:CreateTags", "ec2:CreateVpc",
        "ec2:CreateVpcEndpoint", "ec2:DeleteInternetGateway", "ec2:DeleteNatGateway", "ec2:DeleteRoute",
        "ec2:DeleteRouteTable", "ec2:DeleteSecurityGroup", "ec2:DeleteSubnet", "ec2:DeleteTags", "ec2:DeleteVpc",
        "ec2:DeleteVpcEndpoints", "ec2:DescribeVpcAttribute", "ec2:DetachInternetGateway", "ec2:DisassociateAddress",
        "ec2:DisassociateRouteTable", "ec2:ModifySubnetAttribute", "ec2:ModifyVpcAttribute", "ec2:ModifyVpcEndpoint",
        "ec2:ReleaseAddress", "ec2:RevokeSecurityGroupEgress", "ec2:RevokeSecurityGroupIngress",
      ]
      Resource = "arn:${local.partition}:ec2:${local.any}:*"
    },
    {
      Sid      = "MakeKeys"
      Effect   = "Allow"
      Action   = ["kms:CreateKey", "kms:ListAliases"]
      Resource = "*"
    },
    {
      Sid    = "ChangeOwnKeys"
      Effect = "Allow"
      Action = [
        "kms:CreateGrant", "kms:Decrypt", "kms:DescribeKey", "kms:EnableKeyRotation", "kms:GenerateDataKey",
        "kms:GetKeyPolicy", "kms:GetKeyRotationStatus", "kms:ListResourceTags", "kms:PutKeyPolicy",
        "kms:ScheduleKeyDeletion", "kms:TagResource", "kms:UntagResource", "kms:UpdateKeyDescription",
      ]
      Resource  = "arn:${local.partition}:kms:${local.any}:key/*"
      Condition = { StringLike = { "aws:ResourceTag/nightlatch:environment" = "*" } }
    },
    {
      Sid    = "NameOwnKeys"
      Effect = "Allow"
      Action = ["kms:CreateAlias", "kms:DeleteAlias", "kms:UpdateAlias"]
      Resource = [
        "arn:${local.partition}:kms:${local.any}:alias/nightlatch-*",
        "arn:${local.partition}:kms:${local.any}:key/*",
      ]
    },
  ]
}

resource "aws_iam_role" "deploy" {
  # Not nightlatch-...: the role may change every role of that name, and must not be able to change itself.
  name                 = "deploy-nightlatch"
  description          = "Changes nightlatch environments with Terraform"
  max_session_duration = 3600
  tags                 = var.tags

  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { AWS = var.deployers }
      Action    = "sts:AssumeRole"
    }]
  })
}

# Managed policies: together they are longer than a role's inline policies may be.
resource "aws_iam_policy" "deploy" {
  for_each = {
    data     = [for it in local.deploy_statements : it if contains(["State", "FindState", "Tables", "Artifacts", "EmptyArtifacts", "Logs", "FindLogs", "Parameter", "FindParameters", "Queue", "Notifications", "EndSubscriptions"], it.Sid)]
    machines = [for it in local.deploy_statements : it if contains(["Machines", "CheckDefinitions", "Schedules", "Rule", "Cluster", "RegisterTaskDefinitions", "Definitions", "Alarms", "Dashboard"], it.Sid)]
    roles    = [for it in local.deploy_statements : it if contains(["Roles", "RolesPermissions", "OperatorPolicy", "HandRolesOver"], it.Sid)]
    network  = local.network_statements
  }

  name        = "deploy-nightlatch-${each.key}"
  description = "Changes nightlatch environments with Terraform: ${each.key}"
  policy      = jsonencode({ Version = "2012-10-17", Statement = each.value })
  tags        = var.tags
}

resource "aws_iam_role_policy_attachment" "deploy" {
  for_each = aws_iam_policy.deploy

  role       = aws_iam_role.deploy.name
  policy_arn = each.value.arn
}
