mock_provider "aws" {
  override_during = plan

  mock_data "aws_caller_identity" {
    defaults = { account_id = "123456789012" }
  }

  mock_data "aws_partition" {
    defaults = { partition = "aws" }
  }

  mock_resource "aws_iam_policy" {
    defaults = { arn = "arn:aws:iam::123456789012:policy/mocked" }
  }
}

variables {
  deployers = ["arn:aws:iam::123456789012:role/ci"]
}

run "deploy_role" {
  command = plan

  assert {
    condition     = alltrue([for policy in values(aws_iam_policy.deploy) : length(policy.policy) <= 6144])
    error_message = "A managed policy has 6144 characters at most."
  }
  assert {
    condition     = length(local.deploy_statements) == sum([for name, policy in aws_iam_policy.deploy : length(jsondecode(policy.policy).Statement) if name != "network"])
    error_message = "Every statement is in exactly one policy."
  }
  assert {
    condition     = !anytrue([for policy in values(aws_iam_policy.deploy) : strcontains(policy.policy, "states:StartExecution") || strcontains(policy.policy, "ecs:RunTask")])
    error_message = "Deploying is not running jobs."
  }
  assert {
    condition     = !startswith(aws_iam_role.deploy.name, "nightlatch-")
    error_message = "The role must not be able to change itself."
  }
}

run "boundary" {
  command = plan

  variables {
    permissions_boundary = "arn:aws:iam::123456789012:policy/boundary"
  }

  assert {
    condition = [
      for it in jsondecode(aws_iam_policy.deploy["roles"].policy).Statement :
      it.Condition.StringEquals["iam:PermissionsBoundary"] if it.Sid == "RolesPermissions"
    ] == ["arn:aws:iam::123456789012:policy/boundary"]
    error_message = "With a boundary, no role is made or strengthened without it."
  }
}

run "state_is_safe" {
  command = plan

  assert {
    condition     = aws_s3_bucket_versioning.state.versioning_configuration[0].status == "Enabled" && aws_s3_bucket_public_access_block.state.restrict_public_buckets
    error_message = "States are versioned and private."
  }
}

run "nobody_deploys" {
  command = plan

  variables {
    deployers = []
  }

  expect_failures = [var.deployers]
}
