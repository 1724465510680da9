//! The manifest: each key, and the layers per environment.

use super::*;
use crate::planner::runtime::tables;

pub(super) fn read(text: &str) -> Manifest {
    Manifest::parse("bootagent.toml", text, None, &tables()).unwrap_or_else(|error| panic!("{text}\n{error}"))
}

fn read_for(environment: &str, text: &str) -> Manifest {
    let environment = Environment::try_from(environment).unwrap();
    Manifest::parse("bootagent.toml", text, Some(&environment), &tables())
        .unwrap_or_else(|error| panic!("{text}\n{error}"))
}

/// The cause without "reading bootagent.toml: bootagent.toml:".
pub(super) fn error(text: &str) -> String {
    let error =
        Manifest::parse("bootagent.toml", text, None, &tables()).expect_err(&format!("{text:?} was read"));
    assert_eq!(error.code(), Code::ManifestInvalid);
    let report = error.report();
    assert_eq!(report.doing, "reading bootagent.toml");
    report.causes[0].strip_prefix("bootagent.toml:").expect("the place comes first").to_owned()
}

const COMPLETE: &str = r#"
runtime = "node"
lockfile = false
install = "npm ci --omit=dev"
build = ["npm run build", "npm prune"]
migrate = "npm run migrate"
migrate_reversible = true
start = "node server.js"
packages = ["ffmpeg", "libvips42", "ffmpeg"]
port = 3000
rehearsal.port = 13000
secret = false
persist = ["uploads/", "data/files"]
writable = ["public/js/", "db.json"]

[health]
check = "http"
path = "/health"
host = "api.example.com"
status = [200, 204]
timeout = "90s"
soak = 10
answer = "3s"

[node]
version = ">=20 <23"

[env]
file = false
required = ["DATABASE_URL"]
allow = ["NODE_OPTIONS"]
values = { LOG_LEVEL = "info", NODE_OPTIONS = "--max-old-space-size=400" }
"#;

fn complete() -> Manifest {
    let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    Manifest {
        proxy: None,
        low_ports: Vec::new(),
        runtime: Some("node".into()),
        tables: [("node".into(), [pair("version", ">=20 <23")].into())].into(),
        directory: None,
        build_first: Vec::new(),
        lockfile: Some(false),
        install: Some(vec!["npm ci --omit=dev".into()]),
        build: Some(vec!["npm run build".into(), "npm prune".into()]),
        migrate: vec!["npm run migrate".into()],
        migrate_reversible: true,
        start: Some("node server.js".into()),
        supervisor: None,
        pm2: None,
        packages: vec!["ffmpeg".into(), "libvips42".into()],
        port: Some(3000),
        processes: Default::default(),
        limits: Default::default(),
        timers: Default::default(),
        wait_for: Default::default(),
        candidate_port: Some(13000),
        health: Health {
            check: Some(Strength::Http),
            path: Some("/health".into()),
            host: Some("api.example.com".into()),
            status: vec![200, 204],
            timeout: Some(Seconds(90)),
            answer: Seconds(3),
            soak: Seconds(10),
        },
        secret: false,
        persist: vec!["uploads".into(), "data/files".into()],
        writable: vec!["public/js".into(), "db.json".into()],
        env: EnvWish {
            file: false,
            required: vec!["DATABASE_URL".into()],
            values: [pair("LOG_LEVEL", "info"), pair("NODE_OPTIONS", "--max-old-space-size=400")].into(),
            allow: ["NODE_OPTIONS".into()].into(),
            ..EnvWish::default()
        },
        volume: None,
    }
}

#[test]
fn every_key_is_optional() {
    assert_eq!(read(""), Manifest::default());
    assert_eq!(
        read("# nothing\n[health]\n[env]\n[node]\n[environments]\n[environments.prod]\n"),
        Manifest::default()
    );
    let default = Manifest::default();
    assert_eq!((default.health.within(), default.health.soak), (Seconds(120), Seconds(5)));
    assert!(default.secret && default.env.file);
}

#[test]
fn every_key_is_read() {
    assert_eq!(read(COMPLETE), complete());
}

#[test]
fn short_forms_mean_what_the_long_ones_say() {
    assert_eq!(read("health = \"/up\"").health.path.as_deref(), Some("/up"));
    assert_eq!(read("[health]\nstatus = 204").health.status, [204]);
    assert_eq!(read("install = false").install, Some(vec![]));
    assert_eq!(read("build = []").build, Some(vec![]));
    assert_eq!(read("[health]\ntimeout = 3600\nsoak = \"1s\"").health.timeout, Some(Seconds(3600)));
    assert_eq!(read("port = 3001\n[rehearsal]\nport = 3002").candidate_port, Some(3002));
    assert_eq!(read("port = 0x1F90").port, Some(8080));
}

#[test]
fn an_overlay_merges_tables_and_replaces_the_rest() {
    let text = format!(
        "{COMPLETE}\n[environments.stage]\nport = 4000\nbuild = false\nmigrate = [\"a\", \"b\"]\nsecret = true\nhealth = \"/ready\"\n\
         [environments.stage.env]\nrequired = [\"X\"]\nvalues = {{ LOG_LEVEL = \"debug\", NEW = \"1\" }}\n\
         [environments.prod.health]\nsoak = 30\n"
    );
    let mut stage = complete();
    stage.port = Some(4000);
    stage.build = Some(vec![]);
    stage.migrate = vec!["a".into(), "b".into()];
    stage.secret = true;
    stage.health.path = Some("/ready".into());
    stage.env.required = vec!["X".into()];
    stage.env.values.insert("LOG_LEVEL".into(), "debug".into());
    stage.env.values.insert("NEW".into(), "1".into());
    assert_eq!(read_for("stage", &text), stage);
    let mut prod = complete();
    prod.health.soak = Seconds(30);
    assert_eq!(read_for("prod", &text), prod);
    assert_eq!(read_for("test", &text), complete(), "an environment without an overlay has the base");
    assert_eq!(read(&text), complete());
}

#[test]
fn an_overlay_may_have_the_long_name_of_its_environment() {
    let text = "[environments.production]\nport = 4000\n[environments.staging]\nport = 5000\n";
    assert_eq!(read_for("prod", text).port, Some(4000));
    assert_eq!(read_for("production", text).port, Some(4000), "a policy may have it under this name");
    assert_eq!((read_for("stage", text).port, read_for("test", text).port), (Some(5000), None));
    let both = "[environments.prod]\nport = 4000\n[environments.production]\nport = 5000\n";
    assert!(error(both).contains("3:15: environments.production and environments.prod are the same"));
}

#[test]
fn an_overlay_may_set_what_its_own_allow_permits() {
    let text =
        "[environments.test.env]\nallow = [\"NODE_OPTIONS\"]\nvalues = { NODE_OPTIONS = \"--inspect\" }";
    assert_eq!(read_for("test", text).env.values["NODE_OPTIONS"], "--inspect");
    let elsewhere =
        "[environments.test.env]\nallow = [\"NODE_OPTIONS\"]\n[env]\nvalues = { NODE_OPTIONS = \"\" }";
    assert!(error(elsewhere).starts_with("4:27: env.values.NODE_OPTIONS is refused"), "{}", error(elsewhere));
}

#[test]
fn the_examples_of_the_reference_are_read() {
    let reference = include_str!("../../../docs/reference/manifest.md");
    let examples: Vec<&str> =
        reference.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()).collect();
    assert_eq!(examples.len(), 8);
    for example in examples {
        read(example);
    }
    assert_eq!(
        read_for("stage", reference.split("```").nth(1).unwrap().strip_prefix("toml").unwrap()).port,
        Some(3001)
    );
}
