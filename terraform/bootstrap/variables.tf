variable "region" {
  type        = string
  description = "The region of state, image and jobs."
  default     = "ap-northeast-1"
}

variable "deployers" {
  type        = list(string)
  description = "ARNs of roles or users that may take the deploy role: your CI's role, an administrator's."

  validation {
    condition     = length(var.deployers) > 0 && alltrue([for arn in var.deployers : can(regex("^arn:[a-z-]+:iam::[0-9]{12}:", arn))])
    error_message = "Name at least one role or user by its ARN."
  }
}

variable "permissions_boundary" {
  type        = string
  description = "ARN of a permissions boundary that every role of an environment must have; null demands none."
  default     = null
}

variable "tags" {
  type        = map(string)
  description = "Tags of everything."
  default     = {}
}
