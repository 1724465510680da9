"""PM2 in fork mode and in cluster mode: from cloud-init to a reload, and what only shows below a healthy pm2-runtime."""

import json
import time
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

import pytest
from lab.deadline import wait_for
from looks import (  # noqa: F401
    SERVICE,
    USER_DATA,
    ask,
    beginning,
    current,
    leftovers,
    process,
    releases,
    search,
    secret,
    shared,
    status,
    wait_until_it_answers,
)
from pm2_services import HOME, POLICY as MIRROR
from pm2_services import SERVER, apps, cluster, manifest, pm2, processes
from poller import Poller
from registry import carries_pm2
from stage import POLICY, assert_failed

ANSWERS_AND_ENDS = SERVER + "setTimeout(() => process.exit(1), 700);\n"
# The second worker of a cluster never comes up; the first one answers for it.
HALF = 'if (process.env.NODE_APP_INSTANCE === "1") process.exit(1);\n' + SERVER


def run(machine, *flags: str):
    return machine.run(["bootagent", "run", *flags], timeout=180)


def listed(machine) -> set[str]:
    """The pids of the service's processes, whether they answer or not."""
    return {each["pid"] for each in apps(machine)}


class TestFork:
    WORD = "the-very-secret-token"

    @pytest.fixture(scope="class")
    @classmethod
    def since(cls):
        return beginning()

    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, since, binary):  # noqa: F811
        carries_pm2(shared)
        secret(shared, TOKEN=cls.WORD, FIRST="of the first generation")
        shared.repo(SERVICE).commit("test", pm2())
        machine = shared.launch(user_data=USER_DATA, binary=binary, files={POLICY: MIRROR})
        done = machine.wait_for_cloud_init()
        assert (done.errors, done.user_data_code) == ([], 0), done.output
        return machine

    def test_it_is_healthy(self, machine):
        code, said = status(machine)
        assert (code, said["state"]) == (0, "healthy") and ask(machine, "health") == "ok"
        assert leftovers(machine) == []

    def test_one_unit_runs_pm2_runtime_as_the_service_s_user(self, machine):
        (main, *rest) = sorted(processes(machine), key=lambda each: each["pid"] != process(machine)[1])
        assert {each["user"] for each in (main, *rest)} == {SERVICE}
        assert "pm2-runtime" in machine.systemctl_show(f"{SERVICE}.service")["ExecStart"]
        assert len(apps(machine)) == 1 and ask(machine, "process")["pid"] == int(apps(machine)[0]["pid"])

    def test_pm2_is_installed_once_and_only_root_can_change_it(self, machine):
        """Services of one machine share it: none of their users may own it."""
        (found,) = machine.check(["find", "/opt/bootagent", "-type", "d", "-path", "*/node_modules/pm2"]).split()
        assert found.startswith("/opt/bootagent/runtimes/pm2/")
        tree = found.rpartition("/node_modules/")[0]
        assert machine.check(["find", tree, "!", "-type", "l", "(", "!", "-user", "root", "-o", "-perm", "/022", ")"]) == ""

    def test_pm2_s_home_is_private_and_has_no_dump(self, machine):
        homes = machine.check(["sh", "-c", f"find {HOME} -name pm2.pid -o -name module_conf.json -o -name '*.sock'"]).split()
        assert homes, "PM2 keeps nothing below the service's directory"
        home = homes[0].rpartition("/")[0]
        assert machine.stat(home).mode == 0o700 and machine.stat(home).owner == SERVICE
        assert "dump" not in machine.check(["ls", home])

    def test_the_secret_is_in_its_environment_and_nowhere_else(self, shared, machine, since):  # noqa: F811
        found = search(shared, machine, self.WORD, since)
        strays = {place for place in found if not place.startswith((f"/run/bootagent/{SERVICE}/", "/proc/"))}
        assert strays == set() and not any("cmdline" in place for place in found), found

    def test_a_second_run_changes_nothing(self, shared, machine):  # noqa: F811
        running = process(machine), apps(machine)
        shared.npm.log.clear()
        again = run(machine)
        assert again.code == 0, again.stderr
        assert (process(machine), apps(machine)) == running and shared.npm.log == []
        assert [step["id"] for step in status(machine)[1]["steps"] if step["outcome"] == "changed"] == []

    def test_a_request_in_flight_is_answered(self, machine):
        with ThreadPoolExecutor(1) as pool:
            before = ask(machine, "asked").get("/slow", 0)
            asked = pool.submit(machine.http, "http://127.0.0.1:3000/slow", 60)
            wait_for("the request to arrive", lambda: ask(machine, "asked").get("/slow", 0) > before, 30)
            machine.check(["systemctl", "restart", f"{SERVICE}.service"])
            assert json.loads(asked.result().body) == "whole"
        wait_until_it_answers(machine)

    def test_the_next_generation_has_none_of_the_first_one_s_environment(self, shared, machine):  # noqa: F811
        assert ask(machine, "env")["FIRST"] == "of the first generation"
        secret(shared, TOKEN=self.WORD, SECOND="of the second")
        commit = shared.repo(SERVICE).commit("test", {"note": "two"})
        updated = run(machine, "--update")
        assert updated.code == 0, updated.stderr
        variables = ask(machine, "env")
        assert "FIRST" not in json.dumps(variables) and variables["SECOND"] == "of the second"
        assert current(machine).startswith(commit) and ask(machine, "release").endswith(current(machine))

    @pytest.mark.parametrize("name, server, code", [
        ("answers, and crashes again and again", ANSWERS_AND_ENDS, ["E-HEALTH-FLAPPING", "E-SERVICE-EXITED"]),
        ("ends at once", 'console.error("no database"); process.exit(3);\n', ["E-SERVICE-EXITED", "E-HEALTH-FLAPPING"]),
        ("never listens", "setInterval(() => {}, 1000);\n", "E-HEALTH-NO-LISTENER"),
    ])  # fmt: skip
    def test_what_is_broken_below_a_healthy_pm2_fails_the_gate(self, shared, machine, name, server, code):  # noqa: F811
        good = current(machine)
        text = manifest(health='path = "/health", soak = "3s", timeout = "8s"')
        shared.repo(SERVICE).commit("test", {"server.js": server, "bootagent.toml": text})
        failed = run(machine, "--update")
        assert_failed(machine, failed, 2, code)
        assert current(machine) == good and ask(machine, "release").endswith(good)
        assert leftovers(machine) == []

    def test_and_its_repair_serves(self, shared, machine):  # noqa: F811
        commit = shared.repo(SERVICE).commit("test", pm2())
        updated = run(machine, "--update")
        assert updated.code == 0, updated.stderr
        assert current(machine).startswith(commit) and len(releases(machine)) == 2

    def test_it_serves_after_a_reboot_without_the_registry(self, shared, machine):  # noqa: F811
        shared.npm.fail(503)
        machine.reboot()
        waited = machine.run(["bootagent", "status", "--wait"], timeout=120)
        assert waited.code == 0, waited.stdout
        shared.npm.heal()
        assert ask(machine, "env")["SECOND"] == "of the second"

    def test_back_to_systemd_alone(self, shared, machine):  # noqa: F811
        """The supervisor is a line of the manifest, either way."""
        text = manifest().replace('supervisor = "pm2"\n', "")
        shared.repo(SERVICE).commit("test", {"bootagent.toml": text})
        updated = run(machine, "--update")
        assert updated.code == 0, updated.stderr
        assert len(processes(machine)) == 1 and ask(machine, "process")["pid"] == int(process(machine)[1])
        shared.repo(SERVICE).commit("test", {"bootagent.toml": manifest()})
        assert run(machine, "--update").code == 0 and len(processes(machine)) > 1


@pytest.mark.variants
class TestCluster:
    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary):  # noqa: F811
        carries_pm2(shared)
        secret(shared, TOKEN="first", FIRST="f")
        shared.repo(SERVICE).commit("test", cluster(2))
        machine = shared.launch(user_data=USER_DATA, binary=binary, files={POLICY: MIRROR})
        done = machine.wait_for_cloud_init()
        assert (done.errors, done.user_data_code) == ([], 0), done.output
        return machine

    def workers(self, machine) -> set[int]:
        """Those that answer; connections are shared out in turn."""
        return {ask(machine, "process")["pid"] for _ in range(12)}

    def test_two_workers_answer_on_one_port(self, machine):
        assert status(machine)[1]["state"] == "healthy"
        assert len(self.workers(machine)) == 2

    def test_it_is_reloaded_without_a_failed_request(self, shared, machine):  # noqa: F811
        before, running = self.workers(machine), process(machine)
        commit = shared.repo(SERVICE).commit("test", {"note": "two"})
        with Poller(machine) as poller:
            updated = run(machine, "--update")
        assert updated.code == 0, updated.stderr
        assert poller.asked > 20 and poller.failures == [], poller.failures
        assert current(machine).startswith(commit) and not self.workers(machine) & before
        assert process(machine)[:2] == running[:2], "pm2-runtime was restarted"
        assert ask(machine, "release").endswith(current(machine))

    def get(self, machine, path: str):
        return machine.http(f"http://127.0.0.1:3000/{path}", timeout=20)

    @contextmanager
    def busy(self, machine, path: str, count: int):
        """So many workers that accept no further connection, and the requests that keep them busy. They are killed at the end."""
        told = f"{HOME}/stuck"
        machine.check(["rm", "-f", told])
        requests = []
        with ThreadPoolExecutor(count) as pool:
            try:
                for number in range(1, count + 1):
                    requests.append(pool.submit(self.get, machine, path))
                    wait_for(f"busy worker {number}", lambda: machine.exists(told) and len(machine.read(told).split()) == number, 10)
                yield machine.read(told).split(), requests
            finally:
                machine.run(["sh", "-c", f"xargs kill -KILL <{told}"])

    def test_a_connection_that_a_worker_did_not_accept_before_its_end_is_given_to_another(self, machine):
        with self.busy(machine, "stuck", 1) as ([worker], [request]), ThreadPoolExecutor(4) as pool:
            asked = [pool.submit(self.get, machine, "health") for _ in range(4)]
            wait_for("the answers of the other worker", lambda: sum(each.done() for each in asked) == 3, 10)
            time.sleep(0.5)
            assert sum(each.done() for each in asked) == 3, "no connection waits for the worker that is busy"
            machine.check(["kill", "-KILL", worker])
            assert [each.result().status for each in asked] == [200] * 4
            assert isinstance(request.exception(), ConnectionError), "the request itself ends with its worker"
        wait_for("another worker", lambda: len(self.workers(machine)) == 2, 20)

    def test_workers_that_end_together_leave_pm2_alive(self, machine):
        """Their children hold the channels to PM2, which thus sees the workers end before their channels do."""
        with self.busy(machine, "held", 2) as (workers, _), ThreadPoolExecutor(4) as pool:
            asked = [pool.submit(self.get, machine, "health") for _ in range(4)]
            time.sleep(0.5)
            assert not any(each.done() for each in asked), "a worker is not busy"
            machine.check(["kill", "-KILL", *workers])
            wait_for("two new workers", lambda: len(listed(machine) - set(workers)) == 2, 20, evidence=lambda: str(apps(machine)))
            assert len(self.workers(machine)) == 2
        assert status(machine)[0] == 0

    def test_new_values_restart_it_and_old_ones_are_gone(self, shared, machine):  # noqa: F811
        """PM2's daemon keeps the environment in which it was started, and hands it on."""
        secret(shared, TOKEN="second")
        updated = run(machine)
        assert updated.code == 0, updated.stderr
        variables = ask(machine, "env")
        assert variables["TOKEN"] == "second" and "FIRST" not in variables
        assert len(self.workers(machine)) == 2

    def test_a_worker_that_never_comes_up_fails_the_gate(self, shared, machine):  # noqa: F811
        good = current(machine)
        text = cluster()["bootagent.toml"].replace('soak = "1s"', 'soak = "3s", timeout = "8s"')
        shared.repo(SERVICE).commit("test", {"server.js": HALF, "bootagent.toml": text})
        failed = run(machine, "--update")
        assert_failed(machine, failed, 2, ["E-HEALTH-FLAPPING", "E-SERVICE-EXITED"])
        assert current(machine) == good and len(self.workers(machine)) == 2

    def test_npm_cannot_be_the_script_of_a_cluster(self, shared, machine):  # noqa: F811
        good, running = current(machine), process(machine)
        text = 'start = "npm start && true"\n' + cluster()["bootagent.toml"]
        shared.repo(SERVICE).commit("test", {"server.js": SERVER, "bootagent.toml": text})
        failed = run(machine, "--update")
        assert_failed(machine, failed, 2, "E-MANIFEST-INVALID", "npm")
        assert (current(machine), process(machine)) == (good, running)

    def test_it_serves_after_a_reboot(self, shared, machine):  # noqa: F811
        shared.repo(SERVICE).commit("test", cluster(2))
        assert run(machine, "--update").code == 0
        machine.reboot()
        waited = machine.run(["bootagent", "status", "--wait"], timeout=120)
        assert waited.code == 0, waited.stdout
        assert len(self.workers(machine)) == 2
