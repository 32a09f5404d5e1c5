# One machine per job, all from one definition, each with its job's settings as a literal inside: nobody changes a
# timeout through the input. The files are valid JSON; placeholders stand inside strings. The two literals are put
# in afterwards, quotes and all, exactly as nightlatch's `statemachine.render_job` does it.

locals {
  definitions = "${path.module}/../../../statemachine"

  placeholders = {
    partition          = local.partition
    region             = local.region
    account            = local.account
    prefix             = local.prefix
    lock_table         = local.lock_table
    runs_table         = local.runs_table
    bucket             = local.bucket
    cluster            = local.cluster
    topic_arn          = local.topic_arn
    subnet_ids         = join(",", var.network.subnet_ids)
    security_group_ids = join(",", local.security_group_ids)
    assign_public_ip   = var.network.assign_public_ip ? "ENABLED" : "DISABLED"
  }

  job_definitions = {
    for name, settings in module.jobs.settings : name => replace(
      replace(
        templatefile("${local.definitions}/job.asl.json", merge(local.placeholders, {
          settings            = "@settings@"
          run_timeout_seconds = "@run_timeout_seconds@"
        })),
        "\"@settings@\"", jsonencode(settings),
      ),
      "\"@run_timeout_seconds@\"", tostring(settings.run_timeout_seconds),
    )
  }
}

resource "aws_sfn_state_machine" "jobs" {
  for_each = local.jobs

  name       = "${local.prefix}-${each.key}"
  role_arn   = aws_iam_role.machine[each.key].arn
  definition = local.job_definitions[each.key]
  tags       = merge(local.tags, { "nightlatch:job" = each.key })

  logging_configuration {
    level = "ERROR"
    # Inputs and outputs hold names, times and reasons, never data of a job.
    include_execution_data = true
    log_destination        = "${aws_cloudwatch_log_group.machines.arn}:*"
  }

  tracing_configuration {
    enabled = true
  }

  # Creating a machine checks that its role may deliver logs and manage the ECS rule.
  depends_on = [aws_iam_role_policy.machine]
}

resource "aws_sfn_state_machine" "janitor" {
  name       = "${local.prefix}-janitor"
  role_arn   = aws_iam_role.machine["janitor"].arn
  definition = templatefile("${local.definitions}/janitor.asl.json", local.placeholders)
  tags       = local.tags

  logging_configuration {
    level                  = "ERROR"
    include_execution_data = true
    log_destination        = "${aws_cloudwatch_log_group.machines.arn}:*"
  }

  tracing_configuration {
    enabled = true
  }

  depends_on = [aws_iam_role_policy.machine]
}

resource "aws_sfn_state_machine" "watchdog" {
  name       = "${local.prefix}-watchdog"
  role_arn   = aws_iam_role.machine["watchdog"].arn
  definition = templatefile("${local.definitions}/watchdog.asl.json", local.placeholders)
  tags       = local.tags

  logging_configuration {
    level                  = "ERROR"
    include_execution_data = true
    log_destination        = "${aws_cloudwatch_log_group.machines.arn}:*"
  }

  tracing_configuration {
    enabled = true
  }

  depends_on = [aws_iam_role_policy.machine]
}
