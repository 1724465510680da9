"""systemd executes itself anew, as after an update of its packages, while a run waits for the service's restart."""

import json
from concurrent.futures import ThreadPoolExecutor

from lab.deadline import wait_for
from looks import SERVICE, ask, process, secret, shared  # noqa: F401
from services import TALKING, talking
from stage import run

SLOW_TO_STOP = TALKING + '\nprocess.on("SIGTERM", () => setTimeout(() => process.exit(0), 4000));\n'
UNIT = f"{SERVICE}.service"


def starts(machine) -> int:
    """How often the service was started in this boot."""
    lines = machine.check(["journalctl", "--boot", "--output=json", f"--unit={UNIT}", "_PID=1"]).splitlines()
    return sum(json.loads(line)["MESSAGE"].startswith("Started ") for line in lines)


def test_the_run_waits_for_the_restart_and_passes(shared, binary):  # noqa: F811
    shared.repo(SERVICE).commit("test", talking(**{"server.js": SLOW_TO_STOP}))
    secret(shared, TOKEN="first")
    machine = shared.launch(binary=binary)
    done = run(machine)
    assert done.code == 0, done.stderr
    before, pid = starts(machine), process(machine)[1]
    secret(shared, TOKEN="second")
    with ThreadPoolExecutor() as beside:
        again = beside.submit(machine.run, ["bootagent", "run"], timeout=120)
        wait_for("the restart", lambda: machine.systemctl_show(UNIT)["ActiveState"] == "deactivating", 30)
        machine.check(["systemctl", "daemon-reexec"])
        result = again.result()
    assert result.code == 0, result.stderr
    assert process(machine)[1] != pid and ask(machine, "env")["TOKEN"] == "second"
    assert starts(machine) == before + 1, machine.check(["journalctl", "--boot", f"--unit={UNIT}", "_PID=1"])
