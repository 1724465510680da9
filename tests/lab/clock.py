"""The time as the world around a machine has it; the machine's own clock is the host's."""

import time


class Clock:
    def __init__(self) -> None:
        self.offset = 0.0  # seconds ahead of the machine

    def time(self) -> float:
        return time.time() + self.offset
