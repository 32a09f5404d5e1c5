# The lock table has no index: one on the owner would double the cost of every write. `ttl` stands on free items
# only, so DynamoDB never deletes a lock that is held.
resource "aws_dynamodb_table" "locks" {
  name                        = local.lock_table
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "lock_key"
  deletion_protection_enabled = var.deletion_protection
  tags                        = local.tags

  attribute {
    name = "lock_key"
    type = "S"
  }

  ttl {
    attribute_name = "ttl"
    enabled        = true
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled     = local.customer_key != null
    kms_key_arn = try(local.customer_key.arn, null)
  }
}

resource "aws_dynamodb_table" "runs" {
  name                        = local.runs_table
  billing_mode                = "PAY_PER_REQUEST"
  hash_key                    = "job"
  range_key                   = "run"
  deletion_protection_enabled = var.deletion_protection
  tags                        = local.tags

  attribute {
    name = "job"
    type = "S"
  }

  attribute {
    name = "run"
    type = "S"
  }

  ttl {
    attribute_name = "ttl"
    enabled        = true
  }

  point_in_time_recovery {
    enabled = true
  }

  server_side_encryption {
    enabled     = local.customer_key != null
    kms_key_arn = try(local.customer_key.arn, null)
  }
}
