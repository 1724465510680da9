//! The state that is told, for each combination of what serves now and how the last run ended.

use super::*;
use crate::facts::{Commit, Generation, Good, Hold, Passed, Restarts, Service, UnitPresent};
use crate::plan::{Gate, Probe, Seconds};

const SERVED: &str = "51d2aa7d0ecbf3a7ac2e29b8a4a0c8b1a2f3e4d5";

/// What is expected, and what is changed for it.
type Case = (&'static str, fn(&mut Present));

fn commit(text: &str) -> Commit {
    Commit::try_from(text.to_owned()).unwrap()
}

fn good() -> Good {
    let probe = Probe::Http {
        port: 3000,
        path: "/health".into(),
        statuses: Vec::new(),
        host: None,
        answer: Probe::answer(),
    };
    let gate = Gate {
        unit: "x.service".into(),
        probe,
        also: Vec::new(),
        within: Seconds(60),
        soak: Seconds(5),
        interval_ms: 500,
    };
    let release = "/opt/x/releases/r".into();
    let generation = Generation { commit: commit(SERVED), release, runs_by: Default::default(), gate };
    Good { schema: 1, instance: None, generation, before: None }
}

/// It serves, answers and is as the last run left it.
fn well() -> Present {
    Present {
        service: Service::try_from("x").unwrap(),
        release: Some("/opt/x/releases/r".into()),
        commit: Some(commit(SERVED)),
        good: Some(good()),
        is_good: true,
        unit: UnitPresent {
            name: "x.service".into(),
            active: "active".into(),
            sub: "running".into(),
            since: Some(900),
            ..UnitPresent::default()
        },
        answers: Some(true),
        detail: "answered 200".into(),
        passed: Some(Passed { at: Some(950) }),
        restarts: Restarts { since_check: Some(0), ..Restarts::default() },
        by_hand: Vec::new(),
        held: None,
    }
}

fn changed(change: impl FnOnce(&mut Present)) -> Present {
    let mut present = well();
    change(&mut present);
    present
}

fn ended(state: State) -> Status {
    let mut status = Status::booting(17, "boot".into(), "run".into());
    status.heartbeat = 1000;
    if !matches!(state, State::Healthy | State::Booting) {
        status.error = Some(Error::new(Code::SecretDenied, "reading the secret", "denied").report());
    }
    if state != State::Booting {
        status.end(state, 1000);
    }
    status
}

fn seen(record: Option<Status>, agent: Agent, present: Option<Present>) -> Seen {
    Seen { record, agent, present, pinned: None, now: 1001 }
}

#[track_caller]
fn is(seen: Seen, state: State, why: &[&str]) -> Option<ErrorReport> {
    let judged = judge(&seen);
    assert_eq!(judged.state, state, "{:?}", judged.why);
    assert_eq!(judged.why.len(), why.len(), "{:?}", judged.why);
    for (said, words) in judged.why.iter().zip(why) {
        assert!(said.contains(words), "{said}");
    }
    judged.error
}

#[test]
fn what_serves_and_is_as_the_run_left_it_is_healthy() {
    let error = is(seen(Some(ended(State::Healthy)), Agent::Gone, Some(well())), State::Healthy, &[]);
    assert_eq!(error, None);
    // Who may not probe goes by systemd.
    let unseen = changed(|present| (present.answers, present.good, present.is_good) = (None, None, false));
    is(seen(Some(ended(State::Healthy)), Agent::Gone, Some(unseen)), State::Healthy, &[]);
}

#[test]
fn a_failed_tidying_is_a_warning() {
    let error =
        is(seen(Some(ended(State::Warnings)), Agent::Gone, Some(well())), State::Warnings, &["reading"]);
    assert!(error.is_some());
}

#[test]
fn a_failed_run_beside_what_serves_is_degraded_and_not_red_for_ever() {
    for state in [State::Failed, State::Degraded] {
        let why = &["the last run failed (E-SECRET-DENIED)"];
        let error = is(seen(Some(ended(state)), Agent::Gone, Some(well())), State::Degraded, why);
        assert_eq!(error.unwrap().code, "E-SECRET-DENIED");
    }
}

#[test]
fn a_failed_run_without_a_service_is_failed() {
    let down = changed(|present| (present.unit.active, present.answers) = ("inactive".into(), Some(false)));
    for present in [None, Some(down)] {
        let error = is(seen(Some(ended(State::Failed)), Agent::Gone, present), State::Failed, &[]);
        assert_eq!(error.unwrap().code, "E-SECRET-DENIED");
    }
}

#[test]
fn what_no_longer_answers_is_failed_and_the_present_is_the_error() {
    let cases: [Case; 4] = [
        ("E-HEALTH-BAD-ANSWER", |present| present.answers = Some(false)),
        ("E-SERVICE-EXITED", |present| present.unit.active = "activating".into()),
        ("E-SERVICE-STOPPED", |present| {
            (present.unit.active, present.unit.is_stopped) = ("inactive".into(), true)
        }),
        ("E-SERVICE-STOPPED", |present| {
            (present.unit.active, present.unit.is_masked) = ("inactive".into(), true)
        }),
    ];
    for (code, change) in cases {
        let error =
            is(seen(Some(ended(State::Healthy)), Agent::Gone, Some(changed(change))), State::Failed, &[]);
        assert_eq!(error.unwrap().code, code);
    }
}

#[test]
fn what_was_changed_held_or_restarted_again_and_again_is_degraded() {
    let cases: [Case; 5] = [
        ("3 times within ten minutes", |present| present.restarts.recent = 3),
        ("not what passed its health check: current points", |present| {
            present.by_hand.push("current points elsewhere".into())
        }),
        ("held: database move", |present| {
            present.held = Some(Hold { since: 1, reason: "database move".into() })
        }),
        ("masked", |present| present.unit.is_masked = true),
        ("did not pass", |present| present.is_good = false),
    ];
    for (why, change) in cases {
        let error = is(
            seen(Some(ended(State::Healthy)), Agent::Gone, Some(changed(change))),
            State::Degraded,
            &[why],
        );
        assert_eq!(error, None);
    }
    let twice = changed(|present| present.restarts.recent = 2);
    is(seen(Some(ended(State::Healthy)), Agent::Gone, Some(twice)), State::Healthy, &[]);
}

#[test]
fn during_a_run_it_counts_whether_something_serves_that_passed() {
    let booting = || Some(ended(State::Booting));
    is(seen(booting(), Agent::Lives(17), Some(well())), State::Updating, &[]);
    let at_its_first_check = changed(|present| present.passed = None);
    let not_there = changed(|present| present.answers = Some(false));
    for present in [None, Some(at_its_first_check), Some(not_there)] {
        is(seen(booting(), Agent::Lives(17), present), State::Booting, &[]);
    }
}

#[test]
fn the_lock_tells_that_a_run_goes_on_and_not_its_record() {
    // It has just begun: the record is the former run's.
    for former in [State::Healthy, State::Failed] {
        is(seen(Some(ended(former)), Agent::Lives(18), Some(well())), State::Updating, &[]);
    }
    is(seen(None, Agent::Lives(18), None), State::Booting, &[]);
    // It has written its last word, and its process is not gone yet.
    is(seen(Some(ended(State::Healthy)), Agent::Lives(17), Some(well())), State::Healthy, &[]);
    // Silent for 33 s, and alive.
    let silent = Seen { now: 1033, ..seen(Some(ended(State::Booting)), Agent::Lives(17), Some(well())) };
    is(silent, State::Updating, &["nothing for 33 s"]);
}

#[test]
fn without_a_record_nothing_was_started_or_the_record_is_lost() {
    let down = changed(|present| present.unit.active = "inactive".into());
    is(seen(None, Agent::Gone, None), State::NotStarted, &[]);
    is(seen(None, Agent::Gone, Some(down)), State::NotStarted, &[]);
    is(seen(None, Agent::Gone, Some(well())), State::Degraded, &["no record"]);
    let deaf = changed(|present| present.answers = Some(false));
    is(seen(None, Agent::Gone, Some(deaf)), State::Failed, &["no record"]);
}
