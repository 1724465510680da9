"""A bare AWS emulator on a port of its own, which checks signatures and IAM: for templates, which need no machine."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import botocore.session

from papers import ACCOUNT, REGION

DEADLINE = 60
ROOT = ("AKIAROOTROOTROOTROOT", "root")


@contextmanager
def emulator(directory: Path) -> Iterator[Callable]:
    """`client("ec2")` is the account's client of its EC2; with a role's name, that role's."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    environment = {"PATH": os.environ["PATH"], "HOME": str(directory), "TMPDIR": str(directory), "BIND_HOST": "127.0.0.1"}
    environment |= {"GATEWAY_PORT": str(port), "MINISTACK_ACCOUNT_ID": ACCOUNT, "MINISTACK_REGION": REGION, "LOG_LEVEL": "WARNING"}
    environment |= {"AUTH": "true", "AWS_ACCESS_KEY_ID": ROOT[0], "AWS_SECRET_ACCESS_KEY": ROOT[1]}
    environment |= {"DOCKER_HOST": f"unix://{directory}/no-docker.sock"}
    log = directory / "emulator.log"
    with log.open("w") as output:
        command = [sys.executable, "-c", "from ministack.app import main; main()"]
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=subprocess.STDOUT)
    try:
        wait(f"the emulator to listen; {log}", lambda: _listens(port) or process.poll())
        session = botocore.session.get_session()
        url = f"http://127.0.0.1:{port}"

        def client(service: str, role: str | None = None) -> object:
            keys: tuple = ROOT
            if role:
                told = client("sts").assume_role(RoleArn=f"arn:aws:iam::{ACCOUNT}:role/{role}", RoleSessionName="instance")["Credentials"]
                keys = (told["AccessKeyId"], told["SecretAccessKey"], told["SessionToken"])
            names = ("aws_access_key_id", "aws_secret_access_key", "aws_session_token")
            return session.create_client(service, region_name=REGION, endpoint_url=url, **dict(zip(names, keys, strict=False)))

        yield client
    finally:
        process.terminate()
        process.wait(30)


def _listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def wait(what: str, asked: Callable) -> object:
    until = time.monotonic() + DEADLINE
    while time.monotonic() < until:
        if answer := asked():
            return answer
        time.sleep(0.05)
    raise AssertionError(f"waited {DEADLINE} s for {what}")


def deploy(client: Callable, name: str, template: dict, **parameters: object) -> dict[str, str]:
    """Creates the stack; its outputs."""
    formation = client("cloudformation")
    given = [{"ParameterKey": key, "ParameterValue": str(value)} for key, value in parameters.items()]
    formation.create_stack(StackName=name, TemplateBody=json.dumps(template), Parameters=given, Capabilities=["CAPABILITY_IAM"])

    def ended() -> dict | None:
        (stack,) = formation.describe_stacks(StackName=name)["Stacks"]
        return None if stack["StackStatus"].endswith("_IN_PROGRESS") else stack

    stack = wait(f"the stack {name}", ended)
    events = formation.describe_stack_events(StackName=name)["StackEvents"]
    failed = [(one["LogicalResourceId"], one.get("ResourceStatusReason")) for one in events if "FAILED" in one["ResourceStatus"]]
    assert stack["StackStatus"] == "CREATE_COMPLETE", failed
    return {one["OutputKey"]: one["OutputValue"] for one in stack.get("Outputs", [])}
