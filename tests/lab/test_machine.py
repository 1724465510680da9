"""What a machine is made of, and what a test can have put into it or taken out."""

import lab

pytest_plugins = ["lab.fixtures"]


def test_a_process_of_a_unit_is_killed_at_a_system_call(world):
    """As a kill sweep does it: ptrace works in the machine, and strace is in the image."""
    machine = world.launch()
    traced = ["strace", "-f", "-qq", "-o", "/dev/null", "-e", "trace=symlink,symlinkat"]
    link_twice = ["python3", "-c", "import os, sys\nfor name in sys.argv[1:]: os.symlink('x', name)"]
    killed = [*traced, "-e", "inject=symlink,symlinkat:signal=SIGKILL:when=2"]
    unit = ["systemd-run", "--wait", "--quiet", "--collect"]
    result = machine.run([*unit, *killed, *link_twice, "/tmp/1", "/tmp/2", "/tmp/3"])
    assert result.code != 0 and machine.exists("/tmp/1") and not machine.exists("/tmp/3")
    assert machine.run([*unit, *traced, *link_twice, "/tmp/4", "/tmp/5"]).code == 0 and machine.exists("/tmp/5")
