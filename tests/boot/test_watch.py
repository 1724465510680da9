"""The watcher: termination, Spot and rebalance notices, new values of the secret, a service that stays unhealthy."""

import json
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
from lab.deadline import wait_for
from lab.world import may
from looks import SERVICE, ask, secret, shared, status  # noqa: F401
from poller import Poller
from services import BRIEF, NOTHING, talking
from stage import POLICY, REPOSITORY, run

UNIT = f"{SERVICE}.service"
FILE, STATE = "/var/lib/bootagent/watch.json", "/run/bootagent/watch.json"
COMPLETE, HEARTBEAT, HEALTH = "CompleteLifecycleAction", "RecordLifecycleActionHeartbeat", "SetInstanceHealth"
GROUP = "auth-service-main"
ARN = f"arn:aws:autoscaling:*:*:autoScalingGroup:*:autoScalingGroupName/{GROUP}"
SECRET = may("secretsmanager:GetSecretValue", "*")
# AWS scopes SetInstanceHealth to the group, too; the emulator does not find the group, which the call does not name.
ROLE = [SECRET, may([f"autoscaling:{COMPLETE}", f"autoscaling:{HEARTBEAT}"], ARN), may(f"autoscaling:{HEALTH}", "*")]
WATCH = '[watch]\nhook = "drain"\nheartbeat_timeout = "30s"\nsecrets = "5m"\nunhealthy_after = "1m"\n'
# /slow takes 4 s, also if the service is told to end meanwhile. It starts only if its value is not `bad`, and is sick as
# long as its file is there.
SERVER = """\
const fs = require("fs"), http = require("http");
if (process.env.TOKEN === "bad") process.exit(3);
const sick = () => fs.existsSync(process.env.HOME + "/sick");
const server = http.createServer((request, response) => {
  if (request.url === "/slow") return setTimeout(() => response.end('"whole"'), 4000);
  response.writeHead(request.url === "/health" && sick() ? 503 : 200);
  response.end(JSON.stringify({ TOKEN: process.env.TOKEN, pid: process.pid }));
}).listen(process.env.PORT);
process.once("SIGTERM", () => { server.close(() => process.exit(0)); server.closeIdleConnections(); });
"""
FILES = talking(**{"server.js": SERVER, "bootagent.toml": NOTHING + BRIEF})


class Watched:
    """One machine; each test begins with a watcher that was just started."""

    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary):  # noqa: F811
        shared.repo(SERVICE).commit("test", FILES)
        secret(shared, TOKEN="one")
        shared.role(ROLE)
        shared.autoscaling.launch(GROUP)
        machine = shared.launch(binary=binary, files={POLICY: WATCH})
        first = run(machine)
        assert first.code == 0, first.stderr
        return machine

    @pytest.fixture
    def begin(self, shared, machine):  # noqa: F811
        """begin(changes): the service runs in a group, and the watcher starts with these changes of what it watches."""

        def begin(role=ROLE, **changes) -> None:
            shared.aws.allow("instance", role)
            shared.imds.start()
            shared.autoscaling.launch(GROUP)
            shared.autoscaling.log.clear()
            shared.instance.spot = shared.instance.rebalance = None
            machine.run(["rm", "-f", "/run/bootagent/watch.drained", f"/var/lib/{SERVICE}/sick"])
            machine.check(["systemctl", "start", UNIT])
            planned = json.loads(machine.read(FILE))
            planned |= {"secrets": None, "health": None, "every": 1}
            machine.write(FILE, json.dumps(planned | changes), 0o600)
            machine.check(["systemctl", "restart", "bootagent-watch"])

        return begin

    def events(self, machine) -> list[str]:
        return [event["text"] for event in json.loads(machine.read(STATE))["events"]]

    def await_event(self, machine, words: str, timeout: float = 40) -> None:
        def told() -> bool:
            return any(words in text for text in self.events(machine))

        wait_for(words, told, timeout, evidence=lambda: str(self.events(machine)))

    def is_active(self, machine) -> bool:
        return machine.run(["systemctl", "is-active", UNIT]).code == 0


class TestTerminated(Watched):
    def test_a_run_starts_it_and_it_is_small_and_idle(self, shared, machine):  # noqa: F811
        planned = json.loads(machine.read(FILE))
        assert planned["unit"] == UNIT and planned["group"] == GROUP and planned["hook"]["every"] == 10
        assert planned["secrets"] == {"names": ["service_env_auth-service_test"], "every": 300}
        shown = machine.systemctl_show("bootagent-watch.service")
        assert shown["ActiveState"] == "active" and shown["UnitFileState"] == "enabled"
        pid = shown["MainPID"]

        def ticks() -> int:
            return sum(int(word) for word in machine.read(f"/proc/{pid}/stat").rsplit(")", 1)[1].split()[11:13])

        before = ticks()
        time.sleep(5)
        spent = ticks() - before
        resident = int(machine.check(["grep", "VmRSS", f"/proc/{pid}/status"]).split()[1])
        print(f"the watcher: {resident} KiB resident, {spent / 5} % of a processor")
        assert resident < 64 << 10 and spent < 25, (resident, spent)
        # A second run changes nothing of it.
        assert run(machine).code == 0
        assert machine.systemctl_show("bootagent-watch.service")["MainPID"] == pid

    def test_it_terminates_under_load_after_the_last_request(self, shared, machine, begin):  # noqa: F811
        begin()
        scaling = shared.autoscaling
        scaling.terminate(GROUP, heartbeat_timeout=30, begins_after=5)
        with Poller(machine) as poller:
            self.await_event(machine, "takes the instance out of service")
            # The load balancer drains: the service serves on.
            assert self.is_active(machine) and scaling.state == "Terminating"
            wait_for("the hook", lambda: scaling.state == "Terminating:Wait", 20)
            assert poller.failures == []
        with ThreadPoolExecutor(1) as pool:
            slow = pool.submit(machine.http, "http://127.0.0.1:3000/slow", 60)
            self.await_event(machine, f"stopping {UNIT}")
            answer = slow.result(30)
        assert (answer.status, answer.body) == (200, '"whole"')
        wait_for("CONTINUE", lambda: scaling.state == "Terminated", 30, evidence=lambda: str(self.events(machine)))
        assert not self.is_active(machine)
        good = [call["result"] for call in scaling.calls(COMPLETE) if call["error"] is None]
        assert good == ["CONTINUE"] and scaling.calls(HEARTBEAT)

    def test_a_spot_interruption_does_not_wait_for_the_hook(self, shared, machine, begin):  # noqa: F811
        begin()
        shared.autoscaling.terminate(GROUP, heartbeat_timeout=60, begins_after=60)
        self.await_event(machine, "takes the instance out of service")
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 48))
        shared.instance.spot = {"action": "terminate", "time": at}
        self.await_event(machine, "the service does not wait for the hook")
        self.await_event(machine, f"{UNIT} has stopped")
        assert shared.autoscaling.state == "Terminating", "it is not at the hook yet"

    def test_a_denied_call_stops_the_service_and_is_repeated(self, shared, machine, begin):  # noqa: F811
        begin([SECRET])
        scaling = shared.autoscaling
        scaling.terminate(GROUP, heartbeat_timeout=60)
        self.await_event(machine, f"{UNIT} has stopped")
        self.await_event(machine, "E-HOOK-DENIED")
        assert scaling.state == "Terminating:Wait"
        shared.aws.allow("instance", ROLE)
        wait_for("CONTINUE", lambda: scaling.state == "Terminated", 40, evidence=lambda: str(self.events(machine)))

    def test_a_missing_hook_and_an_imds_that_is_away_change_nothing(self, shared, machine, begin):  # noqa: F811
        begin()
        shared.imds.refuse()
        self.await_event(machine, "E-IMDS-UNREACHABLE")
        shared.imds.start()
        self.await_event(machine, "reading notices from IMDS: works again")
        shared.autoscaling.terminate(GROUP, hook=None)
        wait_for("it asks", lambda: len(shared.autoscaling.calls(HEARTBEAT)) >= 1, 20)
        assert self.is_active(machine), "the machine's shutdown stops the service"


@pytest.mark.variants
class TestOthers(Watched):
    def test_a_spot_instance_stops_before_its_interruption(self, shared, machine, begin):  # noqa: F811
        begin(replace=True)
        at = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 60))
        shared.instance.rebalance = at
        self.await_event(machine, "recommends to replace")
        self.await_event(machine, "Auto Scaling is asked to replace")
        assert self.is_active(machine)
        shared.instance.spot = {"action": "terminate", "time": at}
        self.await_event(machine, f"interrupts this Spot instance (terminate): {at}")
        self.await_event(machine, f"{UNIT} has stopped")
        assert time.time() < time.mktime(time.strptime(at, "%Y-%m-%dT%H:%M:%SZ")) - time.timezone - 20
        assert {call["result"] for call in shared.autoscaling.calls(HEALTH)} == {"Unhealthy"}

    def test_the_printed_permissions_are_enough_and_needed(self, shared, machine, begin):  # noqa: F811
        machine.write(POLICY, f'repository = "{REPOSITORY}"\n{WATCH}')
        named = ["--service", SERVICE, "--environment", "test", "--group", GROUP]
        printed = json.loads(machine.check(["bootagent", "iam-policy", *named]))["Statement"]
        assert {one["Sid"] for one in printed} == {"Secrets", "LifecycleHook", "Health"}
        health = next(one for one in printed if one["Sid"] == "Health")
        assert health["Action"] == [f"autoscaling:{HEALTH}"] and health["Resource"][0].endswith(f"/{GROUP}")
        without = [one for one in printed if one is not health]
        begin(without, replace=True)
        shared.instance.rebalance = "2026-01-01T00:00:00Z"
        self.await_event(machine, f"may not call autoscaling:{HEALTH}")
        # The emulator does not find the group, which the call does not name.
        shared.aws.allow("instance", [*without, health | {"Resource": ["*"]}])
        self.await_event(machine, "Auto Scaling is asked to replace")

    def test_new_values_are_deployed_and_bad_ones_lead_back(self, shared, machine, begin):  # noqa: F811
        begin()
        # A run writes what is watched by the policy.
        machine.write(POLICY, WATCH.replace('"5m"', '"10s"'))
        assert run(machine).code == 0
        first = ask(machine, "env")
        # The first look starts a run, which changes nothing.
        refreshed = ["journalctl", "--quiet", "--unit=bootagent-watch.refresh.service", "--grep=is healthy"]
        wait_for("the first look", lambda: machine.run(refreshed).code == 0, 40)
        assert ask(machine, "env") == first and self.events(machine) == []
        secret(shared, TOKEN="two")
        self.await_event(machine, "is healthy with the new version of service_env_auth-service_test", 60)
        assert ask(machine, "env")["TOKEN"] == "two"
        secret(shared, TOKEN="bad")
        self.await_event(machine, "runs with the former values", 90)
        assert ask(machine, "env")["TOKEN"] == "two" and self.is_active(machine)
        tried = len([text for text in self.events(machine) if "there is a new version" in text])
        time.sleep(13)
        again = len([text for text in self.events(machine) if "there is a new version" in text])
        assert again == tried == 2, "each version is tried once"
        secret(shared, TOKEN="two")

    def test_a_service_that_stays_unhealthy_is_reported(self, shared, machine, begin):  # noqa: F811
        gate = json.loads(machine.read(f"/var/lib/bootagent/services/{SERVICE}/good.json"))["generation"]["gate"]
        begin(health={"gate": gate, "after": 5})
        machine.write(f"/var/lib/{SERVICE}/sick", "")
        self.await_event(machine, "the instance is reported as unhealthy", 50)
        assert "503" in [text for text in self.events(machine) if "reported" in text][0]
        assert [call["result"] for call in shared.autoscaling.calls(HEALTH)] == ["Unhealthy"]

    def test_it_goes_when_the_policy_wants_it_no_more(self, shared, machine):  # noqa: F811
        shared.aws.allow("instance", ROLE)
        shared.autoscaling.launch(GROUP)
        machine.run(["rm", "-f", f"/var/lib/{SERVICE}/sick"])
        machine.write(POLICY, "")
        assert run(machine).code == 0
        assert not machine.exists(FILE) and not machine.exists("/etc/systemd/system/bootagent-watch.service")
        assert machine.run(["systemctl", "is-active", "bootagent-watch"]).code != 0
