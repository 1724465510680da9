"""A network namespace per world: every world has the same addresses and none sees another's, nor the host's.

The way out is slirp4netns, a user-space NAT: nothing on the host is changed for it, no rule, no route, no forwarding,
so nothing can be left behind and any number of worlds can run at once."""

import ctypes
import os
import socket
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

CLONE_NEWNET = 0x40000000
GATEWAY = "172.31.0.1"  # the VPC's router and resolver, and where its servers listen
IMDS = "169.254.169.254"
REFUSING = "172.31.0.4"  # resets each connection
SILENT = "172.31.0.5"  # drops what is sent to it
NO_HOST = "172.31.15.254"  # no such host
PREFIX = 20

_libc = ctypes.CDLL(None, use_errno=True)


def enter(path: str) -> None:
    """Move the calling thread, and it alone, into a network namespace."""
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        if _libc.setns(descriptor, CLONE_NEWNET) != 0:
            error = ctypes.get_errno()
            raise OSError(error, f"entering {path}: {os.strerror(error)}")
    finally:
        os.close(descriptor)


def call_in(path: str, function: Callable[[], T]) -> T:
    """Call `function` in a thread of its own inside the namespace; what it connects stays there."""
    with ThreadPoolExecutor(max_workers=1, initializer=enter, initargs=(path,)) as pool:
        return pool.submit(function).result()


class Namespace:
    def __init__(self, name: str) -> None:
        self.name = name
        self.path = f"/run/netns/{name}"

    def create(self) -> None:
        _run("ip", "netns", "add", self.name)
        commands = f"""\
            link set lo up
            link add br0 type bridge
            address add {GATEWAY}/{PREFIX} dev br0
            address add {IMDS}/32 dev br0
            address add {REFUSING}/32 dev br0
            address add {SILENT}/32 dev br0
            link set br0 up"""
        _run("ip", "-netns", self.name, "-batch", "-", stdin=commands)
        self._add_rules(f"chain in {{\n type filter hook input priority 0\n ip daddr {SILENT} drop\n }}")

    def open_to_internet(self, spawn: Callable[..., subprocess.Popen]) -> None:
        """Attach the user-space NAT and masquerade the machines behind it, both inside the namespace."""
        ready, set_ready = os.pipe()
        try:
            # MTU: the largest, since each packet is a trip through user space.
            process = spawn(
                ["slirp4netns", "--netns-type=path", "--configure", "--mtu=65520", "--disable-host-loopback",
                 f"--ready-fd={set_ready}", self.path, "tap0"],
                pass_fds=(set_ready,),
            )  # fmt: skip
            os.close(set_ready)
            set_ready = -1
            if not os.read(ready, 1):
                raise RuntimeError(f"slirp4netns ended with {process.wait(10)} before it was ready")
        finally:
            os.close(ready)
            if set_ready >= 0:
                os.close(set_ready)
        self._add_rules('chain out {\n type nat hook postrouting priority 100\n oifname "tap0" masquerade\n }')
        call_in(self.path, lambda: Path("/proc/sys/net/ipv4/ip_forward").write_text("1"))

    def _add_rules(self, chain: str) -> None:
        _run("nsenter", f"--net={self.path}", "nft", "-f", "-", stdin=f"table ip lab {{\n {chain}\n}}\n")

    def listen(self, address: str, port: int, kind: socket.SocketKind = socket.SOCK_STREAM) -> socket.socket:
        def bound() -> socket.socket:
            made = socket.socket(socket.AF_INET, kind)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.bind((address, port))
            if kind == socket.SOCK_STREAM:
                made.listen(128)
            return made

        return call_in(self.path, bound)

    def connect(self, address: str, port: int, timeout: float) -> socket.socket:
        return call_in(self.path, lambda: socket.create_connection((address, port), timeout))

    def remove(self) -> None:
        if Path(self.path).exists():
            _run("ip", "netns", "delete", self.name)


def _run(*argv: str, stdin: str | None = None) -> None:
    done = subprocess.run(argv, input=stdin, text=True, capture_output=True, timeout=30)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(argv)}: {done.stderr.strip() or f'exit status {done.returncode}'}")
