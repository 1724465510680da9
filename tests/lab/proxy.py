"""A company's web proxy at proxy.acme.test:3128: CONNECT for https, and absolute addresses for http."""

import re
import socket
import threading
import time
from collections.abc import Callable
from urllib.parse import urlsplit

from .namespace import GATEWAY, Namespace

HOST, PORT = "proxy.acme.test", 3128
LIMIT = 64 << 10
IDLE = 600


class Proxy:
    """`refuse` is the status that it answers with, such as 403 or 407; None: it serves. Its own resolver is `resolve`: the
    knobs of the world's DNS do not reach it."""

    def __init__(self, namespace: Namespace, resolve: Callable[[str], str]) -> None:
        self._namespace, self._resolve = namespace, resolve
        self._listener: socket.socket | None = None
        self.refuse: int | None = None
        self.log: list[dict] = []

    def start(self) -> None:
        self._listener = self._namespace.listen(GATEWAY, PORT)
        threading.Thread(target=self._accept, args=(self._listener,), daemon=True).start()

    def stop(self) -> None:
        if self._listener is not None:
            try:
                self._listener.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            self._listener.close()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                client, address = listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client, address[0]), daemon=True).start()

    def _serve(self, client: socket.socket, address: str) -> None:
        with client:
            try:
                client.settimeout(30)
                head = _read_head(client)
                method, target = head.split(b" ", 2)[:2]
                status, upstream = self._open(address, method.decode(), target.decode())
                if upstream is None or method == b"CONNECT":
                    client.sendall(b"HTTP/1.1 %d %s\r\n%s\r\n" % status)
                if upstream is not None:
                    with upstream:
                        if method != b"CONNECT":
                            upstream.sendall(head)
                        splice(client, upstream)
            except (OSError, ValueError):
                pass  # one of the two went away, or it was not a request

    def _open(self, address: str, method: str, target: str) -> tuple[tuple[int, bytes, bytes], socket.socket | None]:
        parts = urlsplit(f"//{target}" if method == "CONNECT" else target)
        host, port = parts.hostname or "", parts.port or 80
        entry = {"time": time.time(), "client": address, "method": method, "target": f"{host}:{port}", "status": 200}
        self.log.append(entry)
        if self.refuse is not None:
            entry["status"] = self.refuse
            asked = b'Proxy-Authenticate: Basic realm="lab"\r\n' if self.refuse == 407 else b""
            return (self.refuse, b"Refused", asked + b"Content-Length: 0\r\n"), None
        try:
            return (200, b"Connection established", b""), self._namespace.connect(self._resolve(host), port, 20)
        except OSError:
            entry["status"] = 502
            return (502, b"Bad Gateway", b"Content-Length: 0\r\n"), None


def _read_head(client: socket.socket) -> bytes:
    """The first request's head, with whatever came behind it: for http, all goes on to that request's host."""
    head = b""
    while not re.search(rb"\r?\n\r?\n", head):
        part = client.recv(4096)
        if not part or len(head) > LIMIT:
            raise ValueError("no request")
        head += part
    return head


def splice(one: socket.socket, other: socket.socket) -> None:
    """Passes on what each says until both have ended."""
    def pump(source: socket.socket, sink: socket.socket) -> None:
        try:
            while part := source.recv(LIMIT):
                sink.sendall(part)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            for each in (one, other):
                try:
                    each.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    for each in (one, other):
        each.settimeout(IDLE)
    back = threading.Thread(target=pump, args=(other, one), daemon=True)
    back.start()
    pump(one, other)
    back.join()
