# The task image. Tags are immutable, and environments name digests.
resource "aws_ecr_repository" "nightlatch" {
  name                 = "nightlatch"
  image_tag_mutability = "IMMUTABLE"
  tags                 = var.tags

  image_scanning_configuration {
    scan_on_push = true
  }

  encryption_configuration {
    encryption_type = "KMS"
  }
}

resource "aws_ecr_lifecycle_policy" "nightlatch" {
  repository = aws_ecr_repository.nightlatch.name

  policy = jsonencode({
    rules = [{
      rulePriority = 1
      description  = "Keep enough images to roll back to"
      selection    = { tagStatus = "any", countType = "imageCountMoreThan", countNumber = 50 }
      action       = { type = "expire" }
    }]
  })
}
