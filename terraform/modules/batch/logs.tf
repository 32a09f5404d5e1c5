# One group for all containers, a stream prefix per job: a job that goes does not take its logs along.
resource "aws_cloudwatch_log_group" "tasks" {
  name              = local.task_log_group
  retention_in_days = var.log_retention_days
  kms_key_id        = try(local.customer_key.arn, null)
  tags              = local.tags
}

# The vendedlogs prefix keeps the log delivery out of the account's resource policy, which is limited in size.
resource "aws_cloudwatch_log_group" "machines" {
  name              = local.machine_log_group
  retention_in_days = var.log_retention_days
  kms_key_id        = try(local.customer_key.arn, null)
  tags              = local.tags
}
