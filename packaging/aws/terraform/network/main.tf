# The network of one environment, like ../../network.yaml: public subnets that hold only the load balancer and the NAT gateway,
# private subnets for the services, one for MongoDB, and who may reach whom. No instance has a public address.

terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.62"
    }
  }
}

variable "environment" {
  type        = string
  description = "As in the tag bootagent:environment. Each environment has a VPC of its own"
  validation {
    condition     = contains(["test", "stage", "prod"], var.environment)
    error_message = "It is test, stage or prod."
  }
}

variable "cidr" {
  type        = string
  default     = "10.0.0.0/16"
  description = "Addresses of the VPC; each subnet gets a sixteenth of them"
}

variable "certificate_arn" {
  type        = string
  description = "The load balancer's certificate, for the host names of all services of the environment"
}

variable "mongodb_reaches_internet" {
  type        = bool
  default     = false
  description = "Whether MongoDB's subnet has a way out, for an AMI that does not have MongoDB's packages"
}

variable "systems_manager" {
  type        = bool
  default     = true
  description = "Endpoints of Systems Manager, for sessions and for Parameter Store"
}

variable "log_group" {
  type        = string
  default     = "/acme/bootagent"
  description = "As log_group in the policy"
}

variable "log_retention_days" {
  type        = number
  default     = 30
  description = "How long evidence of failed runs is kept. 0 if another environment of this region made the log group"
}

data "aws_region" "this" {}

data "aws_caller_identity" "this" {}

data "aws_availability_zones" "this" {
  state = "available"
}

locals {
  zones     = slice(data.aws_availability_zones.this.names, 0, 2)
  service   = "com.amazonaws.${data.aws_region.this.region}"
  account   = data.aws_caller_identity.this.account_id
  endpoints = concat(["secretsmanager", "autoscaling", "logs"], var.systems_manager ? ["ssm", "ssmmessages"] : [])
}

resource "aws_vpc" "this" {
  cidr_block         = var.cidr
  enable_dns_support = true
  # The endpoints' private names need both.
  enable_dns_hostnames = true
  tags                 = { Name = var.environment }
}

# Public: the load balancer and the NAT gateway, and nothing else.
resource "aws_internet_gateway" "this" {
  vpc_id = aws_vpc.this.id
}

resource "aws_subnet" "public" {
  count             = 2
  vpc_id            = aws_vpc.this.id
  availability_zone = local.zones[count.index]
  cidr_block        = cidrsubnet(var.cidr, 4, count.index)
  tags              = { Name = "${var.environment} public ${count.index}" }
}

resource "aws_route_table" "public" {
  vpc_id = aws_vpc.this.id
}

resource "aws_route" "public" {
  route_table_id         = aws_route_table.public.id
  destination_cidr_block = "0.0.0.0/0"
  gateway_id             = aws_internet_gateway.this.id
}

resource "aws_route_table_association" "public" {
  count          = 2
  subnet_id      = aws_subnet.public[count.index].id
  route_table_id = aws_route_table.public.id
}

# Private: the services. Their way out, to the git server and the registries, is the NAT gateway. There is one, in the first
# zone: while that zone fails, instances in the other one serve, and new ones cannot fetch.
resource "aws_eip" "nat" {
  domain     = "vpc"
  depends_on = [aws_internet_gateway.this]
}

resource "aws_nat_gateway" "this" {
  subnet_id     = aws_subnet.public[0].id
  allocation_id = aws_eip.nat.id
}

resource "aws_subnet" "private" {
  count                   = 2
  vpc_id                  = aws_vpc.this.id
  availability_zone       = local.zones[count.index]
  cidr_block              = cidrsubnet(var.cidr, 4, 2 + count.index)
  map_public_ip_on_launch = false
  tags                    = { Name = "${var.environment} private ${count.index}" }
}

resource "aws_route_table" "private" {
  vpc_id = aws_vpc.this.id
}

resource "aws_route" "private" {
  route_table_id         = aws_route_table.private.id
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = aws_nat_gateway.this.id
}

resource "aws_route_table_association" "private" {
  count          = 2
  subnet_id      = aws_subnet.private[count.index].id
  route_table_id = aws_route_table.private.id
}

# MongoDB: one zone, as its volume. Without a route to the internet it reaches AWS by the endpoints below.
resource "aws_subnet" "mongodb" {
  vpc_id                  = aws_vpc.this.id
  availability_zone       = local.zones[0]
  cidr_block              = cidrsubnet(var.cidr, 4, 4)
  map_public_ip_on_launch = false
  tags                    = { Name = "${var.environment} MongoDB" }
}

resource "aws_route_table" "mongodb" {
  vpc_id = aws_vpc.this.id
}

resource "aws_route" "mongodb" {
  count                  = var.mongodb_reaches_internet ? 1 : 0
  route_table_id         = aws_route_table.mongodb.id
  destination_cidr_block = "0.0.0.0/0"
  nat_gateway_id         = aws_nat_gateway.this.id
}

resource "aws_route_table_association" "mongodb" {
  subnet_id      = aws_subnet.mongodb.id
  route_table_id = aws_route_table.mongodb.id
}

# Who may reach whom. The rules between the load balancer and a service are in ../service. DNS of the VPC and IMDS need none.
resource "aws_security_group" "load_balancer" {
  name_prefix = "${var.environment}-load-balancer-"
  description = "Load balancer (${var.environment}): from everywhere"
  vpc_id      = aws_vpc.this.id
}

resource "aws_security_group" "mongodb_clients" {
  name_prefix = "${var.environment}-mongodb-clients-"
  description = "Services that use MongoDB (${var.environment})"
  vpc_id      = aws_vpc.this.id
}

resource "aws_security_group" "mongodb" {
  name_prefix = "${var.environment}-mongodb-"
  description = "MongoDB (${var.environment}): from its clients alone"
  vpc_id      = aws_vpc.this.id
}

resource "aws_security_group" "endpoints" {
  name_prefix = "${var.environment}-endpoints-"
  description = "Endpoints of AWS (${var.environment}): from this VPC"
  vpc_id      = aws_vpc.this.id
}

resource "aws_vpc_security_group_ingress_rule" "https" {
  security_group_id = aws_security_group.load_balancer.id
  description       = "HTTPS"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = "0.0.0.0/0"
}

resource "aws_vpc_security_group_ingress_rule" "http" {
  security_group_id = aws_security_group.load_balancer.id
  description       = "Redirected to HTTPS"
  ip_protocol       = "tcp"
  from_port         = 80
  to_port           = 80
  cidr_ipv4         = "0.0.0.0/0"
}

resource "aws_vpc_security_group_egress_rule" "mongodb_clients" {
  security_group_id            = aws_security_group.mongodb_clients.id
  description                  = "MongoDB"
  ip_protocol                  = "tcp"
  from_port                    = 27017
  to_port                      = 27017
  referenced_security_group_id = aws_security_group.mongodb.id
}

resource "aws_vpc_security_group_ingress_rule" "mongodb" {
  security_group_id            = aws_security_group.mongodb.id
  description                  = "Services that use MongoDB"
  ip_protocol                  = "tcp"
  from_port                    = 27017
  to_port                      = 27017
  referenced_security_group_id = aws_security_group.mongodb_clients.id
}

resource "aws_vpc_security_group_egress_rule" "mongodb" {
  security_group_id = aws_security_group.mongodb.id
  description       = "AWS, by the endpoints"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = "0.0.0.0/0"
}

resource "aws_vpc_security_group_ingress_rule" "endpoints" {
  security_group_id = aws_security_group.endpoints.id
  description       = "Instances"
  ip_protocol       = "tcp"
  from_port         = 443
  to_port           = 443
  cidr_ipv4         = var.cidr
}

# AWS inside the VPC. The policies admit principals of this account alone: credentials of another account cannot carry data
# away here.
resource "aws_vpc_endpoint" "interface" {
  for_each            = toset(local.endpoints)
  vpc_id              = aws_vpc.this.id
  vpc_endpoint_type   = "Interface"
  service_name        = "${local.service}.${each.value}"
  private_dns_enabled = true
  subnet_ids          = aws_subnet.private[*].id
  security_group_ids  = [aws_security_group.endpoints.id]
  policy = jsonencode({
    Statement = [{
      Effect = "Allow", Principal = "*", Action = "*", Resource = "*"
      Condition = { StringEquals = { "aws:PrincipalAccount" = local.account } }
    }]
  })
}

# Everything may be read, since distributions and Git LFS keep files in S3; written only to buckets of this account.
resource "aws_vpc_endpoint" "s3" {
  vpc_id            = aws_vpc.this.id
  vpc_endpoint_type = "Gateway"
  service_name      = "${local.service}.s3"
  route_table_ids   = [aws_route_table.private.id, aws_route_table.mongodb.id]
  policy = jsonencode({
    Statement = [
      { Effect = "Allow", Principal = "*", Action = "s3:GetObject", Resource = "*" },
      {
        Effect = "Allow", Principal = "*", Action = "s3:*", Resource = "*"
        Condition = { StringEquals = { "aws:PrincipalAccount" = local.account, "aws:ResourceAccount" = local.account } }
      },
    ]
  })
}

resource "aws_lb" "this" {
  load_balancer_type         = "application"
  internal                   = false
  subnets                    = aws_subnet.public[*].id
  security_groups            = [aws_security_group.load_balancer.id]
  drop_invalid_header_fields = true
  depends_on                 = [aws_route.public]
}

# Each service adds a rule for its host; a host without a rule gets 404.
resource "aws_lb_listener" "https" {
  load_balancer_arn = aws_lb.this.arn
  port              = 443
  protocol          = "HTTPS"
  ssl_policy        = "ELBSecurityPolicy-TLS13-1-2-2021-06"
  certificate_arn   = var.certificate_arn
  default_action {
    type = "fixed-response"
    fixed_response {
      status_code  = "404"
      content_type = "text/plain"
      message_body = "no such service"
    }
  }
}

resource "aws_lb_listener" "http" {
  load_balancer_arn = aws_lb.this.arn
  port              = 80
  protocol          = "HTTP"
  default_action {
    type = "redirect"
    redirect {
      protocol    = "HTTPS"
      port        = "443"
      status_code = "HTTP_301"
    }
  }
}

# Names that only this VPC resolves, such as that of MongoDB.
resource "aws_route53_zone" "private" {
  name          = "${var.environment}.internal"
  force_destroy = true
  vpc {
    vpc_id = aws_vpc.this.id
  }
}

# bootagent does not create it: who keeps evidence how long is the operator's choice.
resource "aws_cloudwatch_log_group" "evidence" {
  count             = var.log_retention_days == 0 ? 0 : 1
  name              = var.log_group
  retention_in_days = var.log_retention_days
  skip_destroy      = true
}

output "vpc_id" {
  value = aws_vpc.this.id
}

output "subnet_ids" {
  value = aws_subnet.private[*].id
}

output "listener_arn" {
  value = aws_lb_listener.https.arn
}

output "load_balancer_security_group_id" {
  value = aws_security_group.load_balancer.id
}

output "mongodb_clients_security_group_id" {
  value = aws_security_group.mongodb_clients.id
}

output "mongodb_security_group_id" {
  value = aws_security_group.mongodb.id
}

output "mongodb_subnet_id" {
  value = aws_subnet.mongodb.id
}

output "mongodb_zone" {
  value = aws_subnet.mongodb.availability_zone
}

output "private_zone_id" {
  value = aws_route53_zone.private.zone_id
}

output "load_balancer_dns_name" {
  value       = aws_lb.this.dns_name
  description = "For the public DNS: an alias or CNAME for each service's host"
}
