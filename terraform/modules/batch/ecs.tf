resource "aws_ecs_cluster" "this" {
  count = var.cluster == null ? 1 : 0

  name = local.prefix
  tags = local.tags

  setting {
    name  = "containerInsights"
    value = "enabled"
  }
}

resource "aws_ecs_cluster_capacity_providers" "this" {
  count = var.cluster == null ? 1 : 0

  cluster_name       = aws_ecs_cluster.this[0].name
  capacity_providers = ["FARGATE", "FARGATE_SPOT"]
}

# One group for every container: nothing comes in, and what it may reach is for the other side to decide.
resource "aws_security_group" "tasks" {
  count = var.network.security_group_ids == null ? 1 : 0

  name        = "${local.prefix}-tasks"
  description = "nightlatch containers of ${var.environment}"
  vpc_id      = var.network.vpc_id
  tags        = merge(local.tags, { Name = "${local.prefix}-tasks" })
}

resource "aws_vpc_security_group_egress_rule" "tasks" {
  count = var.network.security_group_ids == null ? 1 : 0

  security_group_id = aws_security_group.tasks[0].id
  description       = "Jobs call AWS, databases and the sites they work on"
  ip_protocol       = "-1"
  cidr_ipv4         = "0.0.0.0/0"
  tags              = local.tags
}

locals {
  security_group_ids = var.network.security_group_ids == null ? aws_security_group.tasks[*].id : var.network.security_group_ids

  # How our task image starts: the runtime claims the lock, then runs the job as its child.
  entry_point  = ["python", "-m", "tasks", "run"]
  claim_volume = "nightlatch"
  claim_folder = "/nightlatch"

  environment_of = {
    for key, step in local.steps : key => [
      for name, value in merge(var.environment_variables, step.environment) : { name = name, value = value }
    ]
  }
  secrets_of = {
    for key, step in local.steps : key => [
      for name, arn in merge(try(var.secrets[step.job].ssm, {}), try(var.secrets[step.job].secrets_manager, {})) :
      { name = name, valueFrom = arn }
    ]
  }
  mounts = var.read_only_root ? [{ sourceVolume = "scratch", containerPath = "/tmp", readOnly = false }] : []

  job_containers = {
    for key, step in local.steps : key => merge(
      {
        name      = "job"
        image     = lookup(var.images, step.image, step.image)
        essential = true
        command   = step.command
        # Reaps what a job leaves behind and hands signals on.
        linuxParameters        = { initProcessEnabled = true }
        readonlyRootFilesystem = var.read_only_root
        environment            = local.environment_of[key]
        secrets                = local.secrets_of[key]
        stopTimeout            = step.stop_grace_seconds
        logConfiguration       = local.log_configuration[step.job]
        mountPoints = concat(local.mounts, [
          for folder in [local.claim_folder] : { sourceVolume = local.claim_volume, containerPath = folder, readOnly = true }
          if step.claim_container
        ])
      },
      # An image of ours claims by itself. Any other starts only when the claim container has done so.
      step.claim_container ? null : { entryPoint = local.entry_point },
      step.claim_container ? { dependsOn = [{ containerName = "claim", condition = "SUCCESS" }] } : null,
    )
  }
  # It reads the run's variables, its grant among them, from the overrides of its own task.
  claim_containers = {
    for key, step in local.steps : key => [
      for image in [var.claim_image] : {
        name                   = "claim"
        image                  = lookup(var.images, image, image)
        essential              = false
        entryPoint             = ["python", "-m", "tasks"]
        command                = ["claim", "--directory", local.claim_folder]
        readonlyRootFilesystem = var.read_only_root
        logConfiguration       = local.log_configuration[step.job]
        mountPoints            = concat(local.mounts, [{ sourceVolume = local.claim_volume, containerPath = local.claim_folder, readOnly = false }])
      } if step.claim_container
    ]
  }
  volumes_of = {
    for key, step in local.steps : key => concat(
      [for name in ["scratch"] : name if var.read_only_root],
      [for name in [local.claim_volume] : name if step.claim_container],
    )
  }

  log_configuration = {
    for name in keys(local.jobs) : name => {
      logDriver = "awslogs"
      options = {
        "awslogs-group"         = local.task_log_group
        "awslogs-region"        = local.region
        "awslogs-stream-prefix" = name
        # A log service that stalls must not stall the job; the buffer holds the worst burst.
        "mode"            = "non-blocking"
        "max-buffer-size" = "25m"
      }
    }
  }
}

# One per job and step. A machine names the family, so the newest revision runs: a change of an image needs no
# change of the machine, and no revision that Terraform retires is ever asked for.
resource "aws_ecs_task_definition" "steps" {
  for_each = local.steps

  family                   = each.value.family
  requires_compatibilities = ["FARGATE"]
  network_mode             = "awsvpc"
  cpu                      = each.value.cpu
  memory                   = each.value.memory
  execution_role_arn       = aws_iam_role.execution[each.value.job].arn
  task_role_arn            = aws_iam_role.task[each.key].arn
  tags                     = merge(local.tags, { "nightlatch:job" = each.value.job, "nightlatch:step" = each.value.name })

  container_definitions = jsonencode(concat(local.claim_containers[each.key], [local.job_containers[each.key]]))

  runtime_platform {
    cpu_architecture        = var.cpu_architecture
    operating_system_family = "LINUX"
  }

  dynamic "volume" {
    for_each = local.volumes_of[each.key]

    content {
      name = volume.value
    }
  }
}
