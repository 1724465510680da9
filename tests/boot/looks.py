"""What the tests look at: a world for several tests, the service's answers, traces on disk and in processes."""

import json
import time
from collections.abc import Iterator

import pytest
from lab import Machine, World
from lab.deadline import wait_for
from lab.fixtures import _WORLD

SERVICE = "auth-service"
CACHE = f"/var/cache/bootagent/{SERVICE}"
USER_DATA = "#!/bin/sh\nexec bootagent run --repository 'https://github.com/acme/{service}.git'\n"


@pytest.fixture(scope="class")
def shared(request: pytest.FixtureRequest) -> Iterator[World]:
    """A world for all tests of a class. When one of them fails, the world's evidence is kept."""
    with stage() as world:
        for item in request.session.items:
            if request.node in item.listchain():
                item.stash[_WORLD] = world
        yield world


def stage() -> World:
    """A world whose tags name auth-service in test."""
    world = World()
    world.tags = {"bootagent:service": SERVICE, "bootagent:environment": "test"}
    return world


def secret(world: World, environment: str = "test", **values: str) -> None:
    world.secret(f"service_env_{SERVICE}_{environment}", json.dumps(values))


# The service and the agent's word about it


def ask(machine: Machine, question: str):
    """The talking service's answer to a question such as "env"."""
    answer = machine.http(f"http://127.0.0.1:3000/{question}")
    assert answer.status == 200, f"/{question} answered {answer.status}: {answer.body}"
    return json.loads(answer.body)


def status(machine: Machine) -> tuple[int, dict]:
    """bootagent status: its exit status and what it says, with what the record of the last run says beside it, and the
    probe's words."""
    result = machine.run(["bootagent", "status", "--output", "json"])
    assert result.stdout, f"status says nothing: {result}"
    return result.code, flat(result.json())


def flat(view: dict) -> dict:
    """One dict of the view, which counts, and of the last run's record."""
    return (view["last_run"] or {}) | {"probe": (view["serves"] or {}).get("detail")} | view


def waited_for(machine: Machine) -> list[str]:
    """What the status says that the run waits for. A run notes that once a second, so what has just begun may be missing."""
    return [waiting["id"] for waiting in status(machine)[1].get("waiting", [])]


def wait_for_install(machine: Machine) -> str:
    """Until npm ci runs the script of a `lingering` service, and the status says that the run waits for that alone; npm's pid."""
    wait_for("npm ci to run", lambda: machine.exists(f"{CACHE}/lingers"), 60, evidence=machine.console_tail)
    wait_for("the status to say so", lambda: waited_for(machine) == ["install"], 60, evidence=machine.console_tail)
    return machine.read(f"{CACHE}/lingers")


def answers(machine: Machine, question: str):
    """The talking service's answer, or None as long as nothing listens."""
    try:
        return ask(machine, question)
    except OSError:
        return None


def wait_until_it_answers(machine: Machine) -> None:
    def well() -> bool:
        try:
            return machine.http("http://127.0.0.1:3000/health").status == 200
        except OSError:
            return False

    wait_for("the service to answer", well, 30, evidence=machine.console_tail)


def process(machine: Machine, unit: str = f"{SERVICE}.service") -> tuple[str, str, str]:
    """Which process of the unit runs: systemd's invocation, main pid, restarts."""
    shown = machine.systemctl_show(unit)
    return shown["InvocationID"], shown["MainPID"], shown["NRestarts"]


def releases(machine: Machine) -> list[str]:
    return machine.check(["ls", f"/opt/{SERVICE}/releases"]).split()


def current(machine: Machine) -> str:
    return machine.readlink(f"/opt/{SERVICE}/current").rpartition("/")[2]


def leftovers(machine: Machine) -> list[str]:
    """What a run must not leave: transient units, scratch, files under their unfinished names."""
    units = machine.check(["systemctl", "list-units", "--all", "--plain", "--no-legend", "bootagent-*"])
    found = machine.check(
        ["find", "/etc", "/opt", "/var", "/run", "-name", ".*.bootagent", "-o", "-path", "*bootagent-fetch*",
         "-o", "-path", "/run/systemd/transient/bootagent-*", "-o", "-path", "/run/systemd/system/bootagent-*"]
    )  # fmt: skip
    # A later try that was arranged is not a leftover: a run that succeeds takes it back.
    return [line for line in (units + found).splitlines() if line.strip() and "bootagent-retry." not in line]


# Traces on disk

_FILES = """
import json, os, stat, sys
seen = {}
def note(path):
    try: s = os.lstat(path)
    except OSError: return
    kind = stat.filemode(s.st_mode)[0]
    size, time = (0, s.st_mtime_ns) if kind == "d" else (s.st_size, s.st_ctime_ns)
    seen[path] = [kind, oct(stat.S_IMODE(s.st_mode)), s.st_uid, s.st_gid, size, s.st_ino, time]
for top in json.loads(sys.argv[1]):
    note(top)
    for directory, directories, files in os.walk(top):
        directories[:] = [name for name in directories if os.path.join(directory, name) not in json.loads(sys.argv[2])]
        for name in directories + files: note(os.path.join(directory, name))
print(json.dumps(seen))
"""


def files(machine: Machine, *tops: str, but: tuple[str, ...] = ()) -> dict[str, list]:
    """{path: [kind, mode, uid, gid, size, inode, when it changed]} of all below `tops`, without `but` and what is below those."""
    listed = machine.check(["python3", "-I", "-c", _FILES, json.dumps(tops), json.dumps(but)])
    return {path: what for path, what in json.loads(listed).items() if path not in but}


def difference(before: dict[str, list], after: dict[str, list]) -> list[str]:
    """What changed, a line each; empty when nothing did."""
    new = [f"new: {path}" for path in after.keys() - before.keys()]
    gone = [f"gone: {path}" for path in before.keys() - after.keys()]
    both = before.keys() & after.keys()
    changed = [f"changed: {path} {before[path]} -> {after[path]}" for path in both if before[path] != after[path]]
    return sorted(new + gone + changed)


# The machine as a whole, for comparing it with another one

OURS = ("/etc", "/opt", "/run/bootagent", "/usr/local/bin", "/var/lib", "/var/cache")

_MACHINE = """
import grp, hashlib, json, os, pwd, re, stat, sys
tops, hidden, unread, words = json.loads(sys.argv[1])
seen = {}
def plain(text):
    for word, stand_in in words: text = text.replace(word, stand_in)
    return text
def content(path, s):
    if stat.S_ISLNK(s.st_mode): return plain(os.readlink(path))
    if not stat.S_ISREG(s.st_mode) or re.fullmatch(unread, path): return ""
    with open(path, "rb") as file:
        if s.st_size > 1 << 20: return hashlib.file_digest(file, "sha256").hexdigest()
        return hashlib.sha256(plain(file.read().decode("latin-1")).encode()).hexdigest()
def name(number, names, field):
    try: return getattr(names(number), field)
    except KeyError: return str(number)
def note(path):
    s = os.lstat(path)
    owner = name(s.st_uid, pwd.getpwuid, "pw_name") + ":" + name(s.st_gid, grp.getgrgid, "gr_name")
    seen[plain(path)] = " ".join([stat.filemode(s.st_mode), owner, content(path, s)])
for top in tops:
    for directory, directories, files in os.walk(top):
        shown = lambda one: not re.fullmatch(hidden, os.path.join(directory, one))
        directories[:] = filter(shown, directories)
        for one in directories + list(filter(shown, files)): note(os.path.join(directory, one))
print(json.dumps(seen))
"""
# systemd's own, npm's cache and its logs; and what failed in this boot, which is remembered whatever comes after it.
_HIDDEN = f"/run/bootagent/[a-z-]+.failed|/var/lib/(systemd|cloud|dbus|apt|dpkg|ucf|pam)|{CACHE}/.*|/var/cache/(apt|debconf|ldconfig)"
# What tells when, as which process or which number: the order in which two users are made is not fixed.
_UNREAD = (
    "/run/bootagent/(status.json|output.json|[a-z-]+.(passed|handover))|/etc/(passwd|shadow|group|gshadow)-?|/etc/.*machine-id"
    "|/etc/hostname"
)


def places(machine: Machine, **words: str) -> dict[str, str]:
    """Wherever a run may leave something: paths with their modes, owners and bytes."""
    given = json.dumps([OURS, _HIDDEN, _UNREAD, _stand_ins(machine, words)])
    return json.loads(machine.check(["python3", "-I", "-c", _MACHINE, given]))


def _stand_ins(machine: Machine, words: dict[str, str]) -> list[tuple[str, str]]:
    return [(machine.instance.id, "INSTANCE"), *((word, name) for name, word in words.items())]


def whole(machine: Machine, **words: str) -> dict[str, str]:
    """Everything that another machine after the same runs must have, too: paths, modes, owners and bytes, units, what
    serves. `words` are told by their keywords: whole(machine, COMMIT="51d...")."""
    stand_ins = _stand_ins(machine, words)
    found = places(machine, **words)
    for unit in ("bootagent.service", f"{SERVICE}.service"):
        shown = machine.systemctl_show(unit)
        for name in ("ActiveState", "SubState", "UnitFileState", "Result", "NRestarts", "NeedDaemonReload"):
            found[f"{unit} {name}"] = shown[name]
    found["left over"] = " ".join(leftovers(machine))
    found["failed"] = machine.check(["systemctl", "--failed", "--plain", "--no-legend"])
    code, said = status(machine)
    found["status"] = f"{code} {said['state']} {said['commit']} {said['probe']}"
    for word, stand_in in stand_ins:
        found["status"] = found["status"].replace(word, stand_in)
    of_the_process = ("INVOCATION_ID", "JOURNAL_STREAM", "SYSTEMD_EXEC_PID")
    variables = {name: value for name, value in ask(machine, "env").items() if name not in of_the_process}
    found["environment"] = json.dumps(variables, sort_keys=True)
    return found


# Traces of a secret

_SEARCH = """
import base64, os, re, stat, subprocess, sys
word, since = sys.stdin.read().strip().encode(), float(sys.argv[1])
assert len(word) > 16, "too short to be found for certain"
forms = [word, word.hex().encode()] + [base64.b64encode(b"x" * shift + word)[4:-4] for shift in range(3)]
def holds(data): return any(form in data for form in forms)
def look(place, read):
    try: data = read()
    except OSError: return
    if holds(data): print(place)
def content(path):
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    with os.fdopen(fd, "rb") as file: return file.read()
for directory, directories, names in os.walk("/"):
    directories[:] = [name for name in directories if os.path.join(directory, name) not in ("/proc", "/sys")]
    for name in directories + names:
        path = os.path.join(directory, name)
        if holds(name.encode()): print("the name", path)
        try: seen = os.lstat(path)
        except OSError: continue
        # What was not touched since the secret came to be cannot hold it.
        if stat.S_ISREG(seen.st_mode) and seen.st_ctime >= since: look(path, lambda: content(path))
        if stat.S_ISLNK(seen.st_mode): look(path, lambda: os.readlink(path).encode())
for pid in filter(str.isdigit, os.listdir("/proc")):
    for what in ("cmdline", "environ"): look(f"/proc/{pid}/{what}", lambda: content(f"/proc/{pid}/{what}"))
for name, command in {
    "journal": "journalctl --all --output=export",
    "systemd": "systemctl show --all *",
    "status": "bootagent status --output json",
    "dry run": "bootagent --dry-run --repository https://github.com/acme/{service}.git",
}.items():
    look(name, lambda: (lambda done: done.stdout + done.stderr)(subprocess.run(command.split(), capture_output=True)))
"""


def search(world: World, machine: Machine, word: str, since: float) -> set[str]:
    """Every place in the machine, and in the logs around it, where `word` stands, plain or encoded."""
    found = set(machine.check(["python3", "-I", "-c", _SEARCH, str(since)], stdin=word, timeout=120).splitlines())
    around = {"console": machine.console(), "imds": world.imds.log, "git": world.git.log, "aws": world.aws.log}
    return found | {place for place, said in around.items() if word in json.dumps(said)}


def beginning() -> float:
    """Now, a little earlier: disks' clocks are coarse."""
    return time.time() - 2
