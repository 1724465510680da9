//! Golden plans: the real program shows what it would do with a repository on a recorded machine.
//!
//! `tests/plans/<case>/` holds what differs from `tests/plans/_shared/`:
//!
//! ```text
//! tree/          the repository's files
//! facts.json     the recorded machine
//! policy.toml    the operator's policy
//! secret         the secret's text
//! flags          further flags, one per line; `bake` as the first line: the plan of bootagent bake
//! operator.toml  a file for a flag to name
//! expected.txt   exit status, plan, error
//! ```
//!
//! A new case is a new directory. `UPDATE=1 cargo test --test plans` writes what is expected: read the
//! difference before you commit it.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use bootagent::error::Code;

const FILES: &[&str] = &["facts.json", "policy.toml", "secret", "flags", "operator.toml"];
const BRANCHES: &[&str] = &["main", "test", "stage", "release/1"];

struct Case {
    name: String,
    home: PathBuf,
}

fn plans() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plans")
}

fn cases() -> Vec<Case> {
    let mut cases: Vec<Case> = std::fs::read_dir(plans())
        .unwrap()
        .map(|entry| entry.unwrap())
        .map(|entry| Case { name: entry.file_name().into_string().unwrap(), home: entry.path() })
        .filter(|case| case.name != "_shared")
        .collect();
    cases.sort_by(|a, b| a.name.cmp(&b.name));
    cases
}

impl Case {
    /// The case's own file, or the one that all share.
    fn file(&self, name: &str) -> PathBuf {
        let own = self.home.join(name);
        if own.symlink_metadata().is_ok() { own } else { plans().join("_shared").join(name) }
    }

    fn text(&self, name: &str) -> String {
        std::fs::read_to_string(self.file(name)).unwrap_or_default()
    }

    /// A file under a name that no code reads would test nothing.
    fn strays(&self) -> Vec<String> {
        let names = std::fs::read_dir(&self.home).unwrap().map(|entry| entry.unwrap().file_name());
        let known = |name: &str| FILES.contains(&name) || ["tree", "expected.txt"].contains(&name);
        names.map(|name| name.into_string().unwrap()).filter(|name| !known(name)).collect()
    }

    /// The command line, from a directory in which all paths are short and the same for everybody.
    fn arguments(&self) -> Vec<String> {
        let mut arguments: Vec<String> =
            self.text("flags").lines().filter(|line| !line.is_empty()).map(str::to_owned).collect();
        let defaults = [
            ("--facts", "facts.json"),
            ("--policy", "policy.toml"),
            ("--env-file", "secret"),
            ("--repository", "repo"),
        ];
        // A bake reads no values.
        let bakes = arguments.first().is_some_and(|first| first == "bake");
        for (flag, value) in defaults.into_iter().filter(|(flag, _)| !bakes || *flag != "--env-file") {
            let by_policy = flag == "--repository" && self.text("policy.toml").contains("repository =");
            if !by_policy && !arguments.iter().any(|argument| argument.starts_with(&format!("{flag}="))) {
                arguments.push(format!("{flag}={value}"));
            }
        }
        arguments
    }

    fn run(&self) -> Ran {
        let scratch = tempfile::tempdir().unwrap();
        for name in FILES.iter().filter(|name| self.file(name).exists()) {
            std::fs::copy(self.file(name), scratch.path().join(name)).unwrap();
        }
        common::repository(&self.file("tree"), &scratch.path().join("repo"), BRANCHES);
        let run = |output: &str| {
            let arguments = self.arguments();
            let bakes = arguments.first().is_some_and(|first| first == "bake");
            let (verb, flags) = arguments.split_at(usize::from(bakes));
            common::bootagent()
                .args(verb)
                .args(["--dry-run", "--verbose", output])
                .args(flags)
                .current_dir(&scratch)
                .output()
                .unwrap()
        };
        Ran { text: run("--output=text"), json: run("--output=json") }
    }
}

struct Ran {
    text: Output,
    json: Output,
}

impl Ran {
    /// What a person sees, without the progress and its times.
    fn shown(&self) -> String {
        let stderr = String::from_utf8(self.text.stderr.clone()).unwrap();
        let said =
            stderr.lines().filter(|line| !line.starts_with("bootagent ")).map(|line| format!("{line}\n"));
        let status = self.text.status.code().map_or("killed".to_owned(), |code| code.to_string());
        let stdout = String::from_utf8(self.text.stdout.clone()).unwrap();
        format!("exit {status}\n{stdout}{}", said.collect::<String>())
    }

    /// What holds for every case, whatever is expected of it.
    fn faults(&self, case: &Case) -> Vec<String> {
        let mut faults = Vec::new();
        let all = [&self.text.stdout, &self.text.stderr, &self.json.stdout, &self.json.stderr];
        let all = all.map(|bytes| String::from_utf8_lossy(bytes)).join("\n");
        for value in canaries(&case.text("secret")) {
            if all.contains(&value) {
                faults.push(format!("it shows {value:?} of the secret"));
            }
        }
        if self.text.status.code() != self.json.status.code() {
            faults.push(format!("--output json ends with {:?}", self.json.status.code()));
        }
        match self.text.status.success() {
            true => faults.extend(plan_faults(&self.json.stdout)),
            false => faults.extend(error_faults(&self.text)),
        }
        faults
    }
}

/// The parts of a secret's text that are long and odd enough to be recognised.
fn canaries(secret: &str) -> Vec<String> {
    let parts = secret.split(['"', '\'', '\n', '=', ' ']).flat_map(|part| part.split("\\n"));
    parts
        .filter(|part| part.contains("canary") || part.contains("s3cr3t") || part.len() > 24)
        // The name of a variable is not its value.
        .filter(|part| !secret.lines().any(|line| line.starts_with(&format!("{part}="))))
        .map(str::to_owned)
        .collect()
}

/// What comes before the switch and may end after it: what the agent keeps for itself, a build's cache and its copy for others, and
/// what looks after the machine.
const BESIDE_THE_SWITCH: &[&str] = &[
    "instance",
    "agent",
    "agent-unit",
    "agent-enable",
    "agent-flags",
    "cache",
    "install-cache-store",
    "journal",
    "swap-unit",
    "swap-reload",
    "swap",
    "swap-enable",
    "swap-down",
    "watch-down",
    "watch-forget",
];

/// Every step is named once, and waits only for steps before it; and nothing is switched or started before
/// all is there that it stands on.
fn plan_faults(json: &[u8]) -> Vec<String> {
    let plan: serde_json::Value = match serde_json::from_slice(json) {
        Ok(plan) => plan,
        Err(error) => return vec![format!("--output json is not JSON: {error}")],
    };
    let mut faults = Vec::new();
    for steps in ["steps", "recover"] {
        let mut before: Vec<&str> = Vec::new();
        for step in plan[steps].as_array().into_iter().flatten() {
            let id = step["id"].as_str().unwrap_or("a step without id");
            for need in step["needs"].as_array().into_iter().flatten().filter_map(|need| need.as_str()) {
                if !before.contains(&need) {
                    faults.push(format!("{id} needs {need}, which does not come before it"));
                }
            }
            if before.contains(&id) {
                faults.push(format!("{id} is there twice"));
            }
            // The group need not wait until a program stops or a directory is removed.
            let gives_up = step["action"]["result"] == "ABANDON";
            if gives_up && !step["needs"].as_array().is_some_and(Vec::is_empty) {
                faults.push(format!("{id} gives the instance up and waits for another step"));
            }
            before.push(id);
        }
    }
    // In a warm pool, and for an image, an instance only prepares: nothing is switched or started.
    if plan["goal"] == "serve" {
        faults.extend(missing_before_the_switch(&plan["steps"]));
        faults.extend(missing_marks(&plan));
    }
    faults
}

/// The report goes by marks: a plan without them would tell nothing of what it did.
fn missing_marks(plan: &serde_json::Value) -> Vec<String> {
    let marks = |steps: &str| -> Vec<String> {
        let steps = plan[steps].as_array().into_iter().flatten();
        steps.filter_map(|step| step["mark"].as_str()).map(str::to_owned).collect()
    };
    let mut faults = Vec::new();
    let (there, mut wanted) = (marks("steps"), vec!["whole", "attempt", "switched", "started", "passed"]);
    wanted.retain(|mark| there.iter().filter(|there| there == mark).count() != 1);
    faults.extend(wanted.iter().map(|mark| format!("not exactly one step is marked as {mark}")));
    let back = marks("recover").contains(&"back-serving".to_owned());
    if back == plan["former"].is_null() {
        faults.push(format!("a former generation, and its health check in the recovery: {back}"));
    }
    faults
}

fn missing_before_the_switch(steps: &serde_json::Value) -> Vec<String> {
    let mut needs: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for step in steps.as_array().into_iter().flatten() {
        let of_it = step["needs"].as_array().into_iter().flatten().filter_map(|need| need.as_str());
        needs.insert(step["id"].as_str().unwrap_or_default(), of_it.collect());
    }
    let mut reached: BTreeSet<&str> = BTreeSet::new();
    let mut ahead = vec!["switch"];
    while let Some(id) = ahead.pop() {
        if reached.insert(id) {
            ahead.extend(needs.get(id).into_iter().flatten());
        }
    }
    let ids = steps.as_array().into_iter().flatten().filter_map(|step| step["id"].as_str());
    let before = ids.take_while(|id| *id != "switch");
    let mut faults: Vec<String> = before
        .filter(|id| !reached.contains(id) && !BESIDE_THE_SWITCH.contains(id))
        .map(|id| format!("switch does not need {id}, which comes before it"))
        .collect();
    if !needs.get("start").is_some_and(|needs| needs.contains(&"switch")) {
        faults.push("start does not need the switch".to_owned());
    }
    faults
}

/// An error has a known code, exits as that code says, and nothing of a plan is shown with it.
fn error_faults(output: &Output) -> Vec<String> {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let code = Code::ALL.iter().find(|code| stderr.contains(&format!("[{}]", code.name())));
    let mut faults = Vec::new();
    match code {
        None => faults.push("its error has no code".to_owned()),
        Some(code) if output.status.code() != Some(code.exit() as i32) => {
            faults.push(format!("{} ends with {:?}", code.name(), output.status.code()));
        }
        Some(_) => {}
    }
    if !output.stdout.is_empty() {
        faults.push("it fails, and yet shows something on standard output".to_owned());
    }
    faults
}

/// Runs one case; what is wrong with it, or nothing.
fn judge(case: &Case, update: bool) -> Option<String> {
    let ran = case.run();
    let (path, shown) = (case.home.join("expected.txt"), ran.shown());
    let mut faults = ran.faults(case);
    faults.extend(
        case.strays().iter().map(|name| format!("{name} is not a file of a case: a slip in its name?")),
    );
    if update {
        std::fs::write(&path, &shown).unwrap();
    } else {
        match std::fs::read_to_string(&path) {
            Err(_) => faults.push(format!("there is no expected.txt; it would be:\n{shown}")),
            Ok(expected) if expected != shown => faults.push(difference(&expected, &shown)),
            Ok(_) => {}
        }
    }
    (!faults.is_empty()).then(|| format!("tests/plans/{}: {}", case.name, faults.join("\n")))
}

/// The lines that differ, each with what stands around it: `-` is expected, `+` is there.
fn difference(expected: &str, shown: &str) -> String {
    let (old, new): (Vec<&str>, Vec<&str>) = (expected.lines().collect(), shown.lines().collect());
    // The longest common subsequence of what follows each pair of lines.
    let mut common = vec![vec![0usize; new.len() + 1]; old.len() + 1];
    for i in (0..old.len()).rev() {
        for j in (0..new.len()).rev() {
            common[i][j] = match old[i] == new[j] {
                true => common[i + 1][j + 1] + 1,
                false => common[i + 1][j].max(common[i][j + 1]),
            };
        }
    }
    let (mut i, mut j, mut lines) = (0, 0, Vec::new());
    while i < old.len() || j < new.len() {
        if i < old.len() && j < new.len() && old[i] == new[j] {
            lines.push((' ', old[i]));
            (i, j) = (i + 1, j + 1);
        } else if j == new.len() || (i < old.len() && common[i + 1][j] >= common[i][j + 1]) {
            lines.push(('-', old[i]));
            i += 1;
        } else {
            lines.push(('+', new[j]));
            j += 1;
        }
    }
    let changed: Vec<usize> = (0..lines.len()).filter(|at| lines[*at].0 != ' ').collect();
    let mut out = String::from("is not as expected (- expected, + shown)");
    let mut last = None;
    for (at, (sign, line)) in lines.iter().enumerate() {
        if changed.iter().any(|change| change.abs_diff(at) <= 2) {
            if last.is_some_and(|last| last + 1 != at) {
                out.push_str("\n  ...");
            }
            out.push_str(&format!("\n  {sign} {line}"));
            last = Some(at);
        }
    }
    out
}

#[test]
fn plans_are_as_expected() {
    let update = std::env::var_os("UPDATE").is_some_and(|value| value != "0" && !value.is_empty());
    let cases = cases();
    assert!(cases.len() > 20, "the cases are not found in {}", plans().display());
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(case) = cases.get(next.fetch_add(1, Ordering::Relaxed)) {
                    if let Some(fault) = judge(case, update) {
                        wrong.lock().unwrap().push(fault);
                    }
                }
            });
        }
    });
    let mut wrong = wrong.into_inner().unwrap();
    wrong.sort();
    assert!(
        wrong.is_empty(),
        "\n\n{}\n\n{} of {} plans differ. If that is right: UPDATE=1 cargo test --test plans, and read git diff.",
        wrong.join("\n\n"),
        wrong.len(),
        cases.len()
    );
}

/// A refusal is a promise as much as a plan: both are tested, and both by their names.
#[test]
fn cases_that_must_fail_are_called_so() {
    for case in cases() {
        let expected = std::fs::read_to_string(case.home.join("expected.txt")).unwrap_or_default();
        let refused = !expected.starts_with("exit 0\n");
        assert_eq!(
            refused,
            case.name.starts_with("no-"),
            "{}: only what must fail is called no-...",
            case.name
        );
    }
}

#[test]
fn a_difference_is_shown_with_its_surroundings() {
    let shown = difference("a\nb\nc\nd\ne\nf\n", "a\nb\nc\nX\ne\nf\n");
    assert_eq!(shown, "is not as expected (- expected, + shown)\n    b\n    c\n  - d\n  + X\n    e\n    f");
}
