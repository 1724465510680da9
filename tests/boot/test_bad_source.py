"""What is to be fetched is not there, not ours, not safe, or cannot be installed."""

import pytest

import lab
import services
from looks import SERVICE
from stage import run

TOKEN = "ghp_0123456789abcdefghij"
CREDENTIAL = "--git-credential-secret=git/credential"

# The repository, its branch and the commit


def test_the_branch_is_missing(stage):
    stage.serve(services.node(), branch="stage")
    stage.refuses(78, "E-BRANCH-MISSING", "branch test", "stage")


def test_the_repository_is_empty(stage):
    stage.world.tags["bootagent:service"] = "hollow"
    stage.world.repo("hollow")
    stage.refuses(78, "E-BRANCH-MISSING", "no branches")


def test_the_repository_is_missing_or_private(stage):
    """github.com tells a stranger nothing else."""
    stage.world.tags["bootagent:service"] = "nowhere"
    stage.refuses(78, "E-GIT-REFUSED", "https://github.com/acme/nowhere.git", "401")


def test_the_repository_is_missing(stage):
    stage.world.tags["bootagent:service"] = "nowhere"
    repository = "https://git.acme.test/acme/{service}.git"
    stage.refuses(78, "E-GIT-NOT-FOUND", "https://git.acme.test/acme/nowhere.git", repository=repository)


def test_the_repository_s_objects_are_named_in_another_way(stage):
    stage.world.repo("modern", object_format="sha256").commit("test", services.node())
    stage.world.tags["bootagent:service"] = "modern"
    stage.refuses(78, "E-GIT-UNSUPPORTED", "https://github.com/acme/modern.git", "sha256")


def test_the_repository_address_holds_a_password(stage):
    repository = f"https://me:{TOKEN}@github.com/acme/x.git"
    result = stage.refuses(78, "E-REPOSITORY-INVALID", "flag", "password", repository=repository)
    assert TOKEN not in result.stderr
    assert TOKEN not in stage.machine.read("/run/bootagent/status.json")


@pytest.mark.parametrize("ref", ["main", "refs/heads/test", "0" * 6, "0" * 41, "A" * 40, "HEAD~1", "0" * 39 + "\n"])
def test_a_ref_that_is_not_a_commit_id(stage, ref):
    stage.serve(services.node())
    stage.world.tags["bootagent:ref"] = ref
    stage.refuses(78, "E-TAG-INVALID", "tag bootagent:ref", "commit id")


@pytest.mark.parametrize("where", ["nowhere", "another branch", "another repository"])
def test_a_commit_that_is_not_on_the_branch(stage, where):
    other = stage.world.repo("other").commit("test", {"other": "file"})
    stage.serve(services.node())
    elsewhere = {
        "nowhere": "0123456789" * 4,
        "another branch": stage.repository.commit("feature", services.node()),
        "another repository": other,
    }
    stage.world.tags["bootagent:ref"] = elsewhere[where]
    stage.refuses(77, "E-COMMIT-NOT-ON-BRANCH", elsewhere[where], "branch test")


def test_a_commit_on_the_branch_is_what_runs(world, boot):
    world.tags = {"bootagent:service": "auth-service", "bootagent:environment": "test"}
    repository = world.repo("auth-service")
    wanted = repository.commit("test", services.node(**{"bootagent.toml": services.BRIEF + "secret = false\n"}))
    repository.commit("test", {"server.js": "process.exit(1)\n"})
    world.tags["bootagent:ref"] = wanted
    machine, result = boot(world)
    assert result.code == 0, result
    assert machine.run(["bootagent", "status", "--output", "json"]).json()["serves"]["commit"] == wanted
    assert wanted in machine.readlink("/opt/auth-service/current")


# Credentials


@pytest.fixture
def private(stage):
    """A service in a repository that only the token opens."""
    stage.serve(services.node())
    stage.repository.token = TOKEN
    return stage


def test_a_private_repository_without_a_credential(private):
    private.refuses(78, "E-GIT-REFUSED", "private", "401")


@pytest.mark.parametrize("credential", [TOKEN, f'{{"username": "x-access-token", "password": "{TOKEN}"}}'])
def test_a_private_repository_with_its_credential(private, credential):
    private.world.secret("git/credential", credential)
    assert private.plan(CREDENTIAL)["commit"] == private.repository.sha("test")


def test_a_credential_that_is_not_accepted(private):
    private.world.secret("git/credential", "ghp_wrong_token_of_another_user")
    result = private.refuses(78, "E-GIT-REFUSED", "does not accept the credential", flags=(CREDENTIAL,))
    assert "ghp_wrong" not in result.stderr


def test_a_credential_whose_secret_is_missing(private):
    private.refuses(78, "E-SECRET-MISSING", "git/absent", flags=("--git-credential-secret=git/absent",))


def test_a_credential_that_is_none(private):
    private.world.secret("git/credential", '{"password": "ghp_cut off')
    result = private.refuses(78, "E-GIT-CREDENTIAL", "git credential", flags=(CREDENTIAL,))
    assert "ghp_cut" not in result.stderr


# The commit's files


@pytest.mark.parametrize(
    ("path", "content", "code", "why"),
    [
        ("etc", lab.Symlink("/etc/shadow"), "E-SOURCE-UNSAFE", "absolute"),
        ("up", lab.Symlink("../../../etc/shadow"), "E-SOURCE-UNSAFE", "outside"),
        ("big.bin", "version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n", "E-SOURCE-LFS", "without a SHA-256"),
    ],
    ids=["absolute-link", "link-out", "lfs"],
)
def test_a_file_that_is_not_fetched(stage, path, content, code, why):
    stage.serve(services.node(**{path: content}))
    stage.refuses(78, code, path, why)


def add_gitlink(repository, path: str) -> None:
    """A commit of another repository at this path, as `git add` makes it of a directory that is a repository."""
    commit = repository.sha("test")
    tree = repository.git("ls-tree", commit) + f"160000 commit {commit}\t{path}\n"
    tree = repository.git("mktree", "--missing", stdin=tree.encode()).strip()
    author = ("-c", "user.name=Lab", "-c", "user.email=lab@acme.test")
    commit = repository.git(*author, "commit-tree", "-p", commit, "-m", "a submodule", tree).strip()
    repository.git("update-ref", "refs/heads/test", commit)


MODULES = '[submodule "x"]\n\tpath = vendored\n\turl = https://git.acme.test/x.git\n'


def test_a_submodule(stage):
    stage.serve(services.node(**{".gitmodules": MODULES}))
    add_gitlink(stage.repository, "vendored")
    stage.refuses(78, "E-SOURCE-SUBMODULE", "vendored", "git.acme.test")


def test_a_submodule_that_nothing_describes_is_an_empty_directory(world, binary):
    """On a machine of its own, for it comes into service."""
    server = "require('fs').readdirSync('mockups').length && process.exit(3);\n" + services.SERVER
    manifest = "install = false\nsecret = false\n" + services.BRIEF
    world.tags = {"bootagent:service": SERVICE, "bootagent:environment": "test"}
    repository = world.repo(SERVICE)
    repository.commit("test", services.node(**{"bootagent.toml": manifest, "server.js": server}))
    add_gitlink(repository, "mockups")
    result = run(world.launch(binary=binary))
    assert result.code == 0, result
    assert "mockups is an empty directory" in result.stderr and "git rm --cached mockups" in result.stderr, result.stderr


@pytest.mark.parametrize(
    ("files", "code", "names"),
    [
        ({"bootagent.toml": "port = 3000\nprot = 1\n"}, "E-MANIFEST-INVALID", ["bootagent.toml:2:1", "prot"]),
        ({"bootagent.toml": "port = 99999\n"}, "E-MANIFEST-INVALID", ["bootagent.toml:1:8"]),
        ({"bootagent.toml": "port = \n"}, "E-MANIFEST-INVALID", ["bootagent.toml:1:"]),
        ({"bootagent.toml": "[environments.prod]\nprot = 1\n"}, "E-MANIFEST-INVALID", ["bootagent.toml:2:1", "prot"]),
        ({"bootagent.toml": 'runtime = "cobol"\n'}, "E-MANIFEST-INVALID", ["bootagent.toml:1:", "cobol", "node"]),
        ({"bootagent.toml": 'persist = ["../../etc"]\n'}, "E-MANIFEST-INVALID", ["bootagent.toml:1:", "../../etc"]),
        ({"bootagent.toml": lab.Symlink("package.json")}, "E-MANIFEST-INVALID", ["symbolic link"]),
        ({"package.json": None}, "E-RUNTIME-UNKNOWN", ["package.json"]),
        ({"package.json": '{"name": "x",}\n'}, "E-MANIFEST-INVALID", ["package.json:1:"]),
        ({"package.json": "[]", "server.js": None}, "E-MANIFEST-INVALID", ["package.json"]),
        ({"package.json": "{}", "server.js": None}, "E-MANIFEST-INVALID", ["start"]),
        ({"bootagent.toml": 'node = { version = ">=99" }\n'}, "E-RUNTIME-MISSING", [">=99", "22.", "20."]),
        ({".nvmrc": "19\n"}, "E-RUNTIME-MISSING", ["19", ".nvmrc"]),
        ({".nvmrc": "the newest\n"}, "E-MANIFEST-INVALID", ["the newest", ".nvmrc"]),
        ({"package-lock.json": None, "package.json": '{"dependencies": {"x": "1"}}'}, "E-LOCKFILE-MISSING", ["package-lock.json"]),
        ({"yarn.lock": ""}, "E-LOCKFILE-MISSING", ["package-lock.json and yarn.lock", "packageManager"]),
    ],
    ids=lambda value: "-".join(f"{name}:{str(text)[:24].strip()}" for name, text in value.items())
    if isinstance(value, dict) else "",
)  # fmt: skip
def test_a_repository_that_cannot_be_a_service(stage, files, code, names):
    stage.serve(services.node(**files))
    stage.refuses(78, code, *names)
