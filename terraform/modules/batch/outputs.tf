output "installation" {
  description = "What the SSM parameter says: every name and ARN that the nightlatch command needs."
  value       = local.installation
}

output "parameter_name" {
  description = "The SSM parameter that the nightlatch command reads."
  value       = aws_ssm_parameter.installation.name
}

output "state_machine_arns" {
  description = "State machines by job, the janitor's and the watchdog's included."
  value       = local.machine_arns
}

output "definitions" {
  description = "The rendered definition of each job's state machine."
  value       = local.job_definitions
}

output "security_group_ids" {
  description = "The security groups of the containers, to let into a database."
  value       = local.security_group_ids
}

output "task_role_arns" {
  description = "The role of each step's container, by job/step."
  value       = { for key, role in aws_iam_role.task : key => role.arn }
}

output "operator_policy_arn" {
  description = "The policy for people who operate the jobs."
  value       = aws_iam_policy.operator.arn
}

output "topic_arn" {
  description = "The topic of notifications and alarms."
  value       = aws_sns_topic.notifications.arn
}
