# MongoDB in one environment, like ../../mongodb.yaml: one instance in its own subnet (see ../network), whose data volume outlives
# it. A state machine attaches the volume to each new instance and gives it the name SERVICE.ENVIRONMENT.internal: the
# instance may do neither.

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
  default     = "mongodb"
  description = "The tag bootagent:service. The AMI has /etc/bootagent/services/SERVICE.toml, as ../../mongodb.toml"
}

variable "environment" {
  type        = string
  description = "The tag bootagent:environment, which chooses the branch"
  validation {
    condition     = contains(["test", "stage", "prod"], var.environment)
    error_message = "It is test, stage or prod."
  }
}

variable "mongodb_subnet_id" {
  type = string
}

variable "mongodb_zone" {
  type        = string
  description = "The zone of that subnet, and of the volume"
}

variable "mongodb_security_group_id" {
  type = string
}

variable "private_zone_id" {
  type        = string
  description = "The private zone ENVIRONMENT.internal"
}

variable "log_group" {
  type        = string
  default     = "/acme/bootagent"
  description = "As log_group in the policy"
}

variable "fleet_bucket" {
  type        = string
  default     = ""
  description = "The bucket of the fleet memory, with prefix = \"s3://BUCKET/bootagent\" in the policy"
}

variable "image_id" {
  type        = string
  description = "An AMI with bootagent.service enabled, policy.toml, mongodb.toml, and MongoDB's packages if its subnet has no way out"
}

variable "instance_type" {
  type    = string
  default = "t3.medium"
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

variable "data_size" {
  type        = number
  default     = 50
  description = "GiB of the data volume"
}

variable "snapshot_id" {
  type        = string
  default     = ""
  description = "Only for a new volume, which begins with it"
}

variable "sessions" {
  type        = bool
  default     = false
  description = "Whether an operator may log in by Session Manager, if the AMI has its agent"
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
  host_name = "${var.service}.${var.environment}.internal"
  fleet     = "arn:${local.partition}:s3:::${var.fleet_bucket}/bootagent"
}

resource "aws_ebs_volume" "data" {
  availability_zone = var.mongodb_zone
  type              = "gp3"
  size              = var.data_size
  snapshot_id       = var.snapshot_id == "" ? null : var.snapshot_id
  encrypted         = true
  # A destroyed volume leaves a snapshot of it.
  final_snapshot = true
  tags           = { Name = "${local.name} data" }

  # A restored volume stays, also when the variable is taken out again.
  lifecycle {
    ignore_changes = [snapshot_id]
  }
}

resource "aws_iam_role" "mongodb" {
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
  role   = aws_iam_role.mongodb.id
  policy = data.aws_iam_policy_document.bootagent.json
}

resource "aws_iam_instance_profile" "mongodb" {
  name_prefix = "${local.name}-"
  role        = aws_iam_role.mongodb.name
}

resource "aws_launch_template" "mongodb" {
  name_prefix   = "${local.name}-"
  image_id      = var.image_id
  instance_type = var.instance_type

  iam_instance_profile {
    arn = aws_iam_instance_profile.mongodb.arn
  }

  network_interfaces {
    device_index                = 0
    associate_public_ip_address = false
    security_groups             = [var.mongodb_security_group_id]
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
    http_put_response_hop_limit = 1
    instance_metadata_tags      = "enabled"
  }

  monitoring {
    enabled = true
  }

  tag_specifications {
    resource_type = "instance"
    tags = {
      "Name"                  = local.name
      "bootagent:service"     = var.service
      "bootagent:environment" = var.environment
    }
  }
}

resource "aws_autoscaling_group" "mongodb" {
  name                      = local.name
  vpc_zone_identifier       = [var.mongodb_subnet_id]
  min_size                  = 1
  max_size                  = 1
  health_check_type         = "EC2"
  health_check_grace_period = 0
  default_instance_warmup   = 60
  wait_for_capacity_timeout = "0"
  # Without the rule, no volume would be attached to the first instance.
  depends_on = [aws_cloudwatch_event_target.attach]

  launch_template {
    id      = aws_launch_template.mongodb.id
    version = aws_launch_template.mongodb.latest_version
  }

  # The old instance first: the volume is at one instance only.
  instance_maintenance_policy {
    min_healthy_percentage = 0
    max_healthy_percentage = 100
  }

  initial_lifecycle_hook {
    name                 = "ready"
    lifecycle_transition = "autoscaling:EC2_INSTANCE_LAUNCHING"
    heartbeat_timeout    = 600
    default_result       = "ABANDON"
  }

  # The watcher stops the server before the instance ends.
  initial_lifecycle_hook {
    name                 = "drain"
    lifecycle_transition = "autoscaling:EC2_INSTANCE_TERMINATING"
    heartbeat_timeout    = 300
    default_result       = "CONTINUE"
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
}

# When an instance waits at the hook `ready`: its name, then the volume. The former instance may still have it for a while.
resource "aws_cloudwatch_event_rule" "attach" {
  name_prefix = "${local.name}-"
  description = "Attaches the data volume to a new instance of ${local.name}"
  event_pattern = jsonencode({
    source      = ["aws.autoscaling"]
    detail-type = ["EC2 Instance-launch Lifecycle Action"]
    detail      = { AutoScalingGroupName = [local.name], LifecycleHookName = ["ready"] }
  })
}

resource "aws_cloudwatch_event_target" "attach" {
  rule     = aws_cloudwatch_event_rule.attach.name
  arn      = aws_sfn_state_machine.attach.arn
  role_arn = aws_iam_role.start.arn
}

resource "aws_sfn_state_machine" "attach" {
  name_prefix = "${local.name}-"
  role_arn    = aws_iam_role.attach.arn
  depends_on  = [aws_iam_role_policy.attach]
  definition = jsonencode({
    StartAt = "Look"
    States = {
      Look = {
        Type           = "Task"
        Resource       = "arn:aws:states:::aws-sdk:ec2:describeInstances"
        Parameters     = { "InstanceIds.$" = "States.Array($.detail.EC2InstanceId)" }
        ResultSelector = { "Address.$" = "$.Reservations[0].Instances[0].PrivateIpAddress" }
        ResultPath     = "$.found"
        Retry          = [{ ErrorEquals = ["States.ALL"], IntervalSeconds = 5, MaxAttempts = 6, BackoffRate = 2 }]
        Next           = "Name"
      }
      Name = {
        Type     = "Task"
        Resource = "arn:aws:states:::aws-sdk:route53:changeResourceRecordSets"
        Parameters = {
          HostedZoneId = var.private_zone_id
          ChangeBatch = {
            Changes = [{
              Action            = "UPSERT"
              ResourceRecordSet = { Name = local.host_name, Type = "A", Ttl = 30, ResourceRecords = [{ "Value.$" = "$.found.Address" }] }
            }]
          }
        }
        ResultPath = "$.named"
        Retry      = [{ ErrorEquals = ["States.ALL"], IntervalSeconds = 5, MaxAttempts = 6, BackoffRate = 2 }]
        Next       = "Volume"
      }
      Volume = {
        Type       = "Task"
        Resource   = "arn:aws:states:::aws-sdk:ec2:attachVolume"
        Parameters = { Device = "/dev/sdf", VolumeId = aws_ebs_volume.data.id, "InstanceId.$" = "$.detail.EC2InstanceId" }
        Retry      = [{ ErrorEquals = ["States.ALL"], IntervalSeconds = 10, MaxAttempts = 60, BackoffRate = 1 }]
        End        = true
      }
    }
  })
}

resource "aws_iam_role" "start" {
  name_prefix = "${local.name}-"
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Principal = { Service = "events.amazonaws.com" }, Action = "sts:AssumeRole" }]
  })
}

resource "aws_iam_role_policy" "start" {
  name = "start"
  role = aws_iam_role.start.id
  policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Sid = "Start", Effect = "Allow", Action = "states:StartExecution", Resource = aws_sfn_state_machine.attach.arn }]
  })
}

resource "aws_iam_role" "attach" {
  name_prefix = "${local.name}-"
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Principal = { Service = "states.amazonaws.com" }, Action = "sts:AssumeRole" }]
  })
}

data "aws_iam_policy_document" "attach" {
  # It knows no single instances.
  statement {
    sid       = "Look"
    actions   = ["ec2:DescribeInstances"]
    resources = ["*"]
  }

  statement {
    sid       = "Name"
    actions   = ["route53:ChangeResourceRecordSets"]
    resources = ["arn:${local.partition}:route53:::hostedzone/${var.private_zone_id}"]
    condition {
      test     = "ForAllValues:StringEquals"
      variable = "route53:ChangeResourceRecordSetsNormalizedRecordNames"
      values   = [local.host_name]
    }
  }

  statement {
    sid       = "Volume"
    actions   = ["ec2:AttachVolume"]
    resources = [aws_ebs_volume.data.arn]
  }

  statement {
    sid       = "Instance"
    actions   = ["ec2:AttachVolume"]
    resources = ["arn:${local.partition}:ec2:${local.account}:instance/*"]
    condition {
      test     = "StringEquals"
      variable = "aws:ResourceTag/bootagent:service"
      values   = [var.service]
    }
    condition {
      test     = "StringEquals"
      variable = "aws:ResourceTag/bootagent:environment"
      values   = [var.environment]
    }
  }
}

resource "aws_iam_role_policy" "attach" {
  name   = "attach"
  role   = aws_iam_role.attach.id
  policy = data.aws_iam_policy_document.attach.json
}

output "group_name" {
  value = aws_autoscaling_group.mongodb.name
}

output "volume_id" {
  value       = aws_ebs_volume.data.id
  description = "For your backups"
}

output "host_name" {
  value       = local.host_name
  description = "For MONGODB_URI in the secrets of the services"
}
