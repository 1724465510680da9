"""Takes no requests: it notes that it lives, a line each time, until it is told to end."""

import os
import signal
import time
from pathlib import Path

from dotenv import load_dotenv

load_dotenv()
beats = Path(os.environ["HOME"]) / "beats"
told = []
signal.signal(signal.SIGTERM, lambda *_: told.append("SIGTERM"))
while not told:
    with open(beats, "a") as file:
        print(os.getpid(), os.environ.get("NAME", ""), file=file)
    time.sleep(0.1)
with open(beats, "a") as file:
    print(os.getpid(), "ended", file=file)
