"""An update whose surroundings fail, on a machine that serves: not one request fails meanwhile,
nothing half-made stays, and what served is what serves."""

import pytest
from lab import npm_registry
from looks import SERVICE, current, leftovers, process, releases, shared  # noqa: F401
from poller import Poller
from services import BRIEF, NOTHING, talking
from stage import GIT, SECRETS, assert_failed, run, serving

UNIT = f"/etc/systemd/system/{SERVICE}.service"
DATA = f"/var/lib/{SERVICE}"
# npm's own patience is seen in other tests.
BRICK = 'install = "npm ci --fetch-retries=0"\n' + BRIEF
NPMRC = f"registry=https://{npm_registry.HOST}/\ncafile=/etc/ssl/certs/ca-certificates.crt\n"


class TestUpdate:
    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary):  # noqa: F811
        return serving(shared, binary)

    @pytest.fixture
    def world(self, shared):  # noqa: F811
        yield shared
        for name in (GIT, SECRETS, npm_registry.HOST):
            shared.dns.forget(name)
            shared.reachable(name)
        shared.repo(SERVICE).heal()
        shared.aws.heal()

    def harmless(self, machine, code: str, *names: str, flags: tuple[str, ...] = ()) -> None:
        before = self.looks(machine)
        with Poller(machine) as poller:
            result = run(machine, "--update", *flags)
        assert_failed(machine, result, 2, code, *names)
        assert poller.asked > 5 and not poller.failures, (poller.asked, poller.failures)
        assert self.looks(machine) == before
        assert leftovers(machine) == []

    def looks(self, machine) -> tuple:
        """What runs, and from what."""
        files = [machine.read(path) for path in (UNIT, f"/run/bootagent/{SERVICE}/env")]
        return process(machine), current(machine), releases(machine), files

    def test_a_git_server_that_is_busy_for_good(self, world, machine):
        world.repo(SERVICE).fail(503)
        self.harmless(machine, "E-GIT-UNREACHABLE", "503", flags=("--budget=10s",))

    def test_a_pack_that_stalls_for_good(self, world, machine):
        world.repo(SERVICE).commit("test", {"note": "to be fetched"})
        world.repo(SERVICE).stall(after=100)
        self.harmless(machine, "E-GIT-UNREACHABLE", flags=("--budget=7s",))

    @pytest.mark.parametrize("how", ["refused", "silent"])
    def test_secrets_manager_out_of_reach(self, world, machine, how):
        world.unreachable(SECRETS, how=how)
        self.harmless(machine, "E-SECRET-UNREACHABLE", SECRETS, flags=("--imds-wait=3s",))

    def test_a_secret_that_was_taken_away(self, world, machine):
        world.aws.fail("secretsmanager", 400, "AccessDeniedException", "not allowed any more")
        self.harmless(machine, "E-SECRET-DENIED", "not allowed any more", flags=("--imds-wait=3s",))

    @pytest.mark.parametrize("how", ["refused", "no route"])
    def test_a_registry_that_is_down(self, world, machine, how):
        world.npm.publish("brick", "1.0.0")
        package = world.npm.project("sample", {"brick": "1.0.0"}, scripts={"start": "node server.js"})
        world.repo(SERVICE).commit("test", {"bootagent.toml": BRICK, ".npmrc": NPMRC, **package})
        world.unreachable(npm_registry.HOST, how=how)
        self.harmless(machine, "E-REGISTRY-UNREACHABLE", npm_registry.HOST)

    @pytest.mark.parametrize(
        ("made", "persist", "told"),
        [
            (f"ln -s /etc {DATA}/uploads", "uploads", "uploads is a symbolic link to /etc, where a directory must be"),
            (f"ln -s /etc {DATA}/up", "up/loads", "up is a symbolic link to /etc, where a directory must be"),
            (f"touch {DATA}/uploads", "uploads", "uploads is not a directory"),
        ],
        ids=["link", "link on the way", "file"],
    )
    def test_what_the_service_put_in_the_place_of_a_directory(self, world, machine, made, persist, told):
        world.repo(SERVICE).commit("test", talking(**{"bootagent.toml": NOTHING + f'persist = ["{persist}"]\n' + BRIEF}))
        machine.check(["runuser", "-u", SERVICE, "--", "sh", "-c", made])
        etc = machine.check(["stat", "-c", "%a %U %y", "/etc"])
        self.harmless(machine, "E-NOT-A-DIRECTORY", f"making {DATA}/{persist}: {DATA}/{told}")
        assert machine.check(["stat", "-c", "%a %U %y", "/etc"]) == etc
        dry = run(machine, "--dry-run", "--update")
        assert dry.code == 1 and told in dry.stderr, dry
        machine.check(["rm", f"{DATA}/uploads" if "uploads" in made else f"{DATA}/up"])

    def test_with_all_well_again_the_update_is_made(self, world, machine):
        """The control of those above: an update is due, and nothing of theirs is in its way."""
        commit = world.repo(SERVICE).commit("test", talking(note="well") | {".npmrc": None})
        result = run(machine, "--update")
        assert result.code == 0, result.stderr
        assert current(machine).startswith(commit)
