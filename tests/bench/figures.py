"""The arithmetic of the benchmark, and nothing else: what was measured goes in, what may be said about it comes out."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median


@dataclass(frozen=True)
class Spread:
    """A median and how far it can be trusted: the lowest and the highest of what it is made of."""

    median: float
    low: float
    high: float


def spread(values: Sequence[float]) -> Spread:
    if not values:
        raise ValueError("nothing was measured")
    return Spread(median(values), min(values), max(values))


def paired_ratio(ours: Sequence[float], theirs: Sequence[float]) -> Spread:
    """The ratio within each round, and of these the median: what slows a whole round down falls out of it."""
    if len(ours) != len(theirs):
        raise ValueError(f"{len(ours)} runs cannot be paired with {len(theirs)}")
    return spread([our / their for our, their in zip(ours, theirs)])


def durations(marks: Sequence[tuple[float, str]], end: float) -> dict[str, float]:
    """Seconds from each mark to the next, and from the last one to the end; a name that returns adds up."""
    found: dict[str, float] = {}
    for (since, name), until in zip(marks, [*(time for time, _ in marks[1:]), end]):
        if until < since:
            raise ValueError(f"{name} ends {since - until:.3f} s before it begins")
        found[name] = found.get(name, 0.0) + until - since
    return found


def timeline(
    steps: Sequence[tuple[float, float, str]], since: float, between: str, after: str
) -> list[tuple[float, str]]:
    """Marks as a script would have made them, of steps (begin, end, name) that may overlap: where several run, the one
    that began last counts; time without any is `between` them or, at the end, `after` them."""
    steps = sorted(steps)
    moments = sorted({since, *(begin for begin, _, _ in steps), *(end for _, end, _ in steps)})
    last = max((end for _, end, _ in steps), default=since)
    marks = []
    for moment in moments:
        running = [name for begin, end, name in steps if begin <= moment < end]
        marks.append((moment, running[-1] if running else after if moment >= last else between))
    return marks
