"""An EC2-like machine on a Debian host: real systemd, real cloud-init, and around them an imitation of what AWS shows
to an instance (IMDS, DNS, git over HTTPS, Secrets Manager behind signatures and IAM). The program under test is told
nothing of it.

    with lab.World() as world:
        world.tags = {"bootagent:service": "auth-service"}
        machine = world.launch(user_data="#!/bin/sh\\nexec true\\n")
        machine.wait_for_cloud_init()
"""

from .deadline import DeadlineExceeded
from .git_repository import Executable, Repository, Symlink
from .machine import CloudInit, Disk, Machine, Result, Stat
from .world import World

__all__ = [
    "CloudInit",
    "DeadlineExceeded",
    "Disk",
    "Executable",
    "Machine",
    "Repository",
    "Result",
    "Stat",
    "Symlink",
    "World",
]
