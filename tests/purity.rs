//! The planner is a function of its inputs, and what it makes of a secret shows names only. As all that reads what
//! others wrote, it runs beside the thread that hears signals and the budget.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::pin::Pin;
use std::sync::{Arc, mpsc};
use std::task::Poll;

use bootagent::boot;
use bootagent::error::Result;
use bootagent::facts::{
    Branch, Commit, Entry, EntryKind, Facts, Installed, Instance, Seconds, Service, Source, ValuePlace,
};
use bootagent::machine::LocalHost;
use bootagent::machine::jail::request::read_reply;
use bootagent::observe::manifest::Manifest;
use bootagent::observe::secrets::{self, Collected, Content, Merged, PlaceValues, Variables, refused};
use bootagent::observe::{self, CacheWanted, Decision, Flags, NextBoot, Selection};
use bootagent::plan::{self, Action, Plan, Setting, Shown};
use bootagent::planner::runtime::tables;
use bootagent::planner::{self, Unmet, Wanted};
use bootagent::secret::Secret;
use proptest::prelude::*;

const MANIFEST: &str = r#"
port = 3000
health = "/health"
persist = ["uploads"]
env.allow = ["NODE_OPTIONS"]
env.values = { LOG_LEVEL = "info" }
"#;

const PACKAGE: &str = r#"{ "scripts": { "build": "tsc", "start": "started_by=1 node dist/main.js" } }"#;

fn facts() -> Facts {
    Facts {
        instance: Some(Instance {
            id: "i-0123456789abcdef0".to_owned(),
            region: "eu-central-1".to_owned(),
            zone: "eu-central-1a".to_owned(),
            kind: "t3.micro".to_owned(),
            address: None,
        }),
        programs: [("node".to_owned(), vec![node("22.11.0"), node("20.18.1")])].into(),
        ..Facts::default()
    }
}

fn node(version: &str) -> Installed {
    Installed {
        version: version.to_owned(),
        program: format!("/opt/node-v{version}/bin/node").into(),
        beside: ["npm".to_owned()].into(),
    }
}

fn source() -> Source {
    let files = ["bootagent.toml", "package-lock.json", "package.json"];
    Source {
        signed_by: None,
        copy: None,
        repository: "https://example.com/auth-service.git".to_owned(),
        branch: Branch::try_from("test").unwrap(),
        commit: Commit::try_from("0123456789abcdef0123456789abcdef01234567").unwrap(),
        entries: files.map(|path| Entry { path: path.to_owned(), kind: EntryKind::File }).into(),
        directories: Vec::new(),
        gitlinks: Vec::new(),
        evidence: [("package.json".to_owned(), PACKAGE.to_owned())].into(),
        unread: Default::default(),
        is_manifest: false,
        absent: Default::default(),
        listing: Default::default(),
    }
}

fn selection() -> Selection {
    Selection {
        service: Service::try_from("auth-service").unwrap(),
        environment: "test".try_into().unwrap(),
        branch: Branch::try_from("test").unwrap(),
        pinned: None,
        repository: "https://example.com/{service}.git".to_owned(),
        is_manifest: false,
        secret: "service_env_auth-service_test".to_owned(),
        values: Default::default(),
        credential: Some("git_token".to_owned()),
        budget: Seconds(900),
        service_may_use_imds: true,
        imds_users: None,
        lifecycle: None,
        fleet: Default::default(),
        cache: Default::default(),
        copies: Default::default(),
        watch: Default::default(),
        evidence: Default::default(),
        install_secret: String::new(),
        registries: Vec::new(),
        hooks_timeout: Seconds(300),
        low_ports: Default::default(),
        proxy_trust: Vec::new(),
        upkeep: Default::default(),
        limits: Default::default(),
        lockfile: true,
        npm_installs: false,
        network: Default::default(),
        mirrors: Default::default(),
        archives: Default::default(),
        packages: Default::default(),
        settings: vec![said("service", "auth-service")],
        origins: Default::default(),
        notes: Vec::new(),
        bakes: false,
        next_boot: Some(NextBoot {
            instance: "i-0123456789abcdef0".to_owned(),
            flags: None,
            installed: false,
        }),
    }
}

fn said(name: &str, value: &str) -> Setting {
    Setting { name: name.to_owned(), value: value.to_owned(), origin: "test".to_owned() }
}

fn manifest() -> Manifest {
    Manifest::parse("bootagent.toml", MANIFEST, None, &tables()).unwrap()
}

fn planned(secret: &Variables) -> Result<Plan> {
    planned_of(&source(), secret)
}

fn planned_of(source: &Source, secret: &Variables) -> Result<Plan> {
    planner::plan(&Wanted {
        facts: &facts(),
        selection: &selection(),
        source,
        manifest: &manifest(),
        manifest_from: &said("manifest", "bootagent.toml"),
        secret: Some(secret),
        values: None,
        good_environment: None,
    })
    .map_err(Unmet::into_error)
}

/// The key under which a release of these inputs is found in the release cache.
fn cache_key(facts: &Facts, source: &Source, manifest: &str) -> String {
    let directory = Some("/usr/share/releases".into());
    let selection = Selection {
        cache: CacheWanted { directory, ..Default::default() },
        secret: String::new(),
        ..selection()
    };
    let manifest = Manifest::parse("bootagent.toml", manifest, None, &tables()).unwrap();
    let plan = planner::plan(&Wanted {
        facts,
        selection: &selection,
        source,
        manifest: &manifest,
        manifest_from: &said("manifest", "bootagent.toml"),
        secret: Some(&Variables::default()),
        values: None,
        good_environment: None,
    });
    let plan = plan.map_err(Unmet::into_error).unwrap();
    let mut keys = plan.steps.iter().filter_map(|step| match &step.action {
        Action::RestoreRelease(cached) => Some(cached.key.clone()),
        _ => None,
    });
    keys.next_back().unwrap()
}

/// An entry of another commit (and so lockfile), distribution (and so C library), architecture, version of Node, build or
/// public values is another entry.
#[test]
fn each_input_of_a_build_is_in_the_key_of_its_cached_release() {
    let machine = |os: &str, version: &str, arch: &str| {
        let mut facts = facts();
        facts.machine.os = os.to_owned();
        facts.machine.version = version.to_owned();
        facts.machine.arch = arch.to_owned();
        facts
    };
    let debian = machine("debian", "12", "x86_64");
    let mut patched = debian.clone();
    patched.programs.insert("node".to_owned(), vec![node("22.11.1"), node("20.18.1")]);
    let other = Source { commit: Commit::try_from("f".repeat(40)).unwrap(), ..source() };
    let keys = [
        cache_key(&debian, &source(), MANIFEST),
        cache_key(&debian, &other, MANIFEST),
        cache_key(&machine("debian", "13", "x86_64"), &source(), MANIFEST),
        cache_key(&machine("ubuntu", "12", "x86_64"), &source(), MANIFEST),
        cache_key(&machine("debian", "12", "aarch64"), &source(), MANIFEST),
        cache_key(&patched, &source(), MANIFEST),
        cache_key(&debian, &source(), &MANIFEST.replace("info", "debug")),
        cache_key(&debian, &source(), &format!("{MANIFEST}[node]\nversion = '20'\n")),
    ];
    let different: std::collections::BTreeSet<&String> = keys.iter().collect();
    assert_eq!(different.len(), keys.len(), "{keys:#?}");
    assert_eq!(cache_key(&debian, &source(), MANIFEST), keys[0]);
}

fn read(text: &str) -> Result<Variables> {
    secrets::parse("service_env_auth-service_test", text, &manifest().env.allow)
}

fn json(plan: &Plan) -> String {
    serde_json::to_string_pretty(plan).unwrap()
}

/// Everything by which a plan, or what it was made of, could be shown.
fn shown(secret: &Variables, plan: &Plan) -> String {
    [
        json(plan),
        plan::text(plan, Shown { all: true, ..Shown::default() }),
        format!("{plan:?}"),
        format!("{plan:#?}"),
        format!("{secret:?}"),
    ]
    .concat()
}

/// Its name, the part of its value that does not occur by chance, and its value.
type Variable = (String, String, String);

/// A variable whose value does not occur by chance, among all that makes quoting hard.
fn variable() -> impl Strategy<Value = Variable> {
    let name = "[A-Z_][A-Z0-9_]{0,12}".prop_filter("refused, or shown by intent", |name| {
        refused(name, &[].into()).is_none() && name != "PORT"
    });
    let canary = any::<u64>().prop_map(|number| format!("canary{number:016x}"));
    let around = prop_oneof![
        "[ -~]{0,8}".boxed(),
        any::<String>()
            .prop_filter("nothing carries it", |text| !text.contains('\0') && !text.chars().any(is_refused))
            .boxed(),
        Just("\r\n\"'`$\\#".to_owned()).boxed(),
    ];
    (name, canary, around.clone(), around).prop_map(|(name, canary, before, after)| {
        let value = format!("{before}{canary}{after}");
        (name, canary, value)
    })
}

fn is_refused(c: char) -> bool {
    (0xfdd0..=0xfdef).contains(&u32::from(c)) || u32::from(c) & 0xfffe == 0xfffe
}

/// Pairs with different names, in some order, and in another.
fn variables() -> impl Strategy<Value = (Vec<Variable>, Vec<Variable>)> {
    prop::collection::vec(variable(), 1..8)
        .prop_map(|mut all| {
            all.sort();
            all.dedup_by(|a, b| a.0 == b.0);
            all
        })
        .prop_flat_map(|all| (Just(all.clone()).prop_shuffle(), Just(all).prop_shuffle()))
}

fn object(all: &[Variable]) -> String {
    let members: serde_json::Map<String, serde_json::Value> =
        all.iter().map(|(name, _, value)| (name.clone(), value.clone().into())).collect();
    serde_json::to_string(&members).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_same_inputs_give_the_same_plan((all, _) in variables()) {
        let secret = read(&object(&all)).unwrap();
        prop_assert_eq!(json(&planned(&secret).unwrap()), json(&planned(&secret).unwrap()));
        prop_assert_eq!(shown(&secret, &planned(&secret).unwrap()), shown(&secret, &planned(&secret).unwrap()));
    }

    #[test]
    fn the_order_of_a_secret_s_keys_is_nothing((one, other) in variables()) {
        let (one, other) = (read(&object(&one)).unwrap(), read(&object(&other)).unwrap());
        prop_assert_eq!(&one, &other);
        let (one, other) = (planned(&one).unwrap(), planned(&other).unwrap());
        prop_assert_eq!(json(&one), json(&other));
        // What is written is the same, too, not only what is shown of it.
        prop_assert_eq!(contents(&one), contents(&other));
    }

    #[test]
    fn no_plan_shows_a_value((all, _) in variables()) {
        let secret = read(&object(&all)).unwrap();
        let plan = planned(&secret).unwrap();
        let shown = shown(&secret, &plan);
        for (name, canary, _) in &all {
            prop_assert!(!shown.contains(canary.as_str()), "{} is shown", name);
            prop_assert!(shown.contains(name.as_str()), "{} is not named", name);
        }
        // The canaries are in the plan: it is the showing that hides them.
        let written = contents(&plan).concat();
        for (name, canary, _) in &all {
            prop_assert!(written.contains(canary.as_str()), "{} is not written", name);
        }
    }

    /// Whatever is wrong with a secret, the error does not quote it.
    #[test]
    fn no_error_shows_a_value((all, _) in variables(), at in any::<prop::sample::Index>(), noise in "[\\x00\"'{},:=#\\\\]") {
        let text = object(&all);
        let at = (0..=at.index(text.len())).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
        let lines: String = all.iter().map(|(name, _, value)| format!("{name}={value}\n")).collect();
        let refused = format!("{{\"LD_PRELOAD\":{}}}", serde_json::Value::from(all[0].2.clone()));
        let uncarried = format!("{{\"A\":{}}}", serde_json::Value::from(format!("{}\u{ffff}", all[0].2)));
        for broken in [
            text[..at].to_owned(),
            format!("{}{noise}{}", &text[..at], &text[at..]),
            lines.clone(),
            format!("{}{noise}{lines}", &text[..at]),
            refused,
            uncarried,
        ] {
            let Err(error) = read(&broken).and_then(|secret| planned(&secret)) else { continue };
            let shown = format!("{error}{error:?}{}", serde_json::to_string(&error.report()).unwrap());
            for (_, canary, _) in &all {
                prop_assert!(!shown.contains(canary.as_str()), "{}", shown);
            }
        }
    }
}

/// What the plan would write into files.
fn contents(plan: &Plan) -> Vec<String> {
    let content = |step: &plan::Step| match &step.action {
        plan::Action::WriteFile { content, .. } => Some(content.expose().to_owned()),
        _ => None,
    };
    plan.steps.iter().chain(&plan.recover).filter_map(content).collect()
}

/// A reboot plans from what the first boot recorded, which is less than the commit: the same plan.
#[test]
fn a_reboot_plans_what_the_first_boot_planned() {
    let packages = [
        PACKAGE,
        r#"{ "main": "lib/index.js" }"#,
        r#"{ "main": "./dist/" }"#,
        r#"{ "main": "index.js" }"#,
        r#"{ "main": "absent.js" }"#,
        "{}",
    ];
    for package in packages {
        let mut source = source();
        source.evidence.insert("package.json".to_owned(), package.to_owned());
        for path in ["dist/index.js", "index.js", "lib/index.js", "server.js", "uploads/.gitkeep"] {
            source.entries.push(Entry { path: path.to_owned(), kind: EntryKind::File });
        }
        let selection = selection();
        let recorded = serde_json::to_string(&Decision::of(&selection, &source)).unwrap();
        let decided: Decision = serde_json::from_str(&recorded).unwrap();
        let plan = |source: &Source| {
            let secret = read(r#"{"TOKEN": "1"}"#).unwrap();
            json(&planned_of(source, &secret).unwrap())
        };
        assert_eq!(plan(&source), plan(&decided.source), "{package}");
    }
}

/// Renaming a secret, or a machine with more on it, makes no other release.
#[test]
fn a_release_is_named_by_what_makes_it() {
    let secret = read(r#"{"A": "1"}"#).unwrap();
    let other = read(r#"{"A": "2", "B": "3"}"#).unwrap();
    let release = |secret| {
        let json: serde_json::Value = serde_json::from_str(&json(&planned(secret).unwrap())).unwrap();
        let step =
            json["steps"].as_array().unwrap().iter().find(|step| step["id"] == "finish").unwrap().clone();
        step["action"]["release"].as_str().unwrap().to_owned()
    };
    assert_eq!(release(&secret), release(&other));
}

/// With the only other thread taken, what must run there cannot end; on the async thread, each of these would be done
/// by the first poll.
#[test]
fn what_others_wrote_is_read_beside_the_async_thread() {
    let (machine, flags, selection, manifest) =
        (LocalHost::observer(), Flags::default(), selection(), manifest());
    let mut source = source();
    source.evidence.insert(observe::MANIFEST.to_owned(), MANIFEST.to_owned());
    let merged = Merged { variables: read(r#"{"TOKEN": "1"}"#).unwrap(), ..Merged::default() };
    let service = Arc::new(boot::Service {
        source: source.clone(),
        manifest: manifest.clone(),
        manifest_from: said("manifest", "bootagent.toml"),
        values: Some(Collected { merged, ..Collected::default() }),
    });
    let (place, content) =
        (ValuePlace::Secret("secret".to_owned()), Content::Text(Secret::new(r#"{"TOKEN": "1"}"#)));
    let own = Some(PlaceValues { place, content });
    type Work<'a> = Pin<Box<dyn Future<Output = Result<()>> + 'a>>;
    let mut work: Vec<(&str, Work<'_>)> = vec![
        ("policy", Box::pin(async { observe::policy(&machine, &flags).await.map(drop) })),
        (
            "manifest",
            Box::pin(async {
                observe::manifest(&machine, &selection, &flags, &source, tables()).await.map(drop)
            }),
        ),
        (
            "secret",
            Box::pin(async {
                observe::collected(&manifest, Vec::new(), own, Vec::new(), &flags).await.map(drop)
            }),
        ),
        ("reply", Box::pin(async { read_reply::<u32>(br#"{"ok":1}"#.to_vec()).await.map(drop) })),
        (
            "plan",
            Box::pin(async {
                let made = boot::decide(facts(), selection.clone(), service, None).await;
                made.map(drop).map_err(Unmet::into_error)
            }),
        ),
    ];
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    let runtime = runtime.enable_all().max_blocking_threads(1).build().unwrap();
    runtime.block_on(async {
        let (free, taken) = mpsc::channel::<()>();
        let taken = tokio::task::spawn_blocking(move || taken.recv());
        for (name, work) in &mut work {
            std::future::poll_fn(|context| {
                assert!(work.as_mut().poll(context).is_pending(), "{name} is read on the async thread");
                Poll::Ready(())
            })
            .await;
        }
        free.send(()).unwrap();
        taken.await.unwrap().unwrap();
        for (name, work) in work {
            work.await.unwrap_or_else(|error| panic!("{name}: {error}"));
        }
    });
}

#[test]
fn package_json_has_limits() {
    let with = |table: &str, count: usize| {
        let entries: Vec<String> = (0..count).map(|number| format!("\"k{number}\": \"1\"")).collect();
        let mut source = source();
        let package = format!("{{\"main\": \"dist/main.js\", \"{table}\": {{{}}}}}", entries.join(","));
        source.evidence.insert("package.json".to_owned(), package);
        planned_of(&source, &read(r#"{"TOKEN": "1"}"#).unwrap())
    };
    for (table, most) in [("scripts", 1000), ("engines", 100)] {
        with(table, most).unwrap();
        let error = with(table, most + 1).unwrap_err().to_string();
        let says = format!("package.json: {table} has {} entries; the limit is {most}", most + 1);
        assert!(error.contains(&says), "{error}");
    }
}
