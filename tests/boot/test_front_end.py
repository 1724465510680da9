"""Static sites: what a build leaves is served by nginx, in the service's unit."""

import json
import re
from pathlib import Path

import pytest
from lab import layers
from lab.deadline import wait_for
from looks import SERVICE, current, releases, secret, shared, status
from poller import Poller
from stage import assert_failed, run

PORT = 8080
VITE = Path(__file__).parent / "vite"
PAGE = '<!doctype html><title>%s</title><script type="module" src="/assets/%s"></script>\n'
# Leaves what a build by Vite leaves, without its packages.
BUILD = """\
const fs = require("fs");
const { title, asset, broken } = JSON.parse(fs.readFileSync("next.json"));
if (broken === "build") process.exit(3);
fs.mkdirSync("dist/assets", { recursive: true });
if (broken !== "page") fs.writeFileSync("dist/index.html", fs.readFileSync("page.html"));
for (const path of JSON.parse(fs.readFileSync("more.json"))) {
  fs.mkdirSync("dist/" + require("path").dirname(path), { recursive: true });
  fs.writeFileSync("dist/" + path, "x");
}
fs.writeFileSync("dist/sw.js", "self.title = " + JSON.stringify(title));
fs.writeFileSync("dist/.hidden", "not public");
fs.writeFileSync("dist/assets/" + asset, "// " + title + " " + (process.env.VITE_API ?? "no VITE_API") + "x".repeat(4000));
if (broken === "secret") fs.writeFileSync("dist/assets/late.js", "const k = '" + fs.readFileSync("slip", "utf8") + "'");
"""
QUICK = 'health = { soak = "1s" }\n'
SECRET = "sk-live-7Yq2-not-for-the-bundle"
FIRST, SECOND = "index-Bx12cD9k.js", "index-Qz98yX7w.js"


# As webpack, esbuild, Next.js, SvelteKit, Astro and Vite name what never changes.
HASHED = [
    "static/js/main.3f2a1b9c.chunk.js",
    "css/app.8b1f3ad0.css",
    "main-5FJJ7WQL.js",
    "_next/static/abc/_buildManifest.js",
    "_app/immutable/entry/start.js",
    "_astro/hoisted.js",
    "assets/logo-C9dT1_3x.svg",
]
UNHASHED = ["favicon.svg", "assets/hero-original.png", "assets/photo-20240131.jpg", "js/my-stylesheet.css", "jquery-3.7.1.min.js", "README-original.js"]


def front_end(title="one", asset=FIRST, manifest=QUICK, broken=None, **more):
    """A front end with Vite among its packages, which the manifest does not install."""
    package = {"name": "panel", "version": "1.0.0", "private": True, "devDependencies": {"vite": "7.1.5"}}
    package["scripts"] = {"dev": "vite", "build": "node build.js", "preview": "vite preview"}
    files = {"package.json": json.dumps(package), "build.js": BUILD, "index.html": "the source"}
    files |= {"next.json": json.dumps({"title": title, "asset": asset, "broken": broken}), "page.html": PAGE % (title, asset)}
    files["more.json"] = json.dumps(HASHED + UNHASHED)
    return files | {"bootagent.toml": "install = false\n" + manifest} | more


def machine_of(world, binary, files, **values):
    world.tags = {"bootagent:service": SERVICE, "bootagent:environment": "test"}
    world.repo(SERVICE).commit("test", files)
    secret(world, **({"API_TOKEN": SECRET, "NODE_ENV": "production"} | values))
    machine = world.launch(binary=binary, layers=[layers.ensure(["nginx"])])
    # The layer's own unit: as on an AMI whose owner has nginx for something else, and has stopped it.
    machine.run(["systemctl", "disable", "--now", "nginx"])
    return machine


def get(machine, path="/"):
    return machine.http(f"http://127.0.0.1:{PORT}{path}", timeout=5)


def headers(machine, path, **more):
    answer = machine.http(f"http://127.0.0.1:{PORT}{path}", 5, {name.replace("_", "-"): value for name, value in more.items()})
    return {name.lower(): value for name, value in answer.headers.items()}


class TestAFrontEnd:
    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary):  # noqa: F811
        machine = machine_of(shared, binary, front_end())
        first = run(machine)
        assert first.code == 0, first.stderr
        return machine

    def test_the_first_page_and_a_deep_link_are_the_release_s(self, machine):
        page = PAGE % ("one", FIRST)
        for path in ("/", "/index.html", "/orders/17", "/users/john.doe"):
            answer = get(machine, path)
            assert (answer.status, answer.body) == (200, page), path
        assert status(machine)[1]["state"] == "healthy"

    def test_what_is_not_there_or_not_public_is_not_answered_by_the_page(self, machine):
        for path in ("/assets/gone-Aa11bB22.js", "/gone.css", "/.hidden", "/.site/index.html", "/.env"):
            answer = get(machine, path)
            assert answer.status == 404 and "src=" not in answer.body, path

    def test_only_names_with_a_hash_are_cached(self, machine):
        for path in [f"assets/{FIRST}", *HASHED]:
            assert headers(machine, f"/{path}")["cache-control"] == "public, max-age=31536000, immutable", path
        for path in ["", "orders/17", "sw.js", *UNHASHED]:
            found = headers(machine, f"/{path}")
            assert found["cache-control"] == "no-cache" and found["x-content-type-options"] == "nosniff", path
        assert "cache-control" not in headers(machine, "/assets/gone-Aa11bB22.js")

    def test_text_is_compressed_and_has_its_type(self, machine):
        found = headers(machine, f"/assets/{FIRST}", Accept_Encoding="gzip")
        assert (found["content-encoding"], found["vary"]) == ("gzip", "Accept-Encoding")
        assert found["content-type"] == "text/javascript; charset=utf-8"

    def test_nginx_runs_in_the_service_s_unit_as_its_user_and_without_its_variables(self, machine):
        pid = machine.check(["systemctl", "show", "-P", "MainPID", SERVICE]).strip()
        assert machine.check(["ps", "-o", "user=", "-p", pid]).strip() == SERVICE
        assert machine.check(["systemctl", "show", "-P", "EnvironmentFiles", SERVICE]).strip() == ""
        assert machine.run(["systemctl", "is-active", "nginx"]).stdout.strip() != "active"
        log = machine.check(["journalctl", "-u", SERVICE, "-o", "cat"])
        assert "[emerg]" not in log and "[alert]" not in log and "[warn]" not in log, log

    def test_a_second_run_changes_nothing(self, machine):
        pid = machine.check(["systemctl", "show", "-P", "MainPID", SERVICE])
        again = run(machine)
        assert again.code == 0, again.stderr
        assert [step["id"] for step in status(machine)[1]["steps"] if step["outcome"] == "changed"] == []
        assert machine.check(["systemctl", "show", "-P", "MainPID", SERVICE]) == pid

    @pytest.mark.parametrize("broken, exit, code, names", [
        ("build", 2, "E-INSTALL-FAILED", []),
        ("page", 2, "E-SITE-MISSING", ["no index.html in dist"]),
        ("secret", 2, "E-SITE-SECRET", ["assets/late.js", "API_TOKEN"]),
    ])  # fmt: skip
    def test_a_broken_update_leaves_the_former_site(self, shared, machine, broken, exit, code, names):  # noqa: F811
        before, pid = current(machine), machine.check(["systemctl", "show", "-P", "MainPID", SERVICE])
        shared.repo(SERVICE).commit("test", front_end(broken, SECOND, broken=broken, slip=SECRET))
        failed = run(machine, "--update")
        assert_failed(machine, failed, exit, code, *names)
        assert SECRET not in failed.stderr + failed.stdout
        assert current(machine) == before and get(machine).body == PAGE % ("one", FIRST)
        assert machine.check(["systemctl", "show", "-P", "MainPID", SERVICE]) == pid

    def test_a_wrong_key_leaves_the_former_site(self, shared, machine):  # noqa: F811
        shared.repo(SERVICE).commit("test", front_end("keys", manifest=QUICK + '[static]\nroot = "a;b"\n'))
        assert_failed(machine, run(machine, "--update"), 2, "E-MANIFEST-INVALID", "static.root")
        assert get(machine).body == PAGE % ("one", FIRST)

    def test_an_update_loses_no_request_and_keeps_the_assets_of_open_tabs(self, shared, machine):  # noqa: F811
        pid = machine.check(["systemctl", "show", "-P", "MainPID", SERVICE])
        values = '\n[env.values]\nVITE_API = "https://api.example.com"\n'
        shared.repo(SERVICE).commit("test", front_end("two", SECOND, manifest=QUICK + values))
        with Poller(machine, "/", PORT) as poller:
            updated = run(machine, "--update")
        assert updated.code == 0, updated.stderr
        assert poller.failures == [] and poller.asked > 20, (poller.failures, poller.asked)
        assert machine.check(["systemctl", "show", "-P", "MainPID", SERVICE]) == pid
        assert get(machine).body == PAGE % ("two", SECOND)
        assert get(machine, f"/assets/{SECOND}").body.startswith("// two https://api.example.com")
        old = get(machine, f"/assets/{FIRST}")
        assert old.status == 200 and old.body.startswith("// one no VITE_API")
        assert get(machine, "/assets/gone-Aa11bB22.js").status == 404
        assert get(machine, "/sw.js").body == 'self.title = "two"'
        assert len(releases(machine)) == 2

    def test_a_page_of_another_release_does_not_pass(self, machine):
        configuration, now = f"/opt/{SERVICE}/nginx.conf", current(machine)
        (former,) = [release for release in releases(machine) if release != now]
        machine.check(["sed", "-i", f"s#{now}#{former}#", configuration])
        machine.check(["systemctl", "reload", SERVICE])
        # nginx's former workers answer until the new ones are there.
        wait_for("the other page", lambda: status(machine)[1]["state"] != "healthy", 20)
        said = status(machine)[1]
        assert "not with the bytes of" in said["probe"], said
        mended = run(machine)
        assert mended.code == 0, mended.stderr
        assert get(machine).body == PAGE % ("two", SECOND) and status(machine)[1]["state"] == "healthy"

    def test_it_serves_again_after_a_reboot(self, machine):
        machine.reboot()
        machine.check(["bootagent", "status", "--wait"], timeout=90)
        assert get(machine, "/orders/17").body == PAGE % ("two", SECOND)
        assert get(machine, f"/assets/{FIRST}").status == 200


class TestARealBuild:
    """By Vite itself, from the real registry, on a machine of which nothing was prepared."""

    def test_a_front_end_is_built_by_convention(self, shared, binary):  # noqa: F811
        values = '[env.values]\nVITE_API = "https://api.example.com"\n'
        files = {str(path.relative_to(VITE)): path.read_text() for path in VITE.rglob("*") if path.is_file()}
        machine = machine_of(shared, binary, files | {"bootagent.toml": values}, VITE_TOKEN="seen-by-no-build-7")
        first = run(machine, "--budget", "300s")
        assert first.code == 0, first.stderr
        (script,) = re.findall(r'src="(/assets/index-[\w-]{8}\.js)"', get(machine).body)
        assert get(machine, "/deep/link").body == get(machine).body
        answer = get(machine, script)
        assert "https://api.example.com" in answer.body and "VITE_TOKEN" not in answer.body
        assert headers(machine, script)["cache-control"].endswith("immutable")
        assert not machine.exists(f"/opt/{SERVICE}/current/node_modules")
        assert "VITE_TOKEN of the secret" in machine.check(["bootagent", "run", "--dry-run"])


HTML = "<!doctype html><title>%s</title>\n"


class TestPlainHtml:
    """On a machine without nginx: the distribution's package is installed, and its own site does not take port 80."""

    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary):  # noqa: F811
        shared.tags = {"bootagent:service": SERVICE, "bootagent:environment": "test"}
        pages = {"index.html": HTML % "home", "about.html": HTML % "about", "docs/index.html": HTML % "docs", "app.js": "1"}
        shared.repo(SERVICE).commit("test", pages | {"404.html": HTML % "not here", "notes/a.txt": "a", "README.md": "x"})
        secret(shared, API_TOKEN=SECRET)
        machine = shared.launch(binary=binary)
        first = run(machine, "--budget", "300s")
        assert first.code == 0, first.stderr
        return machine

    def test_pages_are_served_without_their_ending(self, machine):
        for path, title in [("/", "home"), ("/about", "about"), ("/about.html", "about"), ("/docs/", "docs")]:
            answer = get(machine, path)
            assert (answer.status, answer.body) == (200, HTML % title), path
        assert get(machine, "/docs").body == HTML % "docs"

    def test_what_is_not_there_is_a_404_with_the_site_s_own_page(self, machine):
        for path in ("/nothing", "/nothing.js", "/notes/", "/bootagent.toml", "/.env", "/.site/index.html"):
            answer = get(machine, path)
            assert (answer.status, answer.body) == (404, HTML % "not here"), path

    def test_the_package_s_own_site_does_not_run(self, machine):
        assert machine.run(["systemctl", "is-enabled", "nginx"]).stdout.strip() == "masked"
        assert machine.run(["systemctl", "is-active", "nginx"]).stdout.strip() == "inactive"
        with pytest.raises(OSError):
            machine.http("http://127.0.0.1:80/", timeout=5)

    def test_another_process_on_the_port_is_named(self, shared, machine):  # noqa: F811
        machine.check(["systemd-run", "--unit=other", "python3", "-m", "http.server", "9090"])
        shared.repo(SERVICE).commit("test", {"bootagent.toml": 'port = 9090\nhealth = { soak = "1s", timeout = "8s" }\n'})
        assert_failed(machine, run(machine, "--update"), 2, ["E-HEALTH-FOREIGN-LISTENER", "E-UNIT-FAILED"])
        assert get(machine).body == HTML % "home"
        machine.check(["systemctl", "stop", "other"])

    def test_another_port_and_another_directory_by_the_manifest(self, shared, machine):  # noqa: F811
        more = {"site/index.html": HTML % "site", "bootagent.toml": "port = 9090\n" + QUICK + '[static]\nroot = "site"\nspa = true\n'}
        shared.repo(SERVICE).commit("test", more)
        updated = run(machine, "--update")
        assert updated.code == 0, updated.stderr
        for path in ("/", "/deep/link"):
            assert machine.http(f"http://127.0.0.1:9090{path}", timeout=5).body == HTML % "site"
        with pytest.raises(OSError):
            get(machine)

    def test_a_site_that_becomes_a_program_and_a_site_again(self, shared, machine):  # noqa: F811
        server = 'require("http").createServer((_, response) => response.end("program")).listen(process.env.PORT)'
        program = {"server.js": server, "bootagent.toml": 'runtime = "node"\ninstall = false\nstart = "node server.js"\nport = 9090\nhealth = { path = "/", soak = "1s" }\n'}
        shared.repo(SERVICE).commit("test", program | {"package.json": "{}"})
        updated = run(machine, "--update")
        assert updated.code == 0, updated.stderr
        assert machine.http("http://127.0.0.1:9090/", timeout=5).body == "program"
        assert not machine.exists(f"/opt/{SERVICE}/nginx.conf")
        shared.repo(SERVICE).commit("test", {"bootagent.toml": 'runtime = "static"\ninstall = false\n' + QUICK + '[static]\nroot = "."\n'})
        back = run(machine, "--update")
        assert back.code == 0, back.stderr
        assert get(machine).body == HTML % "home" and get(machine, "/package.json").status == 404
