"""While a run waits, the log, the status and a terminal that shows the status say for what."""

import re

import services
from lab.deadline import wait_for
from stage import REPOSITORY

SAID, SHOWN = "/var/tmp/said", "/var/tmp/shown"
WHAT = "waiting for the tags bootagent:service and bootagent:environment"


def test_late_tags_are_waited_for_in_plain_sight(stage):
    """Late until all of that was seen."""
    machine = stage.machine
    stage.serve(services.node(**{"bootagent.toml": services.NOTHING + services.BRIEF}))
    stage.world.imds.tags_after(3600)
    run = ["bootagent", "run", "--imds-wait=120s", "--repository", REPOSITORY]
    machine.check(["systemd-run", "--quiet", "--unit=first", f"--property=StandardError=file:{SAID}", *run])
    waiting = wait_for("the status to say so", lambda: waits_for_tags(machine), 60)
    assert waiting["what"] == WHAT
    follow(machine)
    wait_for("the terminal to show it", lambda: "tags " in shown(machine), 60, evidence=lambda: shown(machine))
    line = rf"tags: {WHAT}, for [5-9] s: try"
    wait_for("a line of the log", lambda: re.search(line, machine.read(SAID)), 60, evidence=lambda: machine.read(SAID))

    stage.world.imds.tags_after(0)
    ended = lambda: machine.systemctl_show("follower.service")["SubState"] in ("exited", "failed")  # noqa: E731
    wait_for("the run to end", ended, 60, evidence=lambda: machine.read(SAID))
    assert machine.systemctl_show("follower.service")["ExecMainStatus"] == "0", shown(machine)
    said = machine.read(SAID)
    assert said.count("tags: waiting") <= 3, "a flood"
    assert "\x1b" not in said
    # The other one sat at a terminal.
    assert "\r\x1b[K?" in shown(machine), shown(machine)
    assert machine.run(["bootagent", "status", "--output", "json"]).json()["last_run"]["waiting"] == []


def waits_for_tags(machine) -> dict | None:
    status = machine.run(["bootagent", "status", "--output", "json"])
    run = status.json()["last_run"] if status.stdout.startswith("{") else None
    waiting = run["waiting"] if run else []
    if not waiting or waiting[0]["id"] != "tags" or not waiting[0]["said"]:
        return None
    assert status.code == 3, status
    return waiting[0]


def follow(machine) -> None:
    """`status --wait` at a terminal, whose screen is a file."""
    terminal = ["script", "--quiet", "--flush", "--return", "--command", "exec bootagent status --wait", "/dev/null"]
    unit = ["--unit=follower", "--remain-after-exit", "--setenv=TERM=xterm", f"--property=StandardOutput=file:{SHOWN}"]
    machine.check(["systemd-run", "--quiet", *unit, *terminal])


def shown(machine) -> str:
    return machine.run(["cat", SHOWN]).stdout
