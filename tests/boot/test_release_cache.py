"""A new machine takes its finished release from the cache while the registry is down; an entry that is not good is built again."""

from looks import flat
from test_faults_install import project, registry  # noqa: F401
from test_fleet_memory import BUCKET, FLEET, memory  # noqa: F401

KEY = "0123456789abcdef" * 4
CACHE = FLEET + '[cache]\nreleases = "write"\nsecret = "cache_{service}"\n'


def forget(stage) -> None:
    """As on a new machine."""
    name = stage.world.tags["bootagent:service"]
    stage.machine.run(["systemctl", "stop", f"{name}.service"])
    stage.machine.check(["sh", "-c", f"rm -rf /var/lib/bootagent /opt/{name} /var/cache/*{name}* /run/bootagent/*"])


def step(stage, name: str) -> dict:
    said = flat(stage.machine.run(["bootagent", "status", "--output", "json"]).json())
    return next(step for step in said["last_run"]["steps"] if step["id"] == name)


def test_the_registry_is_down_and_a_new_machine_serves_from_the_cache(stage, memory, registry):  # noqa: F811
    name = stage.serve(project(stage.world), secret=None)
    stage.world.secret(f"cache_{name}", KEY)
    memory.policy(CACHE)
    assert stage.run().code == 0
    (entry,) = [key for key in memory.names() if key.startswith("releases/")]
    forget(stage)
    registry.fail(503)
    result = stage.run()
    assert result.code == 0, result.stderr
    assert step(stage, "release-cache")["detail"].startswith(f"from s3://{BUCKET}/")
    assert step(stage, "checkout")["outcome"] == step(stage, "install")["outcome"] == "unchanged"
    # Another key: the entry is not believed, and the release is built.
    registry.heal()
    forget(stage)
    stage.world.secret(f"cache_{name}", KEY[::-1])
    result = stage.run()
    assert result.code == 0 and "not written with the key" in result.stderr, result.stderr
    assert step(stage, "install")["outcome"] == "changed"
    # An entry of someone who can write the bucket only.
    stage.world.aws.put_object(BUCKET, f"{memory.below}/{entry}", f"bootagent-release-1 {entry[9:-8]} {'0' * 64} {'0' * 64}\nx")
    forget(stage)
    result = stage.run()
    assert result.code == 0 and "not written with the key" in result.stderr, result.stderr
