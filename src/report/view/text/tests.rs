//! The text of `bootagent status`, line by line.

use super::*;
use crate::error::{Code, Error};
use crate::facts::{Agent, Branch, Commit, Passed, Present, Restarts, Service, UnitPresent};
use crate::report::view::{Pinned, Seen};

const SERVED: &str = "51d2aa7d0ecbf3a7ac2e29b8a4a0c8b1a2f3e4d5";
const WANTED: &str = "5f0c0000000000000000000000000000000000ff";

fn commit(text: &str) -> Commit {
    Commit::try_from(text.to_owned()).unwrap()
}

fn present() -> Present {
    Present {
        beside: Vec::new(),
        service: Service::try_from("auth-service").unwrap(),
        release: Some("/opt/auth-service/releases/r".into()),
        commit: Some(commit(SERVED)),
        good: None,
        is_good: true,
        unit: UnitPresent {
            name: "auth-service.service".into(),
            active: "active".into(),
            since: Some(1_700_000_000),
            ..UnitPresent::default()
        },
        answers: Some(true),
        detail: "http://127.0.0.1:3000/health answered 200".into(),
        passed: Some(Passed { at: Some(1_700_000_000) }),
        restarts: Restarts { since_check: Some(2), last: Some(1_700_003_600), recent: 1 },
        by_hand: Vec::new(),
        held: None,
    }
}

fn run(state: State) -> Status {
    let mut run = Status::booting(17, "boot".into(), "run".into());
    run.started = 1_700_003_000;
    run.service = Some(Service::try_from("auth-service").unwrap());
    run.environment = Some("prod".try_into().unwrap());
    run.commit = Some(commit(WANTED));
    if state == State::Degraded {
        let causes = ["it ended 4 times, last with status 1", "Error: no database"];
        let error = Error::caused(Code::ServiceExited, "waiting until it is healthy", causes);
        run.error = Some(error.remedy("push a fix").report());
    }
    run.end(state, 1_700_003_012);
    run
}

fn view(record: Option<Status>, present: Option<Present>) -> View {
    let pinned = Pinned {
        commit: commit(SERVED),
        branch: Branch::try_from("main").unwrap(),
        repository: "https://github.com/acme/auth-service.git".into(),
        is_manifest: false,
    };
    View::of(Seen { record, agent: Agent::Gone, present, pinned: Some(pinned), now: 1_700_003_720 })
}

#[test]
fn a_failed_update_is_shown_in_six_lines() {
    let lines = [
        "auth-service (prod): degraded: the last run failed (E-SERVICE-EXITED)",
        "  serves    51d2aa7d0ecb since 2023-11-14T22:13:20Z (1 h 2 min); http://127.0.0.1:3000/health answered 200; \
         restarted 2 times since its health check, last 2 min ago",
        "  last run  wanted 5f0c00000000: failed after 12 s, 11 min 48 s ago: waiting until it is healthy: \
         it ended 4 times, last with status 1: Error: no database [E-SERVICE-EXITED]",
        "  pinned    51d2aa7d0ecb of main in https://github.com/acme/auth-service.git",
        "  to do     push a fix",
        "  look at   systemctl status auth-service.service; journalctl -u auth-service.service; \
         journalctl -t bootagent; bootagent status --steps",
    ];
    let shown = text(&view(Some(run(State::Degraded)), Some(present())));
    assert_eq!(shown.lines().collect::<Vec<_>>(), lines);
}

#[test]
fn a_healthy_service_has_a_next_command() {
    let shown = text(&view(Some(run(State::Healthy)), Some(present())));
    assert!(shown.starts_with("auth-service (prod): healthy\n"), "{shown}");
    assert!(shown.contains("to do     nothing; bootagent update takes the newest commit of main"), "{shown}");
    assert_eq!(shown.lines().count(), 6);
}

#[test]
fn an_instance_of_a_warm_pool_waits_for_its_group() {
    let shown = text(&view(Some(run(State::Prepared)), None));
    assert!(shown.contains("to do     nothing: the service starts when the instance leaves"), "{shown}");
}

#[test]
fn a_service_that_does_not_serve_is_shown() {
    let mut down = present();
    (down.unit.active, down.unit.is_stopped) = ("inactive".into(), true);
    let shown = text(&view(Some(run(State::Healthy)), Some(down)));
    assert!(shown.starts_with("auth-service (prod): FAILED: it was stopped"), "{shown}");
    assert!(shown.contains("serves    nothing: the unit is inactive (current is 51d2aa7d0ecb)"), "{shown}");
    let shown = text(&view(None, None));
    assert!(shown.contains("not started") && shown.contains("last run  none in this boot"), "{shown}");
}

#[test]
fn the_branch_s_newest_commit_is_shown() {
    let with = |newer| {
        let view = View { newer: Some(newer), ..view(Some(run(State::Healthy)), Some(present())) };
        text(&view).lines().find(|line| line.contains("pinned")).unwrap().to_owned()
    };
    assert!(with(Newer::None).ends_with(".git, which is its newest"));
    assert!(with(Newer::Commit(commit(WANTED))).ends_with("which has 5f0c00000000 by now"));
    let error = Error::new(Code::GitUnreachable, "fetching", "503").report();
    assert!(with(Newer::Unknown(error)).contains("cannot be read: fetching: 503 [E-GIT-UNREACHABLE]"));
}

#[test]
fn notes_follow_and_a_line_break_does_not_add_a_line() {
    let mut noted = run(State::Healthy);
    noted.notes = vec!["one\ntwo".into()];
    let shown = text(&view(Some(noted), Some(present())));
    assert_eq!((shown.lines().count(), shown.lines().last()), (7, Some("  note      one two")));
}

#[test]
fn a_time_is_shown_in_its_two_largest_units() {
    for (seconds, text) in [
        (0, "0 s"),
        (59, "59 s"),
        (60, "1 min"),
        (708, "11 min 48 s"),
        (3600, "1 h"),
        (3661, "1 h 1 min"),
        (90_000, "1 d 1 h"),
    ] {
        assert_eq!(age(seconds), text);
    }
}
