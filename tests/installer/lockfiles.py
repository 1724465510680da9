"""Projects of random shape, made of packages that are in the store. The same seed makes the same projects."""

import json
import random
from pathlib import Path

from projects import CLI, project, workspace

SHAPES = ["alone", "alone", "set", "set", "set", "development", "alias", "optional", "workspaces", "link", "settings"]


def cases(versions: list[tuple[str, str]], seed: int, count: int) -> dict[str, dict]:
    chosen = random.Random(seed)
    made = {}
    for index in range(count):
        shape = chosen.choice(SHAPES)
        made[f"{shape}-{seed}-{index}"] = SHAPE[shape](chosen, versions)
    return made


def _some(chosen: random.Random, versions: list, most: int) -> dict[str, str]:
    """Exact versions, or ranges around them."""
    names = chosen.sample(versions, min(chosen.randint(1, most), len(versions)))
    return {name: chosen.choice(["", "", "^", "~", ">="]) + version for name, version in names if "+" not in version}


def _alone(chosen, versions):
    return project(_some(chosen, versions, 1))


def _set(chosen, versions):
    return project(_some(chosen, versions, 4))


def _development(chosen, versions):
    dependencies, development = _some(chosen, versions, 3), _some(chosen, versions, 3)
    return project(dependencies, {name: range_ for name, range_ in development.items() if name not in dependencies})


def _alias(chosen, versions):
    """Twice the same package in two versions where there are two, under other names."""
    dependencies = _some(chosen, versions, 3)
    for number, (name, version) in enumerate(chosen.sample(versions, min(3, len(versions)))):
        dependencies[chosen.choice([f"alias-{number}", f"@acme/alias-{number}"])] = f"npm:{name}@{version}"
    return project(dependencies)


def _optional(chosen, versions):
    dependencies = _some(chosen, versions, 4)
    optional = {name: range_ for name, range_ in _some(chosen, versions, 4).items() if name not in dependencies}
    return project(dependencies, optionalDependencies=optional)


def _workspaces(chosen, versions):
    names = [f"{chosen.choice(['', '@acme/'])}part-{number}" for number in range(chosen.randint(1, 4))]
    files = project(_some(chosen, versions, 3), _some(chosen, versions, 2), workspaces=["packages/*"])
    overlap = files["package.json"]["dependencies"].keys() & files["package.json"].get("devDependencies", {}).keys()
    for name in overlap:
        del files["package.json"]["devDependencies"][name]
    for number, name in enumerate(names):
        dependencies = _some(chosen, versions, 3) | dict.fromkeys(chosen.sample(names[:number], min(number, 1)), "*")
        development = {key: range_ for key, range_ in _some(chosen, versions, 2).items() if key not in dependencies}
        more = chosen.choice([{}, {"bin": "./cli.js"}, {"bin": {f"run-{number}": "cli.js"}}, {"license": "MIT"}])
        files[f"packages/p{number}/package.json"] = workspace(name, dependencies, devDependencies=development, **more)
        files[f"packages/p{number}/cli.js"] = CLI
    return files


def _link(chosen, versions):
    files = project({"lib": "file:./lib", **_some(chosen, versions, 2)})
    files["lib/package.json"] = workspace("lib", _some(chosen, versions, 2), bin={"lib": "./cli.js"})
    files["lib/cli.js"] = CLI
    return files


def _settings(chosen, versions):
    """With settings of npm's that change the tree or the lockfile."""
    return _set(chosen, versions) | {".npmrc": chosen.choice(["legacy-peer-deps=true\n", "engine-strict=false\n", "lockfile-version=2\n"])}


SHAPE = {
    "alone": _alone, "set": _set, "development": _development, "alias": _alias, "optional": _optional,
    "workspaces": _workspaces, "link": _link, "settings": _settings,
}  # fmt: skip


# Names of packages for one platform, of which npm refuses the others.
PLATFORMS = ("linux", "musl", "wasm", "darwin", "win32")


def sized(answers: dict[str, str], versions: list[tuple[str, str]], size: int, attempt: int) -> dict:
    """A project of about so many packages: some are required, and bring others along."""
    known = {name: version for name, version in versions if not name.startswith("npm") and "+" not in version}
    order = sorted(known)
    random.Random(size * 100 + attempt).shuffle(order)
    required, brought, requirements = {}, set(), {}
    for name in order:
        with_it = _closure(name, known, answers, requirements)
        if any(word in one for one in with_it for word in PLATFORMS) or len(brought | with_it) > size * 1.03:
            continue
        required[name] = known[name]
        brought |= with_it
        if len(brought) >= size * 0.97:
            break
    # Peers of so many would contradict each other, or not be in the store.
    return project(required) | {".npmrc": "legacy-peer-deps=true\n"}


def _closure(name: str, known: dict[str, str], answers: dict[str, str], requirements: dict[str, set[str]]) -> set[str]:
    """The names that come with a package, if one version of each is enough. `requirements`: what was read already."""
    found, open_ = set(), [name]
    while open_:
        one = open_.pop()
        if one in found:
            continue
        found.add(one)
        if one not in requirements:
            document = json.loads(Path(answers[f"/{one}"]).read_text()) if one in known else {"versions": {}}
            version = document["versions"].get(known.get(one), {})
            requirements[one] = {*version.get("dependencies", {}), *version.get("optionalDependencies", {})}
        open_.extend(requirements[one])
    return found
