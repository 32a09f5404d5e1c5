# The module applies as a whole: no cycle, nothing that only a plan accepts.

mock_provider "aws" {
  source = "./tests/mocks"
}

variables {
  environment = "dev"
  jobs_file   = "./tests/jobs.yaml"
  network     = { vpc_id = "vpc-1", subnet_ids = ["subnet-1", "subnet-2"] }
  images      = { nightlatch = "registry.example/nightlatch@sha256:01" }
}

run "apply" {
  command = apply

  assert {
    condition     = jsondecode(aws_ssm_parameter.installation.insecure_value).jobs["nightly"].state_machine_arn == "arn:aws:states:ap-northeast-1:123456789012:stateMachine:nightlatch-dev-nightly"
    error_message = "The parameter names the machines."
  }
}
