"""`wait_for`: what the service needs must accept connections before it starts, and before a serving one is touched."""

import pytest
from lab.deadline import wait_for
from looks import SERVICE, ask, process, shared, status, waited_for  # noqa: F401
from services import BRIEF, NOTHING, talking
from stage import assert_failed, serving

LISTENER = "import socket, time; s = socket.create_server(('127.0.0.1', 5432)); time.sleep(3600)"


def needing(*addresses: str, **more: object) -> dict[str, object]:
    listed = ", ".join(f'"{address}"' for address in addresses)
    return talking(**{"bootagent.toml": f"wait_for = [{listed}]\n" + NOTHING + BRIEF}, **more)


class TestWaiting:
    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary):  # noqa: F811
        return serving(shared, binary, needing(), TOKEN="t")

    def test_an_address_that_refuses_ends_the_update_and_the_former_deployment_was_not_touched(self, shared, machine):  # noqa: F811
        before = process(machine)
        shared.repo(SERVICE).commit("test", needing("127.0.0.1:5432"))
        update = machine.run(["bootagent", "run", "--update", "--budget", "10s"], timeout=60)
        assert_failed(machine, update, 2, ["E-WAIT-FOR", "E-DEADLINE"], "127.0.0.1:5432", "refuses connections")
        assert process(machine) == before

    def test_a_name_without_an_address_is_named(self, shared, machine):  # noqa: F811
        shared.repo(SERVICE).commit("test", needing("db.acme.test:5432"))
        shared.dns.absent("db.acme.test", 300)
        update = machine.run(["bootagent", "run", "--update", "--budget", "10s"], timeout=60)
        assert_failed(machine, update, 2, ["E-WAIT-FOR", "E-DEADLINE"], "db.acme.test:5432", "no address")

    def test_the_service_starts_as_soon_as_the_address_accepts_connections(self, shared, machine):  # noqa: F811
        shared.repo(SERVICE).commit("test", needing("127.0.0.1:5432", note="x"))
        machine.check(["systemd-run", "--unit=updating", "bootagent", "update"])
        wait_for("the run to wait", lambda: "wait-for" in waited_for(machine), 60, evidence=machine.console_tail)
        machine.check(["systemd-run", "--unit=database", "python3", "-c", LISTENER])
        wait_for("the update", lambda: status(machine)[1]["state"] == "healthy", 60, evidence=machine.console_tail)
        assert ask(machine, "release").split("/")[-1].startswith(shared.repo(SERVICE).sha("test"))
