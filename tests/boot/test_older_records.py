"""Records of bootagent 0.1.0: the program of today takes over a machine that they stand on. See records-0.1.0/README.md."""

import json
from pathlib import Path

import pytest
from looks import SERVICE, ask, current, leftovers, process, releases, secret, shared, status, wait_until_it_answers  # noqa: F401
from services import talking
from stage import REPOSITORY, assert_failed

pytestmark = pytest.mark.variants

RECORDS = Path(__file__).parent / "records-0.1.0"
# Takes away what the program of today wrote; the names of the releases are the older ones. The environment files are the same.
AS_OF_TODAY = f"""
set -e
systemctl stop {SERVICE}.service bootagent.service
rm -rf /var/lib/bootagent /run/bootagent/*.* /etc/systemd/system/{SERVICE}.service /etc/systemd/system/bootagent.service
cd /opt/{SERVICE}/releases
for commit in $1 $2; do mv $commit* renamed; mv renamed $commit-$3; done
ln --symbolic --force --no-dereference /opt/{SERVICE}/releases/$2-$3 /opt/{SERVICE}/current
"""
# Files of root's by path: their content and mode.
PUT = """
import json, os, sys
for path, (content, mode) in json.load(sys.stdin).items():
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "w") as file: file.write(content)
    os.chmod(path, mode)
"""
# Of what the service was started from, as each program notes it.
DIGEST = f"""
import hashlib, os
hash = hashlib.sha256()
data = os.stat("/var/lib/{SERVICE}")
for read in (lambda: open("/etc/systemd/system/{SERVICE}.service", "rb").read(), lambda: open("/run/bootagent/{SERVICE}/env", "rb").read(),
             lambda: os.readlink("/opt/{SERVICE}/current").encode(), lambda: str((data.st_dev, data.st_ino)).encode()):
    hash.update(len(read()).to_bytes(8, "little") + read())
print(hash.hexdigest(), end="")
"""


def take_back(machine, older: str, one: str, two: str) -> None:
    """The machine is as 0.1.0 left it: its records, its units, its names of releases."""
    tree = RECORDS / older
    (release,) = (tree / f"var/lib/bootagent/services/{SERVICE}/releases").glob("COMMIT-TWO-*")
    machine.check(["sh", "-c", AS_OF_TODAY, "sh", one, two, release.name.rpartition("-")[2]])
    words = {"INSTANCE": machine.instance.id, "COMMIT-ONE": one, "COMMIT-TWO": two, "BOOT": machine.boot_id()}

    def put(*places: str) -> None:
        files = {}
        for file in (file for place in places for file in (tree / place).rglob("*") if file.is_file()):
            path, content = f"/{file.relative_to(tree)}", file.read_text()
            for word, value in words.items():
                path, content = path.replace(word, value), content.replace(word, value)
            files[path] = content, 0o644 if path.endswith((".service", "status.json")) else 0o600
        machine.check(["python3", "-I", "-c", PUT], stdin=json.dumps(files))

    put("etc", "var")
    machine.check(["systemctl", "daemon-reload"])
    machine.check(["systemctl", "start", f"{SERVICE}.service"])
    wait_until_it_answers(machine)
    words["INVOCATION"], words["PID"], _ = process(machine)
    words["DIGEST"] = machine.check(["python3", "-I", "-c", DIGEST])
    put("run")


def run(machine, *words: str):
    return machine.run(["bootagent", *words], timeout=180)


class Records:
    older = ""

    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary):  # noqa: F811
        secret(shared, TOKEN="t")
        machine, commits = shared.launch(binary=binary), []
        for words in (["run", "--repository", REPOSITORY], ["update"]):
            commits.append(shared.repo(SERVICE).commit("test", talking(note=str(len(commits)))))
            done = run(machine, *words)
            assert done.code == 0, done.stderr
        take_back(machine, cls.older, *commits)
        return machine

    @pytest.fixture
    def commits(self, shared):  # noqa: F811
        repository = shared.repo(SERVICE)
        return repository.sha("test~1"), repository.sha("test")

    def test_the_status_that_it_wrote_is_shown(self, machine, commits):
        """Before any run of the program of today."""
        code, said = status(machine)
        assert (code, said["state"], said["commit"]) == (0, "healthy", commits[1]), run(machine, "status").stdout
        assert said["steps"] and commits[1][:12] in run(machine, "status", "--steps").stdout

    def test_a_boot_takes_them_over_without_git(self, shared, machine, commits):  # noqa: F811
        before = current(machine), releases(machine)
        shared.repo(SERVICE).token = "not this machine's"
        machine.reboot()
        waited = run(machine, "status", "--wait")
        assert waited.code == 0, waited.stdout
        said = status(machine)[1]
        assert (said["state"], said["commit"], said["last_run"]["error"]) == ("healthy", commits[1], None), said
        assert (current(machine), releases(machine)) == before and before[0].startswith(commits[1])
        assert ask(machine, "release").endswith(before[0]) and ask(machine, "env")["TOKEN"] == "t"

    def test_and_a_run_has_nothing_more_to_do(self, machine):
        running = process(machine)
        again = run(machine, "run")
        assert again.code == 0, again.stderr
        assert process(machine) == running
        assert [step["id"] for step in status(machine)[1]["steps"] if step["outcome"] == "changed"] == []

    def test_a_broken_commit_leaves_the_release_that_it_made(self, shared, machine):  # noqa: F811
        shared.repo(SERVICE).token = None
        good = current(machine)
        shared.repo(SERVICE).commit("test", {"server.js": 'throw new Error("no database");\n'})
        failed = run(machine, "update")
        assert_failed(machine, failed, 2, "E-SERVICE-EXITED")
        assert current(machine) == good and ask(machine, "release").endswith(good)
        assert leftovers(machine) == []


class TestBeforeKeptRecords(Records):
    older = "before-kept-records"

    def test_a_rollback_fetches_what_no_record_tells(self, shared, machine):  # noqa: F811
        good, repository = current(machine), shared.repo(SERVICE)
        repository.token = "not this machine's"
        failed = run(machine, "rollback")
        assert_failed(machine, failed, 2, "E-GIT-REFUSED", "401")
        assert current(machine) == good and ask(machine, "release").endswith(good)
        repository.token = None
        done = run(machine, "rollback")
        assert done.code == 0, done.stderr
        assert current(machine).startswith(repository.sha("test~2")) and ask(machine, "release").endswith(current(machine))


class TestBeforeSupervisors(Records):
    older = "before-supervisors"

    def test_a_rollback_needs_no_git(self, shared, machine):  # noqa: F811
        repository = shared.repo(SERVICE)
        repository.token = "not this machine's"
        done = run(machine, "rollback")
        assert done.code == 0, done.stderr
        assert current(machine).startswith(repository.sha("test~2")) and ask(machine, "release").endswith(current(machine))
        assert status(machine)[1]["state"] == "healthy"
