"""What the lab's registry carries for a test: PM2 as the program's own lockfile has it."""

from pathlib import Path

from lab import World, npm_packages

REPOSITORY = Path(__file__).resolve().parents[2]


def carries_pm2(world: World) -> None:
    (lockfile,) = REPOSITORY.glob("src/**/pm2/package-lock.json")
    world.npm.carry(npm_packages.ensure(lockfile))
