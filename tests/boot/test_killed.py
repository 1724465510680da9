"""Kill the agent anywhere, run it once more, and the machine is the same as one on which nobody killed anything."""

import killed
import pytest
from looks import SERVICE, ask, secret, status, whole
from services import talking
from stage import REPOSITORY

FLAGS = ["--repository", REPOSITORY]


def differences(undisturbed: dict[str, str], disturbed: dict[str, str]) -> list[str]:
    names = sorted(undisturbed.keys() | disturbed.keys())
    pairs = [(name, undisturbed.get(name, "absent"), disturbed.get(name, "absent")) for name in names]
    return [f"{name}: {was}, not {is_}" for name, is_, was in pairs if is_ != was]


class FirstBoot:
    """A fresh machine for each point. The points are shared out so that several workers can take them."""

    @pytest.fixture
    def stage(self, world):
        world.tags = {"bootagent:service": SERVICE, "bootagent:environment": "test"}
        world.repo(SERVICE).commit("test", talking())
        secret(world, TOKEN="t")
        return world

    def test_killed_once_and_run_once(self, stage, binary):
        machine = stage.launch(binary=binary)
        result, points = killed.points(machine, *FLAGS)
        assert result.code == 0, result.stderr
        undisturbed = whole(machine)
        machine.kill()
        wrong = []
        print("points", points)
        for point in points[self.share :: 2]:
            machine = stage.launch(binary=binary)
            code = killed.run(machine, *FLAGS, at=point).code
            again = machine.run(["bootagent", "run", *FLAGS], timeout=120)
            if (code, again.code) != (killed.KILLED, 0):
                wrong.append(f"at {point}: killed {code}, again {again.code} {again.stderr}")
                print(wrong[-1])
            else:
                wrong += (f"at {point}: {line}" for line in differences(undisturbed, whole(machine)))
            machine.kill()
        assert not wrong, "\n".join(wrong)


class TestFirstBoot(FirstBoot):
    share = 0


class TestFirstBootToo(FirstBoot):
    share = 1
