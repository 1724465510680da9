"""The lab's own check: an instance refresh has the states and answers of AWS."""

from email.message import Message
from types import SimpleNamespace
from urllib.parse import urlencode

import pytest

from .autoscaling import AutoScaling
from .http_server import Request
from .refresh import Group

NAME = "auth-service-main"


@pytest.fixture
def group() -> Group:
    return Group(NAME, tags={"service": "auth"})


@pytest.fixture
def call(group):
    scaling = AutoScaling(SimpleNamespace(instance=SimpleNamespace(id="i-1", lifecycle_state=None), tags={}))
    scaling.groups = [group]

    def call(action: str, **form: str) -> tuple[int, str]:
        body = urlencode({"Action": action, **form}).encode()
        response = scaling.respond(Request("POST", "/", Message(), body, "172.31.5.10"))
        return response.status, response.body.decode()

    return call


def test_a_group_is_found_by_its_name_and_by_its_tags(call):
    by_tag = {"Filters.member.1.Name": "tag:service", "Filters.member.1.Values.member.1": "auth"}
    for form in ({"AutoScalingGroupNames.member.1": NAME}, by_tag):
        status, told = call("DescribeAutoScalingGroups", **form)
        assert status == 200 and told.count("<InstanceId>") == 3, told
    other = by_tag | {"Filters.member.1.Values.member.1": "mail"}
    assert "<InstanceId>" not in call("DescribeAutoScalingGroups", **other)[1]
    assert "<LifecycleHookName>ready<" in call("DescribeLifecycleHooks", AutoScalingGroupName=NAME)[1]


def test_there_is_one_refresh_at_a_time(call, group):
    assert call("StartInstanceRefresh", AutoScalingGroupName=NAME)[0] == 200
    status, told = call("StartInstanceRefresh", AutoScalingGroupName=NAME)
    assert status == 400 and "InstanceRefreshInProgress" in told
    group.move("InProgress", 33, "one is replaced")
    told = call("DescribeInstanceRefreshes", AutoScalingGroupName=NAME)[1]
    assert "<Status>InProgress<" in told and "<InstancesToUpdate>3<" in told, told
    assert call("CancelInstanceRefresh", AutoScalingGroupName=NAME)[0] == 200
    assert group.refreshes[0].status == "Cancelled"
    status, told = call("CancelInstanceRefresh", AutoScalingGroupName=NAME)
    assert status == 400 and "ActiveInstanceRefreshNotFound" in told


def test_a_group_that_is_not_there_is_an_error(call):
    status, told = call("StartInstanceRefresh", AutoScalingGroupName="other")
    assert status == 400 and "ValidationError" in told and "name not found" in told
    assert call("RollbackInstanceRefresh", AutoScalingGroupName=NAME)[0] == 400
