//! Tests of the errors: codes and texts, and that they leave secrets out.

use super::*;
use crate::secret::{ForeignText, Secret};

#[test]
fn codes_are_unique_and_name_a_remedy() {
    let mut names: Vec<_> = Code::ALL.iter().map(|code| code.name()).collect();
    names.sort_unstable();
    let before = names.len();
    names.dedup();
    assert_eq!(before, names.len(), "two codes share one name");
    for code in Code::ALL {
        assert!(code.name().starts_with("E-"), "{} has no E-", code.name());
        assert!(code.remedy().len() > 10, "{} has no remedy", code.name());
    }
}

#[test]
fn an_error_shows_doing_cause_code_and_remedy_in_this_order() {
    let error = Error::new(Code::BranchMissing, "fetching branch stage", "the remote has no such branch");
    assert_eq!(
        error.to_string(),
        "fetching branch stage: the remote has no such branch [E-BRANCH-MISSING]\n  push the environment's branch, or correct the environment"
    );
}

#[test]
fn a_full_disk_replaces_the_caller_s_code() {
    let (space, quota, access) = (28, 122, 13);
    for (errno, code) in [(space, Code::DiskFull), (quota, Code::DiskFull), (access, Code::CheckoutFailed)] {
        let error = Err::<(), _>(std::io::Error::from_raw_os_error(errno))
            .coded(Code::CheckoutFailed, || "writing".into())
            .unwrap_err();
        assert_eq!(error.code(), code, "{error}");
    }
}

#[test]
fn no_part_of_an_error_is_long() {
    let long = "é".repeat(100_000);
    let error = Error::caused(Code::Io, &*long, [&*long, "short"]).because(&long);
    let report = error.report();
    let long_parts = [&report.doing, &report.causes[0], &report.causes[2]];
    assert!(long_parts.iter().all(|text| text.len() < 1100 && text.ends_with("é…")), "{error}");
    assert_eq!(report.causes[1], "short");
    assert!(error.to_string().len() < 4000);
}

#[test]
fn an_error_of_a_child_process_arrives_unchanged() {
    let error = Error::new(Code::GitRefused, "fetching", "401").remedy("look here");
    let back = Error::received(error.sent());
    assert_eq!(back.report(), error.report());
    assert_eq!(back.code(), Code::GitRefused);
}

#[test]
fn foreign_text_is_hidden_until_it_is_redacted() {
    let token = Secret::new("hunter2-hunter2");
    let quoted = || ForeignText::line("no way with hunter2-hunter2");
    let cause = Message::from("it says: ").and(quoted());
    let error =
        Error::new(Code::MigrateFailed, "migrating", cause).saying([quoted()]).with_note("tried twice");
    for error in [&error, &Error::received(error.sent())] {
        let shown = format!("{error}{error:?}");
        assert!(
            !shown.contains("hunter2") && shown.contains("it says: [not shown] (tried twice)"),
            "{shown}"
        );
        assert!(error.report().output.is_empty());
    }
    let report = Error::received(error.sent()).redacted(&Redaction::new([("TOKEN", &token)])).report();
    assert_eq!(report.causes, ["it says: no way with [TOKEN] (tried twice)"]);
    assert_eq!(report.output, ["no way with [TOKEN]"]);
}
