"""A CloudFormation stack of one world: what its group's instances signal, with the states and answers of AWS.

The emulator has checked signature and IAM of a call before it comes here."""

import secrets
from dataclasses import dataclass, field
from urllib.parse import parse_qs

from .autoscaling import error
from .http_server import Request, Response
from .imds import Imds

NAMESPACE = "http://cloudformation.amazonaws.com/doc/2010-05-15/"


@dataclass
class Stack:
    """One resource waits for `count` signals."""

    name: str
    resource: str
    count: int = 1
    state: str = "CREATE_IN_PROGRESS"
    signals: list[tuple[str, str]] = field(default_factory=list)


class Stacks:
    def __init__(self, imds: Imds) -> None:
        self._imds = imds
        self._stack: Stack | None = None

    def create(self, name: str = "acme-auth-main", resource: str = "Group", count: int = 1) -> Stack:
        """The stack is being created, and the instance is one of its group."""
        self._stack = Stack(name, resource, count)
        self._imds.tags |= {"aws:cloudformation:stack-name": name, "aws:cloudformation:logical-id": resource}
        return self._stack

    def respond(self, request: Request) -> Response:
        form = {name: values[0] for name, values in parse_qs(request.body.decode()).items()}
        stack, named = self._stack, form.get("StackName")
        if form.get("Action") != "SignalResource":
            return error(400, "InvalidAction", f"the lab has no {form.get('Action')}")
        if stack is None or named != stack.name:
            return error(400, "ValidationError", f"Stack '{named}' does not exist")
        arn = f"arn:aws:cloudformation:eu-west-1:123456789012:stack/{stack.name}/{secrets.token_hex(4)}"
        if stack.state != "CREATE_IN_PROGRESS":
            return error(400, "ValidationError", f"Stack:{arn} is in {stack.state} state and can not be signaled")
        if form.get("LogicalResourceId") != stack.resource:
            told = f"Resource {form.get('LogicalResourceId')} does not exist for stack {stack.name}"
            return error(400, "ValidationError", told)
        stack.signals.append((form["UniqueId"], form["Status"]))
        succeeded = {instance for instance, status in stack.signals if status == "SUCCESS"}
        if form["Status"] == "FAILURE":
            stack.state = "CREATE_FAILED"
        elif len(succeeded) >= stack.count:
            stack.state = "CREATE_COMPLETE"
        metadata = f"<ResponseMetadata><RequestId>{secrets.token_hex(16)}</RequestId></ResponseMetadata>"
        body = f'<SignalResourceResponse xmlns="{NAMESPACE}">{metadata}</SignalResourceResponse>'
        return Response(200, body.encode(), {"Content-Type": "text/xml"})
