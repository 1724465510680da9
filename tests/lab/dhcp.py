"""The VPC's DHCP server: one subnet, one instance, one lease. cloud-init asks it before the network is up."""

import socket
import struct
import threading
from collections.abc import Callable

from .namespace import GATEWAY, PREFIX, Namespace, call_in

DISCOVER, OFFER, REQUEST, ACK = 1, 2, 3, 5
COOKIE = b"\x63\x82\x53\x63"
LEASE = 3600


class Dhcp:
    def __init__(self, namespace: Namespace, lease: Callable[[str], str]) -> None:
        """`lease` is told the client's hardware address and gives its IP address."""
        self._namespace, self._lease = namespace, lease
        self._socket: socket.socket | None = None

    def start(self) -> None:
        def bound() -> socket.socket:
            made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
            made.setsockopt(socket.SOL_SOCKET, socket.SO_BINDTODEVICE, b"br0")
            made.bind(("", 67))
            return made

        self._socket = call_in(self._namespace.path, bound)
        threading.Thread(target=self._serve, args=(self._socket,), daemon=True).start()

    def stop(self) -> None:
        if self._socket:
            try:
                self._socket.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass
            self._socket.close()

    def _serve(self, listener: socket.socket) -> None:
        while True:
            try:
                query = listener.recv(2048)
                if not query:
                    return
                if reply := self._answer(query):
                    listener.sendto(reply, ("255.255.255.255", 68))
            except OSError:
                return

    def _answer(self, query: bytes) -> bytes | None:
        kinds = {DISCOVER: OFFER, REQUEST: ACK}
        kind = kinds.get(_option(query, 53, b"\0")[0])
        if kind is None or query[236:240] != COOKIE:
            return None
        server, address = socket.inet_aton(GATEWAY), socket.inet_aton(self._lease(query[28:34].hex(":")))
        mask = struct.pack("!I", (0xFFFFFFFF << (32 - PREFIX)) & 0xFFFFFFFF)
        options = {53: bytes([kind]), 54: server, 51: struct.pack("!I", LEASE), 1: mask, 3: server, 6: server}
        # BOOTREPLY to the client's transaction and flags: ciaddr none, yiaddr, siaddr, giaddr none, its chaddr.
        header = b"\x02" + query[1:12] + bytes(4) + address + server + bytes(4) + query[28:44] + bytes(192)
        encoded = b"".join(bytes([number, len(value)]) + value for number, value in options.items())
        return header + COOKIE + encoded + b"\xff"


def _option(query: bytes, wanted: int, default: bytes) -> bytes:
    at = 240
    while at + 1 < len(query) and query[at] != 255:
        if query[at] == 0:
            at += 1
            continue
        length = query[at + 1]
        if query[at] == wanted:
            return query[at + 2 : at + 2 + length] or default
        at += 2 + length
    return default
