"""What `make bench` says is worth what its arithmetic is worth. No time is asserted anywhere."""

from dataclasses import replace

import again
import pytest
from again import Found
from figures import Spread, durations, paired_ratio, spread, timeline
from observed import bash_marks, headline, tell_steps, user_data_times
from run import DELTA, VARIANTS, Peaks, Run, beside, pairs, variants
from sample import CASES, Case
from table import half_table, in_full, memory, report


def test_the_spread_of_few_runs_is_their_median_and_their_ends():
    assert spread([3.0, 1.0, 2.0]) == Spread(2.0, 1.0, 3.0)
    assert spread([4.0, 1.0, 2.0, 3.0]) == Spread(2.5, 1.0, 4.0)
    assert spread([7.0]) == Spread(7.0, 7.0, 7.0)


def test_nothing_measured_is_not_a_figure():
    with pytest.raises(ValueError, match="nothing was measured"):
        spread([])


def test_a_ratio_is_taken_within_each_round():
    # The second round was twice as slow for both: the ratio of the medians would be 0.6, and wrong.
    assert paired_ratio([1.0, 4.0, 3.0], [2.0, 8.0, 5.0]) == Spread(0.5, 0.5, 0.6)


def test_runs_without_a_partner_have_no_ratio():
    with pytest.raises(ValueError, match="2 runs cannot be paired with 1"):
        paired_ratio([1.0, 2.0], [1.0])


def test_each_step_lasts_until_the_next_and_the_last_to_the_end():
    marks = [(10.0, "source"), (12.0, "secret"), (12.5, "source"), (13.0, "start")]
    assert durations(marks, 15.0) == {"source": 2.5, "secret": 0.5, "start": 2.0}


def test_an_end_before_the_last_mark_is_an_error_and_not_a_negative_time():
    with pytest.raises(ValueError, match="start ends 1.000 s before"):
        durations([(10.0, "start")], 9.0)


def test_steps_of_the_agent_become_marks_of_which_the_one_that_began_last_counts():
    steps = [(2.0, 6.0, "install"), (1.0, 3.0, "source")]
    marks = timeline(steps, 0.0, between="look", after="start")
    assert durations(marks, 7.5) == {"look": 1.0, "source": 1.0, "install": 4.0, "start": 1.5}


def test_time_between_steps_is_neither_lost_nor_given_to_one_of_them():
    marks = timeline([(1.0, 2.0, "source"), (2.5, 3.0, "install")], 0.0, between="look", after="start")
    assert durations(marks, 3.5) == {"look": 1.5, "source": 1.0, "install": 0.5, "start": 0.5}


def test_where_nothing_is_installed_the_agent_looks_until_it_starts_the_service():
    run = Run("sealed", "bootagent", 1, case="shop")
    tell_steps(run, [(1.0, 1.25, "environment"), (1.25, 1.5, "start"), (1.5, 8.0, "health-check")], 0.5, 3.0)
    assert run.steps == {"look": 0.75, "start": 1.75} and (run.gate, run.soak) == (6.5, 5.0)
    tell_steps(run, [(1.0, 2.0, "install"), (2.25, 2.5, "start"), (2.5, 8.0, "health-check")], 0.5, 3.0)
    assert run.steps == {"look": 0.5, "install": 1.0, "start": 1.0}


def test_without_any_step_all_is_what_comes_after():
    assert timeline([], 1.0, between="look", after="start") == [(1.0, "start")]


def test_marks_are_read_out_of_whatever_else_a_script_says():
    output = "Get:1 ...\n== 1767225600.250000 source\n== not a mark\n# == 1.0 no\n== 1767225601.500000 done\n"
    assert bash_marks(output) == [(1767225600.25, "source"), (1767225601.5, "done")]


LOG = """\
2026-01-01 00:00:00,100 - handlers.py[DEBUG]: start: modules-final/config-scripts_user: running config-scripts_user
2026-01-01 00:00:00,250 - subp.py[DEBUG]: Running command ['/var/lib/cloud/instance/scripts/part-001'] with allowed
2026-01-01 00:00:09,750 - handlers.py[DEBUG]: finish: modules-final/config-scripts_user: SUCCESS: config-scripts_user
"""


def test_user_data_begins_and_ends_when_cloud_init_says_so():
    assert user_data_times(LOG) == (1767225600.25, 1767225609.75)
    assert user_data_times("\n".join(LOG.splitlines()[:2])) == (1767225600.25, None)
    assert user_data_times(LOG.splitlines()[0]) == (None, None)


def test_a_failure_is_told_by_the_line_that_has_its_code():
    assert headline(["looking", "reading the tags: refused [E-IMDS-TAGS-OFF]", "more"]) == "reading the tags: refused [E-IMDS-TAGS-OFF]"
    assert headline(["E-mail", "line 3: aws: command not found"]) == "line 3: aws: command not found"
    assert headline([]) == "not a word"


def test_how_figures_are_shown():
    assert in_full(Spread(6.754, 6.5, 7.04)) == "6.75 (6.50-7.04)"
    assert memory(Spread(63 * 2**20, 2**20, 2**26)) == "63 MiB"


CASE = Case("shop", image="Node", unlike="nothing", runtime="node", module="js", reach={"bare": 0.35})


def runs(*seconds: tuple[str, int, float | None], case: str = CASE.name) -> list[Run]:
    """Of one half; None is a boot that failed."""
    return [
        Run(
            "bare", variant, round, case=case, failure="" if took else "E-X\nand more",
            first_200=took or 0.0, cpu=2.0, peaks=Peaks(agent=7 * 2**20),
        )  # fmt: skip
        for variant, round, took in seconds
    ]


def test_a_round_in_which_one_failed_is_not_a_pair():
    made = runs(("bootagent", 1, 4.0), ("old", 1, 8.0), ("bootagent", 2, None), ("old", 2, 9.0), ("old", 3, 2.0))
    assert pairs(made, "bare", "bootagent", "old") == ([4.0], [8.0])
    assert pairs(made, "installed", "bootagent", "old") == ([], [])


def test_the_table_says_whether_it_was_reached():
    told = half_table(CASE, runs(("bootagent", 1, 3.0), ("old", 1, 10.0)), "bare")
    assert "bootagent / old     time 0.30 (0.30-0.30)   processor 1.00 (1.00-1.00)" in told
    assert "0.35 of old's time: reached; the agent within 20 MiB: reached" in told
    slow = half_table(CASE, runs(("bootagent", 1, 4.0), ("old", 1, 10.0)), "bare")
    assert "0.35 of old's time: NOT reached; the agent within 20 MiB: reached" in slow


@pytest.mark.parametrize("peak", [21 * 2**20, 0])
def test_one_agent_that_is_large_or_was_not_seen_has_not_reached_it(peak):
    made = runs(("bootagent", 1, 3.0), ("old", 1, 10.0), ("bootagent", 2, 3.0), ("old", 2, 10.0))
    made[0].peaks.agent = peak
    assert "the agent within 20 MiB: NOT reached" in half_table(CASE, made, "bare")


def test_a_failed_boot_gives_no_ratio_but_its_first_line():
    told = half_table(CASE, runs(("bootagent", 1, None), ("old", 1, 9.0)), "bare")
    assert "bootagent /" not in told and "no ratio" in told
    assert "FAILED: bootagent, round 1: E-X\n" in told


def test_a_case_without_a_promise_has_none_to_reach():
    told = half_table(replace(CASE, reach={}), runs(("bootagent", 1, 9.0), ("old", 1, 10.0)), "bare")
    assert "of old's time" not in told and "\nthe agent within 20 MiB: reached\n" in told


def test_a_case_beside_another_is_compared_within_each_round_and_variant():
    made = runs(("old", 1, 9.0), ("old", 2, 8.0), ("bootagent", 1, 6.0), ("bootagent", 2, None), case="pm2")
    made += runs(("old", 1, 6.0), ("old", 2, 8.0), ("bootagent", 1, 3.0), ("bootagent", 2, 3.0), case="node")
    assert beside(made, "bare", "old", "pm2", "node") == ([9.0, 8.0], [6.0, 8.0])
    assert beside(made, "bare", "bootagent", "pm2", "node") == ([6.0], [3.0])
    told = report([CASES["node"], CASES["pm2"]], made)
    assert "pm2 / node, bare: old 1.25 (1.00-1.50)   bootagent 2.00 (2.00-2.00)\n" in told
    assert "pm2 / node" not in report([CASES["pm2"]], made)


def test_a_report_has_the_ratios_of_each_case_apart():
    made = runs(("bootagent", 1, 3.0), ("old", 1, 10.0), case="node") + runs(("bootagent", 1, 1.0), ("old", 1, 10.0), case="python")
    told = report([CASES["node"], CASES["python"]], made)
    assert "bootagent / old     time 0.30 (0.30-0.30)" in told and "bootagent / old     time 0.10 (0.10-0.10)" in told
    assert "0.07 of old's time: NOT reached" in told and "0.12 of old's time: reached" in told


def sealed(*seconds: tuple[str, float, float], case: Case) -> str:
    made = [Run("sealed", variant, 1, case=case.name, first_200=took, own=own, cpu=1.0, steps={"machine": took - own},
                peaks=Peaks(agent=7 * 2**20)) for variant, took, own in seconds]  # fmt: skip
    return report([case], made)


def test_a_sealed_image_is_judged_against_old_and_floor_by_the_clock_that_all_share():
    told = sealed(("old", 10.0, 8.0), ("bootagent", 2.5, 1.5), (DELTA, 2.8, 1.8), ("floor", 2.0, 0.5), case=CASES["node"])
    assert "bootagent / old     time 0.25 (0.25-0.25)   processor 1.00 (1.00-1.00)   own 0.19 (0.19-0.19)" in told
    assert "bootagent / floor   time 1.25 (1.25-1.25)   processor 1.00 (1.00-1.00)   own 3.00 (3.00-3.00)" in told
    assert "delta / floor       time 1.40" in told
    assert "0.3 of old's time: reached; 1.25 of floor's time: reached; the agent" in told
    assert "machine" in told and "the clock starts with systemd" in told
    slow = sealed(("old", 10.0, 8.0), ("bootagent", 3.5, 1.5), ("floor", 2.0, 0.5), case=CASES["node"])
    assert "0.3 of old's time: NOT reached; 1.25 of floor's time: NOT reached" in slow


def test_only_a_sealed_image_has_the_newer_commit_and_the_time_of_the_machine():
    assert DELTA in variants("sealed") and DELTA not in VARIANTS and variants("bare") == VARIANTS
    shown = half_table(CASE, runs(("bootagent", 1, 3.0), ("old", 1, 10.0)), "bare")
    assert "machine" not in shown and DELTA not in shown and "own 0" not in shown


def test_a_sealed_image_is_measured_where_something_was_promised():
    assert [name for name, case in CASES.items() if "sealed" in case.halves(["bare", "sealed"])] == ["node", "python"]
    assert CASES["pm2"].halves(["bare", "sealed"]) == ["bare"]


def test_a_run_again_is_judged_by_its_wall_time_and_a_reboot_by_the_agent_s_processor_time():
    shown = again.told(Found("node", wall=[40.0, 50.0, 90.0], own=[30.0, 31.0, 32.0], reboot=[61.0], whole=[5600.0]))
    assert "wall            50 ms (40-90)   at most 50 ms: reached" in shown and "wrote          none" in shown
    assert "processor time     61 ms (61-61)   at most 60 ms: NOT reached" in shown
    assert "/etc/x" in again.told(Found("node", wall=[1.0], own=[1.0], written=["/etc/x"]))


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_each_case_has_a_service_a_secret_and_all_scripts(case):
    assert case.service()["bootagent.toml"] and case.secret()["JWT_SECRET"]
    for variant in VARIANTS:
        assert case.script(variant).startswith("#!/bin/"), variant
    assert "WantedBy=multi-user.target" in case.unit()


def test_a_case_takes_what_it_lacks_from_the_one_below():
    node, pm2 = CASES["node"], CASES["pm2"]
    assert pm2.script("floor") == node.script("floor") and pm2.script("old") != node.script("old")
    assert b'"pm2"' in as_bytes(pm2.service()["bootagent.toml"]) and pm2.service()["server.js"] == node.service()["server.js"]


def as_bytes(content) -> bytes:
    return getattr(content, "content", content if isinstance(content, bytes) else str(content).encode())
