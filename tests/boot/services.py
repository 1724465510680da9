"""Sample repositories, as dicts of files for `world.repo(...).commit(branch, files)`."""

import json
from pathlib import Path

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


TALKING = """\
const fs = require("fs"), http = require("http"), util = require("util");
const asked = {};  // how often each path was asked for
const why = (error) => [error.cause?.code, error.code, error.name].find((word) => typeof word === "string");
const outcome = async (attempt) => { try { return await attempt(); } catch (error) { return why(error); } };
const answers = {
  "/health": () => "ok",
  "/asked": () => asked,
  "/env": () => process.env,
  "/dotenv": () => util.parseEnv(fs.readFileSync(".env", "utf8")),
  "/release": () => process.cwd(),
  "/read": (path) => outcome(() => fs.readFileSync(path, "utf8")),
  "/write": (path) => outcome(() => { fs.writeFileSync(path, "x", { flag: "a" }); return "written"; }),
  "/imds": () => outcome(async () => {
    const options = {
      method: "PUT",
      headers: { "X-aws-ec2-metadata-token-ttl-seconds": "60" },
      signal: AbortSignal.timeout(1500),
    };
    return (await fetch("http://169.254.169.254/latest/api/token", options)).status;
  }),
};
http.createServer(async (request, response) => {
  const url = new URL(request.url, "http://here");
  asked[url.pathname] = (asked[url.pathname] ?? 0) + 1;
  if (!answers[url.pathname]) response.writeHead(404);
  response.end(JSON.stringify((await answers[url.pathname]?.(url.searchParams.get("path"))) ?? null));
}).listen(process.env.PORT);
"""
BRIEF = 'port = 3000\nhealth = { path = "/health", soak = "1s" }\n'
# npm takes a second of a processor to install nothing: for services that are not about installing.
NOTHING = "install = false\n"


def talking(scripts: dict[str, str] | None = None, installs: bool = False, **overrides: object) -> dict[str, object]:
    """A service like `node`, with a brief soak, that tells over HTTP what it sees and what it may do. npm installs it
    only if the test asks for that."""
    package = {"name": "sample", "version": "1.0.0", "scripts": {"start": "node server.js"} | (scripts or {})}
    manifest = BRIEF if installs else NOTHING + BRIEF
    files = {"server.js": TALKING, "package.json": json.dumps(package), "bootagent.toml": manifest}
    return node(**files | overrides)


# As an install script: it stays for as long as ~/go is absent, unless ~/pass was there first. Meanwhile it writes into
# the release by its absolute path, as npm does.
LINGER = """\
const fs = require("fs"), path = require("path");
const home = path.dirname(process.env.npm_config_cache), stray = path.join(process.cwd(), "stray-of-" + process.pid);
if (fs.existsSync(home + "/pass")) process.exit();
// Under its name it is whole.
fs.writeFileSync(home + "/lingers.new", String(process.pid));
fs.renameSync(home + "/lingers.new", home + "/lingers");
setInterval(() => {
  if (fs.existsSync(home + "/go")) process.exit();
  try { fs.writeFileSync(stray, ""); } catch {}
}, 5);
"""


def lingering(**overrides: object) -> dict[str, object]:
    """A service whose installation takes as long as the test wants."""
    return talking({"postinstall": "node linger.js"}, True, **{"linger.js": LINGER} | overrides)


def express(scripts: dict[str, str] | None = None, **overrides: object) -> dict[str, object]:
    """A service with packages from the registry: express, dotenv and cross-env, and picocolors for its build."""
    files = {path.name: path.read_text() for path in (Path(__file__).parent / "express").iterdir()}
    package = json.loads(files["package.json"])
    package["scripts"] |= scripts or {}
    return files | {"package.json": json.dumps(package)} | overrides
