"""A new machine takes its finished release from the release cache while the registry is down. An entry that is not good is refused, and
the release is built."""

import gzip
import hashlib
import hmac
import io
import json
import re
import tarfile
from pathlib import Path

import pytest
import services
from lab import npm_packages
from looks import flat
from test_faults_install import NPMRC
from test_fleet_memory import BUCKET, FLEET, commit, memory  # noqa: F401

KEY = "0123456789abcdef" * 4
CACHE = FLEET + '[cache]\nreleases = "write"\nsecret = "cache_{service}"\n'
EXPRESS = Path(__file__).parent / "express" / "package-lock.json"
QUICK = services.node(**{"bootagent.toml": 'install = "node --version"\n' + services.BRIEF})
BROKEN = {"server.js": "process.exit(3)\n"}
OTHER = {"server.js": services.SERVER.replace('"pid "', '"of the entry, pid "')}


def serve(stage, memory, files: dict, policy: str = CACHE) -> list[dict]:  # noqa: F811
    """A service with this policy, and a role with exactly the printed permissions."""
    name = stage.serve(files)
    stage.world.secret(f"cache_{name}", KEY)
    return memory.policy(policy)


def fresh(stage, binary) -> None:
    """Another instance, with nothing of the first one on its disk."""
    policy = stage.machine.read("/etc/bootagent/policy.toml")
    stage.machine.kill()
    stage.machine = stage.world.launch(binary=binary, files={"/etc/bootagent/policy.toml": policy})
    stage.machine.check(["/lib/systemd/systemd-networkd-wait-online", "--timeout=60"])


def forget(stage) -> None:
    """The service as on a new machine."""
    name = stage.world.tags["bootagent:service"]
    stage.machine.run(["systemctl", "stop", f"{name}.service"])
    stage.machine.check(["sh", "-c", f"rm -rf /var/lib/bootagent /opt/{name} /var/cache/bootagent/{name} /run/bootagent/*"])


def entries(memory) -> list[str]:  # noqa: F811
    return [name for name in memory.names() if name.startswith("releases/")]


def packages(memory) -> list[str]:  # noqa: F811
    return [name for name in entries(memory) if name.endswith(".packages")]


def releases(memory) -> list[str]:  # noqa: F811
    return [name for name in entries(memory) if name.endswith(".release")]


def said(stage) -> dict:
    return flat(stage.machine.run(["bootagent", "status", "--output", "json"]).json())


def step(stage, name: str) -> dict:
    return next(step for step in said(stage)["last_run"]["steps"] if step["id"] == name)


def place(stage) -> str:
    """Where the dry run looks for the entry of this machine."""
    plan = stage.plan()
    (wanted,) = [one["action"] for one in plan["steps"] if one["id"] == "release-cache"]
    return wanted["key"]


def member(name: str, content: str = "", link: str | None = None) -> tuple[tarfile.TarInfo, bytes]:
    info = tarfile.TarInfo(name)
    data = content.encode()
    info.size, info.mode = len(data), 0o644
    if link is not None:
        info.type, info.linkname = tarfile.SYMTYPE, link
    return info, data


def archive(files: dict, *more: tuple[tarfile.TarInfo, bytes]) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w", format=tarfile.GNU_FORMAT) as tar:
        for info, data in [*(member(name, text) for name, text in files.items()), *more]:
            tar.addfile(info, io.BytesIO(data))
    return gzip.compress(packed.getvalue())


def plain(*members: tuple[tarfile.TarInfo, bytes]) -> bytes:
    """Packages are packed without compression."""
    return gzip.decompress(archive({}, *members))


def entry(key: str, packed: bytes, secret: str = KEY) -> bytes:
    said = f"bootagent-release-1 {key} {hashlib.sha256(packed).hexdigest()}"
    tag = hmac.new(secret.encode(), said.encode(), hashlib.sha256).hexdigest()
    return f"{said} {tag}\n".encode() + packed


def test_the_registry_is_down_and_another_instance_serves_from_the_cache(stage, memory, binary):  # noqa: F811
    stage.world.npm.carry(npm_packages.ensure(EXPRESS))
    serve(stage, memory, services.express(**{".npmrc": NPMRC}))
    assert stage.run().code == 0 and "no entry" in step(stage, "release-cache")["detail"]
    built, wrote = (sum(step(stage, name)["seconds"] for name in names) for names in (("checkout", "install"), ("release-store",)))
    assert len(releases(memory)) == len(packages(memory)) == 1, memory.names()
    fresh(stage, binary)
    stage.world.npm.fail(503)
    try:
        before, aws = len(stage.world.npm.log), len(stage.world.aws.log)
        result = stage.run()
        assert result.code == 0, result.stderr
        assert len(stage.world.npm.log) == before, "the registry was asked"
    finally:
        stage.world.npm.heal()
    restored = step(stage, "release-cache")
    assert re.fullmatch(rf"from s3://{BUCKET}/.*/{releases(memory)[0]}, \d+ s old", restored["detail"]), restored
    assert any("taken from the release cache: s3://" in note and note.endswith(" old") for note in said(stage)["notes"])
    assert step(stage, "checkout")["outcome"] == step(stage, "install")["outcome"] == "unchanged"
    written = [call for call in stage.world.aws.log[aws:] if call["action"] == "PUT" and "releases/" in call["key"]]
    assert not written and len(entries(memory)) == 2
    # The entry has no value of the secret, and the release's own links lead where this machine has them.
    link = stage.machine.readlink(f"/opt/{stage.world.tags['bootagent:service']}/current/.env")
    assert link.startswith("/run/bootagent/")
    print(f"checkout and install {built:.1f} s, written in {wrote:.1f} s, from the cache {restored['seconds']:.1f} s")
    # A new commit has no release there yet, but the packages of its lockfile.
    commit(stage, {"more": "x"})
    forget(stage)
    stage.world.npm.fail(503)
    try:
        result = stage.run()
        assert result.code == 0, result.stderr
        assert len(stage.world.npm.log) == before, "the registry was asked"
    finally:
        stage.world.npm.heal()
    taken = step(stage, "install-cache")
    assert re.fullmatch(rf"from s3://{BUCKET}/.*/{packages(memory)[0]}, \d+ s old", taken["detail"]), taken
    assert step(stage, "release-cache")["detail"] == "no entry" and step(stage, "install")["outcome"] == "changed"
    print(f"packages taken in {taken['seconds']:.1f} s, installed in {step(stage, 'install')['seconds']:.1f} s")


@pytest.mark.variants
def test_an_entry_that_is_not_good_is_refused_and_the_release_is_built(stage, memory):  # noqa: F811
    files = QUICK
    serve(stage, memory, files, CACHE.replace("write", "read"))
    key = place(stage)
    link = member("public", link="../../../../etc")
    through = [member("public", link="/usr/lib"), member("public/x")]
    good = entry(key, archive(files | OTHER))
    cases = [
        (good[:-30] + bytes(30), "checksum"),
        (good[: len(good) // 2], "checksum"),
        (entry(key, archive(files | OTHER), KEY[::-1]), "not written with the key"),
        (entry("0" * 64, archive(files | OTHER)), "another release"),
        (entry(key, archive(files | OTHER, link)), "public is a link that leads out of the release"),
        (entry(key, archive(files | OTHER, *through)), "File exists"),
        # Healthy where it was built, and not here.
        (entry(key, archive(files | BROKEN)), ""),
        (good, None),
    ]
    for content, cause in cases:
        stage.world.aws.s3("PUT", BUCKET, f"{memory.below}/releases/{key}.release", content)
        forget(stage)
        result = stage.run()
        assert result.code == 0, result.stderr
        page = stage.machine.http("http://127.0.0.1:3000/health").body
        if cause is None:
            assert "of the entry" in page and step(stage, "install")["outcome"] == "unchanged", result.stderr
        else:
            assert "of the entry" not in page, result.stderr
            assert step(stage, "install")["outcome"] == "changed"
            if not cause:
                assert "is not in this boot: rebuilding it" in result.stderr
                continue
            notes = [note for note in said(stage)["notes"] if "not taken from the release cache: s3://" in note]
            assert notes and cause in notes[0] and "[E-CACHE-REFUSED]" in notes[0], (cause, said(stage)["notes"])


@pytest.mark.variants
def test_an_entry_of_the_image_needs_no_key_and_only_root_may_change_it(stage, memory):  # noqa: F811
    files, directory = QUICK, "/usr/share/releases"
    name = stage.serve(files)
    memory.policy(f'[cache]\ndirectory = "{directory}"\n')
    path = f"{directory}/{place(stage)}.release"
    stage.machine.check(["mkdir", "-p", directory])
    (stage.machine.root / path[1:]).write_bytes(entry(place(stage), archive(files | OTHER), "of another key" * 4))
    for mode, is_taken in (("o+w", False), ("o-w", True)):
        stage.machine.check(["chmod", mode, path])
        forget(stage)
        result = stage.run()
        assert result.code == 0, result.stderr
        assert ("of the entry" in stage.machine.http("http://127.0.0.1:3000/health").body) == is_taken
        assert is_taken or "users other than root" in result.stderr
    stage.machine.check(["systemctl", "stop", f"{name}.service"])


@pytest.mark.variants
def test_each_permission_is_needed_and_without_it_the_service_is_healthy(stage, memory):  # noqa: F811
    statements = serve(stage, memory, QUICK)
    allowed = {one["Sid"]: one["Resource"] for one in statements}
    name = stage.world.tags["bootagent:service"]
    for sid, resource, code in [
        ("WriteFleetMemory", "/releases/*", "E-FLEET-DENIED"),
        ("Secrets", f":secret:cache_{name}-", "E-SECRET-DENIED"),
    ]:
        assert sum(resource in one for one in allowed[sid]) == 1, allowed
        left = [one | {"Resource": [r for r in one["Resource"] if resource not in r]} for one in statements]
        stage.world.aws.allow("instance", left)
        commit(stage, {"more": sid})
        result = stage.run("--update")
        assert result.code == 0 and not entries(memory), result.stderr
        assert stage.machine.journal(BOOTAGENT_CODE=code)
    stage.world.aws.allow("instance", statements)
    commit(stage, {"more": "allowed"})
    assert stage.run("--update").code == 0 and len(entries(memory)) == 1
    # Of instances that only read, the role may not write.
    reading = memory.policy(CACHE.replace("write", "read"))
    assert not any("/releases/" in one for statement in reading for one in statement["Resource"])


@pytest.mark.variants
def test_packages_of_this_machine_are_not_read_from_s3_and_another_lockfile_has_no_entry(stage, memory):  # noqa: F811
    stage.world.npm.carry(npm_packages.ensure(EXPRESS))
    serve(stage, memory, services.express(**{".npmrc": NPMRC}))
    assert stage.run().code == 0 and step(stage, "install-cache")["detail"] == "no entry"
    stored = packages(memory)
    assert len(stored) == 1 and step(stage, "install-cache-store")["detail"] == "written"
    commit(stage, {"more": "y"})
    asked = len(stage.world.aws.log)
    assert stage.run("--update").code == 0
    assert "package cache of this machine" in step(stage, "install-cache")["detail"]
    called = [call for call in stage.world.aws.log[asked:] if ".packages" in (call.get("key") or "")]
    # Whether the entry is there is asked once, before it would be written.
    assert [call["action"] for call in called] == ["GET"], called
    forget(stage)
    other = json.loads(services.express()["package-lock.json"])
    other["packages"][""]["license"] = "MIT"
    commit(stage, {"package-lock.json": json.dumps(other)})
    stage.world.npm.fail(503)
    try:
        failed = stage.run("--budget", "20s")
    finally:
        stage.world.npm.heal()
    assert failed.code != 0 and step(stage, "install-cache")["detail"] == "no entry", failed.stderr
    assert packages(memory) == stored


@pytest.mark.variants
def test_packages_that_are_not_good_come_from_the_registry(stage, memory):  # noqa: F811
    stage.world.npm.carry(npm_packages.ensure(EXPRESS))
    serve(stage, memory, services.express(**{".npmrc": NPMRC}))
    assert stage.run().code == 0
    (name,) = packages(memory)
    at, key = f"{memory.below}/{name}", name.split("/")[1].removesuffix(".packages")
    good = stage.world.aws.s3_bytes("GET", BUCKET, at)
    line, packed = good.split(b"\n", 1)
    with tarfile.open(fileobj=io.BytesIO(packed)) as tar:
        names = tar.getnames()
    forged = [member(one, "not this package") for one in names]
    cases = [
        (good[:-600] + bytes(600)[:-1] + b"x", "checksum", True),
        (entry(key, packed, KEY[::-1]), "not written with the key", True),
        (entry(key, plain(member("../../evil", "x"))), "something else than archives", True),
        (entry(key, plain(member(names[0], link="/etc/shadow"))), "something else than archives", True),
        # Authenticated, and its packages are not those of the lockfile: each is refused by its hash.
        (entry(key, plain(*forged)), "", True),
        (good, None, False),
    ]
    for content, cause, is_asked in cases:
        stage.world.aws.s3("PUT", BUCKET, at, content)
        for other in entries(memory):
            if other.endswith(".release"):
                stage.world.aws.delete_object(BUCKET, f"{memory.below}/{other}")
        forget(stage)
        before = len(stage.world.npm.log)
        result = stage.run()
        assert result.code == 0, result.stderr
        assert (len(stage.world.npm.log) > before) == is_asked, cause
        notes = [note for note in said(stage)["notes"] if "not from the release cache: s3://" in note]
        assert bool(notes) == bool(cause) and all(cause in note and "[E-CACHE-REFUSED]" in note for note in notes), notes
