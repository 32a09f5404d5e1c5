output "jobs" {
  description = "The jobs of the environment by name: image, schedule (or null), lock, steps, run_timeout_seconds, lease_seconds."
  value       = local.jobs

  precondition {
    condition     = length(local.problems) == 0
    error_message = <<-EOT
      ${var.jobs_file} has mistakes (`nightlatch validate` names the lines):
      ${join("\n", local.problems)}
    EOT
  }
}

output "settings" {
  description = "The literal inside each job's state machine."
  value       = local.settings

  precondition {
    condition     = length(local.problems) == 0
    error_message = "${var.jobs_file} has mistakes; see the output `jobs`."
  }
}
