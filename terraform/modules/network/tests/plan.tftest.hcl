mock_provider "aws" {
  override_during = plan

  mock_data "aws_availability_zones" {
    defaults = { names = ["ap-northeast-1a", "ap-northeast-1c", "ap-northeast-1d"] }
  }

  mock_data "aws_region" {
    defaults = { name = "ap-northeast-1" }
  }
}

variables {
  name = "test"
}

run "public" {
  command = plan

  assert {
    condition     = length(aws_subnet.tasks) == 2 && length(aws_nat_gateway.this) == 0 && length(aws_vpc_endpoint.interface) == 0
    error_message = "The cheapest network has no fixed cost."
  }
  assert {
    condition     = output.network.assign_public_ip && length(aws_route.tasks) == 2
    error_message = "Containers reach the internet with addresses of their own."
  }
}

run "nat" {
  command = plan

  variables {
    internet = "nat"
    zones    = 3
  }

  assert {
    condition     = length(aws_nat_gateway.this) == 3 && length(aws_subnet.edge) == 3 && !output.network.assign_public_ip
    error_message = "One NAT gateway per zone, containers without public addresses."
  }
  assert {
    condition     = length(distinct(concat(aws_subnet.tasks[*].cidr_block, aws_subnet.edge[*].cidr_block))) == 6
    error_message = "Subnets do not overlap."
  }
}

run "isolated" {
  command = plan

  variables {
    internet = "none"
  }

  assert {
    condition     = length(aws_internet_gateway.this) == 0 && length(aws_route.tasks) == 0
    error_message = "Nothing leads to the internet."
  }
  assert {
    condition     = toset(keys(aws_vpc_endpoint.interface)) == toset(["ecr.api", "ecr.dkr", "logs"]) && toset(keys(aws_vpc_endpoint.gateway)) == toset(["dynamodb", "s3"])
    error_message = "What Fargate and the claim need is reachable inside."
  }
}

run "bad_cidr" {
  command = plan

  variables {
    cidr = "10.0.0.0/28"
  }

  expect_failures = [var.cidr]
}

run "bad_internet" {
  command = plan

  variables {
    internet = "vpn"
  }

  expect_failures = [var.internet]
}
