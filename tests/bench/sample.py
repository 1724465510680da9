"""What is measured: for each case one entry here and one folder beside this file; and the history that all repositories have."""

import functools
import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from pathlib import Path

import registries
from lab import World
from lab.git_repository import Files, read_directory

HERE = Path(__file__).resolve().parent
SERVICE, BRANCH, PORT = "orders", "test", 3000
COMMITS = 300
TOOLS = "git, the AWS CLI, curl and jq"


@dataclass(frozen=True)
class Case:
    """A service and the scripts that boot it: the folder of its name has `service`, `user_data` and `secret.json`. What that
    folder lacks comes from the case `over` which this one is laid."""

    name: str
    image: str  # what the image of the installed half has besides TOOLS, in words
    unlike: str  # what is not the same for all variants, in a sentence
    runtime: str  # the program that runs the service and its installer
    module: str  # the suffix of the modules in its history
    over: str = ""
    packages: tuple[str, ...] = ()  # the distribution's, in the image of the installed half
    machine: Callable[[World], Files] = lambda world: {}  # files of every machine, such as the operator's settings
    floor: Callable[[], Files] = dict  # files of the floor's machine
    reach: dict[str, float] = field(default_factory=dict)  # of the old bash's time, by half; none was promised for the others
    near: dict[str, float] = field(default_factory=dict)  # of the floor's time, by half

    def service(self) -> Files:
        files: Files = {}
        for folder in self._folders():
            if (folder / "service").is_dir():
                files |= read_directory(folder / "service")
        return registries.with_addresses(files)

    def script(self, variant: str) -> str:
        return self._newest(f"user_data/{variant}.sh").read_text()

    def unit(self) -> str:
        """The floor's, in an image that has all that the service needs."""
        return self._newest("floor.service").read_text()

    def halves(self, wanted: list[str]) -> list[str]:
        """A sealed image is measured where something was promised for it."""
        return [half for half in wanted if half != "sealed" or half in self.reach]

    def secret(self) -> dict[str, str]:
        return json.loads(self._newest("secret.json").read_text())

    def _newest(self, name: str) -> Path:
        return next(folder / name for folder in reversed(self._folders()) if (folder / name).exists())

    def _folders(self) -> list[Path]:
        """The lowest first."""
        below = CASES[self.over]._folders() if self.over else []
        return [*below, HERE / self.name]


NODE = Case(
    "node", image="Node", runtime="node", module="js", reach={"installed": 0.28, "bare": 0.07, "sealed": 0.30},
    near={"sealed": 1.25},
    unlike="bootagent carries out npm ci itself; old takes Debian's Node on a bare machine, tuned and bootagent its archive",
)  # fmt: skip
NPM = replace(
    NODE, name="node-npm", over="node", reach={"installed": 0.75, "bare": 0.35},
    unlike="npm installs for all; old takes Debian's Node on a bare machine, tuned and bootagent its archive",
)  # fmt: skip
PM2 = replace(
    NODE, name="pm2", over="node", reach={}, machine=registries.global_programs,
    unlike="the scripts run PM2 and with it the service as root; the floor is the service without PM2",
)  # fmt: skip
PYTHON = Case(
    "python", image="Python with venv and pip", runtime="python3.11", module="py", reach={"installed": 0.35, "bare": 0.12, "sealed": 0.12},
    near={"sealed": 1.25}, packages=("python3-venv", "python3-pip"), machine=registries.python_with_uv, floor=registries.uv,
    unlike="bootagent installs with uv, whose archive it fetches, as the policy pins it; the scripts use pip; the floor has uv",
)  # fmt: skip
PIP = replace(
    PYTHON, name="python-pip", over="python", reach={}, machine=registries.python,
    unlike="the policy pins no uv: bootagent installs with pip, as the scripts do; the floor has uv and uses it",
)  # fmt: skip
CASES = {case.name: case for case in (NODE, NPM, PM2, PYTHON, PIP)}


def furnish(world: World, case: Case) -> None:
    world.tags = {"bootagent:service": SERVICE, "bootagent:environment": BRANCH}
    world.secret(f"service_env_{SERVICE}_{BRANCH}", json.dumps(case.secret()))
    repository = world.repo(SERVICE)
    repository.git("fast-import", "--quiet", stdin=_history(case.module))
    repository.commit(BRANCH, case.service(), "what is measured")


def change(world: World, case: Case) -> None:
    """A newer commit with the same dependencies. Commits are the same in each world, so that an image fits them all."""
    world.repo(SERVICE).commit(BRANCH, {f"lib/module_0.{case.module}": 'item = "new"\n'}, "a change")


@functools.cache
def _history(suffix: str) -> bytes:
    """A few hundred commits, the same ones each time: modules of some kilobytes that are written and rewritten. Their lines
    are assignments, for JavaScript and for Python."""
    chance = random.Random(1)
    words = ["order", "item", "price", "customer", "stock", "until", "cost", "total", "invoice", "of", "the", "and"]
    out = []
    for number in range(COMMITS):
        lines = [f'{chance.choice(words[:6])} = "{" ".join(chance.choices(words, k=8))}"' for _ in range(chance.randint(40, 160))]
        text = "\n".join(lines)
        out.append(
            f"commit refs/heads/{BRANCH}\ncommitter Lab <lab@acme.test> {1735689600 + number * 3600} +0000\n"
            f"data {len(f'change {number}')}\nchange {number}\n"
            f"M 100644 inline lib/module_{chance.randrange(80)}.{suffix}\ndata {len(text)}\n{text}\n"
        )
    return "".join(out).encode()
