"""Submodules: fetched beside the repository, with its credential, at the commit that the repository names."""

import json

import pytest
from lab.world import may
from looks import SERVICE
from stage import run

import services

AUTHOR = ("-c", "user.name=Lab", "-c", "user.email=lab@acme.test")
QUIET = "install = false\nsecret = false\n" + services.BRIEF
CREDENTIAL = "--git-credential-secret=git/credential"
HTTPS = "https://github.com/acme/{service}.git"
TOKEN = "ghp_hunter2hunter2"


def pin(repository, branch: str, **links: str) -> str:
    """A commit with these submodules (path=commit, `__` for a slash) besides what the branch has."""
    tree = repository.git("ls-tree", branch).splitlines()
    for path, commit in links.items():
        parts = path.replace("__", "/").split("/")
        line = f"160000 commit {commit}\t{parts[-1]}"
        for part in reversed(parts[:-1]):
            inner = repository.git("mktree", "--missing", stdin=f"{line}\n".encode()).strip()
            line = f"040000 tree {inner}\t{part}"
        tree.append(line)
    made = repository.git("mktree", "--missing", stdin="".join(f"{line}\n" for line in tree).encode()).strip()
    commit = repository.git(*AUTHOR, "commit-tree", "-p", branch, "-m", "submodules", made).strip()
    repository.git("update-ref", f"refs/heads/{branch}", commit)
    return commit


def describing(**urls: str) -> str:
    names = {path.replace("__", "/"): url for path, url in urls.items()}
    return "".join(f'[submodule "{path}"]\n\tpath = {path}\n\turl = {url}\n' for path, url in names.items())


def test_submodules_and_theirs_are_part_of_the_release(world, binary):
    """Of a private repository, by a relative and an absolute address, at a commit that is not the newest."""
    world.tags = {"bootagent:service": SERVICE, "bootagent:environment": "test"}
    inner, lib, main = world.repo("inner"), world.repo("lib"), world.repo(SERVICE)
    for repository in (inner, lib, main):
        repository.token = TOKEN
    world.secret("git/credential", TOKEN)
    deep = inner.commit("main", {"deep.js": "module.exports = 'deep';\n"})
    inner.commit("main", {"deep.js": "module.exports = 'a later one';\n"})
    lib.commit("main", {"index.js": "module.exports = require('./inner/deep');\n", ".gitmodules": describing(inner="../inner.git")})
    lib_at = pin(lib, "main", inner=deep)
    # Servers that send no commit by its id: it is looked for on the branch.
    inner.git("config", "uploadpack.allowReachableSHA1InWant", "false")
    server = "if (require('./modules/lib') !== 'deep') process.exit(3);\n" + services.SERVER
    url = "https://github.com/acme/lib.git"
    main.commit("test", services.node(**{"server.js": server, "bootagent.toml": QUIET, ".gitmodules": describing(modules__lib=url)}))
    pin(main, "test", modules__lib=lib_at)
    machine = world.launch(binary=binary)
    world.aws.allow("instance", [may("secretsmanager:GetSecretValue", "*")])
    result = run(machine, CREDENTIAL)
    assert result.code == 0, result.stderr
    assert machine.stat(f"/opt/{SERVICE}/current/modules/lib/inner/deep.js")
    assert TOKEN not in machine.check(["journalctl", "--no-pager", "-o", "cat"])


@pytest.fixture
def private(stage):
    stage.serve(services.node(), secret=None)
    stage.world.secret("git/credential", TOKEN)
    stage.repository.token = TOKEN
    stage.world.repo("lib").token = TOKEN
    return stage


def commit(stage, url: str, at: str, **files: str) -> None:
    files = {"bootagent.toml": QUIET, ".gitmodules": describing(vendored=url)} | files
    stage.repository.commit("test", services.node(**files))
    pin(stage.repository, "test", vendored=at)


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("https://git.acme.test/acme/lib.git", "git.acme.test"),
        ("https://github.com/evil/lib.git", "of evil"),
        ("../../evil/lib.git", "of evil"),
        ("file:///etc", "neither relative"),
    ],
    ids=["server", "owner", "relative", "file"],
)
def test_a_submodule_elsewhere_is_refused_and_not_asked_for(private, url, says):
    private.world.repo("lib", owner="evil").commit("main", {"a": "b"})
    before = len(private.world.git.log)
    commit(private, url, "1" * 40)
    private.refuses(78, "E-SOURCE-SUBMODULE", "vendored", says, flags=(CREDENTIAL,), repository=HTTPS)
    assert all("/evil/" not in entry["path"] and entry["host"] == "github.com" for entry in private.world.git.log[before:])


def test_a_commit_that_was_not_pushed_is_named(private):
    private.world.repo("lib").commit("main", {"a": "b"})
    commit(private, "../lib.git", "2" * 40)
    private.refuses(77, "E-COMMIT-NOT-ON-BRANCH", "2222222", "vendored", flags=(CREDENTIAL,), repository=HTTPS)


def test_a_submodule_that_the_credential_does_not_open(private):
    lib = private.world.repo("lib")
    lib.token = "ghp_of_others"
    commit(private, "../lib.git", lib.commit("main", {"a": "b"}))
    private.refuses(78, "E-GIT-REFUSED", "lib.git", "vendored", flags=(CREDENTIAL,), repository=HTTPS)


def test_a_submodule_with_a_link_out_of_the_release_is_refused(private):
    import lab

    at = private.world.repo("lib").commit("main", {"up": lab.Symlink("../../etc/shadow")})
    commit(private, "../lib.git", at)
    private.refuses(78, "E-SOURCE-UNSAFE", "vendored/up", flags=(CREDENTIAL,), repository=HTTPS)


def test_the_plan_reads_a_service_s_files_out_of_a_submodule(private):
    package = {"name": "sample", "version": "1.0.0", "scripts": {"start": "node server.js"}}
    files = {"package.json": json.dumps(package), "server.js": services.SERVER}
    at = private.world.repo("lib").commit("main", files | {"up": None})
    commit(private, "../lib.git", at, **{"bootagent.toml": 'directory = "vendored"\n' + QUIET})
    assert private.plan(CREDENTIAL)["commit"] == private.repository.sha("test")
