"""The lab's own check: a launch at a lifecycle hook has the states and answers of AWS."""

import time
from email.message import Message
from types import SimpleNamespace
from urllib.parse import urlencode

import pytest

from .autoscaling import GROUP_TAG, AutoScaling
from .http_server import Request

COMPLETE, HEARTBEAT = "CompleteLifecycleAction", "RecordLifecycleActionHeartbeat"
GROUP = "auth-service-main"


@pytest.fixture
def scaling() -> AutoScaling:
    return AutoScaling(SimpleNamespace(instance=SimpleNamespace(id="i-1", lifecycle_state=None), tags={}))


def call(scaling: AutoScaling, action: str, **changed: str) -> tuple[int, str]:
    form = {"AutoScalingGroupName": GROUP, "LifecycleHookName": "ready", "InstanceId": "i-1"}
    if action == COMPLETE:
        form["LifecycleActionResult"] = "CONTINUE"
    body = urlencode({"Action": action, **form, **changed}).encode()
    response = scaling.respond(Request("POST", "/", Message(), body, "172.31.5.10"))
    return response.status, response.body.decode()


def test_an_instance_waits_until_it_is_continued(scaling):
    assert scaling.state is None
    scaling.launch()
    assert (scaling.state, scaling._imds.instance.lifecycle_state) == ("Pending:Wait", "InService")
    assert scaling._imds.tags[GROUP_TAG] == GROUP
    assert call(scaling, HEARTBEAT)[0] == 200 and scaling.state == "Pending:Wait"
    assert call(scaling, COMPLETE)[0] == 200 and scaling.state == "InService"
    status, told = call(scaling, COMPLETE)
    assert status == 400 and "No active Lifecycle Action found with instance ID i-1" in told
    assert call(scaling, HEARTBEAT)[0] == 400


def test_an_abandoned_instance_is_terminated(scaling):
    scaling.launch()
    assert call(scaling, COMPLETE, LifecycleActionResult="ABANDON")[0] == 200
    assert (scaling.state, scaling._imds.instance.lifecycle_state) == ("Terminating", "Terminated")


def test_a_hook_without_heartbeats_expires(scaling):
    scaling.launch(heartbeat_timeout=0.4)
    for _ in range(3):
        time.sleep(0.2)
        assert call(scaling, HEARTBEAT)[0] == 200
    time.sleep(0.5)
    assert scaling.state == "Terminating" and call(scaling, COMPLETE)[0] == 400
    scaling.launch(heartbeat_timeout=0.1, default_result="CONTINUE")
    time.sleep(0.2)
    assert scaling.state == "InService"


def test_a_call_before_the_instance_has_reached_the_hook_is_refused(scaling):
    scaling.launch(begins_after=0.3)
    status, told = call(scaling, COMPLETE)
    assert (status, scaling.state) == (400, "Pending") and "No active Lifecycle Action" in told
    time.sleep(0.4)
    assert call(scaling, COMPLETE)[0] == 200


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"InstanceId": "i-2"}, "instance ID i-2"),
        ({"LifecycleHookName": "other"}, "No active Lifecycle Action"),
        ({"AutoScalingGroupName": "other"}, "name not found"),
        ({"LifecycleActionResult": "YES"}, "CONTINUE or ABANDON"),
    ],
)
def test_other_names_are_refused(scaling, changed, told):
    scaling.launch()
    status, body = call(scaling, COMPLETE, **changed)
    assert status == 400 and told in body and scaling.state == "Pending:Wait"


def test_a_warm_pool_has_states_of_its_own(scaling):
    scaling.launch(target="Warmed:Stopped")
    assert scaling.state == "Warmed:Pending:Wait"
    assert call(scaling, COMPLETE)[0] == 200 and scaling.state == "Warmed:Stopped"


def test_a_terminated_instance_waits_after_its_load_balancer_has_drained_it(scaling):
    scaling.terminate(begins_after=0.3)
    assert (scaling.state, scaling._imds.instance.lifecycle_state) == ("Terminating", "Terminated")
    assert call(scaling, HEARTBEAT, LifecycleHookName="drain")[0] == 400
    time.sleep(0.4)
    assert call(scaling, HEARTBEAT)[0] == 400, "the hook of the launch"
    assert call(scaling, HEARTBEAT, LifecycleHookName="drain")[0] == 200 and scaling.state == "Terminating:Wait"
    assert call(scaling, COMPLETE, LifecycleHookName="drain")[0] == 200 and scaling.state == "Terminated"
    assert call(scaling, COMPLETE, LifecycleHookName="drain")[0] == 400


def test_without_a_terminate_hook_nothing_waits_and_one_without_heartbeats_expires(scaling):
    scaling.terminate(hook=None)
    assert scaling.state == "Terminated" and call(scaling, HEARTBEAT, LifecycleHookName="drain")[0] == 400
    scaling.terminate(heartbeat_timeout=0.1, target="Warmed:Stopped")
    assert scaling._imds.instance.lifecycle_state == "Warmed:Stopped"
    time.sleep(0.2)
    assert scaling.state == "Warmed:Stopped"


def test_the_health_of_the_groups_instance_alone_can_be_set(scaling):
    assert call(scaling, "SetInstanceHealth", HealthStatus="Unhealthy")[0] == 400
    scaling.launch()
    assert call(scaling, "SetInstanceHealth", HealthStatus="Unhealthy")[0] == 200
    assert call(scaling, "SetInstanceHealth", InstanceId="i-2")[0] == 400
    assert [entry["result"] for entry in scaling.calls("SetInstanceHealth")][1] == "Unhealthy"
