# An account that has a VPC, a cluster and a Rails image already, and wants its nightly rake tasks to be safe.
# The image is used as it is: a container of nightlatch's own claims the lock before it starts.

terraform {
  required_version = ">= 1.9"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }
}

provider "aws" {
  region = var.region
}

variable "region" {
  type        = string
  description = "The region of the VPC."
  default     = "ap-northeast-1"
}

variable "environment" {
  type        = string
  description = "One of the environments of jobs.yaml."
  default     = "prod"
}

variable "vpc_id" {
  type        = string
  description = "The VPC that is there."
}

variable "subnet_ids" {
  type        = list(string)
  description = "Its private subnets, with a way to the image registry, S3, DynamoDB and the logs."
}

variable "security_group_ids" {
  type        = list(string)
  description = "Groups that the database already lets in."
}

variable "cluster_arn" {
  type        = string
  description = "The ECS cluster that is there."
}

variable "images" {
  type        = map(string)
  description = "`shop`: the Rails image. `nightlatch`: the image whose container claims the lock. Both by digest."
}

variable "repository_arns" {
  type        = list(string)
  description = "Their ECR repositories."
  default     = []
}

variable "database_url_parameter_arn" {
  type        = string
  description = "The SSM parameter with DATABASE_URL."
  default     = null
}

variable "task_policy_arn" {
  type        = string
  description = "A policy for what the rake tasks call on AWS; null for nothing."
  default     = null
}

variable "alarm_topic_arns" {
  type        = list(string)
  description = "Where alarms go already."
  default     = []
}

module "batch" {
  source = "../../modules/batch"

  environment = var.environment
  jobs_file   = "${path.root}/jobs.yaml"

  network = {
    vpc_id             = var.vpc_id
    subnet_ids         = var.subnet_ids
    security_group_ids = var.security_group_ids
  }
  cluster = { arn = var.cluster_arn }

  images           = var.images
  repository_arns  = var.repository_arns
  secrets          = var.database_url_parameter_arn == null ? {} : { nightly-invoices = { ssm = { DATABASE_URL = var.database_url_parameter_arn } } }
  task_policy_arns = var.task_policy_arn == null ? {} : { nightly-invoices = [var.task_policy_arn] }
  alarm_topic_arns = var.alarm_topic_arns

  # Rails writes tmp/ and log/ inside the image.
  read_only_root = false
}

output "installation" {
  description = "Names and ARNs, as the nightlatch command reads them."
  value       = module.batch.installation
}
