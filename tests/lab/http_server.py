"""The HTTP server under IMDS, git and AWS: threads, whole-body requests, streamed responses, a request log."""

import socket
import ssl
import struct
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import unquote, urlsplit

from .clock import Clock
from .namespace import Namespace

BODY_LIMIT = 64 << 20


class Disconnect(Exception):
    """Raised by a response's body: drop the connection where it stands."""


class Reset(Disconnect):
    """The same, by a reset instead of an orderly end."""


def reset_on_close(connection: socket.socket) -> None:
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))


@dataclass
class Request:
    method: str
    target: str
    headers: Message
    body: bytes
    client: str

    @property
    def path(self) -> str:
        return unquote(urlsplit(self.target).path)

    @property
    def query(self) -> str:
        return urlsplit(self.target).query

    @property
    def host(self) -> str:
        return (self.headers.get("Host") or "").partition(":")[0].lower()


@dataclass
class Response:
    status: int
    body: bytes | Iterable[bytes] = b""
    headers: dict[str, str] = field(default_factory=dict)


class HttpServer:
    """Listens in the namespace from `start` to `stop`; may be stopped and started again (refused in between)."""

    def __init__(
        self,
        namespace: Namespace,
        address: str,
        port: int,
        respond: Callable[[Request], Response],
        tls: Callable[[], ssl.SSLContext] | None = None,
        clock: Clock | None = None,
    ) -> None:
        self._namespace, self._address, self._port = namespace, address, port
        self._respond, self._tls, self._clock = respond, tls, clock or Clock()
        self._server: _Server | None = None
        self._lock = threading.Lock()

    def start(self) -> None:
        with self._lock:
            if self._server is None:
                self._server = _Server(
                    self._namespace.listen(self._address, self._port), self._respond, self._tls, self._clock
                )

    def stop(self) -> None:
        with self._lock:
            if self._server is not None:
                self._server.stop()
                self._server = None


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, listener: socket.socket, respond, tls, clock: Clock) -> None:
        super().__init__(("", 0), _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.respond, self.tls, self.clock = respond, tls, clock
        self._open: set[socket.socket] = set()
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()

    def stop(self) -> None:
        self.shutdown()
        self.server_close()
        for connection in list(self._open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def finish_request(self, request: socket.socket, client_address) -> None:
        # In the connection's own thread: a slow handshake delays no other connection.
        if self.tls:
            request.settimeout(30)
            request = self.tls().wrap_socket(request, server_side=True)
        self._open.add(request)
        try:
            super().finish_request(request, client_address)
        finally:
            self._open.discard(request)
            request.close()

    def handle_error(self, request, client_address) -> None:
        pass  # a client that went away, or one that refused our certificate, is an ordinary event here


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server_version = "EC2ws"
    sys_version = ""
    wbufsize = -1  # one write per response: small unbuffered writes cost a delayed ACK each
    disable_nagle_algorithm = True
    timeout = 600
    server: _Server

    def __getattr__(self, name: str):
        if name.startswith("do_"):
            return self._answer
        raise AttributeError(name)

    def date_time_string(self, timestamp: float | None = None) -> str:
        return super().date_time_string(self.server.clock.time() if timestamp is None else timestamp)

    def log_message(self, *_) -> None:
        pass

    def _answer(self) -> None:
        body = self._body()
        if body is None:
            return
        response = self.server.respond(
            Request(self.command, self.path, self.headers, body, self.client_address[0])
        )
        try:
            self._send(response)
        except Disconnect as how:
            self.wfile.flush()
            self.close_connection = True
            if isinstance(how, Reset):
                reset_on_close(self.connection)

    def _body(self) -> bytes | None:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            parts = []
            while size := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
            return b"".join(parts)
        length = int(self.headers.get("Content-Length") or 0)
        if length > BODY_LIMIT:
            self.send_error(413)
            return None
        return self.rfile.read(length)

    def _send(self, response: Response) -> None:
        if response.status == 0:
            raise Disconnect
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        if isinstance(response.body, bytes):
            if "Content-Length" not in response.headers:
                self.send_header("Content-Length", str(len(response.body)))
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(response.body)
            return
        chunked = "Content-Length" not in response.headers
        if chunked:
            self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for part in response.body if self.command != "HEAD" else ():
            if part:
                self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part) if chunked else part)
                self.wfile.flush()
        if chunked and self.command != "HEAD":
            self.wfile.write(b"0\r\n\r\n")

