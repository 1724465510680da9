"""What the instances of a group share below one S3 prefix: reports, the pinned and the last good commit, failures."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from lab.deadline import wait_for
from lab.refresh import Group
from lab.world import may

import services
from stage import POLICY, REPOSITORY, Stage, assert_failed

BUCKET, PREFIX = "acme-fleet", "boot"
FLEET = f'[fleet]\nprefix = "s3://{BUCKET}/{PREFIX}"\n'
SECRET = may("secretsmanager:GetSecretValue", "*")
HEALTHY = services.node(**{"bootagent.toml": services.NOTHING + services.BRIEF})
PATIENT = services.NOTHING + 'port = 3000\nhealth = { path = "/health", soak = "1s", timeout = "3s" }\n'
BROKEN = {"server.js": "process.exit(3)\n", "bootagent.toml": PATIENT}
HOOK = '[lifecycle]\nhook = "ready"\n'
SIGNAL = may(["autoscaling:CompleteLifecycleAction", "autoscaling:RecordLifecycleActionHeartbeat"], "*")


class Memory:
    """The objects of the service that the tags name."""

    def __init__(self, stage: Stage) -> None:
        self.stage, self.aws = stage, stage.world.aws

    @property
    def below(self) -> str:
        return f"{PREFIX}/{self.stage.world.tags['bootagent:service']}/test"

    def read(self, name: str) -> dict | None:
        text = self.aws.object(BUCKET, f"{self.below}/{name}")
        return text and json.loads(text)

    def write(self, name: str, **content: object) -> None:
        self.aws.put_object(BUCKET, f"{self.below}/{name}", json.dumps({"schema": 1, **content}))

    def names(self) -> list[str]:
        return [key.removeprefix(f"{self.below}/") for key in self.aws.objects(BUCKET, f"{self.below}/")]

    def report(self) -> dict | None:
        return self.read(f"reports/{self.stage.world.instance.id}.json")

    def policy(self, policy: str = FLEET, **flags: str) -> list[dict]:
        """The policy on the machine, and exactly the printed permissions for the role."""
        machine = self.stage.machine
        machine.write(POLICY, f'repository = "{REPOSITORY}"\n{policy}')
        service = self.stage.world.tags["bootagent:service"]
        printed = machine.check(["bootagent", "iam-policy", "--service", service, "--environment", "test"])
        statements = json.loads(printed)["Statement"]
        self.aws.allow("instance", statements)
        return statements


@pytest.fixture
def memory(stage: Stage) -> Iterator[Memory]:
    stage.world.aws.bucket(BUCKET)
    yield Memory(stage)
    stage.machine.run(["systemctl", "stop", "svc-*.service"])


def commit(stage: Stage, files: dict | None = None) -> str:
    """A further commit of the service; its id."""
    stage.repository.commit("test", files or {"more": "x"})
    return stage.repository.sha("test")


def test_a_healthy_run_leaves_its_report_and_the_good_commit(stage, memory):
    stage.serve(HEALTHY)
    memory.policy()
    result = stage.run()
    assert result.code == 0, result.stderr
    good = stage.repository.sha("test")
    assert memory.read("good.json") == {"schema": 1, "commit": good, "instance": stage.world.instance.id}
    report = memory.report()
    assert (report["state"], report["commit"], report["error"]) == ("healthy", good, None)
    assert "TOKEN" not in json.dumps(report)
    # The next commit remembers the one before it. A second run of the same commit writes nothing but its report.
    newer = commit(stage)
    assert stage.run("--update").code == 0
    assert memory.read("good.json")["before"] == good
    before = len(stage.world.aws.log)
    assert stage.run().code == 0
    asked = [(call["action"], call["key"]) for call in stage.world.aws.log[before:] if call["service"] == "s3"]
    assert [action for action, _ in asked] == ["PUT"], asked
    assert memory.read("good.json")["commit"] == newer


def test_an_instance_takes_the_pinned_commit_and_says_so(stage, memory):
    stage.serve(HEALTHY)
    pinned = stage.repository.sha("test")
    newest = commit(stage)
    memory.policy()
    memory.write("pin.json", commit=pinned)
    settings = {one["name"]: one for one in stage.plan()["settings"]}
    assert settings["ref"]["value"] == pinned and "pin.json" in settings["ref"]["origin"]
    result = stage.run()
    assert result.code == 0 and memory.report()["commit"] == pinned, result.stderr
    # An update without a pin takes the newest one again.
    stage.world.aws.delete_object(BUCKET, f"{memory.below}/pin.json")
    assert stage.run("--update").code == 0
    assert memory.report()["commit"] == newest


def test_a_pin_that_is_not_on_the_branch_is_refused_by_its_name(stage, memory):
    stage.serve(HEALTHY)
    memory.policy()
    memory.write("pin.json", commit="0123456789" * 4)
    result = stage.run()
    assert_failed(stage.machine, result, 77, "E-COMMIT-NOT-ON-BRANCH", f"s3://{BUCKET}/{memory.below}/pin.json")
    assert memory.report()["error"]["code"] == "E-COMMIT-NOT-ON-BRANCH"
    memory.write("pin.json", commit="main; rm -rf /")
    result = stage.run()
    assert_failed(stage.machine, result, 78, "E-FLEET-INVALID", "pin.json")


def test_a_memory_that_cannot_be_read_is_an_error_or_by_policy_the_branch(stage, memory):
    stage.serve(HEALTHY)
    memory.policy()
    stage.world.aws.fail("s3", 503, "SlowDown")
    result = stage.run(wait="2s")
    assert_failed(stage.machine, result, 75, "E-FLEET-UNREACHABLE", f"s3://{BUCKET}/{memory.below}/")
    memory.policy(FLEET + 'unreachable = "branch"\n')
    result = stage.run(wait="2s")
    assert result.code == 0 and "takes the newest commit of test" in result.stderr, result.stderr


@pytest.mark.variants
def test_a_good_boot_does_not_fail_because_its_report_is_denied(stage, memory):
    stage.serve(HEALTHY)
    statements = memory.policy()
    stage.world.aws.allow("instance", [one for one in statements if one["Sid"] != "WriteFleetMemory"])
    result = stage.run()
    assert result.code == 0 and memory.names() == [], result.stderr
    assert stage.machine.journal(BOOTAGENT_CODE="E-FLEET-DENIED")
    status = stage.machine.run(["bootagent", "status"])
    assert status.code == 0 and "healthy, with warnings" in status.stdout, status


@pytest.mark.variants
def test_a_bucket_in_another_region_is_found_and_one_that_is_not_there_is_named(stage, memory):
    stage.serve(HEALTHY)
    memory.policy('[fleet]\nprefix = "s3://acme-absent/x"\n')
    stage.world.aws.allow("instance", [SECRET, may("s3:*", "*")])
    result = stage.run()
    assert_failed(stage.machine, result, 78, "E-FLEET-MISSING", "acme-absent")
    stage.world.aws.bucket("acme-elsewhere", region="us-east-1")
    memory.policy('[fleet]\nprefix = "s3://acme-elsewhere/x"\n')
    result = stage.run()
    assert result.code == 0, result.stderr
    hosts = {call["host"] for call in stage.world.aws.log if call["service"] == "s3" and call["status"] == 200}
    assert "acme-elsewhere.s3.us-east-1.amazonaws.com" in hosts, hosts


@pytest.mark.variants
class TestIamPolicy:
    """A boot works with exactly the printed policy, and without each statement something fails."""

    @pytest.mark.parametrize(
        ("sid", "code"),
        [
            (None, None),
            ("Secrets", "E-SECRET-DENIED"),
            ("LifecycleHook", "E-HOOK-DENIED"),
            ("ReadFleetMemory", "E-FLEET-DENIED"),
            ("WriteFleetMemory", "E-FLEET-DENIED"),
            ("ListFleetMemory", "E-FLEET-DENIED"),
        ],
    )
    def test_each_statement_is_needed(self, stage, memory, sid, code):
        stage.serve(HEALTHY)
        statements = memory.policy(FLEET + HOOK)
        known = {"Secrets", "LifecycleHook", "ReadFleetMemory", "WriteFleetMemory", "ListFleetMemory"}
        assert {one["Sid"] for one in statements} == known
        # Without a pin, nothing says whether it may not be read or is absent.
        if sid == "ReadFleetMemory":
            memory.write("pin.json", commit=stage.repository.sha("test"))
        stage.world.aws.allow("instance", [one for one in statements if one["Sid"] != sid])
        stage.world.autoscaling.launch("auth-service-main")
        result = stage.run(wait="1s")
        if sid is None:
            assert result.code == 0 and stage.world.autoscaling.state == "InService", result.stderr
            assert memory.report()["state"] == "healthy" and memory.read("good.json")
            denied = [call for call in stage.world.aws.log if call["error"] == "AccessDenied"]
            assert all(call["key"].endswith(("pin.json", "good.json")) for call in denied), denied
        else:
            assert stage.machine.journal(BOOTAGENT_CODE=code) or f"[{code}]" in result.stderr, result.stderr


class TestLastGood:
    POLICY = FLEET + 'on_failure = "last-good"\n' + HOOK

    def test_the_last_good_commit_of_the_group_goes_into_service(self, stage, memory):
        stage.serve(HEALTHY)
        good = stage.repository.sha("test")
        memory.policy(self.POLICY)
        memory.write("good.json", commit=good, instance="i-0aaa")
        broken = commit(stage, BROKEN)
        stage.world.autoscaling.launch("auth-service-main")
        notes = stage.plan()["notes"]
        assert any(f"commit {good[:12]} is deployed" in note for note in notes), notes
        result = stage.run()
        said = assert_failed(stage.machine, result, 2, "E-SERVICE-EXITED")
        assert (said["serves"]["commit"], said["last_run"]["commit"]) == (good, broken)
        assert stage.world.autoscaling.state == "InService"
        failure = memory.read(f"failures/{broken}/{stage.world.instance.id}.json")
        assert failure["error"]["code"] == "E-SERVICE-EXITED" and "output" not in failure["error"]
        assert memory.report()["state"] == "degraded" and memory.read("good.json")["commit"] == good
        # A reboot serves it, too.
        again = stage.run()
        assert again.code == 0, again.stderr

    @pytest.mark.variants
    def test_two_commits_that_fail_give_the_instance_up(self, stage, memory):
        stage.serve(services.node(**BROKEN))
        memory.policy(self.POLICY)
        memory.write("good.json", commit=stage.repository.sha("test"), instance="i-0aaa")
        commit(stage, {"bootagent.toml": 'install = "exit 3"\nport = 3000\n'})
        stage.world.autoscaling.launch("auth-service-main")
        result = stage.run()
        assert_failed(stage.machine, result, 1, "E-INSTALL-FAILED")
        assert stage.world.autoscaling.state == "Terminating", result.stderr
        assert "the last good commit failed, too" in result.stderr

    @pytest.mark.parametrize("reversible", [False, True])
    def test_after_a_migration_only_if_the_manifest_says_that_it_is_reversible(self, stage, memory, reversible):
        stage.serve(HEALTHY)
        good = stage.repository.sha("test")
        memory.policy(self.POLICY)
        memory.write("good.json", commit=good, instance="i-0aaa")
        manifest = 'migrate = "node --version"\n' + ("migrate_reversible = true\n" if reversible else "") + PATIENT
        broken = commit(stage, BROKEN | {"bootagent.toml": manifest})
        stage.world.autoscaling.launch("auth-service-main")
        result = stage.run()
        assert memory.read(f"migrations/{broken}.json")["state"] == "done"
        if reversible:
            assert result.code == 2 and stage.world.autoscaling.state == "InService", result.stderr
        else:
            assert result.code == 1 and stage.world.autoscaling.state == "Terminating", result.stderr
            assert "does not say migrate_reversible" in result.stderr

    def test_a_held_instance_is_not_given_up_and_a_pin_rescues_it(self, stage, memory):
        stage.serve(HEALTHY)
        good = stage.repository.sha("test")
        memory.policy(FLEET + 'on_failure = "hold"\n' + HOOK)
        commit(stage, BROKEN)
        stage.world.autoscaling.launch("auth-service-main")
        result = stage.run()
        assert_failed(stage.machine, result, 1, "E-SERVICE-EXITED")
        assert stage.world.autoscaling.state == "Pending:Wait"
        memory.write("pin.json", commit=good)
        again = stage.run()
        assert again.code == 0 and stage.world.autoscaling.state == "InService", again.stderr
        assert memory.report()["commit"] == good

    def test_a_commit_that_failed_on_several_instances_is_not_tried_again(self, stage, memory):
        stage.serve(HEALTHY)
        failing = stage.repository.sha("test")
        memory.policy(FLEET + HOOK)
        error = {"code": "E-SERVICE-EXITED", "doing": "waiting", "causes": ["status \u001b[31m3"], "remedy": "x"}
        # What no instance writes there does not count.
        for name in ("note.txt", "README.json"):
            memory.write(f"failures/{failing}/{name}")
        for instance in ("i-0aaa", "i-0aab", "i-0aac"):
            memory.write(f"failures/{failing}/{instance}.json", commit=failing, instance=instance, error=error)
        stage.world.autoscaling.launch("auth-service-main")
        result = stage.run()
        assert_failed(stage.machine, result, 1, "E-FLEET-FAILING", "3 instances", "status 3")
        assert stage.world.autoscaling.state == "Pending:Wait", "it is not given up: that would be a loop"
        name = stage.world.tags["bootagent:service"]
        assert stage.machine.run(["systemctl", "is-active", f"{name}.service"]).code != 0
        # It was healthy somewhere: the cause is another one.
        memory.write("good.json", commit=failing, instance="i-0aaa")
        assert stage.run().code == 0


class TestMigration:
    MIGRATING = 'migrate = "node migrate.js"\n' + services.NOTHING + services.BRIEF
    FILES = {"migrate.js": 'require("fs").appendFileSync(process.env.HOME + "/ran", "x")\n', "bootagent.toml": MIGRATING}

    def ran(self, stage: Stage) -> int:
        path = f"/var/lib/{stage.world.tags['bootagent:service']}/ran"
        return len(stage.machine.read(path)) if stage.machine.exists(path) else 0

    def done_by(self, stage: Stage, lock: dict) -> bool:
        # `write` tells a writer's own object from another's with the same words.
        return (lock["state"], lock["instance"], type(lock["write"])) == ("done", stage.world.instance.id, int)

    def test_one_instance_of_the_group_migrates(self, stage, memory):
        stage.serve(services.node(**self.FILES))
        memory.policy()
        assert stage.run().code == 0 and self.ran(stage) == 1
        first = stage.repository.sha("test")
        assert self.done_by(stage, memory.read(f"migrations/{first}.json"))
        second = commit(stage)
        memory.write(f"migrations/{second}.json", state="done", instance="i-0aaa")
        result = stage.run("--update")
        assert result.code == 0 and self.ran(stage) == 1, result.stderr

    @pytest.mark.parametrize("holder", ["this instance", "another one, two minutes ago"])
    def test_the_lock_of_a_run_that_died_is_taken_over(self, stage, memory, holder):
        stage.serve(services.node(**self.FILES))
        memory.policy()
        lock = f"migrations/{stage.repository.sha('test')}.json"
        if holder == "this instance":
            memory.write(lock, state="running", instance=stage.world.instance.id)
        else:
            memory.write(lock, state="running", instance="i-0aaa")
            stage.world.clock_off(125)  # S3's clock, which alone counts
        try:
            assert stage.run().code == 0 and self.ran(stage) == 1
        finally:
            stage.world.clock_off(0)
        assert self.done_by(stage, memory.read(lock))

    @pytest.mark.variants
    def test_an_instance_waits_for_the_migration_of_another_one(self, stage, memory):
        stage.serve(services.node(**self.FILES))
        memory.policy()
        lock = f"migrations/{stage.repository.sha('test')}.json"
        memory.write(lock, state="running", instance="i-0aaa")
        before = len(stage.world.aws.log)

        def asked() -> int:
            return sum(call.get("key", "").endswith(lock) for call in stage.world.aws.log[before:])

        with ThreadPoolExecutor(1) as pool:
            running = pool.submit(stage.run)
            wait_for("the second look at the lock", lambda: running.done() or asked() >= 2, 60, every=0.1)
            assert not running.done(), running.result()
            memory.write(lock, state="done", instance="i-0aaa")
            result = running.result(60)
        assert result.code == 0 and self.ran(stage) == 0, result.stderr


def test_why_and_fleet_show_what_instances_reported(stage, memory):
    service = stage.serve(services.node(**BROKEN))
    memory.policy()
    assert stage.run().code == 1
    machine, id = stage.machine, stage.world.instance.id
    stage.world.aws.allow("instance", [may(["s3:GetObject", "s3:ListBucket"], "*")])
    told = machine.run(["bootagent", "why", id])
    assert told.code == 0 and "E-SERVICE-EXITED" in told.stdout and "health-check" in told.stdout, told
    assert f"{id}: {service} (test) at" in told.stdout and "FAILED" in told.stdout, told.stdout
    listed = machine.run(["bootagent", "fleet", "--service", service, "--environment", "test"])
    assert listed.code == 0 and id in listed.stdout and "E-SERVICE-EXITED" in listed.stdout, listed
    assert "may not call autoscaling:DescribeAutoScalingGroups" in listed.stderr and "TARGET" not in listed.stdout, listed
    # With the operator's printed permissions, the group's view stands beside the reports.
    named = ["--service", service, "--environment", "test"]
    printed = json.loads(machine.check(["bootagent", "iam-policy", *named, "--for", "operator"]))["Statement"]
    tags = {"bootagent:service": service, "bootagent:environment": "test"}
    unhealthy = {id: ("unhealthy", "Target.FailedHealthChecks")}
    stage.world.autoscaling.groups = [Group("auth", ids=[id, "i-0bbb"], tags=tags, targets=unhealthy)]
    try:
        stage.world.aws.allow("instance", printed)
        seen = {one["instance"]: one for one in machine.run(["bootagent", "fleet", *named, "--output", "json"]).json()["instances"]}
        assert (seen[id]["lifecycle"], seen[id]["target"]) == ("InService", "unhealthy (Target.FailedHealthChecks)")
        assert seen["i-0bbb"] == {"instance": "i-0bbb", "lifecycle": "InService", "commit": None}
        stage.world.aws.allow("instance", [one for one in printed if one["Sid"] != "TargetHealth"])
        listed = machine.run(["bootagent", "fleet", *named])
        assert listed.code == 0 and "InService" in listed.stdout and "no report" in listed.stdout, listed
        assert "may not call elasticloadbalancing:DescribeTargetHealth" in listed.stderr, listed
    finally:
        stage.world.autoscaling.groups = []
    stage.world.aws.allow("instance", [may(["s3:GetObject", "s3:ListBucket"], "*")])
    absent = machine.run(["bootagent", "why", "i-0123456789abcdef0"])
    assert absent.code == 1 and "E-FLEET-NO-REPORT" in absent.stderr, absent
