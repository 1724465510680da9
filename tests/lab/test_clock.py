"""A machine whose clock is wrong, which is a world whose clock differs from it."""

import email.utils
import http.client
import time
from datetime import UTC, datetime

import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials as SigningKeys

from lab.client import https
from lab.namespace import call_in
from lab.world import may

pytest_plugins = ["lab.fixtures"]

HOST = "secretsmanager.eu-west-1.amazonaws.com"


def dated(answer: http.client.HTTPResponse) -> float:
    """How far ahead of ours its clock is."""
    return email.utils.parsedate_to_datetime(answer.headers["Date"]).timestamp() - time.time()


def test_imds_tells_the_time_of_the_world(world):
    def ask() -> float:
        connection = http.client.HTTPConnection("169.254.169.254", 80, timeout=5)
        connection.request("GET", "/latest/meta-data/")
        return dated(connection.getresponse())

    assert abs(call_in(world.namespace.path, ask)) < 60
    world.clock_off(-3600)
    assert abs(call_in(world.namespace.path, ask) + 3600) < 60


@pytest.fixture
def secret(world):
    world.secret("s", "value")
    world.role([may("secretsmanager:GetSecretValue", "*")])


def read(world, signed_at: float = 0) -> tuple[int, str]:
    """Ask for the secret by a signature of that time."""
    keys = world.imds.credentials()
    body = b'{"SecretId": "s"}'
    headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": "secretsmanager.GetSecretValue", "Host": HOST}
    request = AWSRequest("POST", f"https://{HOST}/", headers=headers, data=body)
    signer = SigV4Auth(SigningKeys(keys.access_key, keys.secret_key, keys.token), "secretsmanager", "eu-west-1")
    at = datetime.fromtimestamp(time.time() + signed_at, UTC)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("botocore.auth.get_current_datetime", lambda: at)
        signer.add_auth(request)
    names = {name.replace("-", "_"): value for name, value in request.headers.items()}
    status, text = https(world.namespace, HOST, "POST", "/", body, **names)
    return status, text.decode()


def test_aws_refuses_a_signature_of_another_time(world, secret):
    assert read(world)[0] == 200
    status, said = read(world, signed_at=-600)
    assert status == 400 and "Signature expired: " in said and "Z is now earlier than " in said and "Z - 5 min.)" in said
    status, said = read(world, signed_at=600)
    assert status == 400 and "Signature not yet current: " in said and "Z is still later than " in said
    assert world.aws.log[-1]["error"] == "InvalidSignatureException"


@pytest.mark.parametrize("seconds", [-3600, 3600])
def test_a_client_that_corrects_its_clock_is_served(world, secret, seconds):
    world.clock_off(seconds)
    assert "InvalidSignatureException" in read(world)[1]
    status, said = read(world, signed_at=seconds)
    assert status == 200 and "value" in said
    world.clock_off(0)
    assert read(world)[0] == 200
