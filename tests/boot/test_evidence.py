"""A service that falls tells why, in its own last words, and none of them is a secret."""

import base64
import json
import urllib.parse

import services
from stage import assert_failed
from test_bad_service import SHORT

OUTPUT = "/run/bootagent/output.json"
TOKEN = "c4n4ry/of+the=\"boot' & <more> 0123456789"
TALKS = """\
const value = process.env.TOKEN;
const forms = {
  plain: value,
  json: JSON.stringify({ value }),
  base64: Buffer.from(value).toString("base64"),
  basic: Buffer.from("user:" + value).toString("base64"),
  url: "https://db/?token=" + encodeURIComponent(value),
  hex: Buffer.from(value).toString("hex"),
  inspected: require("util").inspect({ value }),
};
for (const [name, form] of Object.entries(forms)) console.log(name + " " + form);
console.log("\\u001b[31mPIN=" + process.env.PIN + "\\u001b[0m");
throw new Error("no database");
"""


def test_its_last_lines_are_told_without_its_secrets(stage):
    manifest = "install = false\n" + SHORT.replace("secret = false\n", "")
    secret = json.dumps({"TOKEN": TOKEN, "PIN": "4z1q"})
    stage.serve(services.node(**{"server.js": TALKS, "bootagent.toml": manifest}), secret=secret)
    machine = stage.machine
    result = stage.run()
    status = assert_failed(machine, result, 1, "E-SERVICE-EXITED", "status 1: Error: no database")
    output = status["error"]["output"]
    told = "\n".join(output)
    assert "no database" in told and "[TOKEN]" in told, told
    assert len(output) <= 21 and len(told) < 5000 and "\x1b" not in told
    lines = result.stderr.splitlines()
    first = next(at for at, line in enumerate(lines) if "[E-SERVICE-EXITED]" in line)
    assert any("no database" in line for line in lines[first + 1 :]), "the cause stands before the lines"

    text = machine.run(["bootagent", "status", "--steps"]).stdout
    assert "no database" in text and "[TOKEN]" in text, text
    seen = {
        "the run": result.stdout + result.stderr,
        "status": text + json.dumps(status, ensure_ascii=False),
        "status.json": machine.check(["cat", "/run/bootagent/status.json"]),
        "output.json": machine.check(["cat", "/run/bootagent/output.json"]),
        "journal": machine.check(["journalctl", "-t", "bootagent", "--all", "--output=export"]),
        "console": machine.console(),
    }
    encoded = base64.b64encode(TOKEN.encode()).decode()
    for form in (
        TOKEN,
        json.dumps(TOKEN)[1:-1],
        encoded[:-4],
        urllib.parse.quote(TOKEN, safe="!*'()~"),
        TOKEN.encode().hex(),
        "4z1q",
        "c4n4ry",
    ):
        for place, said in seen.items():
            assert form not in said, f"{form} in {place}:\n{said}"
    only_for_root(machine)
    own = machine.check(["journalctl", "--all", "--output=cat", "_COMM=node"])
    assert "c4n4ry" in own, "the service did not say it at all: this test shows nothing"


def only_for_root(machine):
    """A service may say more than the secrets that are known: everybody learns that it failed, why, and what to do."""
    assert (machine.stat(OUTPUT).mode, machine.stat(OUTPUT).owner) == (0o600, "root")
    for form in ("text", "json"):
        asked = machine.run(["bootagent", "status", "--output", form], user="nobody")
        assert asked.code == 1 and "E-SERVICE-EXITED" in asked.stdout and "status 1" in asked.stdout, asked
        assert "journalctl -u" in asked.stdout and "[TOKEN]" not in asked.stdout, asked.stdout
    assert "output" not in asked.json()["error"]
    public = machine.check(["cat", "/run/bootagent/status.json"], user="nobody")
    assert "[TOKEN]" not in public and "plain" not in public, public


def test_it_goes_with_the_next_run(stage):
    manifest = "install = false\n" + SHORT
    ends = {"server.js": 'console.log("no table sessions");\nprocess.exit(3);\n', "bootagent.toml": manifest}
    stage.serve(services.node(**ends), secret=None)
    assert stage.run().code == 1
    assert "no table sessions" in stage.machine.read(OUTPUT)
    stage.repository.commit("test", services.node(**{"bootagent.toml": manifest}))
    healthy = stage.run("--update")
    assert healthy.code == 0 and not stage.machine.exists(OUTPUT), healthy.stderr
