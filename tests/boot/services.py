"""Sample repositories, as dicts of files for `world.repo(...).commit(branch, files)`."""

import json

SERVER = """\
require("http").createServer((request, response) => {
  response.writeHead(request.url === "/health" ? 200 : 404);
  response.end("pid " + process.pid + "\\n");
}).listen(process.env.PORT);
"""


def node(**overrides: object) -> dict[str, object]:
    """A small healthy Node service without dependencies. Overrides are files by name (node(**{"server.js": "..."}));
    None leaves the file out."""
    package = {"name": "sample", "version": "1.0.0"}
    files = {
        "server.js": SERVER,
        "package.json": json.dumps(package | {"scripts": {"start": "node server.js"}}),
        "package-lock.json": json.dumps(package | {"lockfileVersion": 3, "requires": True, "packages": {"": package}}),
        "bootagent.toml": 'port = 3000\nhealth = "/health"\n',
    }
    return {name: content for name, content in (files | overrides).items() if content is not None}
