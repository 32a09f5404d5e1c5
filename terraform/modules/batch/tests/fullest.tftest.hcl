# Everything switched on. The project's tests take the policies and definitions out of this plan and lint them.

mock_provider "aws" {
  source          = "./tests/mocks"
  override_during = plan
}

variables {
  environment         = "dev"
  jobs_file           = "./tests/jobs.yaml"
  network             = { vpc_id = "vpc-1", subnet_ids = ["subnet-1", "subnet-2"], security_group_ids = ["sg-1"] }
  images              = { nightlatch = "registry.example/nightlatch@sha256:01", ruby = "registry.example/ruby@sha256:02" }
  repository_arns     = ["arn:aws:ecr:ap-northeast-1:123456789012:repository/nightlatch"]
  customer_key        = { arn = "arn:aws:kms:ap-northeast-1:123456789012:key/00000000-0000-0000-0000-000000000000" }
  secret_key_arns     = ["arn:aws:kms:ap-northeast-1:123456789012:key/11111111-1111-1111-1111-111111111111"]
  notification_emails = ["night-shift@example.com"]
  alarm_topic_arns    = ["arn:aws:sns:ap-northeast-1:123456789012:on-call"]
  task_policy_arns    = { nightly = ["arn:aws:iam::123456789012:policy/articles"] }
  secrets = {
    nightly = {
      ssm             = { DATABASE_URL = "arn:aws:ssm:ap-northeast-1:123456789012:parameter/articles/database" }
      secrets_manager = { API_KEY = "arn:aws:secretsmanager:ap-northeast-1:123456789012:secret:articles-api-AbCdEf" }
    }
  }
}

run "fullest" {
  command = plan

  assert {
    condition     = length(aws_sns_topic_subscription.email) == 1 && length(aws_iam_role_policy_attachment.task) == 2
    error_message = "People are subscribed, and each step of the job has its policy."
  }
  assert {
    condition = [
      for secret in jsondecode(aws_ecs_task_definition.steps["nightly/check"].container_definitions)[0].secrets : secret.name
    ] == ["API_KEY", "DATABASE_URL"]
    error_message = "A container finds its job's secrets in its environment."
  }
}
