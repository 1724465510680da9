"""What other people's code can reach: the fetch, install scripts, a build, and the service itself."""

import json

import pytest
from lab.deadline import wait_for
from looks import CACHE, SERVICE, ask, leftovers, secret, shared, status  # noqa: F401
from services import talking
from stage import assert_failed, run

# Tries what it should not, and writes down how that went, in the release, as reached-<name>.json.
REACH = """
const fs = require("fs"), net = require("net"), os = require("os");
const outcome = (attempt) => { try { return attempt() ?? "done"; } catch (error) { return error.code; } };
const connect = (host) => new Promise((done) => {
  const socket = net.connect({ host, port: 80 });
  socket.setTimeout(1500, () => { socket.destroy(); done("timeout"); });
  socket.on("connect", () => { socket.destroy(); done("connected"); });
  socket.on("error", (error) => done(error.code));
});
const each = (names, attempt) => Object.fromEntries(names.map((name) => [name, outcome(() => attempt(name))]));
const look = (path) => fs.statSync(path).isDirectory() ? fs.readdirSync(path) : fs.readFileSync(path, "utf8");
const [name, reads, writes] = process.argv.slice(2);
(async () => {
  const others = fs.readdirSync("/proc").filter((pid) => /^\\d+$/.test(pid) && fs.statSync("/proc/" + pid).uid !== process.getuid());
  fs.writeFileSync(`reached-${name}.json`, JSON.stringify({
    user: os.userInfo().username, groups: process.getgroups(), env: process.env,
    imds: [await connect("169.254.169.254"), await connect("fd00:ec2::254")],
    read: each(reads.split(","), look), write: each(writes.split(","), (path) => fs.writeFileSync(path, "x")),
    yields: look("/proc/self/oom_score_adj").trim(),
    others: each(others, (pid) => look(`/proc/${pid}/environ`)),
  }));
})();
"""
READS = ["/run/bootagent", f"/run/bootagent/{SERVICE}/env", f"/run/bootagent/{SERVICE}/dotenv", "/var/lib/bootagent",
         f"/var/lib/{SERVICE}", "/etc/shadow", "/root", "/var/log/cloud-init-output.log", ".env"]  # fmt: skip
WRITES = ["/etc/stray", "/usr/local/bin/stray", f"/opt/{SERVICE}/stray", f"/opt/{SERVICE}/releases/stray", "/opt/stray",
          "/var/lib/stray", f"/var/lib/{SERVICE}/stray", "/var/cache/stray", "/run/stray", "/run/lock/stray",
          "/home/stray", "/root/stray"]  # fmt: skip
OWN = [f"{CACHE}/mine", "mine"]
PRIVATE = ["/tmp/mine", "/var/tmp/mine", "/dev/shm/mine"]
YIELDS = {"OOMScoreAdjust": "500", "CPUWeight": "50", "IOWeight": "50"}
SCRIPTS = ["preinstall", "postinstall", "build"]
# Only systemd, npm and the plan set variables of a build.
NAMES = {"CI", "HOME", "LANG", "PATH", "PWD", "NODE", "INIT_CWD", "COLOR", "EDITOR", "USER", "LOGNAME", "SHELL", "INVOCATION_ID",
         "JOURNAL_STREAM", "SYSTEMD_EXEC_PID", "NODE_ENV", "NODE_USE_SYSTEM_CA", "DO_NOT_TRACK", "NEXT_TELEMETRY_DISABLED",
         "SOURCE_COMMIT", "SOURCE_VERSION", "RENDER_GIT_COMMIT", "RAILWAY_GIT_COMMIT_SHA"}  # fmt: skip


class TestSandbox:
    """A repository whose scripts try everything, in a machine with an instance role and a secret."""

    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary):  # noqa: F811
        scripts = {name: f"node reach.js {name} {','.join(READS)} {','.join(WRITES + OWN + PRIVATE)}" for name in SCRIPTS}
        shared.repo(SERVICE).commit("test", talking(scripts, installs=True, **{"reach.js": REACH}))
        secret(shared, TOKEN="the-secret")
        machine = shared.launch(binary=binary)
        # A second run, after a first that left an environment and a secret where scripts would look.
        for flags in ([], ["--update"]):
            done = run(machine, *flags)
            assert done.code == 0, done.stderr
            shared.repo(SERVICE).commit("test", {"again": "x"})
        return machine

    @pytest.fixture(scope="class", params=SCRIPTS)
    @classmethod
    def reached(cls, request, machine):
        return json.loads(machine.read(f"/opt/{SERVICE}/current/reached-{request.param}.json"))

    def test_it_runs_as_the_build_user_and_no_more(self, machine, reached):
        assert reached["user"] == f"{SERVICE}-build"
        assert reached["groups"] == [int(machine.check(["id", "--group", f"{SERVICE}-build"]))]

    def test_metadata_is_out_of_reach(self, reached):
        assert "connected" not in reached["imds"], reached["imds"]

    @pytest.mark.parametrize("path", READS)
    def test_it_cannot_read(self, reached, path):
        assert reached["read"][path] in ("EACCES", "EPERM", "ENOENT"), reached["read"][path]

    @pytest.mark.parametrize("path", WRITES)
    def test_it_cannot_write(self, machine, reached, path):
        assert reached["write"][path] in ("EACCES", "EPERM", "EROFS", "ENOENT"), reached["write"][path]
        assert not machine.exists(path)

    def test_it_can_write_its_release_and_its_cache(self, reached):
        assert {path: reached["write"][path] for path in OWN} == dict.fromkeys(OWN, "done")

    @pytest.mark.parametrize("path", PRIVATE)
    def test_what_it_leaves_in_memory_or_tmp_goes_with_it(self, machine, reached, path):
        assert reached["write"][path] == "done"
        assert not machine.exists(path)

    def test_its_environment_has_nothing_but_the_plans(self, reached):
        names = {name for name in reached["env"] if not name.startswith("npm_")}
        assert not names - NAMES, names - NAMES
        assert "the-secret" not in json.dumps(reached)

    def test_for_want_of_memory_the_kernel_takes_it_before_the_service(self, machine, reached):
        assert reached["yields"] == "500"
        serves = machine.systemctl_show(f"{SERVICE}.service")
        assert machine.read(f"/proc/{serves['MainPID']}/oom_score_adj").strip() == "0"

    def test_other_processes_are_invisible(self, reached):
        assert reached["others"] == {}

    def test_nothing_transient_is_left(self, machine):
        assert leftovers(machine) == []
        dynamic = machine.check(["find", "/", "-xdev", "-uid", "+61183", "-uid", "-65520"])
        assert dynamic == "", f"files of a dynamic user: {dynamic}"

    def test_the_service_uses_metadata_unless_policy_says_no(self, machine):
        assert ask(machine, "imds") == 200
        machine.check(["mkdir", "-p", "/etc/bootagent"])
        machine.write("/etc/bootagent/policy.toml", "[imds]\nservice = false\n")
        try:
            done = machine.run(["bootagent", "run"])
            assert done.code == 0, done.stderr
            assert ask(machine, "imds") in ("TimeoutError", "EPERM", "EACCES")
        finally:
            machine.check(["rm", "/etc/bootagent/policy.toml"])


def test_where_metadata_would_answer_no_script_is_begun(world, binary):
    """As on a kernel that takes the sandbox's property and does nothing."""
    world.tags = {"bootagent:service": SERVICE, "bootagent:environment": "test"}
    world.repo(SERVICE).commit("test", talking({"preinstall": f"touch {CACHE}/begun"}, installs=True))
    secret(world, TOKEN="t")
    machine = world.launch(binary=binary)
    machine.write(f"/etc/systemd/system/bootagent-{SERVICE}-install.service.d/none.conf", "[Service]\nIPAddressDeny=\n")
    assert_failed(machine, run(machine), 1, "E-IMDS-ANSWERS", "the proof failed")
    assert not machine.exists(f"{CACHE}/begun")


class TestFetch:
    """The git server stalls in the middle of the pack: time to look at who waits for it."""

    @pytest.fixture(scope="class")
    @classmethod
    def story(cls, shared, binary):  # noqa: F811
        repo = shared.repo(SERVICE)
        repo.commit("test", talking())
        repo.stall(after=10, times=1)
        secret(shared, TOKEN="t")
        machine = shared.launch(
            user_data="#!/bin/sh\nexec bootagent run --repository 'https://github.com/acme/{service}.git'\n", binary=binary
        )
        pid = wait_for("the fetch", lambda: fetching(machine) if repo.fault and repo.fault.times == 0 else None, 60)
        seen = {
            "unit": machine.systemctl_show("bootagent-fetch.service"),
            "status": machine.read(f"/proc/{pid}/status"),
            "environment": machine.read(f"/proc/{pid}/environ"),
        }
        repo.heal()
        return machine, machine.wait_for_cloud_init(), seen

    def test_it_is_a_dynamic_user_without_any_capability(self, story):
        _, _, seen = story
        assert seen["unit"]["DynamicUser"] == "yes"
        fields = dict(line.split(":\t", 1) for line in seen["status"].splitlines() if ":\t" in line)
        uids = {int(uid) for uid in fields["Uid"].split()}
        assert len(uids) == 1 and 61184 <= uids.pop() <= 65519, fields["Uid"]
        assert int(fields["CapEff"], 16) == int(fields["CapPrm"], 16) == int(fields["CapBnd"], 16) == 0
        assert fields["NoNewPrivs"] == "1"

    def test_it_yields_to_what_serves(self, story):
        _, _, seen = story
        assert {name: seen["unit"][name] for name in YIELDS} == YIELDS

    def test_its_environment_is_clean(self, story):
        names = {entry.partition("=")[0] for entry in story[2]["environment"].split("\0") if entry}
        assert not names - NAMES - {"CACHE_DIRECTORY"}, names

    def test_the_fetch_is_tried_again_and_leaves_nothing(self, story):
        machine, done, _ = story
        assert done.user_data_code == 0, done.output
        assert status(machine)[0] == 0
        assert leftovers(machine) == []


def fetching(machine) -> int:
    return int(machine.systemctl_show("bootagent-fetch.service")["MainPID"])
