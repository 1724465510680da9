# One service in one environment, like service.yaml beside it: its Auto Scaling group behind a load balancer that is there
# already, with launch and terminate hooks, and a role that may do what bootagent and the service need, and nothing else.

terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 5.40"
    }
  }
}

variable "service" {
  type        = string
  description = "The tag bootagent:service, and the repository's name"
  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,24}$", var.service))
    error_message = "At most 25 small letters, digits and hyphens, a letter first."
  }
}

variable "environment" {
  type        = string
  description = "The tag bootagent:environment, which chooses the branch"
  validation {
    condition     = contains(["test", "stage", "prod"], var.environment)
    error_message = "It is test, stage or prod."
  }
}

variable "port" {
  type        = number
  default     = 3000
  description = "On which the service listens"
}

variable "health_path" {
  type    = string
  default = "/health"
}

variable "secret_arn" {
  type        = string
  description = "The secret service_env_SERVICE_ENVIRONMENT, with its six characters at the end"
}

variable "vpc_id" {
  type = string
}

variable "subnet_ids" {
  type        = list(string)
  description = "Private subnets with a route to the git server, Secrets Manager and Auto Scaling"
}

variable "listener_arn" {
  type        = string
  description = "The load balancer's HTTPS listener"
}

variable "load_balancer_security_group_id" {
  type = string
}

variable "host_name" {
  type        = string
  description = "The host for which the listener forwards to this service"
}

variable "priority" {
  type        = number
  description = "Of the listener's rule; each rule of a listener has another one"
}

variable "image_id" {
  type        = string
  description = "An AMI with bootagent.service enabled and policy.toml as /etc/bootagent/policy.toml"
}

variable "instance_type" {
  type    = string
  default = "t3.small"
}

variable "min_size" {
  type    = number
  default = 2
}

variable "max_size" {
  type    = number
  default = 6
}

variable "cpu_target" {
  type        = number
  default     = 60
  description = "Average use of the processors, in percent"
}

variable "network_target" {
  type        = number
  default     = 50000000
  description = "Average bytes that an instance sends in a minute"
}

variable "warm_pool_size" {
  type        = number
  default     = 0
  description = "Stopped instances with a finished release; 0 for no pool"
}

data "aws_partition" "this" {}

data "aws_region" "this" {}

data "aws_caller_identity" "this" {}

locals {
  name      = "${var.service}-${var.environment}"
  account   = "${data.aws_region.this.name}:${data.aws_caller_identity.this.account_id}"
  group_arn = "arn:${data.aws_partition.this.partition}:autoscaling:${local.account}:autoScalingGroup:*:autoScalingGroupName/${local.name}"
}

resource "aws_security_group" "service" {
  name_prefix = "${local.name}-"
  description = "${var.service} (${var.environment}): from its load balancer alone"
  vpc_id      = var.vpc_id

  ingress {
    description     = "Requests and health checks of the load balancer"
    protocol        = "tcp"
    from_port       = var.port
    to_port         = var.port
    security_groups = [var.load_balancer_security_group_id]
  }

  egress {
    description = "Git server, registries and AWS"
    protocol    = "-1"
    from_port   = 0
    to_port     = 0
    cidr_blocks = ["0.0.0.0/0"]
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_iam_role" "service" {
  name_prefix = "${local.name}-"
  assume_role_policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect    = "Allow"
      Principal = { Service = "ec2.amazonaws.com" }
      Action    = "sts:AssumeRole"
    }]
  })
}

data "aws_iam_policy_document" "bootagent" {
  statement {
    sid       = "Environment"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = [var.secret_arn]
  }

  statement {
    sid       = "Hooks"
    actions   = ["autoscaling:CompleteLifecycleAction", "autoscaling:RecordLifecycleActionHeartbeat"]
    resources = [local.group_arn]
  }

  statement {
    sid       = "Health"
    actions   = ["autoscaling:SetInstanceHealth"]
    resources = [local.group_arn]
  }
}

resource "aws_iam_role_policy" "bootagent" {
  name   = "bootagent"
  role   = aws_iam_role.service.id
  policy = data.aws_iam_policy_document.bootagent.json
}

resource "aws_iam_instance_profile" "service" {
  name_prefix = "${local.name}-"
  role        = aws_iam_role.service.name
}

resource "aws_launch_template" "service" {
  name_prefix            = "${local.name}-"
  image_id               = var.image_id
  instance_type          = var.instance_type
  vpc_security_group_ids = [aws_security_group.service.id]

  iam_instance_profile {
    arn = aws_iam_instance_profile.service.arn
  }

  metadata_options {
    http_endpoint = "enabled"
    http_tokens   = "required"
    # Not reachable from containers on a bridge. 2 for a container that uses the role.
    http_put_response_hop_limit = 1
    instance_metadata_tags      = "enabled"
  }

  monitoring {
    enabled = true
  }

  # In the launch template and not only in the group: these are there when the instance starts.
  tag_specifications {
    resource_type = "instance"
    tags = {
      "Name"                  = local.name
      "bootagent:service"     = var.service
      "bootagent:environment" = var.environment
    }
  }
}

resource "aws_autoscaling_group" "service" {
  name                = local.name
  vpc_zone_identifier = var.subnet_ids
  min_size            = var.min_size
  max_size            = var.max_size
  target_group_arns   = [aws_lb_target_group.service.arn]
  health_check_type   = "ELB"
  # With a launch hook, health checks begin when the instance is in service.
  health_check_grace_period = 0
  default_instance_warmup   = 60
  # The launch hook lets an instance into service when it is healthy: Terraform need not wait for that.
  wait_for_capacity_timeout = "0"

  launch_template {
    id      = aws_launch_template.service.id
    version = aws_launch_template.service.latest_version
  }

  # Part of the group, so that the first instances wait at them, too.
  initial_lifecycle_hook {
    name                 = "ready"
    lifecycle_transition = "autoscaling:EC2_INSTANCE_LAUNCHING"
    heartbeat_timeout    = 600
    default_result       = "ABANDON"
  }

  initial_lifecycle_hook {
    name                 = "drain"
    lifecycle_transition = "autoscaling:EC2_INSTANCE_TERMINATING"
    heartbeat_timeout    = 300
    default_result       = "CONTINUE"
  }

  dynamic "warm_pool" {
    for_each = var.warm_pool_size > 0 ? [var.warm_pool_size] : []
    content {
      min_size   = warm_pool.value
      pool_state = "Stopped"
    }
  }

  tag {
    key                 = "bootagent:service"
    value               = var.service
    propagate_at_launch = true
  }

  tag {
    key                 = "bootagent:environment"
    value               = var.environment
    propagate_at_launch = true
  }

  # The scaling policies change it.
  lifecycle {
    ignore_changes = [desired_capacity]
  }
}

resource "aws_autoscaling_policy" "cpu" {
  name                   = "${local.name}-cpu"
  autoscaling_group_name = aws_autoscaling_group.service.name
  policy_type            = "TargetTrackingScaling"

  target_tracking_configuration {
    target_value = var.cpu_target
    predefined_metric_specification {
      predefined_metric_type = "ASGAverageCPUUtilization"
    }
  }
}

resource "aws_autoscaling_policy" "network" {
  name                   = "${local.name}-network"
  autoscaling_group_name = aws_autoscaling_group.service.name
  policy_type            = "TargetTrackingScaling"

  target_tracking_configuration {
    target_value = var.network_target
    predefined_metric_specification {
      predefined_metric_type = "ASGAverageNetworkOut"
    }
  }
}

resource "aws_lb_target_group" "service" {
  name_prefix = "boot-"
  vpc_id      = var.vpc_id
  port        = var.port
  protocol    = "HTTP"
  target_type = "instance"
  # The load balancer ends its connections within this time, before the instance waits at the hook `drain`.
  deregistration_delay = 60

  health_check {
    path                = var.health_path
    interval            = 10
    timeout             = 5
    healthy_threshold   = 2
    unhealthy_threshold = 3
    matcher             = "200"
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_lb_listener_rule" "service" {
  listener_arn = var.listener_arn
  priority     = var.priority

  condition {
    host_header {
      values = [var.host_name]
    }
  }

  action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.service.arn
  }
}

output "group_name" {
  value = aws_autoscaling_group.service.name
}

output "role_arn" {
  value       = aws_iam_role.service.arn
  description = "For the key policy of a secret with a key of your own"
}

output "security_group_id" {
  value       = aws_security_group.service.id
  description = "From which databases may accept connections"
}
