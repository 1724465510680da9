"""The launch lifecycle hook of an Auto Scaling group: the instance goes into service once the service is healthy, and is
given up if the deployment fails."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from lab.autoscaling import AutoScaling
from lab.deadline import wait_for
from lab.git_repository import Files
from lab.world import may
from looks import SERVICE, USER_DATA, flat, secret, shared  # noqa: F401

import services
from stage import POLICY, REPOSITORY, assert_failed

COMPLETE, HEARTBEAT = "CompleteLifecycleAction", "RecordLifecycleActionHeartbeat"
GROUP = "auth-service-main"
ARN = f"arn:aws:autoscaling:*:*:autoScalingGroup:*:autoScalingGroupName/{GROUP}"
SECRET = may("secretsmanager:GetSecretValue", "*")
ROLE = [SECRET, may([f"autoscaling:{COMPLETE}", f"autoscaling:{HEARTBEAT}"], ARN)]
HOOK = '[lifecycle]\nhook = "ready"\nheartbeat_timeout = "30s"\n'
HEALTHY = services.node(**{"bootagent.toml": services.NOTHING + services.BRIEF})
# Healthy once its file `well` is there.
SICK_AT_FIRST = services.SERVER.replace(
    'request.url === "/health" ? 200 : 404', 'require("fs").existsSync(process.env.HOME + "/well") ? 200 : 503'
)
PATIENT = services.NOTHING + 'port = 3000\nhealth = { path = "/health", soak = "1s", timeout = "3s" }\n'


@pytest.fixture
def launch(stage) -> Iterator[Callable[..., AutoScaling]]:
    """launch(files, policy, role, ...): the group launches the instance, with a service of these files."""
    names = []

    def launch(files: Files = HEALTHY, policy: str = HOOK, role: list[dict] = ROLE, **how) -> AutoScaling:
        names.append(stage.serve(files))
        stage.machine.write(POLICY, policy)
        stage.world.aws.allow("instance", role)
        stage.world.autoscaling.log.clear()
        stage.world.autoscaling.launch(GROUP, **how)
        return stage.world.autoscaling

    yield launch
    for name in names:
        stage.machine.run(["systemctl", "stop", f"{name}.service"])


def results(scaling: AutoScaling) -> list[str | None]:
    """What the calls that Auto Scaling accepted completed the hook with."""
    return [call["result"] for call in scaling.calls(COMPLETE) if call["error"] is None]


def test_the_hook_is_completed_after_the_health_check_and_not_before(stage, launch):
    scaling = launch(services.node(**{"server.js": SICK_AT_FIRST, "bootagent.toml": services.NOTHING + services.BRIEF}))
    name = stage.world.tags["bootagent:service"]

    def started() -> bool:
        return stage.machine.run(["systemctl", "is-active", f"{name}.service"]).code == 0

    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(stage.run)
        wait_for("the service to start", lambda: running.done() or started(), 60, evidence=stage.machine.console_tail)
        assert not running.done(), running.result()
        time.sleep(2)
        assert scaling.calls(COMPLETE) == [] and scaling.state == "Pending:Wait"
        stage.machine.check(["touch", f"/var/lib/{name}/well"])
        result = running.result(120)
    assert result.code == 0, result.stderr
    assert results(scaling) == ["CONTINUE"] and scaling.state == "InService"
    assert f"complete lifecycle hook ready of {GROUP} with CONTINUE" in result.stderr
    # Later runs of an instance in service send nothing, neither of an update nor of its recovery.
    calls = len(scaling.log)
    stage.repository.commit("test", {"server.js": "process.exit(3)\n", "bootagent.toml": PATIENT})
    failed = stage.run("--update")
    assert failed.code == 2, failed.stderr
    assert len(scaling.log) == calls, scaling.log


def test_heartbeats_keep_the_hook_waiting_for_a_long_installation(stage, launch):
    scaling = launch(services.lingering(), heartbeat_timeout=15)
    cache = f"/var/cache/bootagent/{stage.world.tags['bootagent:service']}"
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(stage.run)
        try:
            wait_for("the third heartbeat", lambda: len(scaling.calls(HEARTBEAT)) >= 3, 90, every=0.2)
            assert scaling.state == "Pending:Wait" and scaling.calls(COMPLETE) == []
            times = [call["time"] for call in scaling.calls(HEARTBEAT)]
            assert 17 < times[2] - times[0] < 25, "one heartbeat at once, and then one every third of the timeout"
        finally:
            stage.machine.run(["touch", f"{cache}/go"])
        result = running.result(120)
    assert result.code == 0, result.stderr
    assert results(scaling) == ["CONTINUE"] and scaling.state == "InService"
    sent = len(scaling.calls(HEARTBEAT))
    time.sleep(11)
    assert len(scaling.calls(HEARTBEAT)) == sent, "a heartbeat after the run"


def test_a_heartbeat_that_is_denied_is_logged_and_fails_no_run(stage, launch):
    scaling = launch(role=[SECRET, may(f"autoscaling:{COMPLETE}", ARN)])
    result = stage.run()
    assert result.code == 0 and scaling.state == "InService", result.stderr
    assert scaling.calls(HEARTBEAT) == []
    logged = stage.machine.journal(BOOTAGENT_CODE="E-HOOK-DENIED")
    assert any(f"may not call autoscaling:{HEARTBEAT}" in entry["MESSAGE"] for entry in logged), logged


@pytest.mark.parametrize(
    "files",
    [
        {"server.js": "process.exit(3)\n", "bootagent.toml": PATIENT},
        {"bootagent.toml": 'install = "exit 3"\nport = 3000\n'},
    ],
    ids=["never healthy", "not installed"],
)
def test_a_first_deployment_that_fails_gives_the_instance_up(stage, launch, files):
    scaling = launch(services.node(**files))
    result = stage.run()
    assert result.code == 1, result.stderr
    assert results(scaling) == ["ABANDON"] and scaling.state == "Terminating"
    # The recovery is done before: the service is stopped.
    name = stage.world.tags["bootagent:service"]
    assert stage.machine.run(["systemctl", "is-active", f"{name}.service"]).code != 0


def test_a_run_that_is_cancelled_gives_nothing_up_and_the_next_one_continues(stage, launch):
    scaling = launch(services.lingering())
    cache = f"/var/cache/bootagent/{stage.world.tags['bootagent:service']}"
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(stage.run)
        wait_for("npm to run", lambda: running.done() or stage.machine.exists(f"{cache}/lingers"), 60)
        assert not running.done(), running.result()
        pid = stage.machine.check(["pgrep", "--full", "--oldest", "^bootagent run"]).strip()
        stage.machine.check(["kill", "-TERM", pid])
        cancelled = running.result(120)
    assert_failed(stage.machine, cancelled, 75, "E-CANCELLED")
    assert scaling.calls(COMPLETE) == [] and scaling.state == "Pending:Wait"
    stage.machine.check(["touch", f"{cache}/go"])
    again = stage.run()
    assert again.code == 0 and results(scaling) == ["CONTINUE"], again.stderr


def test_a_run_that_fails_before_it_has_a_plan_leaves_the_hook_waiting(stage, launch):
    scaling = launch(services.node(**{"package.json": "{"}))
    result = stage.run()
    assert_failed(stage.machine, result, 78, "E-MANIFEST-INVALID")
    assert scaling.log == [] and scaling.state == "Pending:Wait"
    stage.repository.commit("test", HEALTHY)
    again = stage.run()
    assert again.code == 0 and scaling.state == "InService", again.stderr


def test_an_instance_that_goes_back_to_a_healthy_deployment_goes_into_service(stage, launch):
    scaling = launch(role=[SECRET])
    first = stage.run()
    assert first.code == 78 and scaling.state == "Pending:Wait", first.stderr
    stage.world.aws.allow("instance", ROLE)
    stage.repository.commit("test", {"server.js": "process.exit(3)\n", "bootagent.toml": PATIENT})
    failed = stage.run("--update")
    assert failed.code == 2, failed.stderr
    assert results(scaling) == ["CONTINUE"] and scaling.state == "InService"


def test_an_instance_of_a_warm_pool_is_prepared_and_then_serves(stage, launch):
    scaling = launch(target="Warmed:Stopped")
    name = stage.world.tags["bootagent:service"]
    into_the_pool = stage.run()
    assert into_the_pool.code == 0 and scaling.state == "Warmed:Stopped", into_the_pool.stderr
    assert "goes into the warm pool (Warmed:Stopped)" in into_the_pool.stderr
    # The release is there; no environment was written, and nothing runs.
    assert stage.machine.run(["ls", f"/opt/{name}/releases"]).stdout.strip()
    assert not stage.machine.exists(f"/run/bootagent/{name}/env")
    assert stage.machine.run(["systemctl", "is-active", f"{name}.service"]).code != 0
    told = stage.machine.run(["bootagent", "status", "--output", "json"])
    assert (told.code, told.json()["state"]) == (0, "prepared"), told
    # A second boot in the pool does nothing.
    assert stage.run().code == 0 and results(scaling) == ["CONTINUE"]
    scaling.launch(GROUP)
    began = time.monotonic()
    out_of_it = stage.run()
    took = time.monotonic() - began
    assert out_of_it.code == 0 and scaling.state == "InService", out_of_it.stderr
    assert results(scaling) == ["CONTINUE", "CONTINUE"] and "running npm" not in out_of_it.stderr
    told = flat(stage.machine.run(["bootagent", "status", "--output", "json"]).json())
    assert told["state"] == "healthy"
    own_time(stage, "out of a stopped pool", took, told)


def own_time(stage, what: str, took: float, told: dict) -> None:
    """Without the start of the service and the soak: 2 s, on an idle host. Beside other boots everything takes four times as long."""
    waited = sum(step["seconds"] for step in told["last_run"]["steps"] if step["id"] == "health-check")
    print(stage.machine.run(["bootagent", "status", "--timings"]).stdout)
    print(f"{what} in {took:.1f} s, of which {waited:.1f} s are the service's start and the soak")
    assert took - waited < 4 * 2, told["last_run"]["steps"]


def test_an_instance_that_kept_running_in_its_pool_is_started_by_the_watcher(stage, launch):
    # The run that the watcher starts has no flags.
    policy = f'repository = "{REPOSITORY}"\n{HOOK}[watch]\nenabled = true\n'
    scaling = launch(policy=policy, target="Warmed:Running")
    name = stage.world.tags["bootagent:service"]
    try:
        assert stage.run().code == 0 and scaling.state == "Warmed:Running"
        # It has seen the pool, and looks twice a second.
        time.sleep(1)
        looked = len(stage.world.imds.log)
        time.sleep(4)
        asked = [entry["path"] for entry in stage.world.imds.log[looked:]]
        assert len([path for path in asked if path.endswith("/target-lifecycle-state")]) >= 4, asked
        began = time.time()
        scaling.launch(GROUP)
        wait_for("CONTINUE", lambda: scaling.state == "InService", 60, evidence=stage.machine.console_tail)
        (completed,) = [call for call in scaling.calls(COMPLETE) if call["error"] is None and call["time"] > began]
        assert stage.machine.run(["systemctl", "is-active", f"{name}.service"]).code == 0

        def has_ended() -> bool:
            return flat(stage.machine.run(["bootagent", "status", "--output", "json"]).json())["state"] == "healthy"

        wait_for("the run to end", has_ended, 30)
        told = flat(stage.machine.run(["bootagent", "status", "--output", "json"]).json())
        own_time(stage, "out of a running pool", completed["time"] - began, told)
    finally:
        stage.machine.run(["systemctl", "disable", "--now", "bootagent-watch"])
        stage.machine.run(["sh", "-c", "rm -f /etc/systemd/system/bootagent-watch.service /var/lib/bootagent/watch.json"])


def test_an_instance_that_cannot_be_prepared_for_the_pool_is_given_up(stage, launch):
    scaling = launch(services.node(**{"bootagent.toml": 'install = "exit 3"\nport = 3000\n'}), target="Warmed:Stopped")
    result = stage.run()
    assert result.code == 1, result.stderr
    assert results(scaling) == ["ABANDON"]


def test_a_hook_that_the_instance_has_not_reached_is_completed_later(stage, launch):
    scaling = launch(begins_after=12)
    result = stage.run()
    assert result.code == 0, result.stderr
    completing = scaling.calls(COMPLETE)
    assert "No active Lifecycle Action found" in completing[0]["error"] and completing[0]["state"] == "Pending"
    assert results(scaling) == ["CONTINUE"] and scaling.state == "InService"


def test_an_api_that_fails_at_first_is_called_again(stage, launch):
    scaling = launch()
    stage.world.aws.fail("autoscaling", 503, "ServiceUnavailable", times=3)
    result = stage.run()
    assert result.code == 0 and scaling.state == "InService", result.stderr


def test_a_role_without_the_permission_is_told_which_one(stage, launch):
    scaling = launch(role=[SECRET])
    result = stage.run()
    said = assert_failed(
        stage.machine, result, 78, "E-HOOK-DENIED", f"autoscaling:{COMPLETE}", "hook ready", status=(4, "degraded")
    )
    assert scaling.calls(COMPLETE) == [] and scaling.state == "Pending:Wait"
    assert said["serves"]["commit"] == stage.repository.sha("test"), "the service itself is healthy"
    stage.world.aws.allow("instance", ROLE)
    again = stage.run()
    assert again.code == 0 and scaling.state == "InService", again.stderr


def test_a_group_that_does_not_exist_is_named(stage, launch):
    launch(policy=HOOK + 'group = "other"\n', role=[SECRET, may("autoscaling:*", "*")])
    result = stage.run()
    assert result.code == 78 and "[E-HOOK-REFUSED]" in result.stderr, result.stderr
    assert "no such group: other" in result.stderr


def test_without_a_hook_in_the_policy_nothing_is_asked_or_sent(stage, launch):
    before = len(stage.world.imds.log)
    scaling = launch(policy="")
    result = stage.run()
    assert result.code == 0, result.stderr
    assert scaling.log == [] and scaling.state == "Pending:Wait"
    asked = [entry["path"] for entry in stage.world.imds.log[before:]]
    assert asked and not any(path.endswith("/target-lifecycle-state") for path in asked), asked


def test_a_group_that_no_tag_names_comes_from_the_policy(stage, launch):
    scaling = launch(policy=HOOK + f'group = "{GROUP}"\n', tagged=False)
    result = stage.run()
    assert result.code == 0 and scaling.state == "InService", result.stderr


def test_a_dry_run_sends_nothing(stage, launch):
    scaling = launch()
    plan = stage.plan()
    assert plan["steps"][-1]["id"] == "signal" and plan["keepalive"]["every"] == 10
    assert scaling.log == []


class TestFirstBoot:
    def test_user_data_completes_the_hook_and_a_reboot_sends_nothing(self, shared, binary):  # noqa: F811
        shared.repo(SERVICE).commit("test", HEALTHY)
        secret(shared, TOKEN="t")
        shared.role(ROLE)
        scaling = shared.autoscaling
        scaling.launch(GROUP)
        machine = shared.launch(user_data=USER_DATA, binary=binary, files={POLICY: HOOK})
        done = machine.wait_for_cloud_init()
        assert done.user_data_code == 0, done.output
        assert results(scaling) == ["CONTINUE"] and scaling.state == "InService"
        calls = len(scaling.log)
        machine.reboot()

        def ran() -> bool:
            return machine.systemctl_show("bootagent.service")["ActiveState"] == "active"

        wait_for("the run of the second boot", ran, 90, evidence=machine.console_tail)
        told = machine.run(["bootagent", "status", "--output", "json"])
        assert told.code == 0 and flat(told.json())["state"] == "healthy", told
        assert len(scaling.log) == calls, scaling.log[calls:]


class TestInService:
    def test_a_hook_at_which_nothing_waits_is_a_note_and_is_tried_once(self, shared, binary):  # noqa: F811
        """As if the policy got the hook long after the launch: it takes two minutes to be sure."""
        shared.repo(SERVICE).commit("test", HEALTHY)
        secret(shared, TOKEN="t")
        shared.role(ROLE)
        scaling = shared.autoscaling
        scaling.launch(GROUP, heartbeat_timeout=0, default_result="CONTINUE")
        assert scaling.state == "InService"
        machine = shared.launch(binary=binary, files={POLICY: HOOK})
        run = ["bootagent", "run", "--repository", "https://github.com/acme/{service}.git"]
        first = machine.run(run, timeout=240)
        assert first.code == 0 and "does not wait at the lifecycle hook ready" in first.stderr, first.stderr
        assert results(scaling) == []
        calls = len(scaling.log)
        assert machine.run(["bootagent", "run"], timeout=60).code == 0
        assert len(scaling.log) == calls
