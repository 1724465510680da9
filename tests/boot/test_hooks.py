"""The operator's hooks: their order and variables, and what becomes of a run in which one fails."""

import json

import pytest
from looks import SERVICE, ask, current, leftovers, process, shared, status  # noqa: F401
from stage import REPOSITORY, assert_failed

import services

HOOKS = "/etc/bootagent/hooks"
SEEN = "/var/lib/seen"
# Says which hook it is, as which user it runs, and what it was given.
TELL = f"""#!/bin/sh
echo "$0 $(id -u) $BOOTAGENT_PHASE $BOOTAGENT_SERVICE $BOOTAGENT_ENVIRONMENT $BOOTAGENT_COMMIT $BOOTAGENT_ERROR" >> {SEEN}
env > {SEEN}.env
echo "a word of ${{0##*/}}"
"""


class TestHooks:
    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary):  # noqa: F811
        shared.secret(f"service_env_{SERVICE}_test", json.dumps({"TOKEN": "hunter2hunter2"}))
        shared.repo(SERVICE).commit("test", services.talking())
        machine = shared.launch(binary=binary)
        for phase, names in {"before-install": ["10-a"], "before-start": ["20-b", "10-a.sh"], "after-healthy": ["10-a"], "after-failure": ["10-a"]}.items():
            for name in names:
                cls.write(machine, f"{phase}.d/{name}", TELL)
        first = machine.run(["bootagent", "run", "--repository", REPOSITORY], timeout=120)
        assert first.code == 0, first.stderr
        return machine

    @staticmethod
    def write(machine, name: str, text: str, mode: str = "755") -> str:
        path = f"{HOOKS}/{name}"
        machine.check(["mkdir", "-p", path.rpartition("/")[0]])
        machine.write(path, text)
        machine.check(["chmod", mode, path])
        return path

    @pytest.fixture(autouse=True)
    @classmethod
    def healed(cls, machine):
        yield
        machine.run(["sh", "-c", f"rm -rf {HOOKS}/*/9*; chown -R root {HOOKS}; chmod -R go-w {HOOKS}; rm -f {SEEN}; rm -f /etc/bootagent/policy.toml"])

    def ran(self, machine) -> list[str]:
        return [line.removeprefix(HOOKS + "/") for line in machine.read(SEEN).splitlines()] if machine.exists(SEEN) else []

    def names(self, machine) -> list[str]:
        return [line.split()[0] for line in self.ran(machine)]

    def test_hooks_run_in_order_as_root_and_without_secrets(self, shared, machine):  # noqa: F811
        commit = shared.repo(SERVICE).sha("test")
        assert self.ran(machine) == [
            f"{name} 0 {name.partition('.d')[0]} {SERVICE} test {commit} "
            for name in ("before-install.d/10-a", "before-start.d/10-a.sh", "before-start.d/20-b", "after-healthy.d/10-a")
        ]
        assert "hunter2" not in machine.read(f"{SEEN}.env") and f"BOOTAGENT_RELEASE=/opt/{SERVICE}/releases/" in machine.read(f"{SEEN}.env")
        assert "a word of 20-b" in machine.check(["journalctl", "-t", "bootagent", "--no-pager"])

    def test_a_run_that_builds_nothing_runs_all_but_the_first(self, machine):
        again = machine.run(["bootagent", "run"], timeout=60)
        assert again.code == 0, again.stderr
        assert self.names(machine) == ["before-start.d/10-a.sh", "before-start.d/20-b", "after-healthy.d/10-a"]

    def test_a_dry_run_shows_them_and_runs_none(self, machine):
        plan = machine.check(["bootagent", "--dry-run", "-v"])
        assert "run the operator's hooks before-start: 10-a.sh, 20-b" in plan and f"{HOOKS}/before-start.d/20-b" in plan
        assert self.ran(machine) == []

    @pytest.mark.parametrize(
        ("text", "says"),
        [("#!/bin/sh\necho no certificate hunter2hunter2 >&2; exit 3\n", "status 3: no certificate [TOKEN]"), ("#!/bin/sh\nsleep 100\n", "not done after 2 s")],
        ids=["status", "deadline"],
    )
    def test_a_hook_that_fails_leaves_what_serves(self, shared, machine, text, says):  # noqa: F811
        shared.repo(SERVICE).commit("test", services.talking(x=says))
        machine.write("/etc/bootagent/policy.toml", '[hooks]\ntimeout = "2s"\n')
        self.write(machine, "before-start.d/90-bad", text)
        good = current(machine), process(machine)
        failed = machine.run(["bootagent", "update"], timeout=60)
        assert_failed(machine, failed, 2, "E-HOOK-FAILED", "before-start.d/90-bad", says)
        assert (current(machine), process(machine)) == good and ask(machine, "health") == "ok"
        assert self.names(machine)[-1] == "after-failure.d/10-a" and self.ran(machine)[-1].endswith("E-HOOK-FAILED")
        assert "after-healthy.d/10-a" not in self.names(machine)
        assert leftovers(machine) == [] and machine.run(["pgrep", "-x", "sleep"]).code != 0

    def test_a_hook_after_the_fact_is_a_warning(self, machine):
        self.write(machine, "after-healthy.d/90-bad", "#!/bin/sh\nexit 4\n")
        done = machine.run(["bootagent", "run"], timeout=60)
        assert done.code == 0 and "E-HOOK-FAILED" in done.stderr, done.stderr
        code, said = status(machine)
        assert said["state"] == "degraded" or "E-HOOK-FAILED" in json.dumps(said), said

    @pytest.mark.parametrize(
        ("change", "says"),
        [
            (f"chown 1 {HOOKS}/before-start.d/20-b", "20-b (mode 0755, owner daemon)"),
            (f"chmod 777 {HOOKS}/before-start.d", "before-start.d (mode 0777"),
            (f"ln -s /usr/bin/env {HOOKS}/before-start.d/90-x", "outside of"),
            (f"install -m 644 /dev/null {HOOKS}/before-start.d/90-x", "is not executable"),
        ],
        ids=["owner", "mode", "link", "not-executable"],
    )
    def test_what_others_could_change_is_refused(self, machine, change, says):
        machine.check(["sh", "-c", change])
        good = current(machine), process(machine)
        failed = machine.run(["bootagent", "run"], timeout=60)
        assert_failed(machine, failed, 2, "E-POLICY-INVALID", says)
        assert self.ran(machine) == [] and (current(machine), process(machine)) == good
