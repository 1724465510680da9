"""What a run waits for is told while it waits: in the log, in the status, and on whoever's terminal asks for it."""

import time

import services
from stage import REPOSITORY

LATE = 20
SAID = "/var/tmp/said"


def test_late_tags_are_waited_for_in_plain_sight(stage):
    stage.serve(services.node(**{"bootagent.toml": services.NOTHING + services.BRIEF}))
    stage.world.imds.tags_after(LATE)
    run = ["bootagent", "run", "--imds-wait=60s", "--repository", REPOSITORY]
    stage.machine.check(["systemd-run", "--quiet", "--unit=first", f"-pStandardError=file:{SAID}", *run])
    waiting = wait_for_tags(stage.machine)
    followed = stage.machine.run(
        ["script", "--quiet", "--flush", "--return", "--command", "exec bootagent status --wait", "/dev/null"],
        env={"TERM": "xterm"},
        timeout=120,
    )
    said = stage.machine.read(SAID)
    assert waiting["what"] == "waiting for the tags bootagent:service and bootagent:environment"
    assert "tags: waiting for the tags bootagent:service and bootagent:environment, for 5 s: try" in said
    assert said.count("tags: waiting") <= 3, "a flood"
    assert "\x1b" not in said
    # The other one sat at a terminal.
    assert followed.code == 0, followed
    assert "\r\x1b[K?" in followed.stdout and "tags " in followed.stdout, followed.stdout
    assert stage.machine.run(["bootagent", "status", "--output", "json"]).json()["waiting"] == []


def wait_for_tags(machine) -> dict:
    deadline = time.monotonic() + LATE
    while time.monotonic() < deadline:
        status = machine.run(["bootagent", "status", "--output", "json"])
        waiting = status.json()["waiting"] if status.stdout.startswith("{") else []
        if waiting and waiting[0]["id"] == "tags" and waiting[0]["said"]:
            assert status.code == 3, status
            return waiting[0]
        time.sleep(0.5)
    raise AssertionError("the status never said that the tags are waited for")
