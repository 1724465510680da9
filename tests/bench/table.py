"""What was measured, as a plain table: ratios first, since seconds are this machine's."""

from collections.abc import Callable, Sequence

from figures import Spread, paired_ratio, spread
from run import VARIANTS, Run, beside, good, pairs
from sample import TOOLS, Case

STEPS = ["packages", "look", "source", "secret", "install", "start"]
AGENT_REACH = 20 * 2**20
SAME = """\
The same for all: image, host, network, registries, git server, Secrets Manager, poller and clock; every run is a fresh machine with
empty caches of packages, and all that it boots from is in the host's page cache. Not the same: only bootagent gates the service,
keeps installers away from secrets and from root, and leaves a machine that can go back; the floor has the runtime in its image in
both halves."""
LOOK = "look: tags, policy, source and secret at once, the plan, users and directories\n"


def report(cases: Sequence[Case], runs: Sequence[Run]) -> str:
    tables = []
    for case in cases:
        own = [run for run in runs if run.case == case.name]
        for half in dict.fromkeys(run.half for run in own):
            others = [line for other in cases if other.name == case.over and (line := beside_line(runs, half, case, other))]
            tables.append("\n".join([half_table(case, own, half), *others]))
    unlike = [f"In {case.name}: {case.unlike}." for case in cases]
    return "\n".join([*tables, SAME, *unlike, LOOK])


def half_table(case: Case, runs: Sequence[Run], half: str) -> str:
    rounds = max(run.round for run in runs if run.half == half)
    title = f"{case.image}, {TOOLS} in the image" if half == "installed" else "nothing in the image but cloud-init"
    lines = [f"{case.name}, {half}: {title}; {rounds} rounds, median (lowest-highest)", ""]
    lines += [line for theirs in ("old", "tuned", "floor") if (line := ratio_line(runs, half, theirs))]
    lines.append(reached(case, runs, half))
    lines += ["", _row("", VARIANTS)]
    for step in STEPS:
        lines.append(_figures(runs, half, f"  {step}", lambda run: run.steps.get(step), in_full))
    rows: list[tuple[str, Callable[[Run], float | None], Callable[[Spread], str]]] = [
        ("start to first 200", lambda run: run.first_200, in_full),
        ("user-data returned", lambda run: run.returned, in_full),
        ("health check", lambda run: run.gate or None, in_full),
        ("  soak after the 200", lambda run: run.soak or None, in_full),
        ("processor until 200", lambda run: run.cpu, in_full),
        ("memory, all", lambda run: run.peaks.all, memory),
        (f"  without {case.runtime}", lambda run: run.peaks.tools, memory),
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


def beside_line(runs: Sequence[Run], half: str, case: Case, other: Case) -> str:
    """What a case takes of the time of the one that it is laid over, each variant of its own."""
    ratios = []
    for variant in VARIANTS:
        ours, theirs = beside(runs, half, variant, case.name, other.name)
        if ours:
            ratios.append(f"{variant} {in_full(paired_ratio(ours, theirs))}")
    return f"{case.name} / {other.name}, {half}: {'   '.join(ratios)}\n" if ratios else ""


def reached(case: Case, runs: Sequence[Run], half: str) -> str:
    """What was promised, of the old bash's time and for the agent's memory."""
    ours, old = pairs(runs, half, "bootagent", "old")
    if not ours:
        return "no ratio: bootagent and old did not come into service in the same round"
    words = {True: "reached", False: "NOT reached"}
    told = []
    if promised := case.reach.get(half):
        told.append(f"{promised} of old's time: {words[paired_ratio(ours, old).median <= promised]}")
    small = all(0 < run.peaks.agent <= AGENT_REACH for run in good(runs, half, "bootagent"))
    return "; ".join([*told, f"the agent within 20 MiB: {words[small]}"])


def _figures(
    runs: Sequence[Run], half: str, name: str, of: Callable[[Run], float | None], show: Callable[[Spread], str]
) -> str:
    cells = []
    for variant in VARIANTS:
        values = [value for run in good(runs, half, variant) if (value := of(run)) is not None]
        cells.append(show(spread(values)) if values else "-")
    return _row(name, cells)


def _row(name: str, cells: Sequence[str]) -> str:
    return f"{name:<22}" + "".join(f"{cell:>24}" for cell in cells)


def in_full(of: Spread) -> str:
    return f"{of.median:.2f} ({of.low:.2f}-{of.high:.2f})"


def memory(of: Spread) -> str:
    return f"{of.median / 2**20:.0f} MiB"
