variable "region" {
  type        = string
  description = "The region everything is in."
  default     = "ap-northeast-1"
}

variable "account_id" {
  type        = string
  description = "The only account that may be changed; null accepts any."
  default     = null
}

variable "images" {
  type        = map(string)
  description = "What the image names of jobs.yaml mean here, by digest: { nightlatch = \"ACCOUNT.dkr.ecr.REGION.amazonaws.com/nightlatch@sha256:...\" }."
}

variable "repository_arns" {
  type        = list(string)
  description = "ECR repositories of those images."
  default     = []
}

variable "notification_emails" {
  type        = list(string)
  description = "Who is told of failed and missing runs."
  default     = []
}

variable "permissions_boundary" {
  type        = string
  description = "ARN of a permissions boundary for every role; null for none."
  default     = null
}
