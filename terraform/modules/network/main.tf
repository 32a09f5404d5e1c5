# A network for the containers where there is none yet. Fargate tasks need no endpoint of ECS itself; they need the
# image registry, S3 (its layers), the logs, and DynamoDB for the claim.

data "aws_availability_zones" "available" {
  state = "available"

  # Local Zones and Wavelength Zones offer no Fargate.
  filter {
    name   = "opt-in-status"
    values = ["opt-in-not-required"]
  }
}

data "aws_region" "current" {}

locals {
  zones    = slice(data.aws_availability_zones.available.names, 0, var.zones)
  private  = var.internet != "public"
  nat      = var.internet == "nat"
  isolated = var.internet == "none"
}

resource "aws_vpc" "this" {
  cidr_block           = var.cidr
  enable_dns_hostnames = true
  enable_dns_support   = true
  tags                 = merge(var.tags, { Name = var.name })
}

# The group that everything without a group of its own falls into lets nothing in and nothing out.
resource "aws_default_security_group" "this" {
  vpc_id = aws_vpc.this.id
  tags   = merge(var.tags, { Name = "${var.name}-default" })
}

resource "aws_subnet" "tasks" {
  count = var.zones

  vpc_id            = aws_vpc.this.id
  availability_zone = local.zones[count.index]
  cidr_block        = cidrsubnet(var.cidr, 4, count.index)
  tags              = merge(var.tags, { Name = "${var.name}-tasks-${local.zones[count.index]}" })
}

resource "aws_subnet" "edge" {
  count = local.nat ? var.zones : 0

  vpc_id            = aws_vpc.this.id
  availability_zone = local.zones[count.index]
  cidr_block        = cidrsubnet(var.cidr, 4, 8 + count.index)
  tags              = merge(var.tags, { Name = "${var.name}-edge-${local.zones[count.index]}" })
}

resource "aws_internet_gateway" "this" {
  count = local.isolated ? 0 : 1

  vpc_id = aws_vpc.this.id
  tags   = merge(var.tags, { Name = var.name })
}

resource "aws_eip" "nat" {
  count = local.nat ? var.zones : 0

  domain = "vpc"
  tags   = merge(var.tags, { Name = "${var.name}-nat-${local.zones[count.index]}" })
}

resource "aws_nat_gateway" "this" {
  count = local.nat ? var.zones : 0

  allocation_id = aws_eip.nat[count.index].id
  subnet_id     = aws_subnet.edge[count.index].id
  tags          = merge(var.tags, { Name = "${var.name}-${local.zones[count.index]}" })

  depends_on = [aws_internet_gateway.this]
}

resource "aws_route_table" "tasks" {
  count = var.zones

  vpc_id = aws_vpc.this.id
  tags   = merge(var.tags, { Name = "${var.name}-tasks-${local.zones[count.index]}" })
}

resource "aws_route_table_association" "tasks" {
  count = var.zones

  route_table_id = aws_route_table.tasks[count.index].id
  subnet_id      = aws_subnet.tasks[count.index].id
}

resource "aws_route" "tasks" {
  count = local.isolated ? 0 : var.zones

  route_table_id         = aws_route_table.tasks[count.index].id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = local.nat ? null : aws_internet_gateway.this[0].id
  nat_gateway_id         = local.nat ? aws_nat_gateway.this[count.index].id : null
}

resource "aws_route_table" "edge" {
  count = local.nat ? 1 : 0

  vpc_id = aws_vpc.this.id
  tags   = merge(var.tags, { Name = "${var.name}-edge" })
}

resource "aws_route_table_association" "edge" {
  count = local.nat ? var.zones : 0

  route_table_id = aws_route_table.edge[0].id
  subnet_id      = aws_subnet.edge[count.index].id
}

resource "aws_route" "edge" {
  count = local.nat ? 1 : 0

  route_table_id         = aws_route_table.edge[0].id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.this[0].id
}

# Free, and they keep image layers, checkpoints and lock writes off the internet.
resource "aws_vpc_endpoint" "gateway" {
  for_each = toset(["dynamodb", "s3"])

  vpc_id            = aws_vpc.this.id
  service_name      = "com.amazonaws.${data.aws_region.current.name}.${each.key}"
  vpc_endpoint_type = "Gateway"
  route_table_ids   = aws_route_table.tasks[*].id
  tags              = merge(var.tags, { Name = "${var.name}-${each.key}" })
}

resource "aws_security_group" "endpoints" {
  count = local.isolated ? 1 : 0

  name        = "${var.name}-endpoints"
  description = "HTTPS from the containers to the AWS services they need"
  vpc_id      = aws_vpc.this.id
  tags        = merge(var.tags, { Name = "${var.name}-endpoints" })
}

resource "aws_vpc_security_group_ingress_rule" "endpoints" {
  count = local.isolated ? 1 : 0

  security_group_id = aws_security_group.endpoints[0].id
  description       = "From this network"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = var.cidr
  tags              = var.tags
}

resource "aws_vpc_endpoint" "interface" {
  for_each = local.isolated ? var.interface_endpoints : []

  vpc_id              = aws_vpc.this.id
  service_name        = "com.amazonaws.${data.aws_region.current.name}.${each.key}"
  vpc_endpoint_type   = "Interface"
  subnet_ids          = aws_subnet.tasks[*].id
  security_group_ids  = aws_security_group.endpoints[*].id
  private_dns_enabled = true
  tags                = merge(var.tags, { Name = "${var.name}-${each.key}" })
}
