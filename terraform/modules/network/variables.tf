variable "name" {
  type        = string
  description = "Name of the network and beginning of every name in it."
}

variable "cidr" {
  type        = string
  description = "Address range of the VPC, /16 to /24."
  default     = "10.42.0.0/20"

  validation {
    condition     = can(cidrsubnet(var.cidr, 4, 15)) && try(tonumber(split("/", var.cidr)[1]) >= 16 && tonumber(split("/", var.cidr)[1]) <= 24, false)
    error_message = "The range must be /16 to /24, such as 10.42.0.0/20."
  }
}

variable "zones" {
  type        = number
  description = "How many availability zones get a subnet."
  default     = 2

  validation {
    condition     = var.zones >= 1 && var.zones <= 4
    error_message = "One to four zones."
  }
}

variable "internet" {
  type        = string
  description = "How containers reach the internet: `public` (public addresses, an internet gateway, no fixed cost), `nat` (private subnets behind one NAT gateway per zone) or `none` (private subnets with endpoints for what AWS itself needs)."
  default     = "public"

  validation {
    condition     = contains(["public", "nat", "none"], var.internet)
    error_message = "internet is public, nat or none."
  }
}

variable "interface_endpoints" {
  type        = set(string)
  description = "With internet = none: AWS services that get an interface endpoint. Each costs by the hour and zone."
  default     = ["ecr.api", "ecr.dkr", "logs"]
}

variable "tags" {
  type        = map(string)
  description = "Tags of everything."
  default     = {}
}
