"""The ways in which a server of the lab fails on demand, the same for all of them."""

import socket
import threading
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatch

from .http_server import Disconnect, Request, Reset, Response, reset_on_close

STALL_LIMIT = 600
PAGE = b"<!DOCTYPE html>\n<html><body><h1>We will be back soon</h1></body></html>\n"


@dataclass
class Fault:
    """One way to fail. `times` is how often (None: until healed); `after` counts bytes of the response's body."""

    kind: str  # status, page, stall, truncate, reset, redirect
    times: int | None = None
    status: int = 503
    after: int = 0
    location: str = ""
    only: str = "*"  # a pattern of what is asked for


def logged(request: Request, fault: Fault | None, response: Response) -> dict:
    """What a server's log has of one request."""
    return {
        "time": time.time(), "client": request.client, "host": request.host, "method": request.method,
        "path": request.target, "status": response.status, "fault": fault.kind if fault else None,
        "user_agent": request.headers.get("User-Agent", ""),
    }  # fmt: skip


class Faulty:
    """One fault at a time; the last that was set counts."""

    ONLY_BODY = "*"  # what is stalled or cut when a test doesn't say

    def __init__(self) -> None:
        self.fault: Fault | None = None
        self._released = threading.Event()  # ends a stall
        self._fault_lock = threading.Lock()

    def fail(self, status: int = 503, times: int | None = None, only: str = "*") -> None:
        self.fault = Fault("status", times, status=status, only=only)

    def page(self, times: int | None = None, only: str = "*") -> None:
        """Answer 200 with an HTML page, as a server does that is being maintained."""
        self.fault = Fault("page", times, only=only)

    def stall(self, after: int = 0, times: int | None = None, only: str = "") -> None:
        """Send that many bytes of the body, and then nothing; the connection stays open."""
        self._released.clear()
        self.fault = Fault("stall", times, after=after, only=only or self.ONLY_BODY)

    def truncate(self, after: int = 0, times: int | None = None, only: str = "") -> None:
        self.fault = Fault("truncate", times, after=after, only=only or self.ONLY_BODY)

    def reset(self, after: int = 0, times: int | None = None, only: str = "") -> None:
        self.fault = Fault("reset", times, after=after, only=only or self.ONLY_BODY)

    def redirect(self, location: str, times: int | None = None) -> None:
        """Send clients to another base, such as https://git.acme.test/acme/renamed.git"""
        self.fault = Fault("redirect", times, location=location)

    def heal(self) -> None:
        self.fault = None
        self.release()

    def release(self) -> None:
        """Release the stalled connections."""
        self._released.set()

    def next_fault(self, asked: str) -> Fault | None:
        with self._fault_lock:
            fault = self.fault
            if fault is None or not fnmatch(asked, fault.only):
                return None
            if fault.times is not None:
                if fault.times <= 0:
                    return None
                fault.times -= 1
            return fault

    def instead(self, fault: Fault | None, rest: str = "") -> Response | None:
        """What is answered without looking any further; `rest` is what a redirection appends to its base."""
        match fault:
            case Fault(kind="status"):
                return Response(fault.status, b"lab fault\n", {"Retry-After": "1"})
            case Fault(kind="page"):
                return Response(200, PAGE, {"Content-Type": "text/html; charset=utf-8"})
            case Fault(kind="redirect"):
                return Response(301, b"", {"Location": fault.location + rest})
        return None

    def hold(self, fault: Fault, connection: socket.socket) -> None:
        """A connection that comes to nothing."""
        if fault.kind == "stall":
            self._released.wait(STALL_LIMIT)
        if fault.kind == "reset":
            reset_on_close(connection)
        else:
            connection.settimeout(1)
            connection.shutdown(socket.SHUT_WR)
            try:
                connection.recv(4096)  # what came and is not read would make a reset of the end
            except OSError:
                pass

    def cut(self, fault: Fault | None, body: Iterable[bytes]) -> Iterator[bytes]:
        """The body, as far as the fault lets it through."""
        sent = 0
        for part in body:
            if fault and sent + len(part) > fault.after:
                yield part[: fault.after - sent]
                if fault.kind == "stall":
                    self._released.wait(STALL_LIMIT)
                raise Reset if fault.kind == "reset" else Disconnect
            yield part
            sent += len(part)

    def spoil(self, fault: Fault | None, response: Response) -> Response:
        """The response with its body cut; its headers promise the whole."""
        if fault is None:
            return response
        body, headers = response.body, dict(response.headers)
        if isinstance(body, bytes):
            headers.setdefault("Content-Length", str(len(body)))
            body = [body]
        return Response(response.status, self.cut(fault, body), headers)
