"""A server of files, as an operator's own download host: https://downloads.acme.test/NAME."""

import time
from collections.abc import Iterator

from .faults import Faulty, logged
from .http_server import Request, Response

HOST = "downloads.acme.test"


class Downloads(Faulty):
    """`files` by name. Besides the knobs of Faulty: `slow`, a byte every fifth of a second."""

    def __init__(self) -> None:
        super().__init__()
        self.files: dict[str, bytes] = {}
        self.slow = False
        self.log: list[dict] = []

    def respond(self, request: Request) -> Response:
        name = request.path.lstrip("/")
        fault = self.next_fault(name)
        response = self.instead(fault, f"/{name}")
        if response is None:
            found = self.files.get(name)
            response = Response(404, b"no such file\n") if found is None else self.spoil(fault, self._body(found))
        self.log.append(logged(request, fault, response))
        return response

    def _body(self, content: bytes) -> Response:
        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(len(content))}
        return Response(200, self._trickle(content) if self.slow else content, headers)

    def _trickle(self, content: bytes) -> Iterator[bytes]:
        for byte in content:
            yield bytes([byte])
            time.sleep(0.2)
