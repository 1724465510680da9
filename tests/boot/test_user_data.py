"""What `bootagent user-data` prints: a script that runs the program only if it is the one that it names, in every shell and
with every downloader that an AMI may have."""

import hashlib
import re
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from lab import World, layers
from lab.downloads import HOST, Downloads
from lab.namespace import GATEWAY
from looks import SERVICE, secret
from services import talking

PROGRAM = b'#!/bin/sh\necho "ran $*"\n'
NAME = "bootagent-0.1.0-x86_64"
ADDRESS = f"https://{HOST}/{NAME}"
REPOSITORY = "https://github.com/acme/{service}.git"
TO, NEW = "/usr/local/bin/bootagent", "/usr/local/bin/.bootagent.bootagent"
# What a small AMI has, and one downloader.
TOOLS = ["cat", "chmod", "cut", "mkdir", "mv", "rm", "sha256sum", "sleep", "timeout", "wc"]
SHELLS = {
    "dash with curl": ("/usr/bin/dash", "curl"),
    "bash with GNU wget": ("/usr/bin/bash", "wget"),
    "busybox ash with its wget": ("/t/busybox/ash", "busybox"),
}


def printed(binary: Path, *flags: str, of: bytes | None = PROGRAM) -> str:
    digest = ["--sha256", hashlib.sha256(of).hexdigest()] if of is not None else []
    line = [str(binary), "user-data", "--repository", REPOSITORY, "--services", f"{SERVICE},gmail-service", *digest, *flags]
    done = subprocess.run(line, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert len(done.stdout.splitlines()) <= 10, done.stdout
    return done.stdout


@pytest.fixture(scope="class")
def hosted() -> Iterator[tuple[World, Downloads]]:
    with World() as world:
        downloads = Downloads()
        downloads.files[NAME] = PROGRAM
        world.front.hosts = {HOST: downloads.respond, **world.front.hosts}
        world.dns.point(HOST, GATEWAY)
        yield world, downloads
        downloads.release()


class TestAnyShell:
    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, hosted):
        world, _ = hosted
        machine = world.launch(layers=[layers.ensure(["busybox", "curl", "wget"])])
        # busybox's wget speaks TLS by openssl, where it is there; on Alpine by a client of its own.
        links = [f"mkdir -p /t/{name} && ln -s {' '.join(f'/usr/bin/{tool}' for tool in [*TOOLS, name])} /t/{name}" for name in ("curl", "wget")]
        machine.check(["sh", "-c", "; ".join([*links, "mkdir /t/busybox && busybox --install -s /t/busybox && ln -s /usr/bin/openssl /t/busybox"])])
        return machine

    @pytest.fixture(params=SHELLS)
    def shell(self, request, hosted, machine):
        _, downloads = hosted
        downloads.heal()
        downloads.slow = False
        downloads.files[NAME] = PROGRAM
        machine.check(["rm", "-f", TO, NEW])
        name, path = SHELLS[request.param]

        def run(script: str):
            return machine.run([name, "-c", script], env={"PATH": f"/t/{path}"}, timeout=60)

        run.follows_redirections = path == "busybox"
        yield run

    def refused(self, machine, done, *says: str) -> None:
        """Nothing ran, nothing is left, and the reason is in cloud-init's output."""
        assert done.code == 75 and "ran " not in done.stdout, done
        assert re.search("bootagent user-data: gave up after 1 s: nothing was installed, and nothing serves", done.stderr), done
        for words in says:
            assert words in done.stderr, done.stderr
        assert not machine.exists(TO) and not machine.exists(NEW)

    def test_the_program_that_it_names_runs_and_is_downloaded_once(self, hosted, machine, binary, shell):
        _, downloads = hosted
        script = printed(binary, "--download", ADDRESS)
        before = len(downloads.log)
        for _ in range(2):
            done = shell(script)
            expected = f"ran run --repository {REPOSITORY} --services {SERVICE},gmail-service\n"
            assert (done.code, done.stdout) == (0, expected), done
        assert len(downloads.log) == before + 1
        stat = machine.stat(TO)
        assert (stat.mode, stat.owner) == (0o755, "root") and not machine.exists(NEW)

    def test_another_version_is_replaced_only_by_the_one_that_it_names(self, hosted, machine, binary, shell):
        _, downloads = hosted
        machine.write(TO, "#!/bin/sh\necho old\n", 0o755)
        downloads.files[NAME] = PROGRAM + b"reboot\n"
        done = shell(printed(binary, "--download", ADDRESS, "--within", "1s"))
        assert done.code == 75 and "old" not in done.stdout and machine.read(TO).endswith("old\n"), done
        downloads.files[NAME] = PROGRAM
        assert shell(printed(binary, "--download", ADDRESS)).stdout.startswith("ran ")

    def test_what_is_not_the_program_is_refused(self, hosted, machine, binary, shell):
        _, downloads = hosted
        script = printed(binary, "--download", ADDRESS, "--within", "1s").replace("-m 1 ", "-m 9 ").replace("timeout 1 ", "timeout 9 ")
        downloads.files[NAME] = PROGRAM.replace(b"ran", b"ban")
        self.refused(machine, shell(script), f"({len(PROGRAM)} bytes) is not the program with SHA-256", ADDRESS)
        downloads.page()
        self.refused(machine, shell(script), "changed, cut short, or an error page")

    def test_what_does_not_arrive_whole_in_time_is_refused(self, hosted, machine, binary, shell):
        _, downloads = hosted
        script = printed(binary, "--download", ADDRESS, "--within", "1s")
        for break_it in (lambda: downloads.truncate(10), lambda: downloads.stall(10), lambda: downloads.fail(503)):
            break_it()
            began = time.monotonic()
            done = shell(script)
            assert time.monotonic() - began < 15
            self.refused(machine, done, ADDRESS)
        downloads.heal()
        downloads.slow = True
        self.refused(machine, shell(script), ADDRESS)

    def test_a_server_that_fails_for_a_moment_is_asked_again(self, hosted, binary, shell):
        _, downloads = hosted
        downloads.truncate(10, times=1)
        done = shell(printed(binary, "--download", ADDRESS))
        assert done.code == 0 and done.stdout.startswith("ran ") and "bootagent user-data: " in done.stderr, done

    def test_another_host_is_not_followed_to(self, hosted, machine, binary, shell):
        world, downloads = hosted
        elsewhere = Downloads()
        elsewhere.files[NAME] = PROGRAM
        world.front.hosts["elsewhere.acme.test"] = elsewhere.respond
        world.dns.point("elsewhere.acme.test", GATEWAY)
        downloads.redirect("https://elsewhere.acme.test")
        done = shell(printed(binary, "--download", ADDRESS, "--within", "60s" if shell.follows_redirections else "1s"))
        if shell.follows_redirections:
            # It has no flag against that. What it got are the right bytes.
            assert done.code == 0 and done.stdout.startswith("ran "), done
        else:
            self.refused(machine, done, f"no download of {ADDRESS}")
            assert not elsewhere.log

    def test_the_aws_cli_gets_it_from_s3(self, machine, binary, shell):
        script = printed(binary, "--download", f"s3://acme-tools/{NAME}", "--within", "1s")
        self.refused(machine, shell(script), "this AMI has no AWS CLI: use one that has, or an https:// address")
        # The last two words of `aws s3 cp` are from and to.
        stand_in = f"#!/bin/sh\nfor to; do :; done\ncase \"$*\" in *' s3://acme-tools/{NAME} '*) printf %s '{PROGRAM.decode()}' >\"$to\";; *) exit 2;; esac\n"
        for place in ("curl", "wget", "busybox"):
            machine.write(f"/t/{place}/aws", stand_in, 0o755)
        done = shell(printed(binary, "--download", f"s3://acme-tools/{NAME}"))
        machine.check(["sh", "-c", "rm /t/*/aws"])
        assert done.code == 0 and done.stdout.startswith("ran "), done

    def test_the_program_of_the_ami_runs(self, machine, binary, shell):
        script = printed(binary, of=None)
        done = shell(script)
        assert done.code == 69 and "this AMI has no bootagent" in done.stderr, done


class TestBoot:
    def test_cloud_init_says_why_and_the_next_instance_serves(self, hosted, binary):
        world, downloads = hosted
        world.tags = {"bootagent:service": SERVICE, "bootagent:environment": "test"}
        world.repo(SERVICE).commit("test", talking())
        secret(world, TOKEN="t")
        program = binary.read_bytes()
        downloads.files[NAME] = program[:1000]
        script = printed(binary, "--download", ADDRESS, "--within", "30s", of=None).replace("+ 30))", "+ 3))")
        machine = world.launch(user_data=script, layers=[layers.ensure(["busybox", "curl", "wget"])])
        done = machine.wait_for_cloud_init()
        assert done.user_data_code == 75 and f"refused: what {ADDRESS} sent (1000 bytes)" in done.output, done.output
        machine.kill()
        downloads.files[NAME] = program
        machine = world.launch(user_data=script, layers=[layers.ensure(["busybox", "curl", "wget"])])
        done = machine.wait_for_cloud_init()
        assert done.user_data_code == 0, done.output
        assert machine.run(["bootagent", "status"]).code == 0
        # The flags of the script are the policy of later runs, too.
        world.tags["bootagent:service"] = "other-service"
        update = machine.run(["bootagent", "update"], timeout=120)
        assert "E-POLICY-REFUSED" in update.stderr and "other-service" in update.stderr, update.stderr
