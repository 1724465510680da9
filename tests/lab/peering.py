"""A way from one world into another, as between two machines of a VPC: the router of one passes a port on to the other's machine."""

import socket
import threading

from .namespace import GATEWAY, Namespace
from .proxy import splice


class Peering:
    def __init__(self, here: Namespace, there: Namespace, address: str, port: int) -> None:
        self._there, self._to = there, (address, port)
        self._listener = here.listen(GATEWAY, port)
        threading.Thread(target=self._accept, daemon=True).start()

    def stop(self) -> None:
        try:
            self._listener.shutdown(socket.SHUT_RDWR)
        except OSError:
            pass
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client: socket.socket) -> None:
        with client:
            try:
                with self._there.connect(*self._to, 5) as machine:
                    splice(client, machine)
            except OSError:
                pass  # the machine is away, or one of the two hung up
