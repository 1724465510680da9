//! Golden lints: the real program shows what a boot would do with a working tree.
//!
//! `tests/lints/<case>/` has the tree (`tree/`), what `bootagent validate` says of it (`expected.txt`) and, for some, what
//! `bootagent init` would write (`init.toml`). A new case is a new directory. `UPDATE=1 cargo test --test lints` writes what is
//! expected: read the difference before you commit it.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::path::{Path, PathBuf};
use std::process::Output;

use serde_json::Value;

fn cases() -> Vec<PathBuf> {
    let home = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/lints");
    let mut cases: Vec<PathBuf> =
        std::fs::read_dir(home).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(!cases.is_empty());
    cases
}

fn ran(home: &Path, arguments: &[&str]) -> Output {
    common::bootagent().args(arguments).current_dir(home).output().unwrap()
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

fn shown(output: &Output) -> String {
    let status = output.status.code().map_or("killed".to_owned(), |code| code.to_string());
    format!("exit {status}\n{}{}", text(&output.stdout), text(&output.stderr))
}

/// Compares with a file, or writes it.
fn hold(path: &Path, now: &str) -> Option<String> {
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(path, now).unwrap();
    }
    let expected = std::fs::read_to_string(path).unwrap_or_default();
    (expected != now).then(|| format!("{}:\n--- expected\n{expected}\n--- now\n{now}", path.display()))
}

#[test]
fn every_tree_is_judged_as_expected() {
    let mut faults = Vec::new();
    for case in cases() {
        let scratch = tempfile::tempdir().unwrap();
        common::copy(&case.join("tree"), &scratch.path().join("repo"));
        let validated = ran(scratch.path(), &["validate", "repo"]);
        faults.extend(hold(&case.join("expected.txt"), &shown(&validated)));
        let init = ran(scratch.path(), &["init", "--print", "repo"]);
        if case.join("init.toml").exists() {
            faults.extend(hold(&case.join("init.toml"), &text(&init.stdout)));
        }
        faults.extend(faults_of(&case, scratch.path(), &validated, &init));
    }
    assert!(faults.is_empty(), "\n{}", faults.join("\n"));
}

/// What holds for every tree, whatever is expected of it.
fn faults_of(case: &Path, scratch: &Path, validated: &Output, init: &Output) -> Vec<String> {
    let mut faults = Vec::new();
    let mut check = |holds: bool, what: &str| {
        if !holds {
            faults.push(format!("{}: {what}", case.display()));
        }
    };
    let json = ran(scratch, &["validate", "repo", "--output", "json"]);
    let value: Value = serde_json::from_slice(&json.stdout).unwrap();
    let is_valid = validated.status.success();
    check(json.status == validated.status, "JSON has another exit status");
    check(value["schema"] == 1 && value["valid"] == is_valid, "the JSON says something else");
    check(value["error"].is_null() == is_valid, "the JSON's error");
    let environments = value["environments"].as_object().unwrap().values();
    let every: Vec<&Value> = [&value].into_iter().chain(environments).collect();
    let warnings: usize = every.iter().map(|judged| judged["warnings"].as_array().unwrap().len()).sum();
    let last = text(&validated.stdout).lines().last().unwrap_or_default().to_owned();
    let expected = match warnings {
        0 => "ok".to_owned(),
        1 => "1 warning".to_owned(),
        more => format!("{more} warnings"),
    };
    check(!is_valid || last == expected, "the last line does not count the warnings");
    let strict = ran(scratch, &["validate", "repo", "--strict"]).status.code();
    let wanted = if is_valid && warnings > 0 { Some(4) } else { validated.status.code() };
    check(strict == wanted, "--strict has another exit status");
    let all = shown(validated);
    let hidden = ["/usr/bin/env", "/node/", "/python/", "/bin/sh", "python-install"];
    check(!hidden.iter().any(|path| all.contains(path)), "it shows paths of programs");
    // The advice works when it is followed: the warning that it is for is gone.
    let advice: Vec<&str> =
        value["advice"].as_array().unwrap().iter().map(|advice| advice["line"].as_str().unwrap()).collect();
    if !advice.is_empty() {
        let path = scratch.join("repo/bootagent.toml");
        let before = std::fs::read_to_string(&path).unwrap_or_default();
        std::fs::write(&path, advice.join("\n") + "\n" + &before).unwrap();
        let better = ran(scratch, &["validate", "repo", "--output", "json"]);
        let better: Value = serde_json::from_slice(&better.stdout).unwrap();
        let left = better["warnings"].as_array().unwrap().len();
        check(better["valid"] == true && left < warnings, "the advice does not work");
        check(better["advice"].as_array().unwrap().is_empty(), "there is advice on advice");
    }
    // What init writes is valid: of a tree that has a manifest, in its place.
    if init.status.success() {
        std::fs::write(scratch.join("repo/bootagent.toml"), &init.stdout).unwrap();
        check(ran(scratch, &["validate", "repo"]).status.success(), "what init writes is not valid");
        // The start line that it proposes is a boot's own, with what is built for it.
        let path = scratch.join("repo/bootagent.toml");
        std::fs::remove_file(&path).unwrap();
        let by_convention = commands(scratch);
        std::fs::write(&path, text(&init.stdout).replace("\n# start = ", "\nstart = ")).unwrap();
        check(commands(scratch) == by_convention, "the start line that init writes does something else");
    }
    faults
}

/// What a boot would run.
fn commands(scratch: &Path) -> Vec<(String, String)> {
    let json = ran(scratch, &["validate", "repo", "--output", "json"]);
    let value: Value = serde_json::from_slice(&json.stdout).unwrap();
    let said = |line: &Value, key: &str| line[key].as_str().unwrap_or_default().to_owned();
    let plan = value["plan"].as_array().cloned().unwrap_or_default();
    let all = plan.iter().map(|line| (said(line, "name"), said(line, "value")));
    let is_command =
        |name: &str| ["start", "build", "install", "prune"].iter().any(|of| name.starts_with(of));
    all.filter(|(name, _)| is_command(name)).collect()
}
