"""Asks the service again and again while a test does something to it."""

import threading
import time

from lab import Machine

EVERY = 0.02  # seconds


class Poller:
    """From outside of the machine's processes, for as long as the `with` lasts. `failures` has what was not a good answer,
    and when, in seconds from the beginning."""

    def __init__(self, machine: Machine, path: str = "/health", port: int = 3000) -> None:
        self.asked = 0
        self.failures: list[tuple[float, str]] = []
        self._url, self._machine = f"http://127.0.0.1:{port}{path}", machine
        self._stop, self._thread = threading.Event(), threading.Thread(target=self._ask, daemon=True)

    def __enter__(self) -> "Poller":
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._stop.set()
        self._thread.join(30)
        assert not self._thread.is_alive(), "a question is still not answered"

    def _ask(self) -> None:
        began = time.monotonic()
        while not self._stop.wait(EVERY):
            self.asked += 1
            try:
                answer = self._machine.http(self._url, timeout=5)
                said = "" if answer.status == 200 else f"answered {answer.status}"
            except OSError as error:
                said = repr(error)
            if said:
                self.failures.append((round(time.monotonic() - began, 2), said))
