output "backend_configuration" {
  description = "The text of backend.hcl: terraform init -backend-config=backend.hcl"
  value       = <<-EOT
    bucket = "${local.bucket}"
    region = "${var.region}"
  EOT
}

output "deploy_role_arn" {
  description = "The role that applies environments."
  value       = aws_iam_role.deploy.arn
}

output "repository_url" {
  description = "Where to push the task image."
  value       = aws_ecr_repository.nightlatch.repository_url
}
