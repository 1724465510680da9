"""The services of the architecture that this program is for, each on a machine of its own: from two tags and one line of user-data."""

import json
import shutil

import fleet
import pytest
from lab import layers, paths
from looks import shared, status  # noqa: F401
from stage import POLICY, assert_failed

pytestmark = pytest.mark.variants

USER_DATA = "#!/bin/sh\nexec bootagent run --repository 'https://github.com/acme/{service}.git'\n"


SHOTS = paths.cache() / "screenshots"


def browse(machine, url: str, screenshot: str = "") -> str:
    """The page as Chromium shows it, when its scripts have run; the screenshot is kept as evidence."""
    # Root's Chromium has no sandbox. The page is our own.
    chromium = ["chromium-headless-shell", "--no-sandbox", "--disable-gpu", "--virtual-time-budget=5000", "--window-size=800,600"]
    page = machine.check([*chromium, "--dump-dom", url], timeout=90)
    if screenshot:
        machine.check([*chromium, "--screenshot=/root/shot.png", url], timeout=90)
        SHOTS.mkdir(parents=True, exist_ok=True)
        shutil.copy(machine.root / "root/shot.png", SHOTS / screenshot)
        assert (SHOTS / screenshot).read_bytes().startswith(b"\x89PNG")
    return page


class Lives:
    """What every service of the fleet goes through, in this order."""

    application: fleet.Application

    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary):  # noqa: F811
        application = cls.application
        shared.tags = {"bootagent:service": application.name, "bootagent:environment": "test"}
        shared.repo(application.name).commit("test", application.files())
        if application.secret:
            shared.secret(f"service_env_{application.name}_test", json.dumps(application.secret))
        application.carry(shared)
        with_layers = [layers.ensure(application.layers)] if application.layers else []
        with_layers += [layers.compose()] if application.compose else []
        files = {POLICY: application.policy} | application.image
        return shared.launch(user_data=USER_DATA, binary=binary, files=files, layers=with_layers, engine=application.engine)

    def current(self, machine) -> str:
        return machine.readlink(f"/opt/{self.application.name}/current")

    def test_it_serves_after_cloud_init(self, machine):
        done = machine.wait_for_cloud_init()
        assert (done.errors, done.user_data_code) == ([], 0), done.output
        assert status(machine)[1]["state"] == "healthy"
        self.application.client(machine)


    def test_a_broken_update_leaves_what_served(self, shared, machine):  # noqa: F811
        application, before = self.application, self.current(machine)
        code, names = application.fails
        shared.repo(application.name).commit("test", application.broken())
        failed = machine.run(["bootagent", "update"], timeout=180)
        assert_failed(machine, failed, 2, code, *names)
        assert self.current(machine) == before
        application.client(machine)

    def test_an_update_serves(self, shared, machine):  # noqa: F811
        application, before = self.application, self.current(machine)
        shared.repo(application.name).commit("test", application.files(**{"NEWS": "of the next release\n"}))
        done = machine.run(["bootagent", "update"], timeout=180)
        assert done.code == 0, done.stderr
        assert self.current(machine) != before and machine.exists(f"/opt/{application.name}/current/NEWS")
        application.client(machine)

    def test_a_reboot_brings_it_back(self, machine):
        machine.reboot()
        machine.wait_for_cloud_init()
        machine.wait_for_boot()
        assert status(machine)[1]["state"] == "healthy"
        self.application.client(machine)


class TestAuth(Lives):
    application = fleet.AUTH


class TestGmail(Lives):
    application = fleet.GMAIL


class TestCalendar(Lives):
    application = fleet.CALENDAR


class TestReminder(Lives):
    application = fleet.REMINDER


class TestTelegramBot(Lives):
    application = fleet.TELEGRAM


class TestMcp(Lives):
    application = fleet.MCP


class TestAiProxy(Lives):
    application = fleet.AI_PROXY


class TestAdminPanel(Lives):
    application = fleet.ADMIN

    def test_a_browser_shows_a_deep_link(self, machine):
        page = browse(machine, "http://127.0.0.1:8080/services/mcp-service", "admin-panel.png")
        assert "<h1>mcp-service</h1><p>API: https://api.test.example.com/mcp-service</p>" in page, page
        assert "<p>There is no such service.</p>" in browse(machine, "http://127.0.0.1:8080/services/none")


class TestReport(Lives):
    application = fleet.REPORT


class TestLinks(Lives):
    application = fleet.LINKS


class TestTasks(Lives):
    application = fleet.TASKS
