output "network" {
  description = "What the batch module's variable `network` takes."
  value = {
    vpc_id           = aws_vpc.this.id
    subnet_ids       = aws_subnet.tasks[*].id
    assign_public_ip = !local.private
  }
}

output "vpc_id" {
  description = "The VPC."
  value       = aws_vpc.this.id
}
