"""bootagent's installer makes npm's trees: a sample of the lockfiles by `$SEED`, and with `$SWEEP=whole` all of them."""

import compare
import pytest
import sweep
from lockfiles import cases
from projects import LARGE, SMALL
from local_registry import Registry
from trees import differences

# Besides the projects: as many made ones.
WHOLE = 300
SAMPLE = 3


@pytest.fixture(scope="module")
def projects():
    """Of the small ones a few, whose packages are fetched in seconds."""
    names = {"express", *sweep.sample(list(SMALL), 5)}
    return {**SMALL, **LARGE} if sweep.is_whole() else {name: SMALL[name] for name in SMALL if name in names}


@pytest.fixture(scope="module")
def registry(work, node, projects):
    """A registry of the store. npm fetches what the store has once; later runs find it."""
    with Registry(work, compare.prepared(work, node, projects), node) as registry:
        yield registry


@pytest.mark.variants
def test_trees_are_npm_s(registry, projects, binary, nodes):
    count = WHOLE if sweep.is_whole() else SAMPLE
    chosen = list(compare.cases(registry.answers, projects, sweep.seed(), count).items())
    comparisons = [compare.Comparison(str(binary), registry.work, registry, node) for node in nodes]
    wrong = []

    def report(node, name, omits, verdict, lines, times):
        print(verdict, node, name, omits, *lines)
        if verdict == "DIFFERENT":
            wrong.append(f"{name}, Node {node}{', without development packages' if omits else ''}: {lines}")

    counts = compare.every(comparisons, chosen, False, report)
    assert not wrong, sweep.told([name for name, _ in chosen], wrong)
    assert counts.get("same", 0) > sum(counts.values()) / 2, counts


def test_a_difference_is_seen():
    same = {"a": ("0o100644", "hash"), "b": ("link", "a")}
    assert not list(differences(same, dict(same)))
    for other in [{**same, "a": ("0o100755", "hash")}, {**same, "b": ("link", "c")}, {"a": same["a"]}, {**same, "c": ("directory", "0o40755")}]:
        assert len(list(differences(same, other))) == 1


def test_a_seed_makes_the_same_projects():
    versions = [(f"package-{number}", f"{number}.0.0") for number in range(40)]
    assert cases(versions, 7, 30) == cases(versions, 7, 30) != cases(versions, 8, 30)
