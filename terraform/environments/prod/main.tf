module "network" {
  source = "../../modules/network"

  name     = "nightlatch-prod"
  internet = "nat"
  zones    = 2
}

module "batch" {
  source = "../../modules/batch"

  environment          = "prod"
  jobs_file            = "${path.root}/../../../jobs.yaml"
  network              = module.network.network
  images               = var.images
  repository_arns      = var.repository_arns
  notification_emails  = var.notification_emails
  permissions_boundary = var.permissions_boundary

  # What differs from the other environments.
  deletion_protection = true
  log_retention_days  = 365
  create_customer_key = true
}
