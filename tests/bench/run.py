"""One boot, as it was measured."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

VARIANTS = ["old", "tuned", "bootagent", "floor"]  # in this order, round after round
HALVES = ["installed", "bare", "sealed"]
DELTA = "delta"  # bootagent from a sealed image whose branch has a newer commit, with the same dependencies


def variants(half: str) -> list[str]:
    return ["old", "tuned", "bootagent", DELTA, "floor"] if half == "sealed" else VARIANTS


@dataclass
class Peaks:
    """Bytes. `all` and `tools` are sums over processes at one moment, of their proportional share of memory (PSS)."""

    all: int = 0  # everything that the boot has started, the service included
    tools: int = 0  # the same without the program that runs the service and its installer
    agent: int = 0  # the high-water mark (VmHWM) of the agent's one process, whatever of it is shared
    programs: dict[str, int] = field(default_factory=dict)  # VmHWM of each program's largest process


@dataclass
class Run:
    """Seconds are counted from the moment at which cloud-init starts the user-data; in the half `sealed` from the start of
    systemd, for all variants."""

    half: str
    variant: str
    round: int
    case: str = field(kw_only=True)
    failure: str = ""
    first_200: float = 0.0
    own: float = 0.0  # to the first 200 from where the variant itself begins: user-data, the agent, the floor's service
    returned: float = 0.0  # the end of the user-data or of the agent's run, after its gate; 0 for a floor that has neither
    steps: dict[str, float] = field(default_factory=dict)  # until the first 200
    gate: float = 0.0  # how long the agent watched the service
    soak: float = 0.0  # the part of it after the first 200
    cpu: float = 0.0  # seconds of the machine's processors until the first 200
    peaks: Peaks = field(default_factory=Peaks)
    disk: int = 0


def good(runs: Sequence[Run], half: str, variant: str) -> list[Run]:
    return [run for run in runs if (run.half, run.variant) == (half, variant) and not run.failure]


def pairs(
    runs: Sequence[Run], half: str, ours: str, theirs: str, of: Callable[[Run], float] = lambda run: run.first_200
) -> tuple[list[float], list[float]]:
    """The figures of both, of the rounds in which both came into service."""
    return _paired(good(runs, half, ours), good(runs, half, theirs), of)


def beside(runs: Sequence[Run], half: str, variant: str, ours: str, theirs: str) -> tuple[list[float], list[float]]:
    """The same of one variant in two cases."""
    of_variant = good(runs, half, variant)
    our_runs, their_runs = ([run for run in of_variant if run.case == case] for case in (ours, theirs))
    return _paired(our_runs, their_runs, lambda run: run.first_200)


def _paired(ours: Sequence[Run], theirs: Sequence[Run], of: Callable[[Run], float]) -> tuple[list[float], list[float]]:
    our_rounds, their_rounds = ({run.round: of(run) for run in runs} for runs in (ours, theirs))
    both = sorted(our_rounds.keys() & their_rounds.keys())
    return [our_rounds[round] for round in both], [their_rounds[round] for round in both]
