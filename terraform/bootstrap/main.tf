# Once per account, before anything else: where Terraform keeps its state, who may deploy, where the image goes.
# Its own state is local; keep the file, or import these few resources again when you need to change them.

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

data "aws_caller_identity" "current" {}
data "aws_partition" "current" {}

locals {
  account   = data.aws_caller_identity.current.account_id
  partition = data.aws_partition.current.partition
  bucket    = "nightlatch-terraform-${local.account}-${var.region}"
  iam       = "arn:${local.partition}:iam::${local.account}"
}
