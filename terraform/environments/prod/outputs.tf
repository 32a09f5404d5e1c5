output "installation" {
  description = "Names and ARNs, as the nightlatch command reads them."
  value       = module.batch.installation
}

output "operator_policy_arn" {
  description = "Attach this to the role of people who operate the jobs."
  value       = module.batch.operator_policy_arn
}
