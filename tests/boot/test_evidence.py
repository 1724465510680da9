"""A service that falls tells why, in its own last words, and none of them is a secret."""

import base64
import json
import urllib.parse

import services
from stage import assert_failed
from test_bad_service import SHORT

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
    secret = json.dumps({"TOKEN": TOKEN, "PIN": "4711"})
    stage.serve(services.node(**{"server.js": TALKS, "bootagent.toml": manifest}), secret=secret)
    machine = stage.machine
    result = stage.run()
    status = assert_failed(machine, result, 1, "E-SERVICE-EXITED", "status 1")
    output = status["error"]["output"]
    told = "\n".join(output)
    assert "no database" in told and "[TOKEN]" in told, told
    assert len(output) <= 21 and len(told) < 5000 and "\x1b" not in told
    lines = result.stderr.splitlines()
    first = next(at for at, line in enumerate(lines) if "[E-SERVICE-EXITED]" in line)
    assert any("no database" in line for line in lines[first + 1 :]), "the cause stands before the lines"

    text = machine.run(["bootagent", "status"]).stdout
    assert "no database" in text and "[TOKEN]" in text, text
    seen = {
        "the run": result.stdout + result.stderr,
        "status": text + json.dumps(status, ensure_ascii=False),
        "status.json": machine.check(["cat", "/run/bootagent/status.json"]),
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
        "4711",
        "c4n4ry",
    ):
        for place, said in seen.items():
            assert form not in said, f"{form} in {place}:\n{said}"
    own = machine.check(["journalctl", "--all", "--output=cat", "_COMM=node"])
    assert "c4n4ry" in own, "the service did not say it at all: this test shows nothing"
