//! Manifests that are refused, and the line and column in the error.

use super::tests::{error, read};
use super::*;
use crate::planner::runtime::tables;

#[test]
fn unknown_keys_are_refused_with_the_nearest_known_one() {
    for (text, want) in [
        ("prot = 1", "1:1: unknown key \"prot\"; did you mean \"port\"?"),
        ("\n  instal = \"x\"", "2:3: unknown key \"instal\"; did you mean \"install\"?"),
        ("Port = 1", "1:1: unknown key \"Port\"; did you mean \"port\"?"),
        ("[helth]\npath = \"/\"", "1:2: unknown key \"helth\"; did you mean \"health\"?"),
        ("[health]\npaht = \"/\"", "2:1: unknown key \"paht\" in health; did you mean \"path\"?"),
        ("[env]\nrequire = []", "2:1: unknown key \"require\" in env; did you mean \"required\"?"),
        ("[node]\nversions = \"22\"", "2:1: unknown key \"versions\" in node; did you mean \"version\"?"),
        (
            "[health]\npath = \"/\"\nport = 1",
            "3:1: unknown key \"port\" in health; move \"port\" above the first [table]",
        ),
        (
            "user = \"root\"",
            "1:1: unknown key \"user\"; known here: build, build_first, compose, directory, docker, env, environments, health,",
        ),
        ("[programs]\napt = []", "1:2: unknown key \"programs\"; known here: "),
        ("migration = \"x\"", "1:1: unknown key \"migration\"; known here: "),
        (
            "[environments.prod]\nprot = 1",
            "2:1: unknown key \"prot\" in environments.prod; did you mean \"port\"?",
        ),
        (
            "[environments.prod.health]\nsok = 1",
            "2:1: unknown key \"sok\" in environments.prod.health; did you mean \"soak\"?",
        ),
        (
            "[environments.prod.environments.test]",
            "1:20: unknown key \"environments\" in environments.prod; known here: build",
        ),
        ("\"\\u001b[31m\" = 1", "1:1: unknown key \"\\u{1b}[31m\"; known here: "),
    ] {
        let message = error(text);
        assert!(message.starts_with(want), "{text:?}\n got {message}\nwant {want}");
    }
}

#[test]
fn wrong_values_are_refused_at_their_place() {
    for (text, want) in [
        ("runtime = \"ruby\"", "1:11: runtime is \"ruby\"; expected one of \"node\""),
        ("runtime = 1", "1:11: runtime is an integer; expected one of \"node\""),
        (
            "install = true",
            "1:11: install is true; expected a command, a list of commands, or false for none",
        ),
        ("install = \"\"", "1:11: install is empty"),
        ("build = [\"a\", \" \"]", "1:15: build is empty"),
        ("build = [\"a\", 1]", "1:15: build is an integer; expected a command"),
        ("migrate = [\"a\", \"\"]", "1:17: migrate is empty"),
        ("migrate = 1", "1:11: migrate is an integer; expected a command, a list of commands, or false"),
        ("start = \"a\\nb\"", "1:9: start has a line break"),
        ("start = \"a\\u0000\"", "1:9: start has a line break or another control character"),
        ("start = [\"a\"]", "1:9: start is an array; expected a command"),
        ("start = false", "1:9: start is false; expected a command"),
        ("port = 0", "1:8: port is 0; expected a number from 1024 to 65535"),
        ("port = 65536", "1:8: port is 65536"),
        ("port = -1", "1:8: port is -1"),
        ("port = \"3000\"", "1:8: port is a string"),
        ("port = 3000.0", "1:8: port is a float"),
        ("secret = \"no\"", "1:10: secret is a string; expected true or false"),
        ("health = 1", "1:10: health is an integer; expected a path or a table"),
        ("health = \"health\"", "1:10: health is \"health\"; expected a path that starts with /"),
        ("[health]\npath = \"/a b\"", "2:8: health.path has blanks"),
        ("[health]\npath = \"/a\\r\\nHost: x\"", "2:8: health.path has blanks"),
        ("[health]\npath = \"/é\"", "2:8: health.path has blanks, control characters or non-ASCII letters"),
        ("[health]\nstatus = 99", "2:10: health.status is 99; expected an HTTP status from 100 to 599"),
        ("[health]\nstatus = [200, 600]", "2:16: health.status is 600"),
        ("[health]\nstatus = []", "2:10: health.status is an empty list"),
        ("[health]\nstatus = \"2xx\"", "2:10: health.status is a string"),
        ("[health]\ntimeout = 0", "2:11: health.timeout is 0; expected seconds from 1 to 3600"),
        ("[health]\ntimeout = \"3601s\"", "2:11: health.timeout is \"3601s\""),
        ("[health]\ntimeout = \"2m\"", "2:11: health.timeout is \"2m\"; expected seconds from 1 to 3600"),
        ("[health]\ntimeout = \"s\"", "2:11: health.timeout"),
        ("[health]\ntimeout = \"+5s\"", "2:11: health.timeout"),
        ("[health]\nsoak = 1.5", "2:8: health.soak is a float"),
        ("node = \"22\"", "1:8: node is a string; expected a table"),
        ("[node]\nversion = 22", "2:11: node.version is an integer; expected an npm version range"),
        ("[node]\nversion = \"\"", "2:11: node.version is \"\""),
        (
            "[node]\nversion = \"lts/iron\"",
            "2:11: node.version is \"lts/iron\"; expected an npm version range",
        ),
        ("[env]\nfile = \".env\"", "2:8: env.file is a string; expected true or false"),
        ("[env]\nrequired = [\"A\", \"B-C\"]", "2:18: env.required has \"B-C\"; expected a variable name"),
        ("[env]\nallow = [\"LD_PRELOAD\"]", "2:10: env.allow has LD_PRELOAD, which can never be allowed"),
        (
            "[env]\nvalues = { A = 1 }",
            "2:16: env.values.A is an integer; expected a string: write it in quotes",
        ),
        ("[env.values]\n\"A B\" = \"x\"", "2:1: env.values has \"A B\"; expected a variable name"),
        ("[env.values]\nA = \"\\u0000\"", "2:5: env.values.A has a NUL"),
        ("[env.values]\nPATH = \"/\"", "2:8: env.values.PATH is refused"),
        ("[environments.prod.env.values]\nLD_PRELOAD = \"/\"", "2:14: env.values.LD_PRELOAD is refused"),
        ("environments = 1", "1:16: environments is an integer; expected a table"),
        ("environments.prod = 1", "1:21: environments.prod is an integer; expected a table"),
        ("[environments.Prod]", "1:15: \"Prod\" is not an environment name"),
        ("[environments.prod]\nport = 0", "2:8: environments.prod.port is 0"),
        ("rehearsal = 13000", "1:13: rehearsal is an integer; expected a table"),
        (
            "port = 3000\nrehearsal.port = 0",
            "2:18: rehearsal.port is 0; expected a number from 1024 to 65535",
        ),
        ("port = 3000\nrehearsal.port = 80", "2:18: rehearsal.port is 80; the service may not use ports"),
        ("rehearsal.port = 3002", "1:18: rehearsal.port needs port, the service's usual port"),
        (
            "port = 3002\nrehearsal.port = 3002",
            "2:18: rehearsal.port is the service's own port; expected another one",
        ),
        (
            "port = 3001\nrehearsal.port = 3002\n[environments.prod]\nport = 3002",
            "2:18: rehearsal.port is the service's own port",
        ),
    ] {
        let message = error(text);
        assert!(message.starts_with(want), "{text:?}\n got {message}\nwant {want}");
    }
}

#[test]
fn broken_toml_is_refused_at_its_place() {
    assert!(error("port = 1\nport = 2").starts_with("2:1: "), "{}", error("port = 1\nport = 2"));
    assert!(error("start = \"x").starts_with("1:"));
    assert!(error("port = 1\nstart").starts_with("2:6: "), "{}", error("port = 1\nstart"));
    assert!(error("# é\nport = é").starts_with("2:8: "), "{}", error("# é\nport = é"));
    assert!(error("\u{0}").starts_with("1:"));
    assert!(error(&format!("start = {}", "[".repeat(10_000))).starts_with("1:"), "nesting is bounded");
}

#[test]
fn package_names_cannot_be_options_or_removals() {
    assert_eq!(read("packages = [\"g++\", \"libc6\", \"g++\"]").packages, ["g++", "libc6"]);
    for bad in ["", "a", "-y", "ssh-", "a b", "a=1", "a/b", "./a.deb", "a:i386", "a*", "ré", "a;id", "^a"] {
        let message = error(&format!("packages = [\"{bad}\"]"));
        assert!(message.starts_with("1:13: packages has "), "{bad}: {message}");
    }
}

#[test]
fn persist_stays_inside_the_release() {
    assert_eq!(read("persist = [\"a\", \"b.c/d-e_f\", \"ab\"]").persist, ["a", "b.c/d-e_f", "ab"]);
    for bad in [
        "/var/lib/x",
        "..",
        "../x",
        "a/../b",
        ".",
        "./a",
        "a//b",
        "",
        "/",
        ".env",
        ".git/hooks",
        "a b",
        "a\\nb",
        "a%b",
        "é",
        "a\\\\b",
        "~",
        "$X",
    ] {
        let message = error(&format!("persist = [\"{bad}\"]"));
        assert!(message.starts_with("1:12: persist has "), "{bad}: {message}");
    }
    for nested in ["\"a\", \"a/b\"", "\"a/b\", \"a\"", "\"a\", \"a\"", "\"a\", \"a/\""] {
        let message = error(&format!("persist = [{nested}]"));
        assert!(message.contains("one inside the other"), "{message}");
    }
    assert!(error("persist = \"uploads\"").starts_with("1:11: persist is a string; expected a list"));
}

#[test]
fn every_key_of_the_lists_is_known() {
    // "did you mean" must not suggest a key that is refused afterwards.
    for key in [
        "build",
        "env",
        "environments",
        "health",
        "install",
        "migrate",
        "migrate_reversible",
        "node",
        "persist",
        "pm2",
        "port",
        "rehearsal",
        "runtime",
        "secret",
        "start",
        "supervisor",
        "writable",
    ] {
        assert!(!error(&format!("{key} = 1979-05-27")).contains("unknown key"), "{key}");
    }
    for (table, key) in [
        ("health", "check"),
        ("health", "host"),
        ("health", "path"),
        ("health", "soak"),
        ("health", "answer"),
        ("health", "status"),
        ("health", "timeout"),
        ("env", "allow"),
        ("env", "file"),
        ("env", "required"),
        ("env", "values"),
        ("node", "version"),
        ("pm2", "ecosystem"),
        ("pm2", "instances"),
        ("pm2", "kill_timeout"),
        ("pm2", "listen_timeout"),
        ("pm2", "max_memory_restart"),
        ("pm2", "mode"),
        ("pm2", "wait_ready"),
        ("rehearsal", "port"),
    ] {
        assert!(!error(&format!("[{table}]\n{key} = 1979-05-27")).contains("unknown key"), "{table}.{key}");
    }
}

proptest::proptest! {
    #![proptest_config(proptest::test_runner::Config { failure_persistence: None, ..Default::default() })]

    #[test]
    fn no_text_panics_or_reaches_a_terminal_raw(text in "[a-z=\\[\\]\"'\n.#{}, 0-9\u{e9}\u{1b}]{0,60}") {
        if let Err(error) = Manifest::parse("bootagent.toml", &text, None, &tables()) {
            let causes = error.report().causes.concat();
            proptest::prop_assert!(!causes.contains(char::is_control), "{:?}", causes);
        }
    }
}
