//! The command line as people and scripts meet it: exit statuses, help, what is refused, and where
//! answers go. The real program, without root's powers and without an instance.

#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use common::bootagent;
use tempfile::TempDir;

fn ran(arguments: &[&str]) -> Output {
    bootagent().args(arguments).output().unwrap()
}

fn said(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// Names and texts.
type Files<'a> = &'a [(&'a str, &'a str)];

/// A directory that everybody may enter, with these files.
fn directory(files: Files) -> TempDir {
    let home = tempfile::tempdir().unwrap();
    std::fs::set_permissions(&home, PermissionsExt::from_mode(0o755)).unwrap();
    for (name, text) in files {
        std::fs::write(home.path().join(name), text).unwrap();
    }
    home
}

const PACKAGE: (&str, &str) = ("package.json", r#"{ "scripts": { "start": "node server.js" } }"#);
/// With a dependency.
const DEPENDENT: (&str, &str) =
    ("package.json", r#"{"scripts": {"start": "node ."}, "dependencies": {"express": "5.0.0"}}"#);
const LOCK: (&str, &str) = ("package-lock.json", "{}");
/// What PACKAGE starts.
const SERVER: (&str, &str) = ("server.js", "");

/// The arguments of a dry run in this directory for a machine that is on record, and nothing else.
fn dry_run(home: &Path) -> Command {
    let shared = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plans/_shared");
    for name in ["facts.json", "policy.toml", "secret"] {
        std::fs::copy(shared.join(name), home.join(name)).unwrap();
    }
    common::repository(&shared.join("tree"), &home.join("repo"), &["test"]);
    let mut command = bootagent();
    command.current_dir(home).args([
        "--dry-run",
        "--facts=facts.json",
        "--policy=policy.toml",
        "--env-file=secret",
        "--repository=repo",
    ]);
    command
}

#[test]
fn alone_it_prints_help() {
    let output = ran(&[]);
    assert_eq!(output.status.code(), Some(0));
    let help = said(&output.stdout);
    for word in ["run", "status", "validate", "facts", "--repository", "Exit status"] {
        assert!(help.contains(word), "{word} is not in the help:\n{help}");
    }
    assert!(!help.contains("__child"), "the help shows what is not for people");
}

#[test]
fn version_is_the_package_s() {
    let output = ran(&["--version"]);
    assert_eq!(
        (output.status.code(), said(&output.stdout)),
        (Some(0), format!("bootagent {}\n", env!("CARGO_PKG_VERSION")))
    );
}

#[test]
fn a_wrong_command_line_is_64_and_says_why() {
    let lines: &[(&[&str], &str)] = &[
        (&["nonsense"], "nonsense"),
        (&["run", "--nonsense"], "--nonsense"),
        (&["run", "--budget", "soon"], "90s, 2m or 1h"),
        (&["--service", "auth-service"], "flags need a command"),
        (&["--dryrun"], "'--dry-run'"),
        (&["status", "--timeout", "5s"], "--wait"),
        (&["validate", "one", "two"], "two"),
        (&["--dry-run", "--tag", "no-equals-sign"], "it has no '='"),
        (&["run", "--repository", "./here"], "a directory is for dry runs only"),
        (&["__child"], "ROLE"),
        (&["explain", "E-SECRET-MISING"], "did you mean E-SECRET-MISSING?"),
        (&["completions", "tcsh"], "bash, zsh, fish"),
        (&["user-data", "--download", "http://downloads.acme.com/x"], "https:// nor s3://"),
        (&["user-data", "--download", "https://a.example/x?X-Amz-Signature=00"], "no query"),
        (&["user-data", "--within", "5s"], "--download"),
        (&["user-data", "--repository", "./here"], "a directory is for dry runs only"),
        (&["user-data", "--service", "No Service"], "--service"),
    ];
    for (line, says) in lines {
        let output = ran(line);
        assert_eq!(output.status.code(), Some(64), "{line:?}");
        assert!(said(&output.stderr).contains(says), "{line:?}: {}", said(&output.stderr));
        assert!(output.stdout.is_empty(), "{line:?} answers all the same");
    }
}

#[test]
fn user_data_names_the_program_that_prints_it_and_quotes_every_flag() {
    use sha2::{Digest, Sha256};
    let program = std::fs::read(env!("CARGO_BIN_EXE_bootagent")).unwrap();
    let digest: String = Sha256::digest(program).iter().map(|byte| format!("{byte:02x}")).collect();
    let output = ran(&[
        "user-data",
        "--download=https://downloads.acme.com/bootagent",
        "--repository=https://github.com/acme/{service}.git",
        "--secret=it's $(reboot) `id`",
        "--budget=10m",
    ]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output.stderr));
    let script = said(&output.stdout);
    assert!(script.lines().count() <= 10 && script.contains(&format!("sum={digest} ")), "{script}");
    let end = "exec \"$to\" run --repository 'https://github.com/acme/{service}.git' \
               --secret 'it'\\''s $(reboot) `id`' --budget 600s\n";
    assert!(script.ends_with(end), "{script}");
    assert!(said(&output.stderr).contains("note: without --services"), "{}", said(&output.stderr));
    // What a policy cannot be is refused here, and not on every instance.
    let bad = ran(&["user-data", "--repository=https://user:hunter2@github.com/x.git", "--services=a"]);
    assert_eq!(bad.status.code(), Some(78), "{}", said(&bad.stderr));
    assert!(!said(&bad.stderr).contains("hunter2") && bad.stdout.is_empty(), "{}", said(&bad.stderr));
}

/// Each of the shells of an AMI can parse what is printed. Whether it works, tests/boot/test_user_data.py says.
#[test]
fn shells_can_parse_user_data_and_completions() {
    let user_data = |flags: &[&'static str]| [&["user-data", "--services=a"][..], flags].concat();
    for (shell, line) in [
        ("dash", user_data(&["--download=https://a.example/b"])),
        ("bash", user_data(&["--download=s3://a/b", "--within=1s"])),
        ("dash", user_data(&[])),
        ("bash", vec!["completions", "bash"]),
    ] {
        let output = ran(&line);
        assert_eq!(output.status.code(), Some(0), "{}", said(&output.stderr));
        let home = directory(&[("script", &said(&output.stdout))]);
        let parsed = Command::new(shell).arg("-n").arg(home.path().join("script")).output().unwrap();
        assert!(parsed.status.success(), "{shell} {line:?}: {}", said(&parsed.stderr));
    }
}

#[test]
fn a_code_is_explained_with_its_remedy() {
    for name in ["E-SECRET-MISSING", "secret-missing"] {
        let output = ran(&["explain", name]);
        let text = said(&output.stdout);
        assert_eq!(output.status.code(), Some(0), "{text}");
        for words in ["E-SECRET-MISSING (exit status 78)", "When:   ", "Remedy: create the secret"] {
            assert!(text.contains(words), "no {words} in {text}");
        }
    }
    let all = said(&ran(&["explain"]).stdout);
    assert!(all.lines().count() > 50 && all.lines().all(|line| line.starts_with("E-")), "{all}");
}

#[test]
fn stand_ins_are_refused_where_something_would_happen() {
    for flag in ["--tag=a=b", "--manifest=x", "--env-file=x", "--facts=x", "--policy=x", "--output=json"] {
        let output = ran(&["run", flag]);
        assert_eq!(output.status.code(), Some(64), "{flag}");
        assert!(said(&output.stderr).contains("--dry-run"), "{flag}: {}", said(&output.stderr));
    }
}

#[test]
fn a_dry_run_needs_no_verb() {
    let home = directory(&[]);
    let bare = dry_run(home.path()).output().unwrap();
    assert_eq!(bare.status.code(), Some(0), "{}", said(&bare.stderr));
    assert!(said(&bare.stdout).starts_with("auth-service (test) at "), "{}", said(&bare.stdout));
    let mut with_verb = bootagent();
    let arguments: Vec<_> = ["run"].into_iter().map(Into::into).chain(dry_arguments()).collect();
    let output = with_verb.current_dir(&home).args(arguments).output().unwrap();
    assert_eq!(said(&output.stdout), said(&bare.stdout));
}

#[test]
fn a_plan_sums_up_explains_its_signs_and_says_what_only_an_instance_has() {
    let home = directory(&[]);
    let plan = said(&dry_run(home.path()).output().unwrap().stdout);
    assert!(plan.lines().next().unwrap().ends_with(" steps"), "{plan}");
    assert!(plan.contains("(+ create, ~ change, > run, - remove, = unchanged)"), "{plan}");
    for line in ["\n+ build-user: ", "\n> install: ", "\n- remove-leftovers: ", "\n> start: "] {
        assert!(plan.contains(line), "no {line:?} in {plan}");
    }
    let last = plan.lines().last().unwrap();
    assert!(last.starts_with("Only an instance has these steps: ") && last.contains("pin"), "{last}");
    // A facts.json of an instance has them itself.
    let facts = home.path().join("facts.json");
    let recorded = std::fs::read_to_string(&facts).unwrap();
    let instance =
        r#""instance": {"id": "i-1", "region": "eu-west-1", "zone": "eu-west-1a", "type": "t3.small"}"#;
    std::fs::write(&facts, recorded.replace("\"instance\": null", instance)).unwrap();
    let mut command = bootagent();
    let plan = said(&command.current_dir(&home).args(dry_arguments()).output().unwrap().stdout);
    assert!(plan.contains("\n+ pin: ") && !plan.contains("Only an instance has"), "{plan}");
}

#[test]
fn a_quiet_dry_run_shows_the_plan_and_nothing_else() {
    let home = directory(&[]);
    let output = dry_run(home.path()).arg("--quiet").output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output.stderr));
    assert!(output.stderr.is_empty() && !output.stdout.is_empty(), "{}", said(&output.stderr));
}

#[test]
fn more_is_shown_on_request_and_what_is_to_do_is_an_exit_status() {
    let run = |flags: &[&str]| {
        let home = directory(&[]);
        dry_run(home.path()).args(flags).output().unwrap()
    };
    let (brief, whole) = (said(&run(&[]).stdout), said(&run(&["-v"]).stdout));
    let recovery = |plan: &str| plan.split_once("\nIf it fails\n").unwrap().1.to_owned();
    assert!(!recovery(&brief).contains("why: ") && recovery(&whole).contains("why: "), "{brief}");
    // Of a machine that is not looked at, everything is to do.
    assert_eq!(run(&["--detailed-exitcode"]).status.code(), Some(2));
    for flag in ["-v", "--detailed-exitcode"] {
        assert_eq!(ran(&["run", flag]).status.code(), Some(64), "{flag} without --dry-run");
    }
}

#[test]
fn an_error_about_a_flag_is_not_about_the_policy() {
    let home = directory(&[]);
    let output = dry_run(home.path()).args(["--service=A B", "--environment=test"]).output().unwrap();
    let told = said(&output.stderr);
    assert_eq!(output.status.code(), Some(78), "{told}");
    assert!(told.contains("correct the flag") && !told.contains("correct the policy"), "{told}");
}

#[test]
fn what_stands_in_for_the_secret_is_what_an_error_names() {
    let home = directory(&[("values", "A=1\nA=2\n")]);
    let output = with(&dry_run(home.path()), &home, "--env-file", "values").output().unwrap();
    let told = said(&output.stderr);
    assert!(told.contains("--env-file values: A is there twice"), "{told}");
    assert!(!told.contains("service_env_"), "{told}");
}

/// A fetch of root's is a unit: where there are none, the disk is not to blame.
#[test]
fn root_without_systemd_is_told_so() {
    if !nix::unistd::geteuid().is_root() || Path::new("/run/systemd/system").exists() {
        return;
    }
    let home = directory(&[]);
    let mut command = with(&dry_run(home.path()), &home, "--repository", "http://127.0.0.1:1/a.git");
    let told = said(&command.output().unwrap().stderr);
    assert!(
        told.contains("systemd is not PID 1 of this machine") && told.contains("[E-UNIT-FAILED]"),
        "{told}"
    );
    assert!(!told.contains("disk"), "{told}");
}

#[test]
fn a_directory_is_not_called_a_commit() {
    let home = directory(&[("README", "nothing to run")]);
    let told = said(&ran(&["validate", home.path().to_str().unwrap()]).stderr);
    assert!(told.contains("looking for a runtime in /") && !told.contains("000000"), "{told}");
}

fn dry_arguments() -> Vec<std::ffi::OsString> {
    ["--dry-run", "--facts=facts.json", "--policy=policy.toml", "--env-file=secret", "--repository=repo"]
        .map(Into::into)
        .into()
}

#[test]
fn a_dry_run_writes_nothing_where_it_stands() {
    let home = directory(&[]);
    let mut command = dry_run(home.path());
    let names = || {
        let mut names: Vec<_> = walk(home.path());
        names.sort();
        names
    };
    let before = names();
    assert!(command.output().unwrap().status.success());
    assert_eq!(before, names());
}

/// Every path with its size and time.
fn walk(at: &Path) -> Vec<String> {
    let mut all = Vec::new();
    for entry in std::fs::read_dir(at).unwrap().map(Result::unwrap) {
        let data = entry.metadata().unwrap();
        if data.is_dir() {
            all.extend(walk(&entry.path()));
        }
        all.push(format!("{} {} {:?}", entry.path().display(), data.len(), data.modified().unwrap()));
    }
    all
}

#[test]
fn without_a_repository_it_says_so_at_once() {
    let home = directory(&[]);
    let _ = dry_run(home.path());
    let mut command = bootagent();
    command.current_dir(&home).args(["--dry-run", "--facts=facts.json", "--policy=policy.toml"]);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(78));
    assert!(said(&output.stderr).contains("[E-POLICY-NO-REPOSITORY]"), "{}", said(&output.stderr));
}

/// The program as a user who is not root, from a place where that user may run it.
fn as_another_user(home: &Path) -> Command {
    let program = home.join("bootagent");
    // By another process: one of ours that starts meanwhile would keep the file open for writing.
    let copied = Command::new("cp").args([Path::new(env!("CARGO_BIN_EXE_bootagent")), &program]).status();
    assert!(copied.unwrap().success());
    std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
    let mut command = Command::new(program);
    command.env_clear().current_dir(home);
    if nix::unistd::geteuid().is_root() {
        command.uid(65534).gid(65534);
    }
    command
}

#[test]
fn a_run_is_root_s() {
    let home = directory(&[]);
    let mut command = as_another_user(home.path());
    let output = command.args(["run", "--repository", "https://example.com/{service}.git"]).output().unwrap();
    assert_eq!(output.status.code(), Some(77));
    let stderr = said(&output.stderr);
    assert!(stderr.contains("[E-NOT-ROOT]") && stderr.contains("--dry-run"), "{stderr}");
    assert!(output.stdout.is_empty());
}

/// What root sees of a recorded machine, everybody sees.
#[test]
fn a_dry_run_is_everybody_s() {
    let home = directory(&[]);
    let ours = dry_run(home.path()).output().unwrap();
    if nix::unistd::geteuid().is_root() {
        // libgit2 opens only repositories of its own user.
        let chown = Command::new("chown").args(["-R", "65534:65534", "."]).current_dir(&home).status();
        assert!(chown.unwrap().success());
    }
    let mut command = as_another_user(home.path());
    let theirs = command.args(dry_arguments()).output().unwrap();
    assert_eq!(said(&theirs.stdout), said(&ours.stdout), "{}", said(&theirs.stderr));
}

#[test]
fn validate_shows_what_a_boot_would_do() {
    let home = directory(&[
        PACKAGE,
        LOCK,
        SERVER,
        ("stage.js", ""),
        (
            "bootagent.toml",
            "health = \"/health\"\n\n[environments.stage]\nstart = \"node stage.js\"\nport = 3000\n\
             packages = [\"ffmpeg\", \"imagemagick\"]\nmigrate = \"node migrate.js\"\nrehearsal.port = 13000\n",
        ),
    ]);
    let output = ran(&["validate", home.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(0), "{}", said(&output.stderr));
    let stdout = said(&output.stdout);
    let (every, stage) = stdout.split_once("\nIn stage instead:\n").unwrap();
    let has =
        |text: &str, line: &str| text.lines().any(|said| said.split_whitespace().eq(line.split_whitespace()));
    for line in [
        "bootagent.toml: well-formed",
        "install npm ci --no-audit --no-fund --omit=dev (installs exactly the versions in the lockfile)",
        "start node server.js (scripts.start in package.json)",
        "health check GET /health on the port that the service is found to listen on (health in bootagent.toml; no port is known)",
    ] {
        assert!(has(every, line), "{line} is not in\n{every}");
    }
    assert!(every.contains("[no-port]") && !every.contains("ffmpeg"), "{every}");
    for line in [
        "OS packages ffmpeg, imagemagick (packages in bootagent.toml; if the policy allows them)",
        "migrate node migrate.js (migrate in bootagent.toml)",
        "candidate an update is started on port 13000 first (rehearsal.port in bootagent.toml)",
        "start node stage.js (start in bootagent.toml)",
        "health check GET /health on port 3000, answered with any 2xx (health and port in bootagent.toml)",
    ] {
        assert!(has(stage, line), "{line} is not in\n{stage}");
    }
    assert!(!stage.contains("warning: ") && !stage.contains("npm ci"), "{stage}");
    assert!(stdout.ends_with("\n1 warning\n"), "{stdout}");
    let mut here = bootagent();
    assert_eq!(said(&here.current_dir(&home).arg("validate").output().unwrap().stdout), stdout);
}

/// A pusher must not command the terminal of the one who looks.
#[test]
fn validate_notes_what_a_service_would_write_into_its_release() {
    let uploads =
        ("package.json", r#"{"scripts": {"start": "node ."}, "dependencies": {"multer": "2.0.0"}}"#);
    let notes = |manifest: &str| {
        let home = directory(&[uploads, LOCK, ("bootagent.toml", manifest)]);
        for name in ["logs", "uploads", "src"] {
            std::fs::create_dir(home.path().join(name)).unwrap();
        }
        let output = ran(&["validate", home.path().to_str().unwrap()]);
        assert_eq!(output.status.code(), Some(0), "{}", said(&output.stderr));
        said(&output.stdout)
    };
    let told = notes("port = 3000\n");
    for line in ["logs/ is read-only in a release", "persist = [\"uploads\"]", "multer stores uploads"] {
        assert!(told.contains(line), "{line} is not in\n{told}");
    }
    assert!(!told.contains("src/") && !told.contains("stays alive"), "{told}");
    assert!(told.contains("  persist = [\"logs\", \"uploads\"]  # "), "{told}");
    let told = notes("persist = [\"uploads\", \"logs\"]\n");
    assert!(!told.contains("[read-only]") && !told.contains("multer"), "{told}");
    assert!(told.contains("only that a process stays alive"), "{told}");
}

#[test]
fn validate_fails_on_a_warning_only_if_asked() {
    let healthy = ("bootagent.toml", "port = 3000\nhealth = \"/health\"\n");
    let unusual = ("package.json", r#"{ "scripts": { "start": "nohup node server.js" } }"#);
    for (package, flags, exit, last) in [
        (PACKAGE, &["--strict"][..], 0, "ok"),
        (unusual, &["--strict"], 4, "1 warning"),
        (unusual, &[], 0, "1 warning"),
    ] {
        let home = directory(&[package, LOCK, SERVER, healthy]);
        let output = bootagent().current_dir(&home).arg("validate").args(flags).output().unwrap();
        assert_eq!(output.status.code(), Some(exit), "{flags:?}: {}", said(&output.stdout));
        assert_eq!(said(&output.stdout).lines().last(), Some(last));
        assert!(output.stderr.is_empty(), "{}", said(&output.stderr));
    }
}

#[test]
fn validate_in_json_is_for_programs_also_if_it_fails() {
    let shown = |files: Files| {
        let home = directory(files);
        let output = bootagent().current_dir(&home).args(["validate", "--output=json"]).output().unwrap();
        let value: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        (output.status.code(), value)
    };
    let (exit, value) =
        shown(&[PACKAGE, LOCK, SERVER, ("bootagent.toml", "[environments.stage]\nport = 4000\n")]);
    assert_eq!((exit, value["schema"].as_u64(), value["valid"].as_bool()), (Some(0), Some(1), Some(true)));
    assert_eq!(value["warnings"][0]["code"], "no-port");
    assert_eq!(value["environments"]["stage"]["plan"][0]["name"], "health check");
    let start = value["plan"].as_array().unwrap().iter().find(|line| line["name"] == "start").unwrap();
    assert_eq!(
        (start["value"].as_str(), start["origin"].as_str()),
        (Some("node server.js"), Some("scripts.start in package.json"))
    );
    assert_eq!(value["advice"][0]["line"], "port = 3000");
    let (exit, value) = shown(&[PACKAGE, LOCK, ("bootagent.toml", "prot = 1\n")]);
    assert_eq!((exit, value["valid"].as_bool()), (Some(78), Some(false)));
    assert_eq!(value["error"]["code"], "E-MANIFEST-INVALID");
    assert!(value["plan"].as_array().unwrap().is_empty(), "{value}");
}

/// A boot takes a commit, and not what is here.
#[test]
fn validate_says_what_is_not_committed() {
    let tree = directory(&[
        PACKAGE,
        LOCK,
        SERVER,
        ("bootagent.toml", "port = 3000\nhealth = \"/health\"\n"),
        (".gitignore", ".env\nbuilt\n"),
    ]);
    let home = directory(&[]);
    let repository = home.path().join("repo");
    common::repository(tree.path(), &repository, &["main"]);
    let opened = git2::Repository::open(&repository).unwrap();
    opened.checkout_head(Some(git2::build::CheckoutBuilder::new().force())).unwrap();
    let told = || said(&ran(&["validate", repository.to_str().unwrap()]).stdout);
    for path in [".env", "built"] {
        std::fs::write(repository.join(path), "A=1").unwrap();
    }
    assert!(told().ends_with("\nok\n"), "{}", told());
    std::fs::write(repository.join("new.js"), "").unwrap();
    std::fs::write(repository.join(".gitignore"), "package-lock.json\n").unwrap();
    let told = told();
    assert!(
        told.contains("without what is not committed here: .env, .gitignore, built and 1 more [uncommitted]"),
        "{told}"
    );
    assert!(!told.contains("[env-file]") && told.ends_with("\n1 warning\n"), "{told}");
}

#[test]
fn init_writes_a_manifest_that_is_valid_and_never_replaces_one() {
    let home = directory(&[DEPENDENT, LOCK, ("index.js", "")]);
    let run = |arguments: &[&str]| bootagent().current_dir(&home).args(arguments).output().unwrap();
    let path = home.path().join("bootagent.toml");
    let printed = run(&["init", "--print"]);
    assert_eq!((printed.status.code(), path.exists()), (Some(0), false));
    let written = run(&["init"]);
    assert_eq!(written.status.code(), Some(0), "{}", said(&written.stderr));
    assert!(said(&written.stdout).contains("bootagent.toml is written"), "{}", said(&written.stdout));
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(text, said(&printed.stdout));
    assert!(text.contains("\nport = 3000\n") && text.contains("(scripts.start in package.json)"), "{text}");
    assert_eq!(run(&["validate", "--strict"]).status.code(), Some(0), "{}", said(&run(&["validate"]).stdout));
    std::fs::write(&path, "# mine\n").unwrap();
    let again = run(&["init"]);
    let told = said(&again.stderr);
    assert_eq!(again.status.code(), Some(64), "{told}");
    assert!(told.contains("it exists") && told.contains("--print"), "{told}");
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "# mine\n");
    assert_eq!(said(&run(&["init", "--print"]).stdout), text);
}

#[test]
fn init_of_what_cannot_boot_writes_nothing() {
    let home = directory(&[DEPENDENT]);
    let output = bootagent().current_dir(&home).arg("init").output().unwrap();
    assert_eq!(output.status.code(), Some(78), "{}", said(&output.stdout));
    assert!(said(&output.stderr).contains("[E-LOCKFILE-MISSING]"), "{}", said(&output.stderr));
    assert!(!home.path().join("bootagent.toml").exists());
}

#[test]
fn a_repository_s_words_reach_a_terminal_as_text() {
    for (wish, exit, shown) in [
        ("99.\u{1b}]0;x\u{7}\u{202e}", 78, "Node 99.]0;x (.nvmrc)"),
        (">=1 \u{1b}[2J || <99", 0, ".nvmrc: >=1  || <99"),
    ] {
        let home = directory(&[]);
        let mut command = dry_run(home.path());
        let repository = home.path().join("repo");
        std::fs::remove_dir_all(&repository).unwrap();
        let tree = directory(&[PACKAGE, LOCK, (".nvmrc", wish)]);
        common::repository(tree.path(), &repository, &["test"]);
        let output = command.args(["--service=auth-service", "--environment=test"]).output().unwrap();
        let text = said(&output.stdout) + &said(&output.stderr);
        assert_eq!(output.status.code(), Some(exit), "{text}");
        assert!(text.contains(shown), "{text}");
        let commands = |c: char| c == '\u{202e}' || (c.is_control() && c != '\n');
        assert!(!text.contains(commands), "{text:?}");
    }
}

#[test]
fn validate_points_at_what_is_wrong() {
    let cases: &[(&str, Files, &str)] = &[
        (
            "a typo",
            &[PACKAGE, LOCK, ("bootagent.toml", "\nprot = 3\n")],
            "bootagent.toml:2:1: unknown key \"prot\"",
        ),
        ("a type", &[PACKAGE, LOCK, ("bootagent.toml", "port = true\n")], "bootagent.toml:1:8: port is true"),
        (
            "TOML",
            &[PACKAGE, LOCK, ("bootagent.toml", "port = 1\nport = 2\n")],
            "bootagent.toml:2:1: duplicate key",
        ),
        (
            "an overlay",
            &[PACKAGE, LOCK, ("bootagent.toml", "[environments.prod.health]\nstatus = []\n")],
            "bootagent.toml:2:10: environments.prod.health.status",
        ),
        (
            "a candidate whose start names the port",
            &[
                PACKAGE,
                LOCK,
                ("bootagent.toml", "port = 3000\nrehearsal.port = 4000\nstart = \"node x --port=3000\"\n"),
            ],
            "the start command names port 3000 itself",
        ),
        (
            "a refused variable",
            &[PACKAGE, LOCK, ("bootagent.toml", "[env.values]\nLD_PRELOAD = \"x\"\n")],
            "bootagent.toml:2:14: env.values.LD_PRELOAD is refused",
        ),
        ("JSON", &[LOCK, ("package.json", "{\n\"scripts\": ,\n}\n")], "package.json:2:12"),
        ("no text", &[PACKAGE, LOCK, (".nvmrc", "iojs\n")], "(.nvmrc): not a version range"),
        ("no lockfile", &[DEPENDENT], "[E-LOCKFILE-MISSING]"),
        ("no start", &[LOCK, ("package.json", "{}")], "looking for the start command"),
        ("nothing", &[], "[E-RUNTIME-UNKNOWN]"),
    ];
    for (what, files, says) in cases {
        let home = directory(files);
        let output = ran(&["validate", home.path().to_str().unwrap()]);
        let stderr = said(&output.stderr);
        assert_eq!(output.status.code(), Some(78), "{what}: {stderr}");
        assert!(stderr.contains(says), "{what}: {says} is not in\n{stderr}");
        assert!(output.stdout.is_empty(), "{what} answers all the same");
        assert_eq!(stderr.lines().count(), 2, "{what}: an error and its remedy:\n{stderr}");
    }
}

#[test]
fn validate_refuses_what_a_boot_refuses() {
    let home = directory(&[PACKAGE, LOCK, ("other.toml", "port = 3000\n")]);
    std::os::unix::fs::symlink("other.toml", home.path().join("bootagent.toml")).unwrap();
    let output = ran(&["validate", home.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(78), "{}", said(&output.stdout));
    std::fs::remove_file(home.path().join("bootagent.toml")).unwrap();
    std::fs::write(home.path().join("bootagent.toml"), b"# \xff\n").unwrap();
    let output = ran(&["validate", home.path().to_str().unwrap()]);
    assert_eq!(output.status.code(), Some(78), "{}", said(&output.stdout));
}

#[test]
fn validate_of_no_directory_is_usage() {
    let home = directory(&[("file", "")]);
    for path in [home.path().join("absent"), home.path().join("file")] {
        let output = ran(&["validate", path.to_str().unwrap()]);
        let stderr = said(&output.stderr);
        assert_eq!(output.status.code(), Some(64), "{stderr}");
        assert!(stderr.contains(path.to_str().unwrap()) && stderr.contains("[E-USAGE]"), "{stderr}");
    }
}

#[test]
fn recorded_facts_are_taken_back() {
    let home = directory(&[]);
    let mut command = dry_run(home.path());
    let facts = ran(&["facts", "--local"]);
    assert_eq!(facts.status.code(), Some(0), "{}", said(&facts.stderr));
    let mut recorded: serde_json::Value = serde_json::from_slice(&facts.stdout).unwrap();
    let back: bootagent::facts::Facts = serde_json::from_slice(&facts.stdout).unwrap();
    assert_eq!(serde_json::to_value(&back).unwrap(), recorded);
    // This machine may have no Node, which is not what is tested here. An older version recorded it under this name.
    recorded.as_object_mut().unwrap().remove("programs");
    recorded["node"] = serde_json::json!([{ "version": "22.11.0", "bin": "/opt/node/bin", "npm": true }]);
    std::fs::write(home.path().join("facts.json"), recorded.to_string()).unwrap();
    let output = command.args(["--service=auth-service", "--environment=test"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output.stderr));
}

#[test]
fn json_is_json_and_nothing_else() {
    let home = directory(&[]);
    let output = dry_run(home.path()).arg("--output=json").output().unwrap();
    let plan: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((plan["service"].as_str(), plan["goal"].as_str()), (Some("auth-service"), Some("serve")));
    assert_eq!(said(&output.stderr), "", "a script reads standard error, too");
}

/// `bootagent ... | head -1`: the reader has heard enough, which is not a failure.
#[test]
fn a_closed_pipe_is_not_a_failure() {
    let home = directory(&[PACKAGE, LOCK]);
    let plan = dry_run(home.path());
    let mut validate = bootagent();
    validate.arg("validate").arg(home.path());
    let mut facts = bootagent();
    facts.args(["facts", "--local"]);
    let mut help = bootagent();
    help.arg("--help");
    for mut command in [plan, validate, facts, help] {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        drop(child.stdout.take());
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(0), "{command:?}: {}", said(&output.stderr));
        assert!(!said(&output.stderr).contains("panicked"), "{}", said(&output.stderr));
    }
    // A closed stderr is not an error either.
    let mut child = bootagent().args(["validate", "/absent"]).stderr(Stdio::piped()).spawn().unwrap();
    drop(child.stderr.take());
    assert_eq!(child.wait().unwrap().code(), Some(64));
}

#[test]
fn an_answer_that_cannot_be_written_is_a_failure() {
    let full = std::fs::File::options().write(true).open("/dev/full").unwrap();
    let output = bootagent().args(["facts", "--local"]).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(said(&output.stderr).contains("writing to standard output"), "{}", said(&output.stderr));
}

#[test]
fn status_before_any_run_is_3() {
    assert!(
        !Path::new("/run/bootagent/status.json").exists(),
        "this machine boots with bootagent: run this elsewhere"
    );
    let output = ran(&["status"]);
    assert_eq!(
        (output.status.code(), said(&output.stdout)),
        (Some(3), "not started: no run in this boot yet\n".to_owned())
    );
    let output = ran(&["status", "--output", "json"]);
    let status: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((output.status.code(), status["state"].as_str()), (Some(3), Some("not-started")));
    let started = std::time::Instant::now();
    assert_eq!(ran(&["status", "--wait", "--timeout", "1s"]).status.code(), Some(3));
    assert!(started.elapsed().as_millis() >= 900, "it did not wait");
}

/// The environment does not lead in: no variable changes what is planned.
#[test]
fn the_environment_decides_nothing() {
    let home = directory(&[]);
    let plain = dry_run(home.path()).output().unwrap();
    std::fs::remove_dir_all(home.path().join("repo")).unwrap();
    let hostile = dry_run(home.path())
        .envs([
            ("BOOTAGENT_REPOSITORY", "https://evil.example"),
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
            ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1"),
            ("GIT_DIR", "/absent"),
            ("HTTPS_PROXY", "http://127.0.0.1:1"),
            ("HOME", "/absent"),
            ("TMPDIR", "/absent"),
        ])
        .output()
        .unwrap();
    assert_eq!(said(&hostile.stdout), said(&plain.stdout), "{}", said(&hostile.stderr));
}

/// The same dry run with another value of one flag.
fn with(dry: &Command, home: &TempDir, flag: &str, value: &str) -> Command {
    let kept = dry.get_args().filter(|argument| !argument.to_str().unwrap().starts_with(flag));
    let mut command = bootagent();
    command.current_dir(home).args(kept).arg(format!("{flag}={value}"));
    command
}

#[test]
fn a_dry_run_waits_no_longer_than_a_run_may() {
    let home = directory(&[]);
    // It listens, and that is all it does.
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let repository = format!("http://{}/a.git", server.local_addr().unwrap());
    let mut command = with(&dry_run(home.path()), &home, "--repository", &repository);
    if nix::unistd::geteuid().is_root() {
        // Root's fetch is a unit, and there may be no systemd here.
        command.uid(65534);
    }
    let started = std::time::Instant::now();
    let output = command.arg("--budget=3s").output().unwrap();
    assert!(started.elapsed().as_secs() < 60, "it waited {:?}", started.elapsed());
    let told = said(&output.stderr);
    assert_eq!(output.status.code(), Some(75), "{told}");
    assert!(told.contains("E-GIT-UNREACHABLE") || told.contains("waiting for fetch"), "{told}");
}

#[test]
fn a_file_of_a_flag_that_is_not_text_is_usage() {
    let home = directory(&[]);
    std::fs::write(home.path().join("bytes"), b"A=\xff\n").unwrap();
    let dry = dry_run(home.path());
    for flag in ["--env-file", "--policy", "--facts", "--manifest"] {
        for value in ["bytes", "."] {
            let mut command = with(&dry, &home, flag, value);
            let output = command.args(["--service=auth-service", "--environment=test"]).output().unwrap();
            let told = said(&output.stderr);
            assert_eq!(output.status.code(), Some(64), "{flag} {value}: {told}");
            assert!(told.contains(flag) && told.contains("[E-USAGE]"), "{flag} {value}: {told}");
        }
    }
}

const AWKWARD: &str = r#"{
  "PLAIN": "canary-plain", "PEM": "canary\r\npem", "QUOTES": "canary'\"` #", "LD_PRELOAD": "canary.so",
  "NODE_OPTIONS": "--canary", "NUL": "canary\u0000", "NOBODY": "canary\uffff"
}"#;

#[test]
fn env_check_says_which_keys_arrive_and_never_a_value() {
    let home = directory(&[("secret", AWKWARD), ("fine", "A=canary one\nB='canary # two'\n")]);
    let check = |arguments: &[&str]| {
        let output = bootagent().current_dir(&home).args(["env", "check"]).args(arguments).output().unwrap();
        let all = said(&output.stdout) + &said(&output.stderr);
        assert!(!all.contains("canary"), "a value is shown: {all}");
        (output.status.code(), said(&output.stdout), said(&output.stderr))
    };
    let (status, text, _) = check(&["--env-file=secret"]);
    assert_eq!(status, Some(78), "{text}");
    for line in [
        "= PLAIN: arrives unchanged",
        "~ PEM: only in the process environment, not in .env: it contains a carriage return",
        "~ QUOTES: only in the process environment",
        "! LD_PRELOAD: does not arrive: refused",
        "! NUL: does not arrive: it contains a NUL",
        "! NOBODY: does not arrive: it contains a Unicode noncharacter",
        "add \"NODE_OPTIONS\" to env.allow",
        "no manifest is known",
    ] {
        assert!(text.contains(line), "{line} is not in\n{text}");
    }
    let (status, text, _) = check(&["--env-file=secret", "--output=json"]);
    let told: serde_json::Value = serde_json::from_str(&text).unwrap();
    assert_eq!((status, told["keys"].as_array().unwrap().len()), (Some(78), 7));
    assert_eq!(told["keys"][4]["arrives"], "environment-only", "{text}");

    let (status, text, _) = check(&["--env-file=fine"]);
    assert_eq!((status, text.matches("\n= ").count()), (Some(0), 2), "{text}");
}

#[test]
fn env_check_knows_the_manifest() {
    let manifest = "env = { file = false, allow = ['NODE_OPTIONS'] }\n";
    let secret = r#"{"NODE_OPTIONS": "--canary", "PEM": "canary\r\n"}"#;
    let home = directory(&[("secret", secret), ("bootagent.toml", manifest), ("bad.toml", "prot = 1\n")]);
    let check = |manifest: &str| {
        let arguments = ["env", "check", "--env-file=secret", manifest];
        bootagent().current_dir(&home).args(arguments).output().unwrap()
    };
    let output = check("--manifest=bootagent.toml");
    assert_eq!(output.status.code(), Some(0), "{}", said(&output.stdout));
    assert_eq!(said(&output.stdout).matches("(there is no .env)").count(), 2);
    assert_eq!(check("--manifest=bad.toml").status.code(), Some(78));
}

#[test]
fn env_check_of_what_is_not_a_secret_ends_as_a_run_would() {
    let home = directory(&[("twice", "A=canary\nA=canary\n"), ("broken", "{\"A\": \"canary")]);
    for (arguments, status, code) in [
        (&["--env-file=twice"][..], 78, "E-SECRET-INVALID"),
        (&["--env-file=broken"], 78, "E-SECRET-INVALID"),
        (&["--env-file=absent"], 64, "E-USAGE"),
        (&["--env-file=twice", "--secret=x"], 64, "cannot be used with"),
    ] {
        let output = bootagent().current_dir(&home).args(["env", "check"]).args(arguments).output().unwrap();
        let told = said(&output.stderr);
        assert_eq!(output.status.code(), Some(status), "{arguments:?}: {told}");
        assert!(told.contains(code) && !told.contains("canary"), "{arguments:?}: {told}");
    }
    let mut other = bootagent();
    other.args(["env", "check"]);
    if nix::unistd::geteuid().is_root() {
        other.uid(65534);
    }
    let output = other.output().unwrap();
    assert_eq!(output.status.code(), Some(64));
    assert!(said(&output.stderr).contains("--secret"), "{}", said(&output.stderr));
}

/// On an instance whose metadata answers the proof refuses, as it must; this is for all other machines.
#[test]
fn a_wrapper_that_is_told_to_stop_waits_for_its_child_and_tells_how_that_ended() {
    let wrapped = |script: &str| {
        let mut command = bootagent();
        command.env("PATH", "/usr/bin:/bin").args(["__child", "prove-and-run", "--", "sh", "-c", script]);
        command.output().unwrap().status
    };
    if wrapped("exit 0").code() != Some(189) {
        assert_eq!(wrapped("kill -TERM $PPID; sleep 0.1; exit 7").code(), Some(7));
        assert_eq!(wrapped("kill -TERM $$; exit 0").code(), Some(143));
    }
}

/// What a dry run says that fetches from a server which never answers, until it said `enough` so many times.
fn said_while_waiting(prelude: &str, enough: &str, times: usize) -> String {
    use std::io::Read;
    let home = directory(&[]);
    drop(dry_run(home.path()));
    // It listens, and that is all it does.
    let server = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let line = format!(
        "{prelude} exec {} --dry-run --facts=facts.json --policy=policy.toml --env-file=secret --repository=http://{}/a.git",
        env!("CARGO_BIN_EXE_bootagent"),
        server.local_addr().unwrap()
    );
    // util-linux gives it a terminal.
    let mut terminal = Command::new("script");
    if nix::unistd::geteuid().is_root() {
        // Root's fetch is a unit, and there may be no systemd here.
        terminal.uid(65534);
    }
    let mut child = terminal
        .args(["--quiet", "--flush", "--return", "--command", &line, "/dev/null"])
        .current_dir(&home)
        .env_clear()
        .env("PATH", "/usr/bin:/bin")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut output = child.stdout.take().unwrap();
    let mut all = String::new();
    let started = std::time::Instant::now();
    let mut chunk = [0; 4096];
    while all.matches(enough).count() < times && started.elapsed() < std::time::Duration::from_secs(60) {
        match output.read(&mut chunk).unwrap() {
            0 => break,
            count => all += &String::from_utf8_lossy(&chunk[..count]),
        }
    }
    child.kill().unwrap();
    child.wait().unwrap();
    all
}

const CLEAR: &str = "\r\u{1b}[K";
const LIVING: &str = " s: fetching branch test of http://127.0.0.1:";

#[test]
fn on_a_terminal_one_line_lives() {
    // A second may be missing where the machine is busy: the line is rewritten, whatever it counts.
    let said = said_while_waiting("TERM=xterm", LIVING, 3);
    assert!(said.contains(&format!("{CLEAR}bootagent")), "{said:?}");
    let living: Vec<&str> = said.split(CLEAR).filter(|line| line.contains(LIVING)).collect();
    assert_eq!(living.len(), 3, "{said:?}");
    // Never a newline behind one: the next takes its place.
    assert!(living.iter().all(|line| !line.contains('\n')), "{living:?}");
    assert!(living.iter().all(|line| line.contains(" s  fetch ")), "{living:?}");
    assert!(living[0] != living[1] && living[1] != living[2], "{living:?}");
}

#[test]
fn on_a_narrow_terminal_it_stays_one_row() {
    let said = said_while_waiting("stty rows 24 cols 40; TERM=xterm", "...", 3);
    let living: Vec<&str> = said.split(CLEAR).filter(|line| line.contains("fetch ")).collect();
    let rows = living.iter().filter(|line| line.ends_with("..."));
    assert!(rows.clone().count() > 0 && rows.into_iter().all(|line| line.len() < 40), "{living:?}");
}

#[test]
fn without_such_a_terminal_there_are_plain_lines() {
    for prelude in ["TERM=dumb", "TERM=xterm NO_COLOR=1", ""] {
        let said = said_while_waiting(prelude, "fetch: fetching branch test of http://", 1);
        assert!(!said.contains('\u{1b}'), "{prelude}: {said:?}");
        assert!(said.contains("fetch: fetching branch test of http://"), "{prelude}: {said:?}");
        assert_eq!(said.matches("fetch: ").count(), 1, "{prelude}: {said:?}");
    }
}

/// The statements of bootagent iam-policy with this policy, by their Sid.
fn permissions(
    policy: &str,
    manifest: Option<&str>,
    flags: &[&str],
) -> serde_json::Map<String, serde_json::Value> {
    let policy = format!("repository = \"https://git.test/{{service}}.git\"\n{policy}");
    let home = directory(&[("policy.toml", &policy), ("bootagent.toml", manifest.unwrap_or_default())]);
    let mut command = bootagent();
    command.current_dir(&home).args([
        "iam-policy",
        "--policy=policy.toml",
        "--service=auth",
        "--environment=prod",
    ]);
    command.args(manifest.map(|_| "--manifest=bootagent.toml")).args(flags);
    let output = command.output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", said(&output.stderr));
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(document["Version"], "2012-10-17");
    let statements = document["Statement"].as_array().unwrap().iter();
    statements.map(|one| (one["Sid"].as_str().unwrap().to_owned(), one.clone())).collect()
}

#[test]
fn the_printed_permissions_are_those_that_are_switched_on() {
    let sids = |of: &serde_json::Map<String, serde_json::Value>| {
        let mut sids: Vec<String> = of.keys().cloned().collect();
        sids.sort();
        sids
    };
    let least = permissions("", None, &["--account=123456789012", "--region=eu-west-1"]);
    assert_eq!(sids(&least), ["Secrets"]);
    let secret = "arn:aws:secretsmanager:eu-west-1:123456789012:secret:service_env_auth_prod-??????";
    assert_eq!(least["Secrets"]["Resource"], serde_json::json!([secret]));

    let manifest = "secret = false\nruntime = \"docker\"\n[docker]\n\
        image = \"123456789012.dkr.ecr.eu-west-1.amazonaws.com/acme/auth:1.4\"\n\
        [env]\nfrom = [{ parameters = \"/auth/prod\" }]\n";
    let policy = "git_credential = \"git/{service}\"\n[lifecycle]\nhook = \"ready\"\n[fleet]\nprefix = \"s3://acme-fleet/x\"\n";
    let all = permissions(policy, Some(manifest), &["--region=cn-north-1", "--group=auth-prod"]);
    let expected = [
        "ImageToken",
        "LifecycleHook",
        "ListFleetMemory",
        "ParameterPaths",
        "PullImage",
        "ReadFleetMemory",
        "Secrets",
        "WriteFleetMemory",
    ];
    assert_eq!(sids(&all), expected);
    let text = serde_json::to_string(&all).unwrap();
    for part in [
        "arn:aws-cn:secretsmanager:cn-north-1:*:secret:git/auth-??????",
        "arn:aws:ecr:eu-west-1:123456789012:repository/acme/auth\"",
        "autoScalingGroupName/auth-prod",
        "parameter/auth/prod/*",
        "arn:aws-cn:s3:::acme-fleet/x/auth/prod/reports/*",
        "\"s3:prefix\":[\"x/auth/prod/*\"]",
    ] {
        assert!(text.contains(part), "no {part} in {text}");
    }
    // Bundles are written only if the policy says so; the branch's, never by an instance.
    assert!(!text.contains("bundle"));
    let origins = "[origins]\nbundles = \"write\"\nmirror = \"https://m.test/x\"\nmirror_credential = \"mirror/{service}\"\n";
    let writing = permissions(&format!("{policy}{origins}"), None, &[]);
    assert!(writing["WriteFleetMemory"].to_string().contains("x/auth/prod/bundles/*"));
    assert!(!writing["WriteFleetMemory"].to_string().contains("branch.bundle"));
    assert!(writing["Secrets"].to_string().contains("secret:mirror/auth-??????"));
    let operator = permissions(&format!("{policy}{origins}"), None, &["--for=operator"]);
    assert!(operator["Bundles"].to_string().contains("branch.bundle"));
    let cache = "[cache]\nreleases = \"write\"\nsecret = \"cache/{service}\"\n";
    let caching = permissions(&format!("{policy}{cache}"), None, &[]);
    assert!(caching["WriteFleetMemory"].to_string().contains("x/auth/prod/releases/*"));
    assert!(caching["Secrets"].to_string().contains("secret:cache/auth-??????"));
    // An instance never writes the pin, and an operator nothing else.
    assert!(!all["WriteFleetMemory"].to_string().contains("pin.json"));
    let operator = permissions(policy, None, &["--for=operator"]);
    assert_eq!(
        operator["Pin"]["Resource"],
        serde_json::json!(["arn:aws:s3:::acme-fleet/x/auth/prod/pin.json"])
    );
}

#[test]
fn commands_for_a_fleet_say_what_they_lack() {
    for (line, code, says) in [
        (&["why", "i-0123"][..], 64, "--fleet s3://BUCKET/PATH"),
        (&["why", "../x", "--fleet", "s3://acme-fleet"], 64, "not an instance's id"),
        (&["fleet", "--fleet", "s3://acme-fleet"], 78, "--service"),
        (&["why", "i-0123", "--fleet", "https://acme"], 78, "fleet.prefix"),
        (&["iam-policy", "--service", "auth"], 78, "--environment"),
        (&["rollout", "--back", "--commit", "0123456"], 64, "cannot be used with"),
    ] {
        let output = ran(line);
        let told = said(&output.stderr);
        assert!(output.status.code() == Some(code) && told.contains(says), "{line:?}: {told}");
    }
}
