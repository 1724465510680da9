"""A run on what is not an EC2 instance: told soon, and nothing written."""

import time

import looks
import services
from stage import PLACES, run

DELL = "4c4c4544-0036-3510-8031-b4c04f4a4d32"


def test_firmware_that_is_another_s_and_no_metadata_ends_a_run_soon(world, binary):
    machine = world.launch(binary=binary, hypervisor_uuid=DELL)
    world.imds.refuse()
    before = looks.files(machine, *PLACES)
    began = time.monotonic()
    result = run(machine)
    assert time.monotonic() - began < 30, "it waited as on an instance"
    assert result.code == 64 and "E-NOT-EC2" in result.stderr, result
    assert f"the hypervisor's uuid is {DELL}" in result.stderr, result.stderr
    assert "bootagent --dry-run --service auth-service --environment prod --repository . --env-file .env" in result.stderr
    assert not looks.difference(before, looks.files(machine, *PLACES))
    asked = machine.run(["bootagent", "status"])
    assert asked.code == 3, asked


def test_metadata_that_answers_counts_for_more_than_firmware(world, binary):
    world.tags = {"bootagent:service": looks.SERVICE, "bootagent:environment": "test"}
    world.repo(looks.SERVICE).commit("test", services.talking())
    looks.secret(world, TOKEN="t")
    machine = world.launch(binary=binary, hypervisor_uuid=DELL)
    result = run(machine)
    assert result.code == 0, result.stderr
    assert looks.ask(machine, "env")["TOKEN"] == "t"


def test_an_instance_whose_metadata_is_late_is_waited_for(world, binary):
    machine = world.launch(binary=binary)
    world.imds.refuse()
    began = time.monotonic()
    result = run(machine, "--imds-wait=12s")
    assert time.monotonic() - began > 11 and result.code == 75 and "E-IMDS-UNREACHABLE" in result.stderr, result
