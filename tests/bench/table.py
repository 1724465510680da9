"""What was measured, as a plain table: ratios first, since seconds are this machine's."""

from collections.abc import Callable, Sequence

from figures import Spread, paired_ratio, spread
from run import VARIANTS, Run, good, pairs

TITLES = {"installed": "Node, git, the AWS CLI, curl and jq in the image", "bare": "nothing in the image but cloud-init"}
STEPS = ["packages", "look", "source", "secret", "install", "start"]
REACH = {"installed": 0.75, "bare": 0.35}  # of the old bash
AGENT_REACH = 20 * 2**20
SAME = """\
The same for all: image, host, network, registry, git server, Secrets Manager, poller and clock; every run is a fresh machine with
an empty npm cache, and all that it boots from is in the host's page cache. Not the same: only bootagent gates the service, keeps
npm away from secrets and from root, and leaves a machine that can go back; old takes Debian's Node on a bare machine; the floor
has Node in its image in both halves.
"""
LOOK = "look: tags, policy, source and secret at once, the plan, users and directories\n"


def report(runs: Sequence[Run]) -> str:
    halves = list(dict.fromkeys(run.half for run in runs))
    return "\n".join([*(half_table(runs, half) for half in halves), SAME + LOOK])


def half_table(runs: Sequence[Run], half: str) -> str:
    rounds = max(run.round for run in runs if run.half == half)
    lines = [f"{half}: {TITLES[half]}; {rounds} rounds, median (lowest-highest)", ""]
    lines += [line for theirs in ("old", "tuned", "floor") if (line := ratio_line(runs, half, theirs))]
    lines.append(reached(runs, half))
    lines += ["", _row("", VARIANTS)]
    for step in STEPS:
        lines.append(_figures(runs, half, f"  {step}", lambda run: run.steps.get(step), in_full))
    rows: list[tuple[str, Callable[[Run], float | None], Callable[[Spread], str]]] = [
        ("start to first 200", lambda run: run.first_200, in_full),
        ("user-data returned", lambda run: run.returned, in_full),
        ("gate", lambda run: run.gate or None, in_full),
        ("  soak after the 200", lambda run: run.soak or None, in_full),
        ("processor until 200", lambda run: run.cpu, in_full),
        ("memory, all", lambda run: run.peaks.all, memory),
        ("  without node", lambda run: run.peaks.tools, memory),
        ("  the agent itself", lambda run: run.peaks.agent or None, memory),
        ("disk grown by", lambda run: run.disk, memory),
    ]
    lines += [_figures(runs, half, *row) for row in rows]
    for run in runs:
        if run.half == half and run.failure:
            lines.append(f"FAILED: {run.variant}, round {run.round}: {run.failure.splitlines()[0]}")
    return "\n".join(lines) + "\n"


def ratio_line(runs: Sequence[Run], half: str, theirs: str) -> str:
    time = pairs(runs, half, "bootagent", theirs)
    processor = pairs(runs, half, "bootagent", theirs, of=lambda run: run.cpu)
    if not time[0]:
        return ""
    return f"bootagent / {theirs:<6}  time {in_full(paired_ratio(*time))}   processor {in_full(paired_ratio(*processor))}"


def reached(runs: Sequence[Run], half: str) -> str:
    """What was promised, of the old bash's time and for the agent's memory."""
    ours, old = pairs(runs, half, "bootagent", "old")
    if not ours:
        return "no ratio: bootagent and old did not come into service in the same round"
    time = paired_ratio(ours, old).median <= REACH[half]
    small = all(0 < run.peaks.agent <= AGENT_REACH for run in good(runs, half, "bootagent"))
    words = {True: "reached", False: "NOT reached"}
    return f"{REACH[half]} of old's time: {words[time]}; the agent within 20 MiB: {words[small]}"


def _figures(
    runs: Sequence[Run], half: str, name: str, of: Callable[[Run], float | None], show: Callable[[Spread], str]
) -> str:
    cells = []
    for variant in VARIANTS:
        values = [value for run in good(runs, half, variant) if (value := of(run)) is not None]
        cells.append(show(spread(values)) if values else "-")
    return _row(name, cells)


def _row(name: str, cells: Sequence[str]) -> str:
    return f"{name:<22}" + "".join(f"{cell:>22}" for cell in cells)


def in_full(of: Spread) -> str:
    return f"{of.median:.2f} ({of.low:.2f}-{of.high:.2f})"


def memory(of: Spread) -> str:
    return f"{of.median / 2**20:.0f} MiB"
