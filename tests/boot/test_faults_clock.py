"""A clock that is not AWS's."""

import threading

import pytest

import services
from stage import assert_failed


@pytest.fixture
def clock_off(stage):
    yield stage.world.clock_off
    stage.world.clock_off(0)


@pytest.mark.parametrize(("offset", "side"), [(3600, "behind AWS's"), (-3600, "ahead of AWS's")])
def test_a_clock_that_is_an_hour_off(stage, clock_off, offset, side):
    stage.serve(services.node())
    clock_off(offset)
    status = assert_failed(stage.machine, stage.run(), 75, "E-CLOCK-WRONG", "the clock is 3", f"s {side}")
    assert status["error"]["fault"] == "clock-wrong"


def test_a_clock_that_is_set_right_meanwhile(stage, clock_off):
    name = stage.serve(services.node(**{"bootagent.toml": services.NOTHING + services.BRIEF}))
    clock_off(3600)
    timer = threading.Timer(3, clock_off, [0])
    timer.start()
    result = stage.run(wait="30s")
    timer.join()
    assert result.code == 0, result
    stage.machine.check(["systemctl", "stop", f"{name}.service"])


def test_two_minutes_do_not_matter(stage, clock_off):
    name = stage.serve(services.node(**{"bootagent.toml": services.NOTHING + services.BRIEF}))
    clock_off(-120)
    result = stage.run()
    assert result.code == 0, result
    stage.machine.check(["systemctl", "stop", f"{name}.service"])
