"""What was measured, as a plain table: ratios first, since seconds are this machine's."""

from collections.abc import Callable, Sequence

from figures import Spread, paired_ratio, spread
from run import DELTA, VARIANTS, Run, beside, good, pairs, variants
from sample import TOOLS, Case

STEPS = ["machine", "packages", "look", "source", "secret", "install", "start"]
AGENT_REACH = 20 * 2**20
SAME = """\
The same for all: image, host, network, registries, git server, Secrets Manager, poller and clock; every run is a fresh machine with
empty caches of packages, and all that it boots from is in the host's page cache. Not the same: only bootagent gates the service,
keeps installers away from secrets and from root, and leaves a machine that can go back; the floor has the runtime in its image in
all halves."""
LOOK = "look: tags, policy, source and secret at once, the plan, users and directories\n"
SEALED = """\
sealed: the clock starts with systemd, for all. old and tuned start from the installed image, and wait for cloud-init's last stage
(`machine`); bootagent and the floor are units of their image, which wait for the network. own: from the start of user-data, agent or
service. delta: the branch has a newer commit than the image, with the same lockfile. Memory is the whole machine's.
"""


def report(cases: Sequence[Case], runs: Sequence[Run]) -> str:
    tables = []
    for case in cases:
        own = [run for run in runs if run.case == case.name]
        for half in dict.fromkeys(run.half for run in own):
            others = [line for other in cases if other.name == case.over and (line := beside_line(runs, half, case, other))]
            tables.append("\n".join([half_table(case, own, half), *others]))
    unlike = [f"In {case.name}: {case.unlike}." for case in cases]
    sealed = [SEALED] if any(run.half == "sealed" for run in runs) else []
    return "\n".join([*tables, SAME, *unlike, LOOK, *sealed])


def half_table(case: Case, runs: Sequence[Run], half: str) -> str:
    rounds = max(run.round for run in runs if run.half == half)
    lines = [f"{case.name}, {half}: {title(case, half)}; {rounds} rounds, median (lowest-highest)", ""]
    for ours in ("bootagent", DELTA):
        lines += [line for theirs in ("old", "tuned", "floor") if (line := ratio_line(runs, half, ours, theirs))]
    lines.append(reached(case, runs, half))
    lines += ["", _row("", variants(half))]
    for step in STEPS:
        if step == "machine" and half != "sealed":
            continue  # the clock starts after it
        lines.append(_figures(runs, half, f"  {step}", lambda run: run.steps.get(step), in_full))
    rows: list[tuple[str, Callable[[Run], float | None], Callable[[Spread], str]]] = [
        ("start to first 200", lambda run: run.first_200, in_full),
        ("  own", lambda run: run.own or None, in_full),
        ("returned", lambda run: run.returned or None, in_full),
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


def title(case: Case, half: str) -> str:
    return {
        "installed": f"{case.image}, {TOOLS} in the image",
        "bare": "nothing in the image but cloud-init",
        "sealed": f"{case.image}, {TOOLS} in the image, for bootagent and the floor all that the service needs",
    }[half]


def ratio_line(runs: Sequence[Run], half: str, ours: str, theirs: str) -> str:
    time = pairs(runs, half, ours, theirs)
    processor = pairs(runs, half, ours, theirs, of=lambda run: run.cpu)
    if not time[0]:
        return ""
    line = f"{ours + ' / ' + theirs:<18}  time {in_full(paired_ratio(*time))}   processor {in_full(paired_ratio(*processor))}"
    if half != "sealed":
        return line
    return f"{line}   own {in_full(paired_ratio(*pairs(runs, half, ours, theirs, of=lambda run: run.own)))}"


def beside_line(runs: Sequence[Run], half: str, case: Case, other: Case) -> str:
    """What a case takes of the time of the one that it is laid over, each variant of its own."""
    ratios = []
    for variant in VARIANTS:
        ours, theirs = beside(runs, half, variant, case.name, other.name)
        if ours:
            ratios.append(f"{variant} {in_full(paired_ratio(ours, theirs))}")
    return f"{case.name} / {other.name}, {half}: {'   '.join(ratios)}\n" if ratios else ""


def reached(case: Case, runs: Sequence[Run], half: str) -> str:
    """What was promised, of the old bash's and the floor's time and for the agent's memory."""
    if not pairs(runs, half, "bootagent", "old")[0]:
        return "no ratio: bootagent and old did not come into service in the same round"
    words = {True: "reached", False: "NOT reached"}
    told = []
    for theirs, promised in (("old", case.reach.get(half)), ("floor", case.near.get(half))):
        ours, other = pairs(runs, half, "bootagent", theirs)
        if promised and ours:
            told.append(f"{promised} of {theirs}'s time: {words[paired_ratio(ours, other).median <= promised]}")
    small = all(0 < run.peaks.agent <= AGENT_REACH for run in good(runs, half, "bootagent"))
    return "; ".join([*told, f"the agent within 20 MiB: {words[small]}"])


def _figures(
    runs: Sequence[Run], half: str, name: str, of: Callable[[Run], float | None], show: Callable[[Spread], str]
) -> str:
    cells = []
    for variant in variants(half):
        values = [value for run in good(runs, half, variant) if (value := of(run)) is not None]
        cells.append(show(spread(values)) if values else "-")
    return _row(name, cells)


def _row(name: str, cells: Sequence[str]) -> str:
    return f"{name:<22}" + "".join(f"{cell:>24}" for cell in cells)


def in_full(of: Spread) -> str:
    return f"{of.median:.2f} ({of.low:.2f}-{of.high:.2f})"


def memory(of: Spread) -> str:
    return f"{of.median / 2**20:.0f} MiB"
