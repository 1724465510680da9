"""A client of the world's HTTPS servers on the host's side of the namespace, for tests."""

import http.client
import ssl

from . import authority
from .namespace import GATEWAY, Namespace


def https(
    namespace: Namespace, host: str, method: str, path: str, body: bytes = b"", **headers: str
) -> tuple[int, bytes]:
    """An underscore in a header's name stands for a dash."""
    context = ssl.create_default_context(cafile=str(authority.directory() / "ca.pem"))
    connection = http.client.HTTPSConnection(host, timeout=10)
    connection.sock = context.wrap_socket(namespace.connect(GATEWAY, 443, 10), server_hostname=host)
    try:
        connection.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
        answer = connection.getresponse()
        return answer.status, answer.read()
    finally:
        connection.close()
