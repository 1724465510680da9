# One service in one environment, like ../../service.yaml: its Auto Scaling group behind a load balancer that is there already
# (as in ../network), with launch and terminate hooks, and a role that may do what bootagent and the service need, and nothing
# else.

terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = ">= 6.62"
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

variable "git_secret" {
  type        = string
  default     = ""
  description = "The secret with the credential of a private repository, as git_credential in the policy"
}

variable "fleet_bucket" {
  type        = string
  default     = ""
  description = "The bucket of the fleet memory, with prefix = \"s3://BUCKET/bootagent\" in the policy"
}

variable "log_group" {
  type        = string
  default     = "/acme/bootagent"
  description = "As log_group in the policy"
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

variable "mongodb_clients_security_group_id" {
  type        = string
  default     = ""
  description = "The security group from which MongoDB accepts connections, if the service uses it"
}

variable "image_id" {
  type        = string
  description = "An AMI with bootagent.service enabled and policy.toml as /etc/bootagent/policy.toml"
}

variable "instance_type" {
  type    = string
  default = "t3.small"
}

variable "root_device" {
  type        = string
  default     = "/dev/xvda"
  description = "The AMI's root device. Debian and Amazon Linux have /dev/xvda, Ubuntu and RHEL /dev/sda1"
}

variable "root_size" {
  type        = number
  default     = 16
  description = "GiB of the root volume"
}

variable "metadata_hop_limit" {
  type        = number
  default     = 1
  description = "2 for a service in a container that uses the role; with 1, containers on a bridge do not reach IMDS"
}

variable "sessions" {
  type        = bool
  default     = false
  description = "Whether an operator may log in by Session Manager, if the AMI has its agent"
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

variable "after_failed_drain" {
  type        = string
  default     = "terminate"
  description = "Of an instance that did not complete its terminate hook. A retained one costs money until an operator terminates it"
  validation {
    condition     = contains(["terminate", "retain"], var.after_failed_drain)
    error_message = "It is terminate or retain."
  }
}

data "aws_partition" "this" {}

data "aws_region" "this" {}

data "aws_caller_identity" "this" {}

locals {
  name      = "${var.service}-${var.environment}"
  partition = data.aws_partition.this.partition
  account   = "${data.aws_region.this.region}:${data.aws_caller_identity.this.account_id}"
  secret    = "arn:${local.partition}:secretsmanager:${local.account}:secret"
  group_arn = "arn:${local.partition}:autoscaling:${local.account}:autoScalingGroup:*:autoScalingGroupName/${local.name}"
  log_group = "arn:${local.partition}:logs:${local.account}:log-group:${var.log_group}"
  fleet     = "arn:${local.partition}:s3:::${var.fleet_bucket}/bootagent"
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

  # A git server by ssh also needs port 22, a mirror of packages without TLS port 80.
  egress {
    description = "Git server, registries, AWS"
    protocol    = "tcp"
    from_port   = 443
    to_port     = 443
    cidr_blocks = ["0.0.0.0/0"]
  }

  lifecycle {
    create_before_destroy = true
  }
}

resource "aws_vpc_security_group_egress_rule" "from_load_balancer" {
  security_group_id            = var.load_balancer_security_group_id
  description                  = var.service
  ip_protocol                  = "tcp"
  from_port                    = var.port
  to_port                      = var.port
  referenced_security_group_id = aws_security_group.service.id
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

# As `bootagent iam-policy` prints it. Without the signal of a stack: Terraform has none.
data "aws_iam_policy_document" "bootagent" {
  statement {
    sid       = "Secrets"
    actions   = ["secretsmanager:GetSecretValue"]
    resources = ["${local.secret}:service_env_${var.service}_${var.environment}-??????"]
  }

  dynamic "statement" {
    for_each = var.git_secret == "" ? [] : [var.git_secret]
    content {
      sid       = "GitSecret"
      actions   = ["secretsmanager:GetSecretValue"]
      resources = ["${local.secret}:${statement.value}-??????"]
    }
  }

  statement {
    sid       = "LifecycleHook"
    actions   = ["autoscaling:CompleteLifecycleAction", "autoscaling:RecordLifecycleActionHeartbeat"]
    resources = [local.group_arn]
  }

  statement {
    sid       = "Health"
    actions   = ["autoscaling:SetInstanceHealth"]
    resources = [local.group_arn]
  }

  statement {
    sid     = "Evidence"
    actions = ["logs:CreateLogStream", "logs:PutLogEvents"]
    resources = [
      "${local.log_group}:log-stream:${var.service}/${var.environment}/*",
      "${local.log_group}:log-stream:_unselected/*",
    ]
  }

  dynamic "statement" {
    for_each = var.fleet_bucket == "" ? [] : [var.fleet_bucket]
    content {
      sid       = "ReadFleetMemory"
      actions   = ["s3:GetObject"]
      resources = ["${local.fleet}/${var.service}/${var.environment}/*"]
    }
  }

  dynamic "statement" {
    for_each = var.fleet_bucket == "" ? [] : [var.fleet_bucket]
    content {
      sid     = "WriteFleetMemory"
      actions = ["s3:PutObject"]
      resources = [
        "${local.fleet}/${var.service}/${var.environment}/good.json",
        "${local.fleet}/${var.service}/${var.environment}/reports/*",
        "${local.fleet}/${var.service}/${var.environment}/failures/*",
        "${local.fleet}/${var.service}/${var.environment}/migrations/*",
        "${local.fleet}/_unselected/reports/*.json",
      ]
    }
  }

  dynamic "statement" {
    for_each = var.fleet_bucket == "" ? [] : [var.fleet_bucket]
    content {
      sid       = "ListFleetMemory"
      actions   = ["s3:ListBucket"]
      resources = ["arn:${local.partition}:s3:::${statement.value}"]
      condition {
        test     = "StringLike"
        variable = "s3:prefix"
        values   = ["bootagent/${var.service}/${var.environment}/*"]
      }
    }
  }

  # For the agent of Session Manager. AWS's managed policy would also let it read all parameters of the account.
  dynamic "statement" {
    for_each = var.sessions ? [1] : []
    content {
      sid = "Sessions"
      actions = [
        "ssm:UpdateInstanceInformation",
        "ssmmessages:CreateControlChannel",
        "ssmmessages:CreateDataChannel",
        "ssmmessages:OpenControlChannel",
        "ssmmessages:OpenDataChannel",
      ]
      resources = ["*"]
    }
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
  name_prefix   = "${local.name}-"
  image_id      = var.image_id
  instance_type = var.instance_type

  iam_instance_profile {
    arn = aws_iam_instance_profile.service.arn
  }

  network_interfaces {
    device_index                = 0
    associate_public_ip_address = false
    security_groups             = compact([aws_security_group.service.id, var.mongodb_clients_security_group_id])
  }

  block_device_mappings {
    device_name = var.root_device
    ebs {
      volume_type           = "gp3"
      volume_size           = var.root_size
      encrypted             = true
      delete_on_termination = true
    }
  }

  metadata_options {
    http_endpoint               = "enabled"
    http_tokens                 = "required"
    http_put_response_hop_limit = var.metadata_hop_limit
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
    default_result       = var.after_failed_drain == "retain" ? "ABANDON" : "CONTINUE"
  }

  instance_lifecycle_policy {
    retention_triggers {
      terminate_hook_abandon = var.after_failed_drain
    }
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
  description = "For rules of your own, such as another database"
}
