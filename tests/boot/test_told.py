"""Who learns besides the machine how a run ended: a log group of CloudWatch Logs, and the stack of the instance's group."""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from lab.deadline import wait_for

import services
from stage import POLICY, REPOSITORY, STATUS, Stage, assert_failed

GROUP, STACK = "/acme/bootagent", "acme-auth-main"
TEXT = f'repository = "{REPOSITORY}"\n[lifecycle]\nhook = "ready"\n[evidence]\nlog_group = "{GROUP}"\nstack = "*"\n'
HEALTHY = services.node(**{"bootagent.toml": services.NOTHING + services.BRIEF})
PATIENT = services.NOTHING + 'port = 3000\nhealth = { path = "/health", soak = "1s", timeout = "3s" }\n'
# What a careless service prints before it ends.
BROKEN = services.node(
    **{"server.js": 'console.error("no database: " + process.env.TOKEN); process.exit(3);\n', "bootagent.toml": PATIENT}
)
# Seconds from the end of the step that failed.
GIVEN_UP = 5
BUCKET = "acme-told"
VALUE = "s3cret-t0ken-of-the-database"


class Told:
    def __init__(self, stage: Stage) -> None:
        self.stage, self.aws, self.scaling = stage, stage.world.aws, stage.world.autoscaling
        self.aws.log_group(GROUP)

    def begin(self, files: dict, text: str = TEXT, without: str = "") -> str:
        """A new service whose instance waits at its hook, with exactly the printed permissions but one; its name."""
        service = self.stage.serve(files, secret=json.dumps({"TOKEN": VALUE}))
        self.stack = self.stage.world.stacks.create(STACK)
        machine = self.stage.machine
        machine.write(POLICY, text)
        printed = machine.check(["bootagent", "iam-policy", "--service", service, "--environment", "test"])
        self.printed = json.loads(printed)["Statement"]
        streams = {f"arn:aws:logs:*:*:log-group:{GROUP}:log-stream:{one}/*" for one in (f"{service}/test", "_unselected")}
        evidence = next(one for one in self.printed if one["Sid"] == "Evidence")
        assert set(evidence["Resource"]) == streams
        # The emulator knows log groups alone.
        group = evidence | {"Resource": [f"arn:aws:logs:*:*:log-group:{GROUP}"]}
        allowed = [group if one is evidence else one for one in self.printed if one["Sid"] != without]
        self.aws.allow("instance", allowed)
        self.scaling.launch("auth-service-main")
        self.scaling.log.clear()
        return service

    def lines(self, service: str) -> list[str]:
        """Of the one stream of this service."""
        streams = {name: lines for name, lines in self.aws.logged(GROUP).items() if name.startswith(f"{service}/")}
        assert len(streams) == 1, streams
        (name, lines), = streams.items()
        assert name.startswith(f"{service}/test/{self.stage.world.instance.id}/"), name
        return lines

    def given_up_after(self) -> float:
        """Seconds from the end of the step that failed to ABANDON. The record has whole seconds of its start: up to one too many."""
        steps = json.loads(self.stage.machine.read(STATUS))["steps"]
        failed = next(step for step in steps if step["outcome"] == "failed")
        abandon = [call for call in self.scaling.calls("CompleteLifecycleAction") if call["result"] == "ABANDON"]
        return abandon[0]["time"] - (failed["started"] + failed["seconds"])


@pytest.fixture
def told(stage: Stage) -> Iterator[Told]:
    yield Told(stage)
    stage.world.aws.heal()
    for tag in ("stack-name", "logical-id"):
        stage.world.tags.pop(f"aws:cloudformation:{tag}", None)


def test_a_failed_launch_leaves_its_evidence_and_fails_the_stack(told):
    service = told.begin(BROKEN)
    result = told.stage.run()
    assert_failed(told.stage.machine, result, 1, "E-SERVICE-EXITED")
    lines = told.lines(service)
    assert "FAILED" in lines[0] and told.stage.repository.sha("test") in lines[0], lines
    assert "[E-SERVICE-EXITED]" in lines[1] and lines[2].startswith("to do: "), lines
    assert "no database: [TOKEN]" in "\n".join(lines[3:]) and VALUE not in "\n".join(lines), lines
    assert told.scaling.state == "Terminating"
    assert told.given_up_after() <= GIVEN_UP
    assert told.stack.signals == [(told.stage.world.instance.id, "FAILURE")] and told.stack.state == "CREATE_FAILED"


def test_services_that_hang_delay_no_abandon(told):
    told.aws.bucket(BUCKET)
    told.begin(BROKEN, f'{TEXT}[fleet]\nprefix = "s3://{BUCKET}/told"\n')
    for hanging in [("logs",), ("s3", "PUT"), ("cloudformation",)]:
        told.aws.hang(*hanging)
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(told.stage.run)
        wait_for("ABANDON", lambda: running.done() or told.scaling.state == "Terminating", 60, every=0.1)
        # What is left of the run need not wait for its own limits.
        told.aws.heal()
        result = running.result(120)
    assert_failed(told.stage.machine, result, 1, "E-SERVICE-EXITED")
    assert told.scaling.state == "Terminating" and told.given_up_after() <= GIVEN_UP
    asked = {(call["service"], call["action"]) for call in told.aws.log}
    assert {("logs", "CreateLogStream"), ("s3", "PUT"), ("cloudformation", "SignalResource")} <= asked


def test_a_healthy_launch_counts_for_the_stack_once(told):
    service = told.begin(HEALTHY)
    result = told.stage.run()
    assert result.code == 0, result.stderr
    assert told.stack.signals == [(told.stage.world.instance.id, "SUCCESS")] and told.stack.state == "CREATE_COMPLETE"
    assert not [name for name in told.aws.logged(GROUP) if name.startswith(f"{service}/")]
    before = len(told.aws.log)
    assert told.stage.run().code == 0
    assert not [call for call in told.aws.log[before:] if call["service"] == "cloudformation"], "a reboot signals nothing"


@pytest.mark.variants
def test_a_stack_that_waits_for_no_signal_is_a_note(told):
    told.begin(HEALTHY)
    told.stack.state = "UPDATE_COMPLETE"
    result = told.stage.run()
    assert result.code == 0 and f"{STACK} does not wait for a signal" in result.stderr, result.stderr


@pytest.mark.variants
def test_another_stack_than_the_policy_names_is_not_signalled(told):
    told.begin(HEALTHY, TEXT.replace('"*"', '"acme-{service}"'))
    notes = told.stage.plan()["notes"]
    assert any(f"the instance belongs to the stack {STACK}, and evidence.stack names acme-svc-" in note for note in notes)
    result = told.stage.run()
    assert result.code == 0 and told.stack.signals == [], result.stderr


@pytest.mark.variants
@pytest.mark.parametrize("sid", ["Evidence", "StackSignal"])
def test_each_printed_statement_is_needed_and_the_run_does_not_depend_on_it(told, sid):
    told.begin(BROKEN, without=sid)
    assert {one["Sid"] for one in told.printed} == {"Secrets", "LifecycleHook", "Evidence", "StackSignal"}
    result = told.stage.run()
    assert_failed(told.stage.machine, result, 1, "E-SERVICE-EXITED")
    assert told.scaling.state == "Terminating"
    action = {"Evidence": "logs:CreateLogStream", "StackSignal": "cloudformation:SignalResource"}[sid]
    assert action in result.stderr or told.stage.machine.journal(BOOTAGENT_CODE="E-EVIDENCE-DENIED"), result.stderr


@pytest.mark.variants
def test_a_run_without_a_plan_is_told_too(told):
    service = told.begin(HEALTHY, without="Secrets")
    result = told.stage.run(wait="1s")
    assert_failed(told.stage.machine, result, 78, "E-SECRET-DENIED")
    assert any("[E-SECRET-DENIED]" in line for line in told.lines(service))
    assert told.stack.signals == [], "the next try may succeed"
