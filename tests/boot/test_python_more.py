"""FastAPI with uv, Django with a migration, a worker without a port, and which Python runs a service."""

import json

import pytest
from lab import layers
from lab.deadline import wait_for
from looks import SERVICE, USER_DATA, ask, current, leftovers, process, secret, shared, status  # noqa: F401
from poller import Poller
from python_services import POLICY as MIRROR
from python_services import PROGRAM, WSGI, beats, django, fastapi, flask, text, with_uv, with_venv, worker, wsgi
from stage import POLICY, REPOSITORY, assert_failed

pytestmark = pytest.mark.variants

DATA = f"/var/lib/{SERVICE}"
# Workers that end at import, again and again: which of these is seen at the deadline is a matter of moments.
BROKEN = ["E-SERVICE-EXITED", "E-HEALTH-NO-LISTENER", "E-HEALTH-BAD-ANSWER", "E-HEALTH-FLAPPING", "E-UNIT-FAILED"]


def run(machine, *flags: str):
    return machine.run(["bootagent", "run", *(flags or ("--repository", REPOSITORY))], timeout=180)


def healthy_after_cloud_init(machine) -> None:
    done = machine.wait_for_cloud_init()
    assert (done.errors, done.user_data_code) == ([], 0), done.output
    assert status(machine)[1]["state"] == "healthy" and leftovers(machine) == []


def healthy_after_a_reboot(machine) -> None:
    machine.reboot()
    waited = machine.run(["bootagent", "status", "--wait"], timeout=120)
    assert waited.code == 0, waited.stdout


def broken_and_back(shared, machine, broken, repaired, code: str, words: str) -> None:  # noqa: F811
    """An update to a broken commit, after which the previous one serves, and one to its repair, which serves."""
    good = current(machine)
    shared.repo(SERVICE).commit("test", broken)
    failed = run(machine, "--update")
    said = assert_failed(machine, failed, 2, code)
    assert words in json.dumps(said["error"]), said["error"]
    assert current(machine) == good and served(machine).endswith(good)
    assert leftovers(machine) == []
    commit = shared.repo(SERVICE).commit("test", repaired)
    updated = run(machine, "--update")
    assert updated.code == 0, updated.stderr
    assert current(machine).startswith(commit) and served(machine).endswith(current(machine))
    assert status(machine)[1]["state"] == "healthy"


def served(machine) -> str:
    """The release of the process that answers, also where it answers to one host name alone."""
    return json.loads(machine.http("http://127.0.0.1:3000/release", headers={"Host": "shop.example.com"}).body)


class TestFastApi:
    """uv installs what uv.lock says; uv itself is an archive whose checksum the policy pins."""

    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary):  # noqa: F811
        secret(shared, TOKEN="t")
        shared.repo(SERVICE).commit("test", fastapi())
        machine = shared.launch(user_data=USER_DATA, binary=binary, files={POLICY: with_uv(shared)})
        healthy_after_cloud_init(machine)
        return machine

    def test_it_serves_what_uv_installed(self, shared, machine):  # noqa: F811
        assert ask(machine, "health") == "ok" and ask(machine, "env")["TOKEN"] == "t"
        assert ask(machine, "python")["prefix"].startswith(f"/opt/{SERVICE}/releases/")
        assert [entry["status"] for entry in shared.uv.log if entry["path"].endswith(".tar.gz")] == [200]
        assert any("uv/" in entry["user_agent"] for entry in shared.pypi.log), "another program installed it"

    def test_without_what_is_for_development(self, machine):
        there = machine.check(["sh", "-c", f"ls {ask(machine, 'python')['prefix']}/lib/python3*/site-packages"]).split()
        assert "fastapi" in there and "markupsafe" not in there, there

    def test_uvicorn_is_the_unit_s_main_process(self, machine):
        _, pid, _ = process(machine)
        line = machine.check(["ps", "-o", "user:32=,args=", "-p", pid])
        assert line.startswith(SERVICE) and "uvicorn" in line and "main:app" in line, line
        assert machine.http(f"http://{machine.instance.address}:3000/health").status == 200

    def test_a_lock_that_is_stale_leaves_what_serves(self, shared, machine):  # noqa: F811
        good = current(machine)
        stale = text("fastapi/pyproject.toml").replace('"uvicorn"', '"uvicorn", "flask"')
        shared.repo(SERVICE).commit("test", {"pyproject.toml": stale})
        with Poller(machine) as poller:
            failed = run(machine, "--update")
        assert_failed(machine, failed, 2, "E-LOCKFILE-STALE")
        assert poller.failures == [] and current(machine) == good
        shared.repo(SERVICE).commit("test", {"pyproject.toml": text("fastapi/pyproject.toml")})

    def test_a_broken_commit_leaves_the_good_one_and_its_repair_serves(self, shared, machine):  # noqa: F811
        broken = {"main.py": text("fastapi/main.py").replace("app = FastAPI()", "app = FastAPI(routes=[no_such_route])")}
        repaired = {"main.py": text("fastapi/main.py") + "\n# repaired\n"}
        broken_and_back(shared, machine, broken, repaired, "E-SERVICE-EXITED", "no_such_route")

    def test_a_lock_of_another_index_is_installed_from_the_policy_s(self, shared, machine):  # noqa: F811
        public = text("fastapi/uv.lock").replace("https://pypi.acme.test/simple", "https://index.example.org/simple")
        public = public.replace("https://pypi.acme.test/files/", "https://files.example.org/packages/")
        names = "index.example.org", "files.example.org"
        shared.unreachable(*names, how="refused")
        try:
            commit = shared.repo(SERVICE).commit("test", {"uv.lock": public})
            updated = run(machine, "--update")
            assert updated.code == 0, updated.stderr
            assert current(machine).startswith(commit) and ask(machine, "health") == "ok"
            (checksum,) = shared.pypi.checksums("uvicorn==0.54.0")
            shared.repo(SERVICE).commit("test", {"uv.lock": public.replace(f"sha256:{checksum}", f"sha256:{'0' * 64}")})
            assert_failed(machine, run(machine, "--update"), 2, "E-DEPENDENCY-ALTERED", "uvicorn")
            assert current(machine).startswith(commit)
        finally:
            for name in names:
                shared.dns.forget(name)
        shared.repo(SERVICE).commit("test", {"uv.lock": text("fastapi/uv.lock")})

    def test_it_is_updated_and_serves_after_a_reboot(self, shared, machine):  # noqa: F811
        commit = shared.repo(SERVICE).commit("test", {"note": "two"})
        updated = run(machine, "--update")
        assert updated.code == 0, updated.stderr
        assert current(machine).startswith(commit)
        shared.uv.fail(503), shared.pypi.fail(503)
        healthy_after_a_reboot(machine)
        shared.uv.heal(), shared.pypi.heal()
        assert ask(machine, "release").endswith(current(machine))


class TestUvOfTheIndex:
    """The machine has no uv, and the policy pins none: pip installs the one that bootagent knows, once."""

    def test_a_lockfile_of_uv_s_is_installed_and_an_update_fetches_no_uv(self, world, binary):
        world.tags = {"bootagent:service": SERVICE, "bootagent:environment": "test"}
        secret(world, TOKEN="t")
        world.repo(SERVICE).commit("test", fastapi())
        machine = world.launch(binary=binary, files={POLICY: MIRROR}, layers=with_venv())
        first = run(machine)
        assert first.code == 0, first.stderr
        assert ask(machine, "health") == "ok" and leftovers(machine) == []
        runtimes = "/opt/bootagent/runtimes/uv"
        odd = machine.check(["find", runtimes, "(", "!", "-user", "root", "-o", "-perm", "/7022", ")", "!", "-type", "l"])
        assert odd == "" and "uv 0.13.9" in machine.check(["sh", "-c", f"{runtimes}/*/bin/uv --version"])
        world.pypi.log.clear()
        world.repo(SERVICE).commit("test", {"note": "an update"})
        updated = run(machine, "--update")
        assert updated.code == 0, updated.stderr
        assert [entry["path"] for entry in world.pypi.log if "/uv" in entry["path"]] == []


class TestArchiveOfUv:
    def test_one_with_another_checksum_is_not_unpacked(self, shared, binary):  # noqa: F811
        shared.repo(SERVICE).commit("test", fastapi())
        secret(shared, TOKEN="t")
        machine = shared.launch(binary=binary, files={POLICY: with_uv(shared, sha256="0" * 64)})
        assert_failed(machine, run(machine), 1, "E-RUNTIME-CHECKSUM", "uv")
        assert not machine.exists(f"/opt/{SERVICE}/current")


class TestDjango:
    """Its migration runs in its virtual environment; it answers to one host name alone."""

    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary):  # noqa: F811
        secret(shared, SECRET_KEY="a-key-of-django")
        shared.repo(SERVICE).commit("test", django())
        machine = shared.launch(user_data=USER_DATA, binary=binary, files={POLICY: with_uv(shared)})
        healthy_after_cloud_init(machine)
        return machine

    def items(self, machine) -> list[str]:
        answer = machine.http("http://127.0.0.1:3000/items", headers={"Host": "shop.example.com"})
        assert answer.status == 200, answer
        return json.loads(answer.body)

    def test_it_serves_what_the_migration_made(self, machine):
        assert self.items(machine) == ["first"]
        assert machine.stat(f"{DATA}/shop.sqlite3").owner == SERVICE

    def test_the_next_migration_runs_before_the_switch(self, shared, machine):  # noqa: F811
        lines = text("django/shop/migrations/0001_initial.py").replace("dependencies = []", 'dependencies = [("shop", "0001_initial")]')
        lines = lines.replace("initial = True", "initial = False").replace('name="first"', 'name="second"')
        second = lines.partition("        migrations.CreateModel")[0] + "        migrations.RunPython(first),\n    ]\n"
        shared.repo(SERVICE).commit("test", {"shop/migrations/0002_second.py": second})
        updated = run(machine, "--update")
        assert updated.code == 0, updated.stderr
        assert self.items(machine) == ["first", "second"]

    def test_a_migration_that_fails_switches_nothing(self, shared, machine):  # noqa: F811
        good, running = current(machine), process(machine)
        broken = "from django.db import migrations\nraise RuntimeError('half a migration')\n"
        shared.repo(SERVICE).commit("test", {"shop/migrations/0003_broken.py": broken})
        with Poller(machine, "/nothing") as poller:
            failed = run(machine, "--update")
        said = assert_failed(machine, failed, 2, "E-MIGRATE-FAILED", "manage.py migrate")
        assert "half a migration" in json.dumps(said["error"])
        assert (current(machine), process(machine)) == (good, running)
        assert {said for _, said in poller.failures} <= {"answered 400"}, "it was not there for a while"
        shared.repo(SERVICE).commit("test", {"shop/migrations/0003_broken.py": None})

    def test_a_gate_that_asks_under_another_name_is_told_of_the_host(self, shared, machine):  # noqa: F811
        good = current(machine)
        manifest = text("django/bootagent.toml").replace('host = "shop.example.com", soak = "1s"', 'soak = "1s", timeout = "4s"')
        shared.repo(SERVICE).commit("test", {"bootagent.toml": manifest})
        failed = run(machine, "--update")
        said = assert_failed(machine, failed, 2, "E-HEALTH-BAD-ANSWER", "400")
        assert "health.host" in json.dumps(said["error"]), said["error"]
        assert current(machine) == good and self.items(machine) == ["first", "second"]
        shared.repo(SERVICE).commit("test", {"bootagent.toml": text("django/bootagent.toml")})

    def test_a_broken_commit_leaves_the_good_one_and_its_repair_serves(self, shared, machine):  # noqa: F811
        """Its migration runs, and its workers do not come up."""
        broken = {"shop/wsgi.py": text("django/shop/wsgi.py") + 'raise RuntimeError("no such application")\n'}
        repaired = {"shop/wsgi.py": text("django/shop/wsgi.py") + "# repaired\n"}
        broken_and_back(shared, machine, broken, repaired, "E-SERVICE-EXITED", "no such application")
        assert self.items(machine) == ["first", "second"]

    def test_it_serves_after_a_reboot(self, machine):
        healthy_after_a_reboot(machine)
        assert self.items(machine) == ["first", "second"]


class TestWorker:
    """It takes no requests: its Procfile says how it is started."""

    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary):  # noqa: F811
        secret(shared, NAME="first")
        shared.repo(SERVICE).commit("test", worker())
        machine = shared.launch(user_data=USER_DATA, binary=binary, files={POLICY: MIRROR}, layers=with_venv())
        healthy_after_cloud_init(machine)
        return machine

    def test_it_is_the_unit_s_main_process(self, machine):
        _, pid, _ = process(machine)
        assert beats(machine, SERVICE)[-1] == [pid, "first"]

    def test_it_hears_sigterm(self, machine):
        _, pid, _ = process(machine)
        machine.check(["systemctl", "restart", f"{SERVICE}.service"])
        assert [pid, "ended"] in beats(machine, SERVICE)

    @pytest.mark.parametrize("broken", ["import sys\nsys.exit(3)\n", "import numpy\n", "import time\ntime.sleep(0.4)\nraise OSError('gone')\n"])
    def test_one_that_ends_leaves_the_good_one(self, shared, machine, broken):  # noqa: F811
        good = current(machine)
        shared.repo(SERVICE).commit("test", {"worker.py": broken})
        failed = run(machine, "--update")
        assert_failed(machine, failed, 2, ["E-SERVICE-EXITED", "E-HEALTH-FLAPPING"])
        assert current(machine) == good
        _, pid, _ = process(machine)
        wait_for("the good one to beat", lambda: beats(machine, SERVICE)[-1] == [pid, "first"], 20)
        shared.repo(SERVICE).commit("test", {"worker.py": text("worker/worker.py")})

    def test_and_a_good_one_takes_its_place(self, shared, machine):  # noqa: F811
        _, before, _ = process(machine)
        commit = shared.repo(SERVICE).commit("test", {"worker.py": text("worker/worker.py").replace('("NAME", "")', '("NAME", "") + "-of-the-repair"')})
        updated = run(machine, "--update")
        assert updated.code == 0, updated.stderr
        assert current(machine).startswith(commit) and status(machine)[1]["state"] == "healthy"
        _, pid, _ = process(machine)
        wait_for("the new one to beat", lambda: beats(machine, SERVICE)[-1] == [pid, "first-of-the-repair"], 20)
        assert [before, "ended"] in beats(machine, SERVICE)

    def test_it_works_after_a_reboot_with_the_new_value(self, shared, machine):  # noqa: F811
        secret(shared, NAME="second")
        healthy_after_a_reboot(machine)
        _, pid, _ = process(machine)
        wait_for("it to beat", lambda: beats(machine, SERVICE)[-1] == [pid, "second-of-the-repair"], 20)


class TestTwoPythons:
    """Debian's own and an older one beside it: the repository says which, the newest that fits is taken."""

    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary):  # noqa: F811
        secret(shared, TOKEN="t")
        files = wsgi(**{"app.py": WSGI + PROGRAM, "requirements.txt": "itsdangerous==2.2.0\n", ".python-version": "3.9\n"})
        files["bootagent.toml"] = files["bootagent.toml"].replace("gunicorn app:app", "python app.py")
        shared.repo(SERVICE).commit("test", files)
        machine = shared.launch(binary=binary, files={POLICY: MIRROR}, layers=[layers.older_python()])
        first = run(machine)
        assert first.code == 0, first.stderr
        return machine

    def test_python_version_says_which(self, machine):
        assert ask(machine, "python") == "3.9"

    def test_without_it_the_newest_is_taken_and_installed_for(self, shared, machine):  # noqa: F811
        shared.repo(SERVICE).commit("test", {".python-version": None})
        updated = run(machine, "--update")
        assert updated.code == 0, updated.stderr
        assert ask(machine, "python") == "3.11"

    def test_a_version_manager_s_file_says_which_as_well(self, shared, machine):  # noqa: F811
        shared.repo(SERVICE).commit("test", {".tool-versions": "nodejs 22.1.0\npython 3.9.23\n"})
        updated = run(machine, "--update")
        assert updated.code == 0 and "3.9.23" in updated.stderr, updated.stderr
        assert ask(machine, "python") == "3.9"

    def test_one_that_is_not_to_be_had_leaves_what_serves(self, shared, machine):  # noqa: F811
        good = current(machine), process(machine)
        shared.repo(SERVICE).commit("test", {".python-version": "3.10\n"})
        failed = run(machine, "--update")
        assert_failed(machine, failed, 2, "E-RUNTIME-MISSING", "3.10")
        assert (current(machine), process(machine)) == good


class TestWithoutVenv:
    def test_an_image_without_python3_venv(self, shared, binary):  # noqa: F811
        """Debian's python3 alone cannot make a virtual environment with pip: the package is installed, or named."""
        secret(shared, TOKEN="t")
        shared.repo(SERVICE).commit("test", flask())
        machine = shared.launch(binary=binary, files={POLICY: f"{MIRROR}\n[packages]\nallow = false\n"})
        result = run(machine)
        said = assert_failed(machine, result, 77, ["E-POLICY-REFUSED", "E-RUNTIME-MISSING"])
        assert "python3-venv" in json.dumps(said["error"]), said["error"]


def with_psycopg(world, binary, policy: str):
    """psycopg takes the machine's libpq: here a package of that name which loads it as the real one does."""
    world.pypi.publish_wheel("psycopg", "3.0", {"psycopg/__init__.py": "import ctypes\nctypes.CDLL('libpq.so.5')\n"})
    secret(world, TOKEN="t")
    files = wsgi(**{"app.py": "import psycopg\n" + WSGI})
    files["requirements.txt"] += "psycopg==3.0\n"
    files["bootagent.toml"] = files["bootagent.toml"].replace('soak = "1s"', 'soak = "1s", timeout = "5s"')
    world.repo(SERVICE).commit("test", files)
    machine = world.launch(binary=binary, files={POLICY: policy})
    machine.check(["/lib/systemd/systemd-networkd-wait-online", "--timeout=60"])
    return machine


class TestLibrary:
    def test_it_comes_with_what_takes_it(self, shared, binary):  # noqa: F811
        machine = with_psycopg(shared, binary, with_uv(shared))
        done = run(machine)
        assert done.code == 0 and "OS packages are installed for psycopg: libpq5" in done.stderr, done.stderr
        assert ask(machine, "health") == "ok"


class TestLibraryByPolicy:
    def test_it_is_named_where_the_policy_forbids_packages(self, shared, binary):  # noqa: F811
        machine = with_psycopg(shared, binary, with_uv(shared) + "[packages]\nallow = false\n")
        failed = run(machine)
        said = assert_failed(machine, failed, 1, BROKEN)
        assert "libpq.so.5" in json.dumps(said["error"]) and "libpq5" in failed.stderr, failed.stderr
        assert machine.run(["dpkg", "--status", "libpq5"]).code != 0
