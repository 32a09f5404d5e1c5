variable "environment" {
  type        = string
  description = "The environment, one of those that the jobs file declares. Every name begins with nightlatch-ENVIRONMENT."

  validation {
    condition     = can(regex("^[a-z][a-z0-9]{0,15}$", var.environment))
    error_message = "An environment's name has small letters and digits, a letter first, at most 16."
  }
}

variable "jobs_file" {
  type        = string
  description = "Path of jobs.yaml."
}

variable "network" {
  type = object({
    vpc_id             = string
    subnet_ids         = list(string)
    security_group_ids = optional(list(string))
    assign_public_ip   = optional(bool, false)
  })
  description = "Where the containers run. Without security_group_ids a group is made that lets everything out and nothing in."

  validation {
    condition     = length(var.network.subnet_ids) >= 1 && length(var.network.subnet_ids) <= 16
    error_message = "RunTask takes 1 to 16 subnets."
  }
}

variable "cluster" {
  type        = object({ arn = string })
  description = "An ECS cluster that is there already; null makes one."
  default     = null
}

variable "images" {
  type        = map(string)
  description = "What the image names of the jobs file mean here: name to reference, best by digest (REPOSITORY@sha256:...). A name that is not listed is used as it is."
  default     = {}
}

variable "repository_arns" {
  type        = list(string)
  description = "ECR repositories that the containers' images are pulled from."
  default     = []
}

variable "claim_image" {
  type        = string
  description = "The nightlatch image whose container claims the lock for jobs with claim_container: true; a name of `images` or a reference."
  default     = "nightlatch"
}

variable "environment_variables" {
  type        = map(string)
  description = "Environment variables of every container, under those of the jobs file. No secrets."
  default     = {}

  validation {
    condition     = alltrue([for name in keys(var.environment_variables) : !startswith(upper(name), "NIGHTLATCH_")])
    error_message = "Variables that begin with NIGHTLATCH_ belong to the run."
  }
}

variable "secrets" {
  type = map(object({
    ssm             = optional(map(string), {})
    secrets_manager = optional(map(string), {})
  }))
  description = "Secrets of a job's containers: job to variable name to ARN, of SSM parameters and of Secrets Manager apart."
  default     = {}
}

variable "secret_key_arns" {
  type        = list(string)
  description = "KMS keys that decrypt those secrets, where they are customer managed."
  default     = []
}

variable "task_policy_arns" {
  type        = map(list(string))
  description = "Policies for what a job's own code needs: job to policy ARNs."
  default     = {}
}

variable "read_only_root" {
  type        = bool
  description = "Mount the containers' root file system read-only, with a scratch volume at /tmp. Switch off for images that write elsewhere."
  default     = true
}

variable "cpu_architecture" {
  type        = string
  description = "X86_64 or ARM64, as the images were built."
  default     = "X86_64"

  validation {
    condition     = contains(["X86_64", "ARM64"], var.cpu_architecture)
    error_message = "cpu_architecture is X86_64 or ARM64."
  }
}

variable "customer_key" {
  type        = object({ arn = string })
  description = "A KMS key for tables, bucket, topic, queue, logs and schedules; null and create_customer_key false: keys that AWS owns."
  default     = null
}

variable "create_customer_key" {
  type        = bool
  description = "Make such a key."
  default     = false
}

variable "alarm_topic_arns" {
  type        = list(string)
  description = "More SNS topics that alarms go to, beside the installation's own."
  default     = []
}

variable "notification_emails" {
  type        = list(string)
  description = "Mail addresses that get notifications and alarms; each must confirm the subscription."
  default     = []
}

variable "log_retention_days" {
  type        = number
  description = "How long logs are kept."
  default     = 90

  validation {
    condition     = contains([1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653], var.log_retention_days)
    error_message = "CloudWatch Logs knows only certain retention times; 30, 90, 365 and 731 are among them."
  }
}

variable "artifact_retention_days" {
  type        = number
  description = "How long checkpoints, and versions of outputs that were replaced, are kept."
  default     = 30

  validation {
    condition     = var.artifact_retention_days >= 1
    error_message = "At least one day."
  }
}

variable "deletion_protection" {
  type        = bool
  description = "Keep tables and bucket from being destroyed. Destroying then takes two steps: switch this off, apply, destroy."
  default     = true
}

variable "encrypted_transport_only" {
  type        = bool
  description = "Refuse requests to the artifacts bucket that are not encrypted. Off only against a local AWS, which speaks plain HTTP."
  default     = true
}

variable "schedules_enabled" {
  type        = bool
  description = "Whether schedules start enabled when they are made. Afterwards their state is the operators': Terraform leaves it alone."
  default     = true
}

variable "permissions_boundary" {
  type        = string
  description = "ARN of a permissions boundary for every role; null for none."
  default     = null
}

variable "tags" {
  type        = map(string)
  description = "Tags of everything, beside nightlatch:environment."
  default     = {}
}
