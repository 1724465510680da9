# An AMI for one service in one environment: bootagent, its policy, and the service's release with its dependencies.
# Its instances start from that release. Before:
#   make packages, and a policy.toml beside this file (as packaging/aws/policy.toml)
#   packer init . && packer build -var service=auth-service -var environment=prod -var package=bootagent_0.1.0_amd64.deb .

packer {
  required_plugins {
    amazon = {
      source  = "github.com/hashicorp/amazon"
      version = ">= 1.3.0"
    }
  }
}

variable "service" {
  type = string
}

variable "environment" {
  type = string
}

variable "package" {
  type        = string
  description = "The .deb of bootagent"
}

variable "policy" {
  type    = string
  default = "policy.toml"
}

variable "region" {
  type    = string
  default = "eu-west-1"
}

variable "instance_type" {
  type        = string
  default     = "t3.medium"
  description = "For the build only: the AMI runs on other types, too"
}

variable "instance_profile" {
  type        = string
  default     = ""
  description = "Only for a private repository or registry: its role may read the secret with that credential, and no values of the service"
}

source "amazon-ebs" "service" {
  region               = var.region
  instance_type        = var.instance_type
  iam_instance_profile = var.instance_profile
  ami_name             = "${var.service}-${var.environment}-{{timestamp}}"
  ssh_username         = "admin"
  encrypt_boot         = true

  source_ami_filter {
    owners      = ["136693071363"] # Debian
    most_recent = true
    filters = {
      name                = "debian-12-amd64-*"
      root-device-type    = "ebs"
      virtualization-type = "hvm"
    }
  }

  metadata_options {
    http_endpoint = "enabled"
    http_tokens   = "required"
  }

  # The AMI asks for them of every instance that is launched from it.
  imds_support = "v2.0"

  tags = {
    "bootagent:service"     = var.service
    "bootagent:environment" = var.environment
  }
}

build {
  sources = ["source.amazon-ebs.service"]

  provisioner "file" {
    source      = var.package
    destination = "/tmp/bootagent.deb"
  }

  provisioner "file" {
    source      = var.policy
    destination = "/tmp/policy.toml"
  }

  provisioner "shell" {
    execute_command = "sudo sh -eu '{{ .Path }}'"
    inline = [
      "cloud-init status --wait || true",
      "apt-get install --yes /tmp/bootagent.deb",
      "install -D -o root -g root -m 644 /tmp/policy.toml /etc/bootagent/policy.toml",
      "rm /tmp/bootagent.deb /tmp/policy.toml",
      "bootagent bake --service ${var.service} --environment ${var.environment}",
    ]
  }

  # The last command on the machine: Packer stops it, and makes the AMI.
  provisioner "shell" {
    execute_command = "sudo sh -eu '{{ .Path }}'"
    inline          = ["bootagent seal"]
  }
}
