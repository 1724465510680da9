"""What failing programs print of a secret is hidden wherever it is told: in parts, in the middle of long lines, at the
ends of what was kept. Ordinary words are not, so that the error can be understood."""

import json

import services
from stage import assert_failed
from test_bad_service import SHORT

OUTPUT = "/run/bootagent/output.json"
MANIFEST = "install = false\n" + SHORT.replace("secret = false\n", "")
TOKEN = "c4n4ry-0f-4-t0k3n-9A8B7C6D5E4F3G2H1J0K"
PASSWORD = "c4n4ry@p/4ss:w0rd"
URL = "postgres://app:c4n4ry%40p%2F4ss%3Aw0rd@db.example:5432/app"
NESTED = {"user": "app", "engine": "postgres", "more": {"keys": ["c4n4ry-1n-4-l1st"]}, "password": "c4n4ry-n3st3d"}


def fails(stage, server: str, code: str, *names: str, manifest: str = MANIFEST, **files: str) -> tuple[dict, str]:
    """A run of a service that fails: its status, and all that is told of it anywhere."""
    values = {"TOKEN": TOKEN, "DATABASE_URL": URL, "DATABASE": NESTED}
    values |= {"KIND": "module", "ROLE": "server", "NODE_ENV": "production", "AREA": "billing"}
    stage.serve(services.node(**{"server.js": server, "bootagent.toml": manifest} | files), secret=json.dumps(values))
    machine = stage.machine
    result = stage.run()
    status = assert_failed(machine, result, 1, code, *names)
    told = [result.stdout, result.stderr, json.dumps(status, ensure_ascii=False), machine.console()]
    told += [machine.check(["cat", path]) for path in ("/run/bootagent/status.json", OUTPUT)]
    told += [machine.check(["journalctl", "-t", "bootagent", "--all", "--output=cat"])]
    return status, "\n".join(told)


def shows_no_part(told: str, value: str) -> None:
    """Not four signs of it in a row."""
    shown = {value[at : at + 4] for at in range(len(value) - 3) if value[at : at + 4] in told}
    assert not shown, f"{sorted(shown)} of {value} in\n{told}"


def test_of_an_address_and_of_json_also_the_parts_are_hidden(stage):
    server = """
        Error.stackTraceLimit = 1;
        const { DATABASE_URL, DATABASE } = process.env;
        console.log("connecting to " + DATABASE_URL);
        console.log("as app with " + decodeURIComponent(new URL(DATABASE_URL).password));
        console.log("or with " + new URL(DATABASE_URL).password);
        console.log("or", JSON.parse(DATABASE).more.keys);
        throw new Error("no access for app with " + JSON.parse(DATABASE).password);
    """
    status, told = fails(stage, server, "E-SERVICE-EXITED", "Error: no access for app with [DATABASE]")
    for value in (URL.split("@")[0].split(":")[-1], PASSWORD, NESTED["password"], NESTED["more"]["keys"][0], "c4n4ry"):
        assert value not in told, f"{value} in\n{told}"
    output = status["error"]["output"]
    for line in ("connecting to [DATABASE_URL]", "as app with [DATABASE_URL]", "or with [DATABASE_URL]"):
        assert line in output, output
    assert "c4n4ry" in stage.machine.check(["journalctl", "--all", "--output=cat", "_COMM=node"]), "it was not said at all"


def test_ordinary_words_are_not_hidden(stage):
    """An error that read `Cannot find [KIND] './[ROLE]/x.js'` told nothing."""
    server = 'Error.stackTraceLimit = 1;\nconsole.log("NODE_ENV=production, in /srv/billing/x");\nrequire("./server/x.js");\n'
    status, _ = fails(stage, server, "E-SERVICE-EXITED", "Error: Cannot find module './server/x.js'")
    output = status["error"]["output"]
    assert "NODE_ENV=[NODE_ENV], in /srv/billing/x" in output, output


def test_a_long_line_is_cut_behind_what_is_hidden(stage):
    """The journal cuts after 48 KiB, and we where we show it: each in the middle of the token."""
    server = """
        const token = process.env.TOKEN;
        console.log("x".repeat(48 * 1024 - 20) + token + " after");
        console.log("y".repeat(280) + token + "y".repeat(4000));
        throw new Error("z".repeat(270) + token);
    """
    status, told = fails(stage, server, "E-SERVICE-EXITED", "Error: zzzz", "[TOKEN]")
    shows_no_part(told, TOKEN)
    assert "x…" in told and f"[TOKEN]{'y' * 13}…" in told, told
    assert all(len(line) < 310 for line in status["error"]["output"] + status["error"]["causes"]), status


MIGRATE = """
    const fs = require("fs"), { TOKEN, DATABASE_URL } = process.env;
    const says = (text) => { while (text) text = text.slice(fs.writeSync(1, text.slice(0, 4096))); };
    const last = "npm error code 7\\nnpm error Error: no access to " + DATABASE_URL + " with "
      + decodeURIComponent(new URL(DATABASE_URL).password) + "\\n";
    const kept = 256 * 1024 - 12 - 1 - last.length;
    says("first\\n" + TOKEN + "\\n" + "filler\\n".repeat(kept / 7) + ".".repeat(kept % 7 - 1) + "\\n" + last);
    process.exit(7);
"""


def test_a_migration_s_output_begins_in_the_middle_of_a_token(stage):
    """Of a pipe 256 KiB are kept: here the last 12 signs of the token, and all that follows."""
    manifest = 'migrate = "node migrate.js"\n' + MANIFEST
    says = "status 7: Error: no access to [DATABASE_URL] with [DATABASE_URL]"
    files = {"migrate.js": MIGRATE}
    status, told = fails(stage, services.SERVER, "E-MIGRATE-FAILED", says, manifest=manifest, **files)
    shows_no_part(told, TOKEN)
    assert "c4n4ry" not in told, told
    output = status["error"]["output"]
    assert output[0] == "…" and output[1] == "filler" and len(output) == 21, output
