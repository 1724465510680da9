"""A registry with HTTP/1.1 that answers what a case says, byte by byte, and a project of two packages to install from it."""

import base64
import contextlib
import hashlib
import io
import json
import random
import socket
import ssl
import struct
import subprocess
import tarfile
import tempfile
import threading
import time
from pathlib import Path

from local_registry import certificate
from store import PUBLIC


def archive(name: str) -> bytes:
    """Of two files, one of which is large enough to be sent in parts, and does not become smaller."""
    packed = io.BytesIO()
    files = {"package.json": json.dumps({"name": name, "version": "1.0.0"}).encode(), "data": random.Random(name).randbytes(5000)}
    with tarfile.open(fileobj=packed, mode="w:gz") as out:
        for path, content in files.items():
            member = tarfile.TarInfo(f"package/{path}")
            member.size = len(content)
            out.addfile(member, io.BytesIO(content))
    return packed.getvalue()


ARCHIVES = {name: archive(name) for name in ("a", "b")}


def project(directory: Path) -> None:
    def entry(name):
        digest = base64.b64encode(hashlib.sha512(ARCHIVES[name]).digest()).decode()
        return {"version": "1.0.0", "resolved": f"{PUBLIC}/{name}/-/{name}-1.0.0.tgz", "integrity": f"sha512-{digest}"}

    root = {"name": "app", "version": "1.0.0", "dependencies": {"a": "1.0.0", "b": "1.0.0"}}
    packages = {"": root, **{f"node_modules/{name}": entry(name) for name in ARCHIVES}}
    lock = {"name": "app", "version": "1.0.0", "lockfileVersion": 3, "requires": True, "packages": packages}
    directory.mkdir(parents=True)
    (directory / "package.json").write_text(json.dumps(root))
    (directory / "package-lock.json").write_text(json.dumps(lock))


def head(status: str, *lines: str) -> bytes:
    return "\r\n".join([f"HTTP/1.1 {status}", *lines, "", ""]).encode()


def good(body: bytes) -> bytes:
    return head("200 OK", f"Content-Length: {len(body)}") + body


def reset(connection) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


class Server:
    """`answer(body, number)` has the bytes for question number 1, 2, ... for one archive, or a list of them with pauses in
    seconds; `None` closes the connection, "reset" resets it. It does so `times` times for each archive, then it is good."""

    def __init__(self, work: Path, answer, times: int, raw=None) -> None:
        self.answer, self.times, self.raw, self.asked = answer, times, raw, {}
        self.lock = threading.Lock()
        authority, key = certificate(work)
        self.context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        self.context.load_cert_chain(authority, key)
        self.context.set_alpn_protocols(["http/1.1"])
        self.listener = socket.create_server(("127.0.0.1", 0), backlog=64)
        self.url = f"https://localhost:{self.listener.getsockname()[1]}/"
        self.connections = 0
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection) -> None:
        with self.lock:
            self.connections += 1
            is_raw = self.raw is not None and self.connections <= self.times
        try:
            connection.settimeout(60)
            if is_raw:
                connection.recv(1)
                connection.sendall(self.raw)
                connection.close()
                return
            with self.context.wrap_socket(connection, server_side=True) as stream:
                while self._one(stream):
                    pass
        except OSError:
            pass

    def _one(self, stream) -> bool:
        asked = b""
        while b"\r\n\r\n" not in asked:
            part = stream.recv(4096)
            if not part:
                return False
            asked += part
        name = asked.split(b"/")[1].decode()
        with self.lock:
            number = self.asked[name] = self.asked.get(name, 0) + 1
        body = ARCHIVES[name]
        answer = self.answer(body, number) if self.answer and number <= self.times else good(body)
        for part in answer if isinstance(answer, list) else [answer]:
            match part:
                case None:
                    return False
                case "reset":
                    reset(stream)
                    return False
                case float():
                    time.sleep(part)
                case _:
                    stream.sendall(part)
        return True

    def close(self) -> None:
        self.listener.close()


def no_npm(work: Path) -> Path:
    """A directory in which a npm seems to be, made once."""
    made = work / "no-npm"
    if not made.exists():
        new = Path(tempfile.mkdtemp(dir=work))
        (new / "bin").mkdir()
        (new / "package.json").write_text('{"version": "10.9.3"}')
        (new / "bin/npm").write_text("#!/bin/sh\n")
        (new / "bin/npm").chmod(0o755)
        with contextlib.suppress(OSError):
            new.rename(made)
    return made


def install(bootagent: str, node: Path, work: Path, directory: Path, url: str, cafile=None, **kwargs):
    """Runs the installer in the project, as the install step does. npm, if it is started, does nothing."""
    npm = no_npm(work)
    env = {
        "PATH": f"{node}/bin:/usr/bin:/bin", "HOME": str(work / "home"), "npm_config_registry": url,
        "npm_config_cafile": str(cafile or certificate(work)[0]), "npm_config_cache": str(directory.parent / "cache"),
    }  # fmt: skip
    argv = [bootagent, "__child", "npm-tree", "--", "--node=22.20.0", str(npm / "bin/npm"), "ci", "--no-audit", "--no-fund", "--omit=dev"]
    return subprocess.run([*kwargs.pop("before", []), *argv], cwd=directory, env=env, capture_output=True, text=True, timeout=240, **kwargs)
