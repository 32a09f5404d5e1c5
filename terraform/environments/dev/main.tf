module "network" {
  source = "../../modules/network"

  name     = "nightlatch-dev"
  internet = "public"
  zones    = 2
}

module "batch" {
  source = "../../modules/batch"

  environment          = "dev"
  jobs_file            = "${path.root}/../../../jobs.yaml"
  network              = module.network.network
  images               = var.images
  repository_arns      = var.repository_arns
  notification_emails  = var.notification_emails
  permissions_boundary = var.permissions_boundary

  # What differs from production.
  deletion_protection = false
  log_retention_days  = 30
}
