# One environment of the reference architecture: its network, eight services, and MongoDB. An example to copy: an environment
# is a directory or a workspace of its own, since it has its own state.

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
  description = "test, stage or prod: the tag bootagent:environment"
}

variable "domain" {
  type        = string
  description = "The services are SERVICE.DOMAIN, as test.example.com"
}

variable "certificate_arn" {
  type        = string
  description = "For *.DOMAIN"
}

variable "image_id" {
  type        = string
  description = "The services' AMI; one service can have its own by image_id in the table below"
}

variable "mongodb_image_id" {
  type = string
}

variable "mongodb_snapshot_id" {
  type        = string
  default     = ""
  description = "With which MongoDB's volume begins, if it is new"
}

variable "git_secret" {
  type        = string
  default     = ""
  description = "The secret with the credential of private repositories"
}

variable "fleet_bucket" {
  type        = string
  default     = ""
  description = "The bucket of the fleet memory"
}

locals {
  # Only what differs from the defaults of ./service. The ports are those of the manifests.
  services = {
    auth-service     = { priority = 10, mongodb = true }
    gmail-service    = { priority = 20 }
    calendar-service = { priority = 30 }
    # It keeps reminders on its disk, and its timer must run once.
    reminder-service = { priority = 40, min_size = 1, max_size = 1 }
    telegram-bot     = { priority = 50, max_size = 4 }
    mcp-service      = { priority = 60 }
    # It streams: the network is busy before the processor is.
    ai-proxy-service = { priority = 70, network_target = 200000000, cpu_target = 70, max_size = 12 }
    admin-panel      = { priority = 80, port = 8080, health_path = "/", max_size = 2 }
  }
}

module "network" {
  source          = "./network"
  environment     = var.environment
  certificate_arn = var.certificate_arn
}

module "mongodb" {
  source                    = "./mongodb"
  environment               = var.environment
  image_id                  = var.mongodb_image_id
  fleet_bucket              = var.fleet_bucket
  snapshot_id               = var.mongodb_snapshot_id
  mongodb_subnet_id         = module.network.mongodb_subnet_id
  mongodb_zone              = module.network.mongodb_zone
  mongodb_security_group_id = module.network.mongodb_security_group_id
  private_zone_id           = module.network.private_zone_id
}

module "service" {
  source   = "./service"
  for_each = local.services

  service                           = each.key
  environment                       = var.environment
  host_name                         = "${each.key}.${var.domain}"
  priority                          = each.value.priority
  port                              = try(each.value.port, 3000)
  health_path                       = try(each.value.health_path, "/health")
  min_size                          = try(each.value.min_size, 2)
  max_size                          = try(each.value.max_size, 6)
  cpu_target                        = try(each.value.cpu_target, 60)
  network_target                    = try(each.value.network_target, 50000000)
  image_id                          = try(each.value.image_id, var.image_id)
  git_secret                        = var.git_secret
  fleet_bucket                      = var.fleet_bucket
  vpc_id                            = module.network.vpc_id
  subnet_ids                        = module.network.subnet_ids
  listener_arn                      = module.network.listener_arn
  load_balancer_security_group_id   = module.network.load_balancer_security_group_id
  mongodb_clients_security_group_id = try(each.value.mongodb, false) ? module.network.mongodb_clients_security_group_id : ""
}

output "load_balancer_dns_name" {
  value       = module.network.load_balancer_dns_name
  description = "For the public DNS: CNAME or alias of *.DOMAIN"
}

output "mongodb_host_name" {
  value       = module.mongodb.host_name
  description = "For MONGODB_URI in the secrets of the services"
}
