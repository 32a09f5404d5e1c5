# Bucket and region come from `terraform init -backend-config=backend.hcl`, which `bootstrap` writes for you to
# copy: they are your account's, not this project's.
terraform {
  backend "s3" {
    key          = "nightlatch/prod/terraform.tfstate"
    encrypt      = true
    use_lockfile = true
  }
}
