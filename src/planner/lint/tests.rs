//! A lint of trees in memory.

use super::*;
use crate::facts::testing::source;

fn linted(files: &[(&str, &str)], uncommitted: Option<&Uncommitted>) -> Lint {
    // The programs that most of these trees start.
    let programs = ["server.js", "server.ts", "x"].map(|path| (path, ""));
    let given = |path: &str| files.iter().any(|(known, _)| *known == path);
    let missing = programs.into_iter().filter(|(path, _)| !given(path));
    let source = source(&files.iter().copied().chain(missing).collect::<Vec<_>>());
    let manifest = source.text("bootagent.toml");
    match lint(&Tree { source: &source, manifest, uncommitted }) {
        Ok(lint) => lint,
        Err(unmet) => panic!("{}", unmet.into_error()),
    }
}

fn codes(lint: &Lint) -> Vec<&'static str> {
    lint.every.warnings.iter().map(|warning| warning.code).collect()
}

const LOCK: (&str, &str) = ("package-lock.json", "{}");
const PORT: (&str, &str) = ("bootagent.toml", "port = 3000\n");

/// A package.json with this start script, and what follows in its object.
fn starting(line: &str, more: &str) -> String {
    format!("{{\"scripts\": {{\"start\": {}}}{more}}}", serde_json::to_string(line).unwrap())
}

#[test]
fn a_usual_service_has_no_warning() {
    for (line, more) in [
        ("node server.js", ", \"engines\": {\"node\": \">=20\"}"),
        ("NODE_ENV=production node server.js", ""),
        ("node server.js --redis localhost:6379", ", \"engines\": {\"node\": \"^22.20.0 || 24.x\"}"),
    ] {
        let package = starting(line, more);
        let lint = linted(&[("package.json", &package), LOCK, PORT], None);
        assert_eq!((codes(&lint), lint.advice), (Vec::new(), Vec::new()), "{line}");
    }
}

#[test]
fn what_is_unusual_has_a_code() {
    for (line, more, code) in [
        ("forever start server.js", ", \"dependencies\": {\"pm2\": \"5\"}", "daemon"),
        ("forever start server.js", ", \"dependencies\": {\"forever\": \"4\"}", "daemon"),
        ("nohup node server.js", "", "daemon"),
        ("node server.js &", "", "daemon"),
        ("node server.js", ", \"engines\": {\"node\": \">=99\"}", "node-not-released"),
        ("node --watch server.js", "", "watcher"),
        ("tsx server.ts", ", \"devDependencies\": {\"tsx\": \"4\"}", "development-dependencies"),
        ("NODE_ENV=development node server.js", "", "node-env"),
        ("node server.js --port 4000", "", "other-port"),
        ("node server.js --host 127.0.0.1", "", "loopback"),
        ("sudo node server.js", "", "sudo"),
    ] {
        let package = starting(line, more);
        let lint = linted(&[("package.json", &package), LOCK, PORT], None);
        assert_eq!(codes(&lint), [code], "{line}: {:?}", lint.every.warnings);
    }
}

#[test]
fn what_the_repository_has_is_looked_at() {
    let package = starting("node server.js", ", \"dependencies\": {\"ms\": \"2\"}");
    let named = starting(
        "node server.js",
        ", \"packageManager\": \"yarn@1.22.22\", \"dependencies\": {\"ms\": \"2\"}",
    );
    let of = |files: &[(&str, &str)]| codes(&linted(files, None));
    let unlocked = ("bootagent.toml", "port = 3000\nlockfile = false\n");
    assert_eq!(of(&[("package.json", &package), unlocked]), ["no-lockfile"]);
    let yarn = ("yarn.lock", "# yarn lockfile v1\n");
    assert_eq!(of(&[("package.json", &named), LOCK, yarn, PORT]), ["two-lockfiles"]);
    assert_eq!(of(&[("package.json", &package), LOCK, PORT, (".env", "A=1")]), ["env-file"]);
    assert_eq!(of(&[("package.json", &package), LOCK, PORT, (".gitmodules", "")]), ["submodules"]);
    assert_eq!(of(&[("package.json", &package), LOCK, PORT, ("logs/.gitkeep", "")]), ["read-only"]);
    for more in [".env.example", "docs/x", "logs.js"] {
        assert_eq!(of(&[("package.json", &package), LOCK, PORT, (more, "")]), Vec::<&str>::new(), "{more}");
    }
    let of_env = |text: &str| of(&[("package.json", &package), LOCK, ("bootagent.toml", text)]);
    assert_eq!(of_env("port = 3000\n[env]\nrequired = [\"NODE_ENV\"]\n"), ["node-env"]);
    assert_eq!(of_env("port = 3000\n[env.values]\nNODE_ENV = \"test\"\n"), ["node-env"]);
    assert_eq!(of_env("port = 3000\n[env.values]\nNODE_ENV = \"production\"\n"), Vec::<&str>::new());
}

#[test]
fn what_is_not_committed_is_named_unless_it_is_a_developer_s_own() {
    let package = starting("node server.js", "");
    let files = [("package.json", package.as_str()), LOCK, PORT, (".env", "A=1")];
    let paths = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let own = Uncommitted { changed: paths(&[]), absent: paths(&[".env"]), ignored: paths(&[".env"]) };
    assert_eq!(codes(&linted(&files, Some(&own))), Vec::<&str>::new());
    assert_eq!(codes(&linted(&files, Some(&Uncommitted::default()))), ["env-file"]);
    let changed = Uncommitted {
        changed: paths(&["a", "b", "c", "d"]),
        absent: paths(&[".env", "package-lock.json", "notes"]),
        ignored: paths(&["package-lock.json", "notes"]),
    };
    let lint = linted(&files, Some(&changed));
    assert_eq!(codes(&lint), ["uncommitted", "ignored"]);
    assert!(lint.every.warnings[0].text.ends_with("a, b, c and 1 more"), "{:?}", lint.every.warnings);
    assert!(
        lint.every.warnings[1].text.starts_with("git ignores package-lock.json:"),
        "{:?}",
        lint.every.warnings
    );
}

#[test]
fn the_port_that_is_known_is_advised() {
    let advised = |line: &str, more: &str| {
        let package = starting(line, more);
        let lint = linted(&[("package.json", &package), LOCK], None);
        assert!(codes(&lint).contains(&"no-port"), "{line}");
        lint.advice.into_iter().map(|advice| advice.line).collect::<Vec<_>>()
    };
    assert_eq!(advised("node x --port 4000", ""), ["port = 4000"]);
    assert_eq!(advised("node x", ", \"dependencies\": {\"express\": \"5\"}"), ["port = 3000"]);
    assert_eq!(advised("node x", ""), ["health.check = \"process\""]);
    assert_eq!(advised("node src/server.js", ""), ["port = 3000"]);
    assert_eq!(advised("node observer.js", ""), ["health.check = \"process\""]);
    assert!(advised("node x --port 80", "").is_empty());
    // A manifest that says how it is checked has been thought about.
    let package = starting("node x --port 4000", "");
    let checked = ("bootagent.toml", "health.check = \"process\"\n");
    let lint = linted(&[("package.json", &package), LOCK, checked], None);
    assert_eq!((codes(&lint), lint.advice), (Vec::new(), Vec::new()));
}

#[test]
fn a_start_command_in_the_foreground_is_advised_if_it_is_known() {
    let advised = |line: &str, file: &str| {
        let package = starting(line, "");
        let lint = linted(&[("package.json", &package), LOCK, PORT, (file, "")], None);
        assert_eq!(codes(&lint), ["daemon"], "{line}");
        lint.advice.into_iter().map(|advice| advice.line).collect::<Vec<_>>().join("\n")
    };
    for (line, advice) in [
        ("forever start app.js -i max", "start = \"node app.js\""),
        ("forever start app.js", "start = \"node app.js\""),
        ("nohup node app.js", "start = \"node app.js\""),
        ("node app.js &", "start = \"node app.js\""),
        ("forever start all", ""),
        ("pm2 restart app", ""),
        ("setsid node app.js", ""),
    ] {
        assert_eq!(advised(line, "app.js"), advice, "{line}");
    }
}

#[test]
fn of_an_environment_only_what_differs_is_shown() {
    let package = starting("node server.js", "");
    let text = "port = 3000\n[environments.stage]\nport = 4000\n[environments.test]\nport = 3000\n";
    let lint = linted(&[("package.json", &package), LOCK, ("bootagent.toml", text)], None);
    let differs: Vec<(&str, Vec<&str>)> = lint
        .environments
        .iter()
        .map(|(name, judged)| (name.as_str(), judged.plan.iter().map(|line| line.name.as_str()).collect()))
        .collect();
    assert_eq!(differs, [("stage", vec!["health check"]), ("test", vec![])]);
    let text = "port = 3000\n[environments.stage]\nstart = \"nohup node x\"\n";
    let lint = linted(&[("package.json", &package), LOCK, ("bootagent.toml", text)], None);
    assert_eq!(lint.warnings(), 1);
    assert_eq!(lint.environments[0].1.warnings[0].code, "daemon");
}

#[test]
fn what_init_writes_is_a_manifest_that_changes_nothing_but_what_it_says() {
    let package = starting("node 'a b.js' \"$X\"", ", \"dependencies\": {\"express\": \"5\"}");
    let files = [("package.json", package.as_str()), LOCK, ("logs/.gitkeep", "")];
    let text = manifest(&linted(&files, None));
    let written = Manifest::parse("x", &text, None, &runtime::tables()).unwrap();
    let port_and_logs =
        Manifest { port: Some(3000), persist: vec!["logs".to_owned()], ..Manifest::default() };
    assert_eq!(written, port_and_logs, "{text}");
    // What is commented is well-formed, too.
    let on: Vec<&str> = text
        .lines()
        .map(|line| {
            line.strip_prefix("# ")
                .filter(|rest| rest.contains(" = ") || rest.starts_with('['))
                .unwrap_or(line)
        })
        .collect();
    let start = Manifest::parse("x", &on.join("\n"), None, &runtime::tables()).unwrap().start;
    // The script itself, and not what it leads to: so what it builds first is still built.
    assert_eq!(start.as_deref(), Some("npm start"), "{text}");
}

#[test]
fn init_leaves_out_what_is_not_known() {
    let package = starting("node worker.js", "");
    let text = manifest(&linted(&[("package.json", &package), LOCK], None));
    assert_eq!(Manifest::parse("x", &text, None, &runtime::tables()).unwrap(), Manifest::default(), "{text}");
    assert!(text.contains("# port = 3000\n") && text.contains("# health.check = \"process\"\n"), "{text}");
}
