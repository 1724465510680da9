"""One machine on which many runs fail, one after the other, and what each failure must come to."""

import itertools
import re
import time
from pathlib import Path

import looks
import services
from lab import Machine, Repository, Result, World
from lab.git_repository import Files
from lab.world import may

REPOSITORY = "https://github.com/acme/{service}.git"
POLICY = "/etc/bootagent/policy.toml"
STATUS = "/run/bootagent/status.json"
SECRETS = "secretsmanager.eu-west-1.amazonaws.com"
GIT = "github.com"
# What a run may take beyond the time that it was given to wait, on a busy host.
MARGIN = 25.0

# Wherever a run may leave something. When it fails it may have written its status, and have seen to it that it runs
# again at the next boot with the same flags; nothing else.
PLACES = ["/etc", "/opt", "/run/bootagent", "/tmp", "/usr/local/bin", "/var/cache", "/var/lib", "/var/tmp"]
WRITTEN = re.compile(
    "/run/bootagent(/status.json|/output.json|/run.lock)?"
    "|/etc/systemd/system/(multi-user.target.wants/)?bootagent.service"
    "|/var/lib/bootagent(/instances(/i-[0-9a-f]+(/policy.toml)?)?)?"
)


def run(machine: Machine, *flags: str, repository: str | None = REPOSITORY) -> Result:
    """bootagent run, on a machine that has booted."""
    where = ["--repository", repository] if repository else []
    return machine.run(["bootagent", "run", *where, *flags], timeout=180)


def serving(world: World, binary: Path, files: Files | None = None, *flags: str, **values: str) -> Machine:
    """A machine on which the service is healthy: of these files, or one that talks, with these values in its secret."""
    world.repo(looks.SERVICE).commit("test", services.talking() if files is None else files)
    looks.secret(world, **(values or {"TOKEN": "t"}))
    machine = world.launch(binary=binary)
    first = run(machine, *flags)
    assert first.code == 0, first.stderr
    return machine


def assert_failed(
    machine: Machine,
    result: Result,
    exit: int,
    codes: str | list[str],
    *names: str,
    status: tuple[int, str] | None = None,
) -> dict:
    """The run failed as documented, said why in its first line, and what to do; the status says the same. With exit 2 what
    passed before serves, and the status is degraded; else nothing serves, unless `status` says so.

    Several codes where it is a matter of moments which one is seen."""
    expected = status or ((4, "degraded") if exit == 2 else (1, "failed"))
    asked = machine.run(["bootagent", "status", "--output", "json"])
    told = f"\n--- run: exit {result.code}\n{result.stdout}{result.stderr}"
    told += f"\n--- status: exit {asked.code}\n{asked.stdout}"
    assert result.code == exit, f"exit status {result.code}, not {exit}{told}"
    said = looks.flat(asked.json())
    assert (asked.code, said["state"]) == expected, f"status of a failed run{told}"
    error = said["last_run"]["error"]
    code = error["code"]
    assert code in ([codes] if isinstance(codes, str) else codes), f"not {codes}{told}"
    first_line = f"{error['doing']}: {': '.join(error['causes'])}".splitlines()[0]
    missing = [name for name in names if name not in first_line]
    assert not missing, f"the first line names no {missing}: {first_line}{told}"
    assert error["remedy"], f"no remedy{told}"
    for word in (code, error["remedy"].splitlines()[0]):
        assert word in result.stderr, f"the run itself did not say {word!r}{told}"
    entries = machine.journal(BOOTAGENT_RUN_ID=said["run_id"], BOOTAGENT_CODE=code)
    assert entries, f"the journal has no entry with BOOTAGENT_CODE={code}{told}"
    return said


def assert_refused(machine: Machine, before: Result, result: Result, *names: str) -> None:
    """It was not a run: a usage error, told on standard error and in the journal, and the status is what it was."""
    assert result.code == 64 and "[E-USAGE]" in result.stderr, f"exit {result.code}\n{result.stderr}"
    missing = [name for name in names if name not in result.stderr]
    assert not missing, f"no {missing} in {result.stderr}"
    assert "is FAILED" not in result.stderr, result.stderr
    now = machine.run(["cat", STATUS])
    assert (now.code, now.stdout) == (before.code, before.stdout), "the status was touched"


class Stage:
    """A world and its one machine. Tests break what they like, and `heal` puts it right."""

    def __init__(self, world: World, binary: Path, **launch) -> None:
        self.world = world
        self.credentials = world.role([may("secretsmanager:GetSecretValue", "*")])
        self._numbers = itertools.count(1)
        self.machine = world.launch(binary=binary, **launch)
        self.machine.check(["/lib/systemd/systemd-networkd-wait-online", "--timeout=60"])
        self.heal()

    def heal(self) -> None:
        world = self.world
        world.tags = {"bootagent:service": "auth-service", "bootagent:environment": "test"}
        world.front.certificate, world.front.untrusted = "trusted", set()
        for name in (SECRETS, GIT):
            world.dns.forget(name)
            world.reachable(name)
        world.imds.start()
        world.imds.delay, world.imds.token_uses = 0, None
        world.instance.type = "t3.small"
        world.imds.tags_on = True
        world.imds.tags_after(0)
        world.imds.fail(0)
        world.imds.credentials = lambda: self.credentials
        world.imds.role_after(0)
        world.aws.heal()
        world.aws.allow("instance", [may("secretsmanager:GetSecretValue", "*")])
        # A service of an earlier test must not count as the former service of the next one.
        self.machine.run(["systemctl", "stop", "svc-*.service"])
        # No later try comes between the next tests.
        self.machine.run(["systemctl", "stop", "bootagent-retry.timer", "bootagent.service"])
        # What a run wrote that should have failed must not decide the next test, too.
        self.machine.check(["rm", "-rf", POLICY, "/var/lib/bootagent/instances"])

    def serve(self, files: Files, branch: str = "test", secret: str | bytes | None = '{"TOKEN":"t"}') -> str:
        """A new service of these files, chosen by the tags; its name."""
        name = f"svc-{next(self._numbers)}"
        self.world.repo(name).commit(branch, files)
        if secret is not None:
            self.world.secret(f"service_env_{name}_test", secret)
        self.world.tags["bootagent:service"] = name
        return name

    @property
    def repository(self) -> Repository:
        return self.world.repo(self.world.tags["bootagent:service"])

    def run(self, *flags: str, wait: str = "3s", repository: str | None = REPOSITORY) -> Result:
        return run(self.machine, "--imds-wait", wait, *flags, repository=repository)

    def plan(self, *flags: str, wait: str = "20s") -> dict:
        """The plan of a dry run, which must succeed and change nothing."""
        before = self._files()
        result = self.run("--dry-run", "--output", "json", *flags, wait=wait)
        assert result.code == 0, f"exit {result.code}\n{result.stdout}{result.stderr}"
        difference = _difference(before, self._files())
        assert not difference, f"a dry run changed {difference}"
        return result.json()

    def refuses(
        self,
        exit: int,
        code: str,
        *names: str,
        flags: tuple[str, ...] = (),
        repository: str | None = REPOSITORY,
        within: float = 5,
    ) -> Result:
        """A run that fails before it has a plan, and in time: the machine is what it was."""
        before, began = self._files(), time.monotonic()
        result = self.run(*flags, repository=repository)
        took = time.monotonic() - began
        assert took < within + MARGIN, f"it took {took:.0f} s, not {within:g}\n{result.stderr}"
        assert_failed(self.machine, result, exit, code, *names)
        difference = _difference(before, self._files())
        assert not difference, f"left behind: {difference}\n{result.stderr}"
        listed = self.machine.run(["systemctl", "list-units", "--all", "--no-legend", "bootagent-*"]).stdout
        # While nothing serves, it is tried again in five minutes.
        units = [line for line in listed.splitlines() if "bootagent-retry." not in line]
        assert not units, f"left behind: {units}\n{result.stderr}"
        return result

    def _files(self) -> dict[str, list]:
        """A file is not written, replaced or given away without its time of change. In a directory names may come and go."""
        found = looks.files(self.machine, *PLACES)
        return {path: what[:4] if what[0] == "d" else what for path, what in found.items()}


def _difference(before: dict, after: dict) -> list[str]:
    paths = [path for path in before.keys() | after.keys() if before.get(path) != after.get(path)]
    return sorted(path for path in paths if not WRITTEN.fullmatch(path))
