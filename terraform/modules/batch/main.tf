# Names and ARNs. ARNs are built from names wherever they go into a JSON document: an attribute that is not known
# before apply would hide the whole document's difference in a plan.

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}
data "aws_region" "current" {}

module "jobs" {
  source = "../jobs"

  jobs_file   = var.jobs_file
  environment = var.environment
}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  region    = data.aws_region.current.name
  prefix    = "nightlatch-${var.environment}"

  jobs           = module.jobs.jobs
  scheduled_jobs = { for name, job in local.jobs : name => job if job.schedule != null }
  steps = merge([
    for name, job in local.jobs : { for step in job.steps : "${name}/${step.name}" => merge(step, { job = name, image = job.image, claim_container = job.claim_container, lock_key = job.lock.key }) }
  ]...)

  lock_table        = "${local.prefix}-locks"
  runs_table        = "${local.prefix}-runs"
  bucket            = "${local.prefix}-artifacts-${local.account}"
  topic             = "${local.prefix}-notifications"
  queue             = "${local.prefix}-undelivered"
  task_log_group    = "/${local.prefix}/tasks"
  machine_log_group = "/aws/vendedlogs/states/${local.prefix}"
  cluster           = var.cluster == null ? local.prefix : element(split("/", var.cluster.arn), 1)

  arn = {
    dynamodb = "arn:${local.partition}:dynamodb:${local.region}:${local.account}:table"
    ecs      = "arn:${local.partition}:ecs:${local.region}:${local.account}"
    events   = "arn:${local.partition}:events:${local.region}:${local.account}:rule"
    iam      = "arn:${local.partition}:iam::${local.account}"
    logs     = "arn:${local.partition}:logs:${local.region}:${local.account}:log-group"
    states   = "arn:${local.partition}:states:${local.region}:${local.account}"
  }
  lock_table_arn = "${local.arn.dynamodb}/${local.lock_table}"
  runs_table_arn = "${local.arn.dynamodb}/${local.runs_table}"
  bucket_arn     = "arn:${local.partition}:s3:::${local.bucket}"
  topic_arn      = "arn:${local.partition}:sns:${local.region}:${local.account}:${local.topic}"
  queue_arn      = "arn:${local.partition}:sqs:${local.region}:${local.account}:${local.queue}"
  cluster_arn    = "${local.arn.ecs}:cluster/${local.cluster}"
  schedule_group = "arn:${local.partition}:scheduler:${local.region}:${local.account}:schedule-group/${local.prefix}"

  machine_arns = {
    for name in concat(keys(local.jobs), ["janitor", "watchdog"]) :
    name => "${local.arn.states}:stateMachine:${local.prefix}-${name}"
  }

  customer_key = var.create_customer_key ? { arn = aws_kms_key.this[0].arn } : var.customer_key

  tags = merge(var.tags, { "nightlatch:environment" = var.environment })
}
