"""The world's only HTTPS endpoint: the Host header says who answers."""

import ssl
from collections.abc import Callable
from fnmatch import fnmatch

from . import authority
from .clock import Clock
from .http_server import HttpServer, Request, Response
from .namespace import GATEWAY, Namespace


class Front:
    """`certificate` may be set to "untrusted" while the machine runs, and `untrusted` holds the names for which it is so."""

    def __init__(self, namespace: Namespace, clock: Clock) -> None:
        self.certificate = "trusted"
        self.untrusted: set[str] = set()
        self.hosts: dict[str, Callable[[Request], Response]] = {}
        self._contexts = {name: authority.context(name) for name in authority.AUTHORITIES}
        self._contexts["trusted"].sni_callback = self._choose
        self._server = HttpServer(
            namespace, GATEWAY, 443, self._respond, lambda: self._contexts[self.certificate], clock
        )

    def start(self) -> None:
        self._server.start()

    def stop(self) -> None:
        self._server.stop()

    def _choose(self, connection: ssl.SSLSocket, name: str | None, _: ssl.SSLContext) -> None:
        if name in self.untrusted:
            connection.context = self._contexts["untrusted"]

    def _respond(self, request: Request) -> Response:
        for pattern, respond in self.hosts.items():
            if fnmatch(request.host, pattern):
                return respond(request)
        return Response(421, b"this host is not in the lab\n")
