"""Files of Git LFS: downloaded with the repository's credential, and only what the pointer names."""

import pytest
from lab.world import may
from looks import SERVICE
from stage import run
from test_submodules import CREDENTIAL, HTTPS, QUIET, TOKEN

import services

pytestmark = pytest.mark.variants

LARGE = b"module.exports = 'large';\n" + b"// filler\n" * 20_000


def test_files_of_lfs_are_part_of_the_release(world, binary):
    world.tags = {"bootagent:service": SERVICE, "bootagent:environment": "test"}
    repository = world.repo(SERVICE)
    repository.token = TOKEN
    world.secret("git/credential", TOKEN)
    server = "if (require('./data/large') !== 'large') process.exit(3);\n" + services.SERVER
    pointer = repository.lfs(LARGE)
    repository.commit("test", services.node(**{"server.js": server, "bootagent.toml": QUIET, "data/large.js": pointer, "again.js": pointer}))
    machine = world.launch(binary=binary)
    world.aws.allow("instance", [may("secretsmanager:GetSecretValue", "*")])
    result = run(machine, CREDENTIAL)
    assert result.code == 0, result.stderr
    for name in ("data/large.js", "again.js"):
        assert machine.read(f"/opt/{SERVICE}/current/{name}").encode() == LARGE
    downloads = [entry for entry in world.git.log if "/info/lfs/objects/" in entry["path"] and entry["method"] == "GET"]
    assert len(downloads) == 1


@pytest.fixture
def private(stage):
    stage.serve(services.node(), secret=None)
    stage.world.secret("git/credential", TOKEN)
    stage.repository.token = TOKEN
    yield stage
    stage.repository.heal()


def refuses(stage, exit: int, code: str, *words: str, pointer: str, **more) -> None:
    stage.repository.commit("test", services.node(**{"bootagent.toml": QUIET, "big.bin": pointer}))
    stage.refuses(exit, code, *words, flags=(CREDENTIAL,), repository=HTTPS, **more)


def test_a_file_that_was_not_pushed_is_named(private):
    pointer = private.repository.lfs(LARGE)
    private.repository.large.clear()
    refuses(private, 78, "E-SOURCE-LFS", "big.bin", "404: Object does not exist", pointer=pointer)


def test_another_file_than_the_pointer_s_is_refused(private):
    pointer = private.repository.lfs(LARGE)
    private.repository.large = {oid: b"x" * len(content) for oid, content in private.repository.large.items()}
    refuses(private, 78, "E-SOURCE-LFS", "big.bin", "not the file that the pointer names", pointer=pointer)


def test_a_server_without_lfs_is_named(private):
    pointer = private.repository.lfs(LARGE)
    private.repository.fail(404, only="info/lfs/*")
    refuses(private, 78, "E-SOURCE-LFS", "no Git LFS", pointer=pointer)


def test_more_than_the_limit_is_refused_before_anything_is_downloaded(private):
    pointer = f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize {3 << 30}\n"
    refuses(private, 78, "E-SOURCE-TOO-LARGE", "bytes together", pointer=pointer)


def test_the_files_of_a_renamed_repository_are_at_its_new_address(private):
    renamed = private.world.repo("renamed")
    renamed.token = TOKEN
    pointer = renamed.lfs(LARGE)
    renamed.commit("test", services.node(**{"bootagent.toml": QUIET, "big.bin": pointer}))
    private.repository.redirect("https://github.com/acme/renamed.git")
    plan = private.machine.run(["bootagent", "--dry-run", "--update", "--repository", HTTPS, CREDENTIAL], timeout=60)
    assert plan.code == 0, plan.stderr
    batches = [entry["path"] for entry in private.world.git.log if entry["path"].endswith("/info/lfs/objects/batch")]
    assert batches[-1] == "/acme/renamed.git/info/lfs/objects/batch"
