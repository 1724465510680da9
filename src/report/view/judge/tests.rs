//! The state that `bootagent status` shows, for combinations of the last run and the present.

use super::*;
use crate::facts::{Commit, Generation, Good, Hold, Passed, Restarts, Service, UnitPresent};
use crate::plan::{Gate, Probe, Request, Seconds};

const SERVED: &str = "51d2aa7d0ecbf3a7ac2e29b8a4a0c8b1a2f3e4d5";

/// The expected text, and the change of `well()`.
type Case = (&'static str, fn(&mut Present));

fn commit(text: &str) -> Commit {
    Commit::try_from(text.to_owned()).unwrap()
}

fn good() -> Good {
    let request = Request {
        path: "/health".into(),
        statuses: Vec::new(),
        host: None,
        answer: Probe::answer(),
        page: None,
    };
    let probe = Probe::Http { port: 3000, request };
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

/// A service that serves, answers and is unchanged since the last run.
fn well() -> Present {
    Present {
        service: Service::try_from("x").unwrap(),
        release: Some("/opt/x/releases/r".into()),
        commit: Some(commit(SERVED)),
        good: Some(good()),
        is_good: true,
        beside: Vec::new(),
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
    for (reason, words) in judged.why.iter().zip(why) {
        assert!(reason.contains(words), "{reason}");
    }
    judged.error
}

#[test]
fn a_service_that_serves_unchanged_is_healthy() {
    let error = is(seen(Some(ended(State::Healthy)), Agent::Gone, Some(well())), State::Healthy, &[]);
    assert_eq!(error, None);
    // A user who may not probe sees only the unit's state.
    let unseen = changed(|present| (present.answers, present.good, present.is_good) = (None, None, false));
    is(seen(Some(ended(State::Healthy)), Agent::Gone, Some(unseen)), State::Healthy, &[]);
}

#[test]
fn a_failed_clean_up_is_a_warning() {
    let error =
        is(seen(Some(ended(State::Warnings)), Agent::Gone, Some(well())), State::Warnings, &["reading"]);
    assert!(error.is_some());
}

#[test]
fn a_failed_run_with_a_serving_deployment_is_degraded() {
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
fn a_service_that_stopped_answering_is_failed_with_the_present_error() {
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
fn a_service_that_was_changed_held_or_restarted_often_is_degraded() {
    let cases: [Case; 5] = [
        ("3 times within ten minutes", |present| present.restarts.recent = 3),
        ("not the deployment that was healthy: current points", |present| {
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
fn during_a_run_the_state_is_updating_if_a_healthy_deployment_serves() {
    let booting = || Some(ended(State::Booting));
    is(seen(booting(), Agent::Lives(17), Some(well())), State::Updating, &[]);
    let at_its_first_check = changed(|present| present.passed = None);
    let not_there = changed(|present| present.answers = Some(false));
    for present in [None, Some(at_its_first_check), Some(not_there)] {
        is(seen(booting(), Agent::Lives(17), present), State::Booting, &[]);
    }
}

#[test]
fn the_lock_and_not_the_status_shows_whether_a_run_is_active() {
    // The run has just begun: the status is still the previous run's.
    for former in [State::Healthy, State::Failed] {
        is(seen(Some(ended(former)), Agent::Lives(18), Some(well())), State::Updating, &[]);
    }
    is(seen(None, Agent::Lives(18), None), State::Booting, &[]);
    // The run has written its last status, and its process has not exited yet.
    is(seen(Some(ended(State::Healthy)), Agent::Lives(17), Some(well())), State::Healthy, &[]);
    // No heartbeat for 33 s, but the process holds the lock.
    let silent = Seen { now: 1033, ..seen(Some(ended(State::Booting)), Agent::Lives(17), Some(well())) };
    is(silent, State::Updating, &["nothing for 33 s"]);
}

#[test]
fn without_a_status_no_run_began_or_its_status_is_lost() {
    let down = changed(|present| present.unit.active = "inactive".into());
    is(seen(None, Agent::Gone, None), State::NotStarted, &[]);
    is(seen(None, Agent::Gone, Some(down)), State::NotStarted, &[]);
    is(seen(None, Agent::Gone, Some(well())), State::Degraded, &["no record"]);
    let unanswered = changed(|present| present.answers = Some(false));
    is(seen(None, Agent::Gone, Some(unanswered)), State::Failed, &["no record"]);
}
