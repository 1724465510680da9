"""The world's only HTTPS endpoint: the Host header says whether git or AWS answers."""

import ssl

from . import authority
from .aws import Aws
from .git_server import GitServer
from .http_server import HttpServer, Request, Response
from .namespace import GATEWAY, Namespace


class Front:
    """`certificate` may be set to "untrusted" while the machine runs."""

    def __init__(self, namespace: Namespace, git: GitServer, aws: Aws) -> None:
        self._git, self._aws = git, aws
        self.certificate = "trusted"
        self._contexts = {name: authority.context(name) for name in ("trusted", "untrusted")}
        self._server = HttpServer(namespace, GATEWAY, 443, self._respond, self._context)

    def start(self) -> None:
        self._server.start()

    def stop(self) -> None:
        self._server.stop()

    def _context(self) -> ssl.SSLContext:
        return self._contexts[self.certificate]

    def _respond(self, request: Request) -> Response:
        if request.host in authority.GIT_HOSTS:
            return self._git.respond(request)
        if request.host.endswith(".amazonaws.com"):
            return self._aws.respond(request)
        return Response(421, b"this host is not in the lab\n")
