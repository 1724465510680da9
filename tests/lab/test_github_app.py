"""A GitHub App's way to a repository: its key, a token of an hour, git over HTTPS."""

import base64
import json
import subprocess
import time

import pytest

from lab.client import https
from lab.github_app import App

pytest_plugins = ["lab.fixtures"]


def segment(data: bytes | dict) -> str:
    data = json.dumps(data).encode() if isinstance(data, dict) else data
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(app: App, tmp_path, issuer: str | int = "", now: float = 0, ahead: int = -60, lasts: int = 540, key: str = "") -> str:
    now = int(now or time.time())
    claims = {"iss": issuer or app.client_id, "iat": now + ahead, "exp": now + lasts}
    body = f"{segment({'alg': 'RS256', 'typ': 'JWT'})}.{segment(claims)}"
    (tmp_path / "key").write_text(key or app.private_key)
    sign = ["openssl", "dgst", "-sha256", "-sign", str(tmp_path / "key")]
    return f"{body}.{segment(subprocess.run(sign, input=body.encode(), capture_output=True, check=True).stdout)}"


def exchange(world, app, token, body=None, host="api.github.com", base="", installation=0, agent="test"):
    path = f"{base}/app/installations/{installation or app.installation}/access_tokens"
    data = json.dumps(body).encode() if body is not None else b""
    status, text = https(world.namespace, host, "POST", path, data, Authorization=f"Bearer {token}", User_Agent=agent)
    return status, json.loads(text)


def reads(world, token: str, name: str = "auth-service") -> int:
    basic = base64.b64encode(f"x-access-token:{token}".encode()).decode()
    path = f"/acme/{name}.git/info/refs?service=git-upload-pack"
    return https(world.namespace, "github.com", "GET", path, Authorization=f"Basic {basic}")[0]


@pytest.fixture
def app(world) -> App:
    for name in ("auth-service", "other", "third"):
        world.repo(name).commit("test", {"a": "b"})
    world.repo("third").token = "its-own"
    return world.github_app("auth-service", "other")


def test_a_token_opens_what_was_asked_for_until_it_expires(world, app, tmp_path):
    assert app.private_key.startswith("-----BEGIN RSA PRIVATE KEY-----\n")
    assert reads(world, "none") == 401
    asked = {"repositories": ["auth-service"], "permissions": {"contents": "read"}}
    status, given = exchange(world, app, signed(app, tmp_path), asked)
    token = given["token"]
    assert status == 201 and token.startswith(f"ghs_{app.id}_") and 480 < len(token) < 560
    assert given["expires_at"] > time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(time.time() + 3500))
    assert [reads(world, token, name) for name in ("auth-service", "other", "third")] == [200, 401, 401]
    everything = exchange(world, app, signed(app, tmp_path, issuer=app.id))[1]["token"]
    assert [reads(world, everything, name) for name in ("auth-service", "other", "third")] == [200, 200, 401]
    world.github.expire_tokens()
    assert reads(world, token) == 401
    world.github.lifetime = 0
    assert reads(world, exchange(world, app, signed(app, tmp_path))[1]["token"]) == 401
    assert world.github.log[0]["asked"] == asked and token not in json.dumps(world.github.log + world.git.log)


def test_the_same_at_a_server_of_ones_own(world, app, tmp_path):
    host = {"host": "git.acme.test", "base": "/api/v3"}
    assert exchange(world, app, signed(app, tmp_path), **host)[0] == 201
    assert exchange(world, app, signed(app, tmp_path), base="/api/v3")[0] == 404


@pytest.mark.parametrize(
    "how, said",
    [
        ({"key": "another"}, "could not be decoded"),
        ({"issuer": "Iv23liabsent"}, "could not be decoded"),
        ({"ahead": 60}, "'Issued at'"),
        ({"lasts": -1}, "must be a numeric value representing the future"),
        ({"lasts": 700}, "too far in the future"),
        ({"now": 1_767_225_600}, "must be a numeric value representing the future"),
    ],
)
def test_an_apps_own_token_that_is_refused(world, app, tmp_path, how, said):
    if "key" in how:
        how["key"] = world.github_app("other").private_key
    status, answer = exchange(world, app, signed(app, tmp_path, **how))
    assert status == 401 and said in answer["message"] and world.github.log[-1]["error"] == answer["message"]


def test_what_github_refuses_besides(world, app, tmp_path):
    token = signed(app, tmp_path)
    assert exchange(world, app, token, installation=1)[0] == 404
    assert exchange(world, app, token, {"repositories": ["third"]})[0] == 422
    assert exchange(world, app, token, {"permissions": {"contents": "write"}})[0] == 422
    assert exchange(world, app, token, agent="")[0] == 403
    assert exchange(world, app, "no-token")[0] == 401


def test_faults_and_a_clock_that_is_off(world, app, tmp_path):
    world.github.fail(502, times=1)
    assert [exchange(world, app, signed(app, tmp_path))[0] for _ in range(2)] == [502, 201]
    world.clock.offset = -3600
    assert "'Issued at'" in exchange(world, app, signed(app, tmp_path))[1]["message"]
    world.clock.offset = 3600
    assert "the future time" in exchange(world, app, signed(app, tmp_path))[1]["message"]
