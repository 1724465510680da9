"""The firewall rules of instance metadata: only root, the service and the users that the policy names reach it."""

import pytest
from lab.deadline import wait_for
from looks import SERVICE, USER_DATA, ask, process, secret, shared, status  # noqa: F401
from services import BRIEF, talking
from stage import POLICY, SECRETS, assert_failed, run

pytestmark = pytest.mark.variants

WALL = '[imds]\nusers = ["cwagent"]\n'
UNIT = "bootagent-imds.service"
RULES = "/var/lib/bootagent/imds.nft"
TRACES = [f"/etc/systemd/system/{UNIT}", f"/etc/systemd/system/sysinit.target.wants/{UNIT}", RULES, "/run/bootagent/imds.loaded"]
ANSWERS, REFUSED = "200", "ConnectionRefusedError"

# Asks for a session token, as every use of the role begins; says the status or the error.
ASK = """
import sys, urllib.error, urllib.request
for host in sys.argv[1:]:
    request = urllib.request.Request(f"http://{host}/latest/api/token", method="PUT")
    request.add_header("X-aws-ec2-metadata-token-ttl-seconds", "60")
    try: print(urllib.request.urlopen(request, timeout=3).status)
    except urllib.error.HTTPError as error: print(error.code)
    except OSError as error: print(type(getattr(error, "reason", error)).__name__)
"""
IPV4, IPV6 = "169.254.169.254", "[fd00:ec2::254]"

# Metadata's other address, in a namespace behind a cable, and a server that does not know PUT.
OTHER_ADDRESS = """
ip netns add six
ip link add sixout type veth peer name sixin netns six
ip -6 address add fd00:ec2::1/64 dev sixout nodad && ip link set sixout up
ip -n six -6 address add fd00:ec2::254/64 dev sixin nodad && ip -n six link set sixin up
systemd-run --quiet --property=NetworkNamespacePath=/run/netns/six python3 -m http.server --bind fd00:ec2::254 80
"""

# A network of its own, as a container has one, that comes through the machine.
INNER = """
ip netns add inner
ip link add outside type veth peer name inside netns inner
ip address add 10.9.9.1/24 dev outside && ip link set outside up
ip -n inner address add 10.9.9.2/24 dev inside && ip -n inner link set inside up
ip -n inner route add default via 10.9.9.1
echo 1 > /proc/sys/net/ipv4/ip_forward
nft add table ip inner
nft 'add chain ip inner out { type nat hook postrouting priority 100; }'
nft add rule ip inner out ip saddr 10.9.9.0/24 masquerade
"""

# Asks from the first moment on at which a unit with the usual dependencies runs, and until the network has been up
# for a while. Where there is no network yet, nothing can be said.
EARLY = "/var/tmp/early"
EARLY_SCRIPT = f"""
import os, socket, time
heard = set()
until = time.monotonic() + 30
while time.monotonic() < until:
    try:
        socket.create_connection(("{IPV4}", 80), 3).close()
        heard.add("{ANSWERS}")
    except OSError as error:
        heard.add(type(error).__name__ if error.errno != 101 else "no network")
    if heard - {{"no network"}}: until = min(until, time.monotonic() + 3)
    time.sleep(0.01)
with open("{EARLY}", "w") as file: file.write(" ".join(sorted(heard - {{"no network"}})))
"""
EARLY_UNIT = """[Unit]
Description=alice, early
[Service]
Type=exec
User=alice
ExecStart=/usr/bin/python3 -I /var/tmp/early.py
[Install]
WantedBy=sysinit.target
"""


def asked(machine, user: str | None, host: str = IPV4) -> str:
    return machine.check(["python3", "-I", "-c", ASK, host], user=user).strip()


def asked_as_a_dynamic_user(machine) -> str:
    line = ["systemd-run", "--quiet", "--pipe", "--wait", "--collect", "--property=DynamicUser=yes"]
    return machine.check([*line, "python3", "-I", "-c", ASK, IPV4]).strip()


def add_users(machine, *names: str) -> None:
    for name in names:
        machine.check(["useradd", "--create-home", name])


def set_policy(machine, text: str | None) -> None:
    machine.check(["mkdir", "-p", "/etc/bootagent"])
    machine.write(POLICY, text) if text else machine.check(["rm", "-f", POLICY])


def again(machine, *flags: str):
    return machine.run(["bootagent", "run", *flags], timeout=180)


def outcomes(machine) -> dict[str, str]:
    return {step["id"]: step["outcome"] for step in status(machine)[1]["steps"]}


def traces(machine) -> list[str]:
    tables = machine.check(["nft", "list", "tables"]).split("\n")
    return [path for path in TRACES if machine.exists(path)] + [table for table in tables if "bootagent" in table]


def early_word(machine) -> str:
    wait_for("alice's early word", lambda: machine.exists(EARLY), 60, evidence=machine.console_tail)
    word = machine.read(EARLY)
    machine.check(["rm", EARLY])
    return word


def reboot_and_wait(machine) -> None:
    machine.check(["rm", "-f", EARLY])
    machine.reboot()
    machine.run(["bootagent", "status", "--wait", "--timeout", "120s"], timeout=130)


def with_users(world, binary, *users: str):
    """A machine before its first run, with these users."""
    world.repo(SERVICE).commit("test", talking())
    secret(world, TOKEN="t")
    machine = world.launch(binary=binary)
    add_users(machine, *users)
    return machine


class TestRules:
    """One machine, from before its first run on; each test is the next thing that happens to it."""

    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary):  # noqa: F811
        machine = with_users(shared, binary, "alice", "cwagent")
        machine.write("/var/tmp/early.py", EARLY_SCRIPT)
        machine.write("/etc/systemd/system/early.service", EARLY_UNIT)
        machine.check(["chmod", "1777", "/var/tmp"])
        machine.check(["systemctl", "enable", "--quiet", "early.service"])
        machine.check(["sh", "-e", "-c", OTHER_ADDRESS])
        wait_for("the IPv6 address to answer", lambda: asked(machine, None, IPV6) == "501", 20)
        return machine

    def test_without_it_every_user_reaches_metadata(self, machine):
        first = run(machine)
        assert first.code == 0, first.stderr
        for user in (None, "alice", "cwagent", SERVICE, f"{SERVICE}-build"):
            assert asked(machine, user) == ANSWERS, user
        assert asked(machine, "alice", IPV6) == "501" and asked_as_a_dynamic_user(machine) == ANSWERS
        assert traces(machine) == [] and not [step for step in outcomes(machine) if step.startswith("imds")]

    def test_a_dry_run_shows_it_and_raises_nothing(self, machine):
        set_policy(machine, WALL)
        shown = machine.run(["bootagent", "--dry-run"])
        assert shown.code == 0, shown.stderr
        assert f"> imds-rules: let only root, cwagent, {SERVICE} reach instance metadata" in shown.stdout, shown.stdout
        assert "> imds-proof: prove that no other user reaches instance metadata" in shown.stdout
        assert traces(machine) == [] and asked(machine, "alice") == ANSWERS

    def test_with_it_only_root_and_named_users_do(self, machine):
        running = process(machine)
        done = again(machine)
        assert done.code == 0, done.stderr
        assert process(machine) == running, "the service was disturbed"
        for user in (None, "cwagent", SERVICE):
            assert asked(machine, user) == ANSWERS, user
        assert asked(machine, None, IPV6) == "501"
        for user in ("alice", f"{SERVICE}-build", "nobody"):
            assert (asked(machine, user), asked(machine, user, IPV6)) == (REFUSED, REFUSED), user
        assert asked_as_a_dynamic_user(machine) == REFUSED
        assert ask(machine, "imds") == 200
        assert (machine.stat(RULES).mode, machine.stat(RULES).owner) == (0o600, "root")

    def test_what_is_forwarded_for_a_container_is_refused(self, machine):
        machine.check(["sh", "-e", "-c", INNER])
        inner = ["nsenter", "--net=/run/netns/inner", "python3", "-I", "-c", ASK, IPV4]
        try:
            assert machine.check(inner).strip() == REFUSED
            machine.check(["nft", "flush", "chain", "inet", "bootagent", "forward"])
            assert machine.check(inner).strip() == ANSWERS, "without the rule nothing comes through: this test shows nothing"
        finally:
            machine.check(["sh", "-c", "ip netns delete inner; nft delete table ip inner"])

    def test_rules_that_were_changed_are_put_right(self, machine):
        machine.check(["nft", "flush", "chain", "inet", "bootagent", "imds"])
        assert asked(machine, "alice") == ANSWERS
        done = again(machine)
        assert done.code == 0, done.stderr
        assert outcomes(machine)["imds-rules"] == "changed" and asked(machine, "alice") == REFUSED

    def test_a_run_that_finds_all_so_changes_nothing_and_proves_it_again(self, machine):
        running = process(machine)
        done = again(machine)
        assert done.code == 0 and process(machine) == running, done.stderr
        steps = outcomes(machine)
        assert [step for step, outcome in steps.items() if outcome == "changed"] == [] and "imds-proof" in steps, steps

    def test_the_distributions_own_rules_do_not_take_it_along(self, machine):
        machine.check(["systemctl", "start", "nftables.service"])  # which flushes all that was there
        assert again(machine).code == 0 and asked(machine, "alice") == REFUSED
        for verb in ("restart", "reload"):
            machine.check(["systemctl", verb, "nftables.service"])
            wait_for(f"the rules after {verb}", lambda: asked(machine, "alice") == REFUSED, 10)
        machine.check(["systemctl", "enable", "--quiet", "nftables.service"])

    def test_it_stands_at_a_reboot_before_anything_is_run(self, machine):
        reboot_and_wait(machine)
        assert status(machine)[0] == 0
        assert early_word(machine) == REFUSED
        assert (asked(machine, "alice"), asked(machine, "cwagent"), ask(machine, "imds")) == (REFUSED, ANSWERS, 200)

    def test_and_where_the_run_of_that_boot_fails(self, shared, machine):  # noqa: F811
        set_policy(machine, f'budget = "10s"\n{WALL}')
        shared.unreachable(SECRETS, how="refused")
        try:
            reboot_and_wait(machine)
            code, said = status(machine)
            assert code == 1 and said["error"]["code"] in ("E-DEADLINE", "E-SECRET-UNREACHABLE"), said
            assert early_word(machine) == REFUSED
            assert (asked(machine, "alice"), asked(machine, "cwagent")) == (REFUSED, ANSWERS)
        finally:
            shared.reachable(SECRETS)
            machine.check(["systemctl", "stop", "bootagent.service"])  # it would try again in a minute
            set_policy(machine, WALL)
        assert again(machine).code == 0

    def test_a_user_that_does_not_exist_is_named(self, machine):
        running = process(machine)
        set_policy(machine, '[imds]\nusers = ["cwagent", "no-such-agent"]\n')
        failed = again(machine)
        assert_failed(machine, failed, 2, "E-POLICY-INVALID", "no user no-such-agent")
        assert process(machine) == running and asked(machine, "alice") == REFUSED

    def test_without_the_service_root_is_alone(self, machine):
        set_policy(machine, "[imds]\nservice = false\nusers = []\n")
        done = again(machine)
        assert done.code == 0, done.stderr
        assert asked(machine, None) == ANSWERS
        for user in ("alice", "cwagent", SERVICE):
            assert asked(machine, user) == REFUSED, user
        assert ask(machine, "imds") != 200

    def test_a_policy_that_drops_it_takes_it_down(self, machine):
        set_policy(machine, None)
        done = again(machine)
        assert done.code == 0, done.stderr
        assert traces(machine) == []
        assert machine.systemctl_show(UNIT)["LoadState"] == "not-found"
        for user in ("alice", "cwagent", SERVICE):
            assert asked(machine, user) == ANSWERS, user
        assert again(machine).code == 0 and not [step for step in outcomes(machine) if step.startswith("imds")]

    def test_and_no_boot_raises_it_again(self, machine):
        reboot_and_wait(machine)
        assert early_word(machine) == ANSWERS, "alice is kept away by something else: the tests above show nothing"
        assert traces(machine) == [] and status(machine)[0] == 0


INSTALLING = """
require("net").connect({ host: "169.254.169.254", port: 80 })
  .on("connect", () => done("connected")).on("error", (error) => done(error.code)).setTimeout(1500, () => done("timeout"));
const done = (what) => { require("fs").writeFileSync("asked", what); process.exit(); };
"""


def begin(world) -> None:
    world.tags = {"bootagent:service": SERVICE, "bootagent:environment": "test"}
    world.repo(SERVICE).commit("test", talking())
    secret(world, TOKEN="t")


def test_on_a_first_boot_it_stands_before_anything_of_the_repository_runs(world, binary):
    """With user-data, as an instance boots; the service's user is made in the middle."""
    begin(world)
    asking = {"ask.js": INSTALLING, "bootagent.toml": BRIEF}
    world.repo(SERVICE).commit("test", talking({"preinstall": "node ask.js"}, **asking))
    # Without the sandbox's own filter, which drops without a word, so that the wall itself answers.
    unit = f"/etc/systemd/system/bootagent-{SERVICE}-install.service.d/none.conf"
    files = {POLICY: "[imds]\nusers = []\n", unit: "[Service]\nIPAddressDeny=\n"}
    machine = world.launch(user_data=USER_DATA, binary=binary, files=files)
    done = machine.wait_for_cloud_init()
    assert done.user_data_code == 0, done.output
    assert ask(machine, "imds") == 200, "the service is kept out"
    assert asked(machine, f"{SERVICE}-build") == REFUSED
    assert machine.read(f"/opt/{SERVICE}/current/asked") == "ECONNREFUSED", "it was not the wall that refused it"
    order = [step["id"] for step in status(machine)[1]["steps"]]
    assert order.index("imds-proof") < order.index("checkout"), order


def test_rules_without_effect_are_found_before_anything_is_fetched(world, binary):
    """As nft in a container, or on a kernel that does not know all of it: it says that all is well."""
    begin(world)
    machine = world.launch(binary=binary, files={POLICY: WALL})
    add_users(machine, "cwagent")
    machine.write("/usr/sbin/nft", "#!/bin/sh\nexit 0\n", mode=0o755)
    said = assert_failed(machine, run(machine), 1, "E-IMDS-ANSWERS", "the rules of imds.users", "can reach IMDS")
    assert "nft list table inet bootagent" in said["error"]["remedy"]
    assert world.git.log == [] and not machine.exists(f"/opt/{SERVICE}")


def test_rules_that_are_refused_are_named_in_nft_s_words(world, binary):
    begin(world)
    machine = world.launch(binary=binary, files={POLICY: "[imds]\nusers = []\n"})
    machine.write("/usr/sbin/nft", "#!/bin/sh\necho 'Error: Could not process rule' >&2\nexit 1\n", mode=0o755)
    assert_failed(machine, run(machine), 1, "E-IMDS-RULES", "Could not process rule")
    assert world.git.log == []


class TestWithoutNft:
    """A machine that has no nft."""

    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary):  # noqa: F811
        machine = with_users(shared, binary, "alice")
        machine.check(["dpkg", "--purge", "nftables"])
        assert not machine.exists("/usr/sbin/nft")
        return machine

    def test_where_packages_are_forbidden_it_is_an_error(self, shared, machine):  # noqa: F811
        set_policy(machine, "[imds]\nusers = []\n[packages]\nallow = false\n")
        assert_failed(machine, run(machine), 1, "E-IMDS-RULES", "there is no nft", "packages.allow")
        assert shared.git.log == [] and asked(machine, "alice") == ANSWERS

    def test_it_is_installed_first(self, machine):
        set_policy(machine, "[imds]\nusers = []\n")
        done = run(machine)
        assert done.code == 0, done.stderr
        assert asked(machine, "alice") == REFUSED and ask(machine, "imds") == 200

    def test_gone_again_it_is_missed_by_name_and_what_serves_is_left_alone(self, machine):
        running = process(machine)
        machine.check(["rm", "/usr/sbin/nft"])
        assert_failed(machine, again(machine), 2, "E-IMDS-RULES", "there is no nft on this machine")
        assert process(machine) == running and asked(machine, "alice") == REFUSED
