"""Instance refreshes of one Auto Scaling group, with the states and answers of AWS. A test moves a refresh on by hand."""

import secrets
import threading
from dataclasses import dataclass, field
from xml.sax.saxutils import escape

ACTIONS = (
    "DescribeAutoScalingGroups",
    "DescribeLifecycleHooks",
    "DescribeInstanceRefreshes",
    "StartInstanceRefresh",
    "CancelInstanceRefresh",
    "RollbackInstanceRefresh",
)
ACTIVE = ("Pending", "InProgress", "Cancelling", "RollbackInProgress", "Baking")


class Problem(Exception):
    def __init__(self, code: str, message: str) -> None:
        super().__init__(message)
        self.code, self.message = code, message


@dataclass
class Refresh:
    """`move` is what the group does next: a test sets it."""

    preferences: dict[str, str]
    status: str = "Pending"
    percentage: int = 0
    left: int = 0
    reason: str = ""
    id: str = field(default_factory=lambda: secrets.token_hex(8))


@dataclass
class Group:
    """A group of instances that are in service."""

    name: str
    instances: int = 3
    hooks: tuple[str, ...] = ("ready",)
    health_check: str = "ELB"
    tags: dict[str, str] = field(default_factory=dict)
    refreshes: list[Refresh] = field(default_factory=list)
    # Those of its instances, in place of made-up ones; and what the load balancer says of each: state and reason.
    ids: list[str] = field(default_factory=list)
    targets: dict[str, tuple[str, str]] = field(default_factory=dict)
    lock: threading.Lock = field(default_factory=threading.Lock)

    @property
    def members(self) -> list[str]:
        return self.ids or [f"i-0{number:016x}" for number in range(self.instances)]

    @property
    def target_group(self) -> str:
        return f"arn:aws:elasticloadbalancing:eu-west-1:123456789012:targetgroup/{self.name}/0123456789abcdef"

    @property
    def active(self) -> Refresh | None:
        newest = self.refreshes[0] if self.refreshes else None
        return newest if newest and newest.status in ACTIVE else None

    def move(self, status: str, percentage: int, reason: str = "") -> None:
        """The present refresh goes on to this."""
        with self.lock:
            refresh = self.refreshes[0]
            left = self.instances - self.instances * percentage // 100
            refresh.status, refresh.percentage, refresh.reason, refresh.left = status, percentage, reason, left


def answer(groups: list[Group], action: str, form: dict[str, str]) -> str:
    """The content of the action's result."""
    if action == "DescribeAutoScalingGroups":
        return f"<AutoScalingGroups>{''.join(_group(one) for one in groups if _fits(one, form))}</AutoScalingGroups>"
    group = next((one for one in groups if one.name == form.get("AutoScalingGroupName")), None)
    if group is None:
        raise Problem("ValidationError", f"AutoScalingGroup name not found - {form.get('AutoScalingGroupName')}")
    with group.lock:
        return _RESULTS[action](group, form)


def target_health(groups: list[Group], form: dict[str, str]) -> str:
    """The content of DescribeTargetHealth's result."""
    group = next((one for one in groups if one.target_group == form.get("TargetGroupArn")), None)
    if group is None:
        raise Problem("TargetGroupNotFound", "One or more target groups not found")
    reason = "<Reason>{}</Reason>"
    targets = "".join(
        f"<member><Target><Id>{id}</Id><Port>3000</Port></Target>"
        f"<TargetHealth><State>{state}</State>{reason.format(why) if why else ''}</TargetHealth></member>"
        for id, (state, why) in group.targets.items()
    )
    return f"<TargetHealthDescriptions>{targets}</TargetHealthDescriptions>"


def _fits(group: Group, form: dict[str, str]) -> bool:
    if name := form.get("AutoScalingGroupNames.member.1"):
        return name == group.name
    filters = [number for number in range(1, 6) if f"Filters.member.{number}.Name" in form]
    wanted = {
        form[f"Filters.member.{number}.Name"].removeprefix("tag:"): form[f"Filters.member.{number}.Values.member.1"]
        for number in filters
    }
    return wanted.items() <= group.tags.items()


def _group(group: Group) -> str:
    member = "<member><InstanceId>{}</InstanceId><LifecycleState>InService</LifecycleState><HealthStatus>Healthy</HealthStatus></member>"
    members = "".join(member.format(escape(id)) for id in group.members)
    return (
        f"<member><AutoScalingGroupName>{escape(group.name)}</AutoScalingGroupName>"
        f"<DesiredCapacity>{group.instances}</DesiredCapacity><HealthCheckType>{group.health_check}</HealthCheckType>"
        f"<Instances>{members}</Instances><TargetGroupARNs><member>{group.target_group}</member></TargetGroupARNs><Tags/></member>"
    )


def _hooks(group: Group, _: dict[str, str]) -> str:
    hook = (
        "<member><LifecycleHookName>{}</LifecycleHookName>"
        "<LifecycleTransition>autoscaling:EC2_INSTANCE_LAUNCHING</LifecycleTransition></member>"
    )
    return f"<LifecycleHooks>{''.join(hook.format(escape(name)) for name in group.hooks)}</LifecycleHooks>"


def _describe(group: Group, _: dict[str, str]) -> str:
    one = "".join(
        f"<member><InstanceRefreshId>{it.id}</InstanceRefreshId><Status>{it.status}</Status>"
        f"<PercentageComplete>{it.percentage}</PercentageComplete><InstancesToUpdate>{it.left}</InstancesToUpdate>"
        f"<StatusReason>{escape(it.reason)}</StatusReason></member>"
        for it in group.refreshes[:1]
    )
    return f"<InstanceRefreshes>{one}</InstanceRefreshes>"


def _start(group: Group, form: dict[str, str]) -> str:
    if group.active:
        raise Problem("InstanceRefreshInProgress", "An Instance Refresh is already in progress")
    preferences = {name.removeprefix("Preferences."): form[name] for name in form if name.startswith("Preferences.")}
    group.refreshes.insert(0, Refresh(preferences, left=group.instances))
    return f"<InstanceRefreshId>{group.refreshes[0].id}</InstanceRefreshId>"


def _cancel(group: Group, _: dict[str, str]) -> str:
    if not group.active:
        raise Problem("ActiveInstanceRefreshNotFound", "No in progress or pending Instance Refresh found")
    group.active.status = "Cancelled"
    return f"<InstanceRefreshId>{group.refreshes[0].id}</InstanceRefreshId>"


def _rollback(group: Group, _: dict[str, str]) -> str:
    # As AWS: without a launch template of its own, a refresh has nothing to roll back to.
    raise Problem("IrreversibleInstanceRefresh", "The instance refresh has no desired configuration")


_RESULTS = {
    "DescribeLifecycleHooks": _hooks,
    "DescribeInstanceRefreshes": _describe,
    "StartInstanceRefresh": _start,
    "CancelInstanceRefresh": _cancel,
    "RollbackInstanceRefresh": _rollback,
}
