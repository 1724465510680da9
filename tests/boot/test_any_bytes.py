"""A repository whose files are not text: each of them is served byte for byte as it was committed."""

import hashlib

import pytest
from looks import SERVICE, secret, shared  # noqa: F401
from services import BRIEF, node
from stage import run

SERVER = """\
const fs = require("fs"), http = require("http"), path = require("path");
http.createServer((request, response) => {
  if (request.url === "/health") return response.end("ok");
  const file = path.join(__dirname, "public", path.basename(request.url));
  fs.readFile(file, (error, bytes) => error ? response.writeHead(404).end() : response.end(bytes));
}).listen(process.env.PORT);
"""
# What UTF-8 cannot hold, NUL, both kinds of line ends, and enough to be sent in several parts.
PNG = b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(range(256)) * 1024
LATIN_1 = "Größe: 10 µm\r\n".encode("latin-1")
TOOL = b"#!/bin/sh\n# caf\xe9\necho made by the tool\n"


@pytest.fixture(scope="module")
def directory(tmp_path_factory):
    made = tmp_path_factory.mktemp("service")
    for name, text in node(**{"server.js": SERVER, "bootagent.toml": f"install = false\n{BRIEF}"}).items():
        (made / name).write_text(text)
    (made / "public").mkdir()
    (made / "public/logo.png").write_bytes(PNG)
    (made / "public/liesmich.txt").write_bytes(LATIN_1)
    (made / "public/nothing").write_bytes(b"")
    (made / "public/bild.png").symlink_to("logo.png")
    (made / "tool").write_bytes(TOOL)
    (made / "tool").chmod(0o755)
    (made / "uploads").mkdir()
    return made


class TestAnyBytes:
    @pytest.fixture(scope="class")
    @classmethod
    def machine(cls, shared, binary, directory):  # noqa: F811
        shared.repo(SERVICE).commit("test", directory)
        secret(shared, TOKEN="t")
        machine = shared.launch(binary=binary)
        first = run(machine)
        assert first.code == 0, first.stderr
        return machine

    @pytest.mark.parametrize(
        ("name", "content"), [("logo.png", PNG), ("bild.png", PNG), ("liesmich.txt", LATIN_1), ("nothing", b"")]
    )
    def test_an_asset_is_served_byte_for_byte(self, machine, name, content):
        answer = machine.http(f"http://127.0.0.1:3000/{name}")
        assert answer.status == 200 and answer.content == content

    def test_the_release_has_modes_and_links_as_they_were_committed(self, machine):
        release = f"/opt/{SERVICE}/current"
        assert machine.readlink(f"{release}/public/bild.png") == "logo.png"
        assert machine.check([f"{release}/tool"], user=SERVICE) == "made by the tool\n"
        assert machine.check(["sha256sum", f"{release}/tool"]).split()[0] == hashlib.sha256(TOOL).hexdigest()

    def test_what_was_not_committed_is_not_there(self, machine):
        """An empty directory is nothing to git; and no file but the tool is executable."""
        release = f"/opt/{SERVICE}/current"
        assert not machine.exists(f"{release}/uploads")
        assert machine.http("http://127.0.0.1:3000/absent.png").status == 404
        executable = machine.check(["find", f"{release}/", "-type", "f", "-perm", "/111", "-printf", "%P\n"])
        assert executable == "tool\n"
