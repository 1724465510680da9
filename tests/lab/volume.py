"""A volume as of EBS: a disk that outlives its machines, and is attached to one of them at a time."""

import os
import stat
import subprocess
from pathlib import Path

from .machine import Machine

# What udev does on an instance: a link for each label. In a container there is none.
_LINKS = """
while sleep 0.1; do
  for disk in /dev/xvd? /dev/xvd??; do
    [ -b "$disk" ] && label=$(blkid -p -s LABEL -o value "$disk") && [ -n "$label" ] &&
      mkdir -p /dev/disk/by-label && ln -sfn "$disk" "/dev/disk/by-label/$label"
  done
done
"""


class Volume:
    """Made by World.volume. Empty: all zeros."""

    def __init__(self, path: Path, size: str) -> None:
        subprocess.run(["truncate", f"--size={size}", str(path)], check=True, timeout=30)
        made = subprocess.run(
            ["losetup", "--find", "--show", str(path)], check=True, timeout=30, capture_output=True, text=True
        )
        self.path, self.device = path, made.stdout.strip()
        # The loop device is gone as soon as this process, and the last machine, no longer have it open.
        self._open: int | None = os.open(self.device, os.O_RDONLY)
        subprocess.run(["losetup", "--detach", self.device], check=True, timeout=30)

    def attach(self, machine: Machine, name: str = "/dev/xvdf") -> None:
        """The disk appears in a running machine under this name, and again at each of its boots."""
        self._appear(machine, name)
        machine.attached.append(lambda: self._appear(machine, name))

    def _appear(self, machine: Machine, name: str) -> None:
        number = os.stat(self.device).st_rdev
        assert stat.S_ISBLK(os.stat(self.device).st_mode)
        machine.check(["mknod", "-m", "660", name, "b", str(os.major(number)), str(os.minor(number))])
        if machine.run(["systemctl", "is-active", "lab-udev"]).code != 0:
            machine.check(["systemd-run", "--quiet", "--unit=lab-udev", "sh", "-c", _LINKS])

    def run(self, *command: str) -> str:
        """A command of the host on the disk, which no machine may have mounted: `{}` stands for its path."""
        line = [word.replace("{}", self.device) for word in command]
        return subprocess.run(line, check=True, timeout=60, capture_output=True, text=True).stdout

    def bytes(self) -> bytes:
        return self.path.read_bytes()

    def close(self) -> None:
        if self._open is not None:
            os.close(self._open)
            self._open = None
