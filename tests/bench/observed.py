"""What is read off a machine from outside, in the same way whatever boots it: clocks, memory, disk, the first answer."""

import calendar
import http.client
import os
import re
import threading
import time
from pathlib import Path

from figures import durations, timeline
from lab import Machine
from lab.machine import CLOUD_INIT_OUTPUT
from lab.namespace import call_in
from run import Peaks, Run

PERIOD = 0.02  # of the poller and of the search for the start
SAMPLE = 0.1  # of the memory: reading it takes time from the machine that is measured
SCRIPT = "/var/lib/cloud/instance/scripts/part-001"
CLOUD_INIT_LOG = "/var/log/cloud-init.log"
CLOUD_INITS_OWN = ("ci-info", "Cloud-init", "No ", "20")  # beginnings of what cloud-init adds to a script's output
TICKS = os.sysconf("SC_CLK_TCK")
# The agent's steps as a script would call them; all else is `look` or `start`.
ROWS = {"runtime": "packages", "pm2": "packages", "packages": "packages", "checkout": "source", "install": "install"}


def user_data_times(log: str) -> tuple[float | None, float | None]:
    """When cloud-init started the script and when it was done with it, by its own log. Its clock is the host's."""
    started = re.search(rf"^(\S+ \S+) - subp.py\[DEBUG\]: Running command \['{SCRIPT}'\]", log, re.MULTILINE)
    ended = re.search(r"^(\S+ \S+) - handlers.py\[DEBUG\]: finish: modules-final/config-scripts.user:", log, re.MULTILINE)
    return _moment(started), _moment(ended)


def _moment(line: re.Match | None) -> float | None:
    if line is None:
        return None
    day, _, milliseconds = line[1].partition(",")
    return calendar.timegm(time.strptime(day, "%Y-%m-%d %H:%M:%S")) + int(milliseconds) / 1000


def bash_marks(output: str) -> list[tuple[float, str]]:
    """The lines by which our scripts say what they begin."""
    return [(float(at), name) for at, name in re.findall(r"^== (\d+\.\d+) (\w+)$", output, re.MULTILINE)]


def journal_steps(machine: Machine) -> list[tuple[float, float, str]]:
    """(start, end, step) of all that the agent changed, from its entries in the journal."""
    found = []
    for entry in machine.journal(SYSLOG_IDENTIFIER="bootagent"):
        if "BOOTAGENT_STEP" in entry and "BOOTAGENT_DURATION_MS" in entry:
            end = int(entry.get("_SOURCE_REALTIME_TIMESTAMP", entry["__REALTIME_TIMESTAMP"])) / 1e6
            found.append((end - int(entry["BOOTAGENT_DURATION_MS"]) / 1000, end, entry["BOOTAGENT_STEP"]))
    return found


def tell_marks(run: Run, output: str, since: float, first_200: float) -> None:
    marks = [(max(at, since), name) for at, name in bash_marks(output) if name != "done"]
    run.steps = durations(marks, first_200)


def tell_steps(run: Run, steps: list[tuple[float, float, str]], since: float, first_200: float) -> None:
    """The agent's many steps as the few that a script has: from the end of the installation on, all is `start`; from the
    start of the service on, where nothing was fetched or installed."""
    rows = [(begin, end, ROWS[name]) for begin, end, name in steps if name in ROWS]
    rows = rows or [step for step in steps if step[2] == "start"]
    run.steps = durations(timeline(rows, since, between="look", after="start"), first_200)
    (gate,) = [(begin, end) for begin, end, name in steps if name == "health-check"]
    run.gate, run.soak = gate[1] - gate[0], gate[1] - first_200


def monotonic(machine: Machine, of: str, unit: str = "") -> float:
    """The moment of one of systemd's timestamps, of its own or of a unit; its clock is the host's. 0 if there was none."""
    said = machine.check(["systemctl", "show", f"--property={of}TimestampMonotonic", "--value", *filter(None, [unit])])
    return int(said) / 1e6 + time.time() - time.monotonic() if int(said) else 0.0


def wait_for_start(machine: Machine, timeout: float = 120) -> float:
    """The moment at which cloud-init starts the user-data, told a moment later."""
    log = machine.root / CLOUD_INIT_LOG.lstrip("/")
    end = time.monotonic() + timeout
    while time.monotonic() < end:
        if log.exists() and (started := user_data_times(log.read_text(errors="replace"))[0]):
            return started
        time.sleep(PERIOD)
    raise RuntimeError(f"cloud-init did not start the user-data within {timeout:g} s\n{machine.console_tail()}")


def wait_for_answer(machine: Machine, namespace: str, port: int, path: str, timeout: float) -> float:
    """The moment of the first 200, asked for from the machine's network and not from the machine."""

    def poll() -> float:
        end = time.monotonic() + timeout
        while time.monotonic() < end:
            began = time.monotonic()
            if _answers(machine.instance.address, port, path):
                return time.time()
            if why := _given_up(machine):
                raise RuntimeError(why)
            time.sleep(max(0.0, PERIOD - (time.monotonic() - began)))
        raise RuntimeError(f"no 200 from {path} within {timeout:g} s")

    return call_in(namespace, poll)


def _answers(address: str, port: int, path: str) -> bool:
    connection = http.client.HTTPConnection(address, port, timeout=5)
    try:
        connection.request("GET", path)
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def _given_up(machine: Machine) -> str:
    """What the script said last, if cloud-init has seen it fail."""
    written = machine.root / CLOUD_INIT_LOG.lstrip("/")
    log = written.read_text(errors="replace") if written.exists() else ""
    failed = re.search(rf"^Command: \['{SCRIPT}'\]\nExit code: (-?\d+)", log, re.MULTILINE)
    if failed is None:
        return ""
    output = (machine.root / CLOUD_INIT_OUTPUT.lstrip("/")).read_text(errors="replace")
    said = [line for line in output.splitlines() if line and not line.startswith(CLOUD_INITS_OWN)]
    return "\n".join([f"the user-data ended with {failed[1]}: {headline(said)}", *said[-6:]])


def headline(said: list[str]) -> str:
    """bootagent's error, which stands in one line; else whatever was said last."""
    return next((line for line in said if re.search(r"\bE-[A-Z]", line)), said[-1] if said else "not a word")


class Memory:
    """Samples the machine's processes that began after the user-data did, until told to stop."""

    def __init__(self, machine: Machine, since: float, runtime: str) -> None:
        self.peaks = Peaks()
        self._runtime = runtime
        self._machine = machine
        self._since = since - (time.time() - time.clock_gettime(time.CLOCK_BOOTTIME)) - 2 / TICKS
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> "Memory":
        self._thread.start()
        return self

    def __exit__(self, *_) -> None:
        self._over.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._over.wait(SAMPLE):
            self._sample()

    def _sample(self) -> None:
        everything = tools = 0
        for process in (Path(f"/proc/{pid}") for pid in self._machine.pids()):
            try:
                program = os.path.basename(os.readlink(process / "exe"))
                if _began(process) < self._since:
                    continue
                share = _kilobytes(process / "smaps_rollup", "Pss")
                highest = _kilobytes(process / "status", "VmHWM")
                agent = program == "bootagent" and _arguments(process)[:1] == ["run"]
            except (OSError, ValueError):
                continue  # it has ended
            everything += share
            tools += 0 if program == self._runtime else share
            self.peaks.programs[program] = max(self.peaks.programs.get(program, 0), highest)
            if agent:
                self.peaks.agent = max(self.peaks.agent, highest)
        self.peaks.all = max(self.peaks.all, everything)
        self.peaks.tools = max(self.peaks.tools, tools)


def _arguments(process: Path) -> list[str]:
    return (process / "cmdline").read_text().rstrip("\0").split("\0")[1:]


def _began(process: Path) -> float:
    """Seconds after the host's boot."""
    return int((process / "stat").read_text().rpartition(")")[2].split()[19]) / TICKS


def _kilobytes(file: Path, name: str) -> int:
    value = re.search(rf"^{name}:\s+(\d+) kB$", file.read_text(), re.MULTILINE)
    if value is None:
        raise ValueError(f"{file} has no {name}")
    return int(value[1]) * 1024


def disk_used(directory: Path) -> int:
    """Bytes in use on the memory that serves as the machine's disk."""
    disk = os.statvfs(directory)
    return (disk.f_blocks - disk.f_bfree) * disk.f_frsize
