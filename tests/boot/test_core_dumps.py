"""Nothing of the agent's memory comes to the disk, and no process without CAP_SYS_PTRACE reads it."""

import pytest
import services
from lab.deadline import wait_for
from looks import SERVICE, secret, status

UNLIMITED = "ulimit -c unlimited"
# The agent without CAP_SYS_PTRACE, so that a root process without it is its equal: only dumpable or not decides.
WITHOUT_PTRACE = ["setpriv", "--bounding-set=-sys_ptrace", "--inh-caps=-sys_ptrace"]
RUN = f"{' '.join(WITHOUT_PTRACE)} bootagent run --repository 'https://github.com/acme/{{service}}.git'"


def core_limits(machine, pid: int | str) -> list[str]:
    line = next(line for line in machine.read(f"/proc/{pid}/limits").splitlines() if "core file size" in line)
    return line.split()[4:6]


def may_read(machine, pid: int | str) -> bool:
    """Whether a process with the agent's own user and capabilities may open its memory."""
    result = machine.run([*WITHOUT_PTRACE, "dd", f"if=/proc/{pid}/mem", "bs=1", "count=0"])
    assert result.code == 0 or "Permission denied" in result.stderr, result
    return result.code == 0


def test_a_run_from_user_data_leaves_no_core(world, binary):
    world.tags = {"bootagent:service": SERVICE, "bootagent:environment": "test"}
    repository = world.repo(SERVICE)
    repository.commit("test", services.node())
    secret(world, TOKEN="canary")
    repository.stall(after=0)
    machine = world.launch(user_data=f"#!/bin/sh\n{UNLIMITED}\nexec {RUN}\n", binary=binary)

    def fetching() -> bool:
        waiting = status(machine)[1].get("waiting", []) if machine.exists("/run/bootagent/status.json") else []
        return any(one["id"] == "fetch" for one in waiting) and not any(one["id"] == "secret" for one in waiting)

    wait_for("the run to have the secret and to wait for the branch", fetching, 60)
    pid = status(machine)[1]["pid"]
    fetch = machine.systemctl_show("bootagent-fetch.service")["MainPID"]
    assert (core_limits(machine, pid), core_limits(machine, fetch)) == (["0", "0"], ["0", "0"])
    assert not may_read(machine, pid)
    # What proves it: another process of the same user and with the same limits, which did not say so.
    line = f"{UNLIMITED}; exec {' '.join(WITHOUT_PTRACE)} sleep 60"
    machine.check(["systemd-run", "--unit=dumpable", "sh", "-c", line])
    dumpable = machine.systemctl_show("dumpable.service")["MainPID"]
    wait_for("the control", lambda: machine.read(f"/proc/{dumpable}/comm").strip() == "sleep", 10)
    assert core_limits(machine, dumpable)[0] == "unlimited" and may_read(machine, dumpable)
    # A crash.
    machine.check(["kill", "-ABRT", str(pid)])
    wait_for("the agent's end", lambda: not machine.exists(f"/proc/{pid}/exe"), 10)
    assert not machine.check(["find", "/", "-xdev", "-name", "core*", "-type", "f", "-size", "+64k",
                              "-newer", "/run/bootagent/status.json"])  # fmt: skip


@pytest.mark.parametrize("line", ["nonsense", "--help", "status", "run --repository x", "__child nonsense"])
def test_it_comes_before_the_arguments(stage, line):
    """Nothing else is asked of the kernel but what every program's start asks."""
    trace = ["strace", "--output=/root/trace", "--trace=prctl,prlimit64,setrlimit,openat,socket"]
    stage.machine.run([*trace, "bootagent", *line.split()])
    calls = stage.machine.read("/root/trace").splitlines()
    dumpable = [number for number, call in enumerate(calls) if "PR_SET_DUMPABLE, SUID_DUMP_DISABLE" in call]
    limit = [number for number, call in enumerate(calls) if "RLIMIT_CORE, {rlim_cur=0, rlim_max=0}" in call]
    assert len(dumpable) == len(limit) == 1, calls
    before = [call for call in calls[: dumpable[0]] if call.startswith(("openat", "socket"))]
    loading = (".so", "ld.so.cache", "/proc/self/maps", "/sys/fs/cgroup", "/proc/self/cgroup")
    assert all(any(word in call for word in loading) for call in before), before


@pytest.mark.parametrize("call", ["prctl", "prlimit64"])
def test_without_it_nothing_begins(stage, call):
    trace = ["strace", "--output=/dev/null", f"--trace={call}", f"--inject={call}:error=EPERM"]
    for line in (["run", "--repository", "x"], ["--dry-run"], ["status"], ["__child", "fetch"]):
        result = stage.machine.run([*trace, "bootagent", *line])
        assert result.code == 70 and "E-CORE-DUMPS" in result.stderr, (line, result)
        assert "seccomp" in result.stderr and not result.stdout, (line, result)
