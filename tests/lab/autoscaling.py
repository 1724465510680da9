"""Auto Scaling for one world: the instance's launch and its termination at lifecycle hooks, with the states and answers
of AWS.

The emulator has checked signature and IAM of a call before it comes here; of hooks it has no states."""

import secrets
import threading
import time
from dataclasses import dataclass
from urllib.parse import parse_qs

from . import refresh
from .http_server import Request, Response
from .imds import Imds

GROUP_TAG = "aws:autoscaling:groupName"
NAMESPACE = "http://autoscaling.amazonaws.com/doc/2011-01-01/"
CALLS = ("CompleteLifecycleAction", "RecordLifecycleActionHeartbeat", "SetInstanceHealth")


@dataclass
class _Launch:
    """A launch, or with `ends` a termination."""

    group: str
    hook: str | None
    target: str
    heartbeat_timeout: float
    default_result: str
    begins: float
    expires: float
    result: str | None = None
    ends: bool = False


class AutoScaling:
    """`launch` puts the world's instance into a group, at its hook. `log` has every call that the role may make."""

    def __init__(self, imds: Imds) -> None:
        self._imds = imds
        self._launch: _Launch | None = None
        self._lock = threading.Lock()
        self.log: list[dict] = []
        # The groups that a rollout sees. The instance's own launch needs none.
        self.groups: list[refresh.Group] = []

    def launch(
        self,
        group: str = "auth-service-main",
        hook: str = "ready",
        heartbeat_timeout: float = 60,
        default_result: str = "ABANDON",
        begins_after: float = 0,
        tagged: bool = True,
        target: str = "InService",
    ) -> None:
        """The instance is launched by the group: Pending for `begins_after` seconds, and then it waits at the hook
        until a call completes that, or no heartbeat comes for `heartbeat_timeout` seconds."""
        begins = time.monotonic() + begins_after
        with self._lock:
            expires = begins + heartbeat_timeout
            self._launch = _Launch(group, hook, target, heartbeat_timeout, default_result, begins, expires)
        # As on AWS, the state that it goes to: InService already while it waits.
        self._imds.instance.lifecycle_state = target
        if tagged:
            self._imds.tags[GROUP_TAG] = group

    def terminate(
        self,
        group: str = "auth-service-main",
        hook: str | None = "drain",
        heartbeat_timeout: float = 60,
        begins_after: float = 0,
        target: str = "Terminated",
    ) -> None:
        """The group takes the instance out of service: Terminating for `begins_after` seconds, as while its load balancer
        drains it, and then it waits at the hook. Without a hook it is gone. `target` may be a state of the warm pool."""
        begins = time.monotonic() + begins_after
        with self._lock:
            expires = begins + heartbeat_timeout
            self._launch = _Launch(
                group, hook, target, heartbeat_timeout, "CONTINUE", begins, expires, None if hook else "CONTINUE", True
            )
        self._imds.instance.lifecycle_state = target
        self._imds.tags[GROUP_TAG] = group

    @property
    def state(self) -> str | None:
        """The state that the group's owner sees; None outside of a group."""
        with self._lock:
            return self._launch and self._now(self._launch)

    def calls(self, action: str | None = None) -> list[dict]:
        return [entry for entry in list(self.log) if action in (None, entry["action"])]

    def respond(self, request: Request) -> Response:
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        action = form.get("Action", "")
        if action in refresh.ACTIONS:
            return self._rollout(action, form)
        with self._lock:
            before = self._launch and self._now(self._launch)
            problem = self._problem(action, form)
            if problem is None:
                self._take(action, form)
            self.log.append(
                {
                    "time": time.time(),
                    "action": action,
                    "group": form.get("AutoScalingGroupName"),
                    "hook": form.get("LifecycleHookName"),
                    "instance": form.get("InstanceId"),
                    "result": form.get("LifecycleActionResult") or form.get("HealthStatus"),
                    "state": before,
                    "error": problem,
                }
            )
        if problem is not None:
            return error(400, "ValidationError", problem)
        body = f"<{action}Response xmlns=\"{NAMESPACE}\"><{action}Result/>{_metadata()}</{action}Response>"
        return Response(200, body.encode(), {"Content-Type": "text/xml"})

    def _rollout(self, action: str, form: dict[str, str]) -> Response:
        entry = {"time": time.time(), "action": action, "group": form.get("AutoScalingGroupName"), "error": None}
        self.log.append(entry)
        try:
            result = refresh.answer(self.groups, action, form)
        except refresh.Problem as problem:
            entry["error"] = problem.code
            return error(400, problem.code, problem.message)
        told = f"<{action}Result>{result}</{action}Result>{_metadata()}"
        body = f"<{action}Response xmlns=\"{NAMESPACE}\">{told}</{action}Response>"
        return Response(200, body.encode(), {"Content-Type": "text/xml"})

    def balance(self, request: Request) -> Response:
        """The load balancer's view of the groups' instances."""
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        action = form.get("Action", "")
        if action != "DescribeTargetHealth":
            return error(400, "InvalidAction", f"the lab has no {action}")
        try:
            result = refresh.target_health(self.groups, form)
        except refresh.Problem as problem:
            return error(400, problem.code, problem.message)
        namespace = "http://elasticloadbalancing.amazonaws.com/doc/2015-12-01/"
        told = f"<{action}Result>{result}</{action}Result>{_metadata()}"
        body = f'<{action}Response xmlns="{namespace}">{told}</{action}Response>'
        return Response(200, body.encode(), {"Content-Type": "text/xml"})

    def _problem(self, action: str, form: dict[str, str]) -> str | None:
        if action not in CALLS:
            return f"the lab has no {action}"
        it, instance = self._launch, form.get("InstanceId")
        if action == CALLS[2]:
            known = it is not None and instance == self._imds.instance.id
            return None if known else f"Instance Id not found - No managed instance found for instance ID: {instance}"
        if it is not None and form.get("AutoScalingGroupName") != it.group:
            return f"AutoScalingGroup name not found - no such group: {form.get('AutoScalingGroupName')}"
        if action == CALLS[0] and form.get("LifecycleActionResult") not in ("CONTINUE", "ABANDON"):
            return "Lifecycle action result must be CONTINUE or ABANDON"
        waits = it and (self._imds.instance.id, it.hook) == (instance, form.get("LifecycleHookName"))
        if not waits or not self._now(it).endswith(":Wait"):
            return f"No active Lifecycle Action found with instance ID {instance}"
        return None

    def _take(self, action: str, form: dict[str, str]) -> None:
        if action == CALLS[0]:
            self._end(self._launch, form["LifecycleActionResult"])
        elif action == CALLS[1]:
            self._launch.expires = time.monotonic() + self._launch.heartbeat_timeout

    def _now(self, it: _Launch) -> str:
        if it.result is None and time.monotonic() >= it.expires:
            self._end(it, it.default_result)
        if it.ends:
            waits = "Terminating:Wait" if time.monotonic() >= it.begins else "Terminating"
            return waits if it.result is None else it.target
        pool = "Warmed:" if it.target.startswith("Warmed:") else ""
        if it.result is not None:
            return it.target if it.result == "CONTINUE" else f"{pool}Terminating"
        return f"{pool}Pending" if time.monotonic() < it.begins else f"{pool}Pending:Wait"

    def _end(self, it: _Launch, result: str) -> None:
        it.result = result
        if result == "ABANDON" and not it.ends:
            self._imds.instance.lifecycle_state = "Terminated"


def error(status: int, code: str, message: str) -> Response:
    """An error of a service with the Query protocol."""
    told = f"<Error><Type>Sender</Type><Code>{code}</Code><Message>{message}</Message></Error>"
    body = f"<ErrorResponse xmlns=\"{NAMESPACE}\">{told}{_metadata()}</ErrorResponse>"
    return Response(status, body.encode(), {"Content-Type": "text/xml"})


def _metadata() -> str:
    return f"<ResponseMetadata><RequestId>{secrets.token_hex(16)}</RequestId></ResponseMetadata>"
