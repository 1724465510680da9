"""The VPC's resolver: the lab's own names are here, everything else is asked of the host's nameservers. IPv4 only."""

import socket
import struct
import threading
import time
from fnmatch import fnmatch
from pathlib import Path

from .namespace import GATEWAY, Namespace

NOERROR, SERVFAIL, NXDOMAIN = 0, 2, 3
A, AAAA = 1, 28


class Dns:
    """`point`, `servfail` and `absent` change the answers while the machine runs; `log` has every question."""

    def __init__(self, namespace: Namespace) -> None:
        self._namespace = namespace
        self._addresses: dict[str, str] = {}
        self._failures: dict[str, tuple[int, float]] = {}
        self._sockets: list[socket.socket] = []
        self.log: list[dict] = []

    def point(self, pattern: str, address: str) -> None:
        """Answer names that match the pattern with this address; the last pattern to match wins."""
        self._addresses.pop(pattern, None)
        self._addresses[pattern] = address

    def forget(self, pattern: str) -> None:
        self._addresses.pop(pattern, None)
        self._failures.pop(pattern, None)

    def servfail(self, pattern: str, seconds: float = float("inf")) -> None:
        self._failures[pattern] = (SERVFAIL, time.monotonic() + seconds)

    def absent(self, pattern: str, seconds: float = float("inf")) -> None:
        self._failures[pattern] = (NXDOMAIN, time.monotonic() + seconds)

    def start(self) -> None:
        datagrams = self._namespace.listen(GATEWAY, 53, socket.SOCK_DGRAM)
        streams = self._namespace.listen(GATEWAY, 53)
        self._sockets = [datagrams, streams]
        threading.Thread(target=self._serve_datagrams, args=(datagrams,), daemon=True).start()
        threading.Thread(target=self._serve_streams, args=(streams,), daemon=True).start()

    def stop(self) -> None:
        for each in self._sockets:
            try:
                each.shutdown(socket.SHUT_RDWR)  # wakes the thread that waits on it
            except OSError:
                pass
            each.close()

    def _serve_datagrams(self, listener: socket.socket) -> None:
        def answer(query: bytes, client) -> None:
            try:
                listener.sendto(self._answer(query, client[0], tcp=False), client)
            except OSError:
                pass

        while True:
            try:
                query, client = listener.recvfrom(4096)
            except OSError:
                return
            if not query:
                return
            threading.Thread(target=answer, args=(query, client), daemon=True).start()

    def _serve_streams(self, listener: socket.socket) -> None:
        def converse(connection: socket.socket, client) -> None:
            with connection:
                connection.settimeout(10)
                try:
                    while query := _read_framed(connection):
                        reply = self._answer(query, client[0], tcp=True)
                        connection.sendall(struct.pack("!H", len(reply)) + reply)
                except OSError:
                    pass

        while True:
            try:
                connection, client = listener.accept()
            except OSError:
                return
            threading.Thread(target=converse, args=(connection, client), daemon=True).start()

    def _answer(self, query: bytes, client: str, tcp: bool) -> bytes:
        try:
            name, kind, end = _question(query)
        except (IndexError, struct.error, UnicodeDecodeError):
            return _reply(query[:12].ljust(12, b"\0"), 12, 1)  # FORMERR
        entry = {"time": time.time(), "client": client, "name": name, "type": kind, "answer": "forwarded"}
        self.log.append(entry)
        if (code := self._failure(name)) is not None:
            entry["answer"] = {SERVFAIL: "SERVFAIL", NXDOMAIN: "NXDOMAIN"}[code]
            return _reply(query, end, code)
        address = next((a for p, a in reversed(self._addresses.items()) if fnmatch(name, p)), None)
        if address is not None and kind == A:
            entry["answer"] = address
            return _reply(query, end, NOERROR, address)
        if address is not None or kind == AAAA:
            entry["answer"] = "no data"
            return _reply(query, end, NOERROR)
        return _forward(query, tcp) or _reply(query, end, SERVFAIL)

    def _failure(self, name: str) -> int | None:
        for pattern, (code, until) in list(self._failures.items()):
            if fnmatch(name, pattern) and time.monotonic() < until:
                return code
        return None


def _question(query: bytes) -> tuple[str, int, int]:
    labels, at = [], 12
    while length := query[at]:
        labels.append(query[at + 1 : at + 1 + length].decode("ascii"))
        at += 1 + length
    (kind,) = struct.unpack_from("!H", query, at + 1)
    return ".".join(labels).lower(), kind, at + 5


def _reply(query: bytes, end: int, code: int, address: str | None = None) -> bytes:
    flags = 0x8180 | code  # response, recursion desired and available
    questions = 1 if end > 12 else 0
    header = query[:2] + struct.pack("!HHHHH", flags, questions, 1 if address else 0, 0, 0)
    answer = b""
    if address:
        answer = struct.pack("!HHHIH", 0xC00C, A, 1, 5, 4) + socket.inet_aton(address)
    return header + query[12:end] + answer


def _forward(query: bytes, tcp: bool) -> bytes | None:
    """Ask the host's nameservers, from the host's own network."""
    for server in _nameservers():
        try:
            if tcp:
                with socket.create_connection((server, 53), timeout=5) as upstream:
                    upstream.sendall(struct.pack("!H", len(query)) + query)
                    return _read_framed(upstream)
            family = socket.AF_INET6 if ":" in server else socket.AF_INET
            with socket.socket(family, socket.SOCK_DGRAM) as upstream:
                upstream.settimeout(3)
                upstream.connect((server, 53))
                upstream.send(query)
                return upstream.recv(65535)
        except OSError:
            continue
    return None


def _nameservers() -> list[str]:
    lines = (line.split() for line in Path("/etc/resolv.conf").read_text().splitlines())
    return [words[1] for words in lines if len(words) > 1 and words[0] == "nameserver"]


def _read_framed(connection: socket.socket) -> bytes:
    def exactly(size: int) -> bytes:
        data = b""
        while len(data) < size:
            part = connection.recv(size - len(data))
            if not part:
                return b""
            data += part
        return data

    prefix = exactly(2)
    return exactly(struct.unpack("!H", prefix)[0]) if prefix else b""
