variable "jobs_file" {
  type        = string
  description = "Path of jobs.yaml."

  validation {
    condition     = fileexists(var.jobs_file)
    error_message = "There is no file ${var.jobs_file}."
  }
}

variable "environment" {
  type        = string
  description = "The environment whose values are wanted; one of the file's `environments`."
}
