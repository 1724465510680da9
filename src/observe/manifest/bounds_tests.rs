//! A push cannot make the parsing of a manifest slow.

use std::time::Duration;

use nix::time::{ClockId, clock_gettime};
use proptest::prelude::*;

use super::*;
use crate::facts::LONGEST_EVIDENCE;
use crate::planner::runtime::tables;

/// Of the processor, so that a busy machine changes little; enough for a debug build. Without bounds, parsing 86 kB took minutes.
const AT_ONCE: Duration = Duration::from_secs(2);

fn judged(text: &str) -> Result<Manifest> {
    let of_this_thread = || Duration::from(clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap());
    let began = of_this_thread();
    let read = Manifest::parse("bootagent.toml", text, None, &tables());
    let took = of_this_thread() - began;
    assert!(took < AT_ONCE, "{} bytes took {took:?}: {:.200}", text.len(), text);
    read
}

/// Names of the same length with a common prefix: the slowest ones to compare.
fn names(prefix: &str, count: usize) -> impl Iterator<Item = String> {
    (0..count).map(move |number| format!("{prefix}{number:05}"))
}

fn list(entries: impl Iterator<Item = String>) -> String {
    format!("[{}]", entries.map(|entry| format!("\"{entry}\"")).collect::<Vec<_>>().join(", "))
}

/// Overlays times values times allowed names.
fn cubic(overlays: usize, values: usize, allow: usize) -> String {
    let mut text = format!("[env]\nallow = {}\n[env.values]\n", list(names("PERL", allow)));
    text.extend(names("PERL", values).map(|name| format!("{name} = \"\"\n")));
    text.extend(names("e", overlays).map(|name| format!("[environments.{name}]\n")));
    text
}

#[test]
fn a_manifest_that_took_minutes_is_refused_at_once() {
    let text = cubic(1700, 1700, 1700);
    assert!((80_000..100_000).contains(&text.len()), "{} bytes", text.len());
    let error = judged(&text).unwrap_err().to_string();
    assert!(error.contains("env.allow has 1700 entries; the limit is 100"), "{error}");
}

#[test]
fn the_largest_manifest_that_is_allowed_is_read_at_once() {
    let text = cubic(50, 100, 100);
    let read = judged(&text).unwrap();
    assert_eq!((read.env.values.len(), read.env.allow.len()), (100, 100));
    let plain = names("PUBLIC", 1000).map(|name| format!("{name} = \"{}\"\n", "x".repeat(200)));
    let overlays = names("e", 50).map(|name| format!("[environments.{name}]\nport = 3000\n"));
    let text = format!("[env.values]\n{}{}", plain.collect::<String>(), overlays.collect::<String>());
    assert!(text.len() > 200_000);
    assert_eq!(judged(&text).unwrap().env.values.len(), 1000);
}

#[test]
fn every_list_and_table_has_a_documented_limit() {
    let commands = |key: &str, count| format!("{key} = {}", list(names("npm run s", count)));
    let table = |count| names("A", count).map(|name| format!("{name} = \"\"\n")).collect::<String>();
    let overlays =
        |count| names("e", count).map(|name| format!("[environments.{name}]\n")).collect::<String>();
    let statuses = |count: usize| (0..count).map(|_| "200").collect::<Vec<_>>().join(", ");
    type Limit<'a> = (&'a str, usize, &'a dyn Fn(usize) -> String);
    let limits: &[Limit<'_>] = &[
        ("install", 50, &|count| commands("install", count)),
        ("build", 50, &|count| commands("build", count)),
        ("migrate", 50, &|count| commands("migrate", count)),
        ("packages", 200, &|count| format!("packages = {}", list(names("p", count)))),
        ("persist", 100, &|count| format!("persist = {}", list(names("d/", count)))),
        ("writable", 100, &|count| format!("writable = {}", list(names("d/", count)))),
        ("health.status", 100, &|count| format!("health.status = [{}]", statuses(count))),
        ("env.required", 1000, &|count| format!("env.required = {}", list(names("A", count)))),
        ("env.allow", 100, &|count| format!("env.allow = {}", list(names("PERL", count)))),
        ("env.values", 1000, &|count| format!("[env.values]\n{}", table(count))),
        ("environments", 50, &|count| overlays(count)),
    ];
    let reference = include_str!("../../../docs/reference/manifest.md");
    for (key, most, text) in limits {
        judged(&text(*most)).unwrap_or_else(|error| panic!("{key}: {error}"));
        let error = judged(&text(most + 1)).unwrap_err();
        assert_eq!(error.code(), Code::ManifestInvalid);
        let says = format!("{key} has {} entries; the limit is {most}", most + 1);
        assert!(error.to_string().contains(&says), "{error}");
        assert!(
            reference.contains(&format!("| `{key}` | {most} |")),
            "the reference does not have {key}: {most}"
        );
    }
    let long = |bytes: usize| format!("start = \"{}\"", "x".repeat(bytes));
    judged(&long(8192)).unwrap();
    let error = judged(&long(8193)).unwrap_err().to_string();
    assert!(error.contains("start has 8193 bytes; the limit is 8192"), "{error}");
    let comment = |bytes: u64| "#".repeat(usize::try_from(bytes).unwrap());
    judged(&comment(LONGEST_EVIDENCE)).unwrap();
    let error = judged(&comment(LONGEST_EVIDENCE + 1)).unwrap_err().to_string();
    assert!(error.contains("the file has 262145 bytes; the limit is 262144"), "{error}");
}

#[test]
fn directories_inside_each_other_are_found_without_comparing_all() {
    for (directories, says) in [
        (r#"["a", "a-b", "ab", "a.b", "b/a"]"#, None),
        (r#"["a/b/c", "a/b"]"#, Some(r#""a/b" and "a/b/c""#)),
        (r#"["a", "b", "a/b/c"]"#, Some(r#""a/b/c" and "a""#)),
        (r#"["a", "a-b", "a/b"]"#, Some(r#""a/b" and "a""#)),
        (r#"["a/", "a"]"#, Some(r#""a" and "a""#)),
    ] {
        match (judged(&format!("persist = {directories}")), says) {
            (Ok(_), None) => {}
            (Err(error), Some(says)) => assert!(error.to_string().contains(says), "{directories}: {error}"),
            (read, _) => panic!("{directories}: {read:?}"),
        }
    }
}

/// The beginning of a part of a manifest, and the text that is repeated after it. `%` is replaced by a number.
fn piece() -> impl Strategy<Value = (String, String)> {
    let key = prop_oneof![
        Just("install".to_owned()),
        Just("persist".to_owned()),
        Just("packages".to_owned()),
        Just("port".to_owned()),
        Just("env.allow".to_owned()),
        Just("env.required".to_owned()),
        Just("env.values".to_owned()),
        Just("health.status".to_owned()),
        Just("environments".to_owned()),
        "[a-z.]{1,12}",
    ];
    let entry = prop_oneof![
        Just("\"PERL%\", ".to_owned()),
        Just("\"a/%\", ".to_owned()),
        Just("\"p%\", ".to_owned()),
        Just("200, ".to_owned()),
        Just("[".to_owned()),
        Just("{ a% = ".to_owned()),
        Just("\"".to_owned()),
        Just("'''".to_owned()),
        Just("\\u0041".to_owned()),
        "[ -~]{1,8}",
    ];
    let line = prop_oneof![
        Just("PERL% = \"\"\n".to_owned()),
        Just("[environments.e%]\n".to_owned()),
        Just("[[a.b]]\n".to_owned()),
        Just("[environments.e%.env.values]\nPERL% = \"\"\n".to_owned()),
        Just("a.b.c.d.e.f% = 1\n".to_owned()),
        Just("[a.%.b]\n".to_owned()),
        Just("# %\n".to_owned()),
        Just("unknown% = 1\n".to_owned()),
        Just("\r\n".to_owned()),
        Just("port = 1\n".to_owned()),
        "[ -~]{1,30}\n",
    ];
    prop_oneof![
        (key.clone(), entry).prop_map(|(key, entry)| (format!("{key} = ["), entry)),
        (key, line.clone()).prop_map(|(key, line)| (format!("[{key}]\n"), line)),
        line.prop_map(|line| (String::new(), line)),
    ]
}

/// A manifest of the largest size, of pieces that are repeated with increasing numbers.
fn manifest() -> impl Strategy<Value = String> {
    (prop::collection::vec(piece(), 1..5), any::<bool>()).prop_map(|(pieces, closed)| {
        let room = usize::try_from(LONGEST_EVIDENCE).unwrap() / pieces.len();
        let mut text = String::new();
        for (begin, again) in pieces {
            let end = text.len() + room - 2;
            text.push_str(&begin);
            for number in 0.. {
                let again = again.replace('%', &number.to_string());
                if text.len() + again.len() > end {
                    break;
                }
                text.push_str(&again);
            }
            text.push_str(if closed && begin.ends_with('[') { "]\n" } else { "\n" });
        }
        text
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn every_manifest_up_to_the_limit_is_judged_at_once(text in manifest()) {
        prop_assert!(text.len() as u64 <= LONGEST_EVIDENCE);
        let _ = judged(&text);
    }
}
