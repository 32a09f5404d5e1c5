# Everything of its own: network, cluster, key, alarms by mail. Start here and take away.

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
  description = "The region everything is in."
  default     = "ap-northeast-1"
}

variable "environment" {
  type        = string
  description = "One of the environments of the jobs file."
  default     = "dev"
}

variable "jobs_file" {
  type        = string
  description = "Path of jobs.yaml; null takes the one of this repository."
  default     = null
}

variable "image" {
  type        = string
  description = "The task image, best by digest."
  default     = "nightlatch"
}

variable "notification_emails" {
  type        = list(string)
  description = "Who is told of failed and missing runs."
  default     = []
}

module "network" {
  source = "../../modules/network"

  name     = "nightlatch-${var.environment}"
  internet = "public"
}

module "batch" {
  source = "../../modules/batch"

  environment         = var.environment
  jobs_file           = coalesce(var.jobs_file, "${path.root}/../../../jobs.yaml")
  network             = module.network.network
  images              = { nightlatch = var.image }
  notification_emails = var.notification_emails
  create_customer_key = true
  deletion_protection = false
  log_retention_days  = 30
}

output "installation" {
  description = "Names and ARNs, as the nightlatch command reads them."
  value       = module.batch.installation
}
