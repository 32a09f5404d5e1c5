# What the nightlatch command reads to find everything else. No secrets, so the plan may show it.
locals {
  parameter = "/nightlatch/${var.environment}/installation"

  installation = {
    schema_version = 1
    environment    = var.environment
    region         = local.region
    account        = local.account
    prefix         = local.prefix
    lock_table     = local.lock_table
    runs_table     = local.runs_table
    bucket         = local.bucket
    cluster        = local.cluster
    log_group      = local.task_log_group
    topic_arn      = local.topic_arn
    schedule_group = local.prefix
    janitor_arn    = local.machine_arns.janitor
    watchdog_arn   = local.machine_arns.watchdog
    jobs           = { for name in keys(local.jobs) : name => { state_machine_arn = local.machine_arns[name] } }
  }
}

resource "aws_ssm_parameter" "installation" {
  name           = local.parameter
  description    = "Names and ARNs of this nightlatch installation"
  type           = "String"
  insecure_value = jsonencode(local.installation)
  # The standard tier ends at 4 KiB, about twenty jobs.
  tier = "Intelligent-Tiering"
  tags = local.tags

  # Whoever reads it finds everything else in place.
  depends_on = [
    aws_dynamodb_table.locks,
    aws_dynamodb_table.runs,
    aws_ecs_task_definition.steps,
    aws_s3_bucket.artifacts,
    aws_sfn_state_machine.janitor,
    aws_sfn_state_machine.jobs,
    aws_sfn_state_machine.watchdog,
  ]
}
