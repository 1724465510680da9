//! Whole lockfiles: what is placed, what is npm's, and what is refused.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::*;
use crate::npm::address::PUBLIC;

struct Commit(BTreeMap<String, String>);

impl Files for Commit {
    fn text(&self, path: &str) -> Option<String> {
        self.0.get(path).cloned()
    }

    fn exists(&self, path: &str) -> bool {
        self.0.keys().any(|file| file == path || file.starts_with(&format!("{path}/")))
    }

    fn directories(&self, path: &str) -> Vec<String> {
        let inside = |file: &String| {
            let rest = if path.is_empty() { file } else { file.strip_prefix(&format!("{path}/"))? };
            Some(rest.split_once('/')?.0.to_owned())
        };
        let mut all: Vec<String> = self.0.keys().filter_map(inside).collect();
        all.dedup();
        all
    }
}

pub fn entry(version: &str) -> Value {
    json!({
        "version": version, "resolved": format!("https://{PUBLIC}/x/-/x-{version}.tgz"),
        "integrity": format!("sha512-{}==", "A".repeat(86))
    })
}

pub fn with(entry: Value, more: Value) -> Value {
    let (Value::Object(mut entry), Value::Object(more)) = (entry, more) else { panic!() };
    entry.extend(more);
    Value::Object(entry)
}

/// The tree of a project that requires `a`, with these packages in its lockfile, and what else the commit has.
pub fn answer(packages: Value, files: &[(&str, Value)], omits_development: bool) -> Result<Tree> {
    let root = json!({ "name": "app", "version": "1.0.0", "dependencies": { "a": "^1.0.0" } });
    let mut all: serde_json::Map<String, Value> = serde_json::Map::new();
    all.insert(String::new(), root.clone());
    let Value::Object(packages) = packages else { panic!() };
    all.extend(packages);
    let lockfile =
        json!({ "name": "app", "version": "1.0.0", "lockfileVersion": 3, "requires": true, "packages": all });
    text(&serde_json::to_string_pretty(&lockfile).unwrap(), root, files, omits_development)
}

fn text(lockfile: &str, root: Value, files: &[(&str, Value)], omits_development: bool) -> Result<Tree> {
    text_of("10.0.0", lockfile, root, files, omits_development)
}

pub fn text_of(
    npm: &str,
    lockfile: &str,
    root: Value,
    files: &[(&str, Value)],
    omits_development: bool,
) -> Result<Tree> {
    let mut commit = BTreeMap::from([("package.json".to_owned(), root.to_string())]);
    commit.extend(files.iter().map(|(path, content)| ((*path).to_owned(), content.to_string())));
    let settings = Settings::read(&[], &[]).unwrap();
    let platform = Platform {
        cpu: "x64".to_owned(),
        libc: Some("glibc".to_owned()),
        node: "22.1.0".to_owned(),
        npm: Some(npm.to_owned()),
    };
    tree(&Inputs {
        lockfile,
        files: &Commit(commit),
        settings: &settings,
        platform: &platform,
        omits_development,
    })
}

fn placed(packages: Value, omits_development: bool) -> Vec<String> {
    let tree = answer(packages, &[], omits_development).unwrap();
    tree.packages.into_iter().map(|package| package.path).collect()
}

#[track_caller]
pub fn is_for_npm(answer: Result<Tree>, why: &str) {
    match answer {
        Err(Obstacle::ForNpm(reason)) => assert!(reason.contains(why), "{reason}"),
        other => panic!("{why}: {other:?}"),
    }
}

const A: &str = "node_modules/a";

#[test]
fn packages_programs_and_the_hidden_lockfile() {
    let a = with(
        entry("1.2.0"),
        json!({ "bin": { "a": "cli.js" }, "dependencies": { "b": "2" }, "license": "MIT", "unknown": 1, "engines": {} }),
    );
    let b = with(entry("2.0.0"), json!({ "hasInstallScript": true, "devOptional": true }));
    let tree = answer(json!({ A: a, "node_modules/a/node_modules/b": b }), &[], false).unwrap();
    let first = &tree.packages[0];
    assert_eq!(
        (first.path.as_str(), first.id.as_str(), first.address.text().as_str()),
        (A, "a@1.2.0", format!("https://{PUBLIC}/x/-/x-1.2.0.tgz").as_str())
    );
    assert_eq!(
        tree.bins,
        [Bin {
            path: "node_modules/.bin/a".into(),
            target: "../a/cli.js".into(),
            file: "node_modules/a/cli.js".into()
        }]
    );
    assert_eq!(tree.builds, ["b"]);
    assert_eq!(
        tree.hidden,
        format!(
            r#"{{
  "name": "app",
  "version": "1.0.0",
  "lockfileVersion": 3,
  "requires": true,
  "packages": {{
    "node_modules/a": {{
      "version": "1.2.0",
      "resolved": "https://{PUBLIC}/x/-/x-1.2.0.tgz",
      "integrity": "sha512-{hash}==",
      "license": "MIT",
      "dependencies": {{
        "b": "2"
      }},
      "bin": {{
        "a": "cli.js"
      }}
    }},
    "node_modules/a/node_modules/b": {{
      "version": "2.0.0",
      "resolved": "https://{PUBLIC}/x/-/x-2.0.0.tgz",
      "integrity": "sha512-{hash}==",
      "devOptional": true,
      "hasInstallScript": true
    }}
  }}
}}
"#,
            hash = "A".repeat(86)
        )
    );
}

#[test]
fn development_packages_are_left_out_if_asked() {
    let dev = with(entry("1.0.0"), json!({ "dev": true }));
    let packages = json!({ A: entry("1.0.0"), "node_modules/d": dev });
    assert_eq!(placed(packages.clone(), false), [A, "node_modules/d"]);
    assert_eq!(placed(packages, true), [A]);
}

#[test]
fn npm_builds_each_name_once() {
    let scripted = with(entry("1.0.0"), json!({ "hasInstallScript": true }));
    let packages = json!({
        A: scripted, "node_modules/b": scripted, "node_modules/c": entry("1.0.0"),
        "node_modules/c/node_modules/a": scripted, "node_modules/c/node_modules/b": scripted,
    });
    assert_eq!(answer(packages, &[], false).unwrap().builds, ["a", "b"]);
}

#[test]
fn empty_directories_of_what_is_left_out_are_those_of_the_version_of_npm() {
    let root = json!({ "dependencies": { "a": "1" }, "devDependencies": { "d": "1" } });
    let dev = with(entry("1.0.0"), json!({ "dev": true }));
    let packages = json!({
        "": root, A: entry("1.0.0"), "node_modules/d": dev, "node_modules/@s/e": dev, "node_modules/@s/e/node_modules/@t/f": dev,
        "node_modules/a/node_modules/@u/g": dev,
    });
    let lockfile = json!({ "lockfileVersion": 3, "packages": packages }).to_string();
    let of = |npm, omits| text_of(npm, &lockfile, root.clone(), &[], omits);
    let left = |npm, omits| of(npm, omits).unwrap().leftovers;
    let of_10 = ["node_modules", "node_modules/@s", "node_modules/a/node_modules/@u"];
    assert_eq!(left("10.9.3", true), of_10);
    for (npm, omits) in [("10.9.3", false), ("11.6.2", true), ("11.19.1", true), ("11.3.0", false)] {
        assert!(left(npm, omits).is_empty(), "{npm}");
    }
    is_for_npm(of("11.3.0", true), "in a way of its own");
    for npm in ["9.9.4", "12.0.0"] {
        is_for_npm(of(npm, false), "is not known here");
    }
    is_for_npm(of("x", false), "not understood");
}

#[test]
fn optional_packages_of_other_machines_go_with_what_only_they_require() {
    let a = with(
        entry("1.0.0"),
        json!({ "optionalDependencies": { "mac": "1", "linux": "1", "new": "1" }, "dependencies": { "shared": "1" } }),
    );
    let optional = |more: Value| with(with(entry("1.0.0"), json!({ "optional": true })), more);
    let packages = json!({
        A: a,
        "node_modules/linux": optional(json!({ "os": ["linux"], "cpu": ["x64"], "libc": ["glibc"] })),
        "node_modules/mac": optional(json!({ "os": ["darwin"], "dependencies": { "only-mac": "1", "shared": "1" } })),
        "node_modules/new": optional(json!({ "engines": { "node": ">=99" } })),
        "node_modules/only-mac": optional(json!({})),
        "node_modules/shared": entry("1.0.0"),
    });
    assert_eq!(placed(packages, false), [A, "node_modules/linux", "node_modules/shared"]);
}

#[test]
fn aliases_and_peers_are_found() {
    let a = with(
        entry("1.0.0"),
        json!({ "dependencies": { "old": "npm:b@^3" }, "peerDependencies": { "p": "1", "absent": "1" }, "peerDependenciesMeta": { "absent": { "optional": true } } }),
    );
    let old = with(entry("3.1.0"), json!({ "name": "b" }));
    assert_eq!(
        placed(json!({ A: a, "node_modules/old": old, "node_modules/p": entry("1.0.0") }), false).len(),
        3
    );
}

#[test]
fn without_an_address_the_usual_one_is_asked() {
    let mut a = with(entry("1.2.3+build"), json!({ "name": "@s/b", "bin": "x.js" }));
    a.as_object_mut().unwrap().remove("resolved");
    let tree = answer(json!({ A: a }), &[], false).unwrap();
    let package = &tree.packages[0];
    assert_eq!(package.address.text(), format!("https://{PUBLIC}/@s/b/-/b-1.2.3.tgz"));
    assert_eq!((package.is_guess, &package.programs), (true, &vec!["x.js".to_owned()]));
    assert!(!tree.hidden.contains("resolved"));
}

#[test]
fn workspaces_are_linked() {
    let root = json!({ "name": "app", "workspaces": ["packages/*"], "dependencies": { "w": "*" } });
    let w = json!({ "name": "w", "version": "1.0.0", "bin": { "w": "cli.js" }, "devDependencies": {} });
    let packages =
        json!({ "": root, "node_modules/w": { "resolved": "packages/w", "link": true }, "packages/w": w });
    let lockfile =
        json!({ "name": "app", "lockfileVersion": 3, "requires": true, "packages": packages }).to_string();
    let tree = text(&lockfile, root.clone(), &[("packages/w/package.json", w.clone())], false).unwrap();
    assert_eq!(tree.links, [Link { path: "node_modules/w".into(), target: "../packages/w".into() }]);
    assert_eq!(tree.bins[0].target, "../w/cli.js");
    assert_eq!(tree.linked, ["packages/w"]);
    assert!(tree.hidden.contains("\"devDependencies\": {}"), "{}", tree.hidden);
    let other = with(w.clone(), json!({ "version": "2.0.0" }));
    is_for_npm(text(&lockfile, root.clone(), &[("packages/w/package.json", other)], false), "differ");
    let scripted = with(w.clone(), json!({ "scripts": { "prepare": "x" } }));
    is_for_npm(
        text(&lockfile, root.clone(), &[("packages/w/package.json", scripted)], false),
        "the script prepare",
    );
    let new = [("packages/w/package.json", w), ("packages/new/package.json", json!({ "name": "new" }))];
    is_for_npm(text(&lockfile, root.clone(), &new, false), "lacks the workspace packages/new");
    is_for_npm(text(&lockfile, root, &[], false), "cannot be read");
}

#[test]
fn packages_of_unusual_kinds_are_for_npm() {
    let field = |key: &str, value: Value| with(entry("1.0.0"), json!({ key: value }));
    let without = |key: &str| {
        let mut fields = entry("1.0.0");
        fields.as_object_mut().unwrap().remove(key);
        fields
    };
    for (a, why) in [
        (with(without("resolved"), json!({ "name": "../a" })), "where ../a@1.0.0 is"),
        (without("integrity"), "no integrity"),
        (field("integrity", json!("md5-AAAA")), "integrity"),
        (field("resolved", json!("git+ssh://git@github.com/a/b.git#c")), "not a plain https"),
        (field("resolved", json!("http://r.test/a.tgz")), "not a plain https"),
        (field("resolved", json!("file:a.tgz")), "not a plain https"),
        (field("resolved", json!("https://codeload.github.com/a/b/tar.gz/c")), "git host"),
        (field("version", json!("2.0.0")), "has another one"),
        (field("inBundle", json!(true)), "the project brings other packages"),
        (field("bundleDependencies", json!(["b"])), "brings other packages"),
        (field("hasShrinkwrap", json!(true)), "lockfile of its own"),
        (field("extraneous", json!(true)), "extraneous"),
        (field("os", json!(["darwin"])), "not for this platform"),
        (field("os", json!(7)), "unusual form"),
        (field("dependencies", json!({ "b": "1" })), "lacks b"),
        (field("optionalDependencies", json!({ "b": "1" })), "lacks b"),
        (field("peerDependencies", json!({ "b": "1" })), "lacks b"),
        (field("dependencies", json!(["b"])), "unusual form"),
    ] {
        is_for_npm(answer(json!({ A: a }), &[], false), why);
    }
}

#[test]
fn install_scripts_of_optional_packages_may_fail() {
    let scripted = with(entry("1.0.0"), json!({ "hasInstallScript": true }));
    let built =
        |a: Value| answer(json!({ A: a }), &[], false).map(|tree| (tree.builds, tree.builds_may_fail));
    assert_eq!(built(scripted.clone()), Ok((vec!["a".to_owned()], false)));
    let optional = with(scripted, json!({ "optional": true }));
    assert_eq!(built(optional), Ok((vec!["a".to_owned()], true)));
}

#[test]
fn a_lockfile_that_npm_reads_in_its_own_way_is_for_npm() {
    let a = entry("1.0.0");
    is_for_npm(answer(json!({}), &[], false), "lacks a");
    let with_peer = with(entry("1.0.0"), json!({ "peerDependencies": { "b": "1" } }));
    let inside = json!({ A: with_peer, "node_modules/a/node_modules/b": entry("1.0.0") });
    is_for_npm(answer(inside, &[], false), "has its peer b inside");
    is_for_npm(answer(json!({ A: a, "node_modules/A": a }), &[], false), "in other letters");
    is_for_npm(
        answer(json!({ A: a, "node_modules/b/node_modules/c": a }), &[], false),
        "that the lockfile lacks",
    );
    is_for_npm(answer(json!({ A: a, "../shared": {} }), &[], false), "outside of the project");
    is_for_npm(
        answer(json!({ A: a, "node_modules/l": { "resolved": "lib", "link": true } }), &[], false),
        "",
    );
    let root = json!({ "dependencies": { "a": "1" } });
    let of =
        |version: Value| json!({ "lockfileVersion": version, "packages": { "": root, A: a } }).to_string();
    assert!(text(&of(json!(2)), root.clone(), &[], false).is_ok());
    for (lockfile, why) in [
        (of(json!(1)), "version 1"),
        (of(json!(4)), "version 4"),
        (of(json!("3")), "version 1"),
        ("<<<<<<< HEAD\n{}".to_owned(), "not valid JSON"),
        ("[]".to_owned(), "not valid JSON"),
        (json!({ "lockfileVersion": 3 }).to_string(), "no packages"),
        (
            json!({ "lockfileVersion": 3, "packages": { A: a } }).to_string(),
            "does not say what the project requires",
        ),
        (json!({ "lockfileVersion": 3, "packages": { "": root, A: 7 } }).to_string(), "not an object"),
        (
            json!({ "lockfileVersion": 3, "new": 1, "packages": { "": root, A: a } }).to_string(),
            "the key new",
        ),
        (of(json!(3)).replace('{', "{\r\n"), "Windows"),
    ] {
        is_for_npm(text(&lockfile, root.clone(), &[], false), why);
    }
    for (own, why) in [
        (json!({ "dependencies": { "a": "2" } }), "different packages"),
        (json!({ "dependencies": { "a": "1", "b": "1" } }), "different packages"),
        (json!({ "devDependencies": { "a": "1" } }), "different packages"),
        (with(root.clone(), json!({ "overrides": { "b": "1" } })), "overrides"),
        (with(root.clone(), json!({ "devEngines": { "runtime": { "name": "node" } } })), "devEngines"),
        (with(root.clone(), json!({ "scripts": { "postinstall": "x" } })), "the script postinstall"),
        (with(root.clone(), json!({ "bundleDependencies": ["a"] })), "bundleDependencies"),
        (with(root.clone(), json!({ "workspaces": ["**"] })), "pattern"),
        (with(root.clone(), json!({ "workspaces": ["../x"] })), "pattern"),
    ] {
        is_for_npm(text(&of(json!(3)), own, &[], false), why);
    }
    is_for_npm(text(&of(json!(3)), root.clone(), &[("binding.gyp", json!({}))], false), "binding.gyp");
}

#[test]
fn lockfiles_that_no_tool_writes_are_refused() {
    let refused = |packages: Value| matches!(answer(packages, &[], false), Err(Obstacle::Refused(_)));
    for path in [
        "/etc/cron.d/x",
        "node_modules/../../x",
        "node_modules/a/../../../x",
        "node_modules/a\\..\\x",
        "node_modules/a\u{0}",
        "node_modules/a\n",
        "node_modules//a",
        "node_modules/a/",
        "x/../../y",
    ] {
        assert!(refused(json!({ A: entry("1.0.0"), path: entry("1.0.0") })), "{path}");
    }
    let many: serde_json::Map<String, Value> =
        (0..50_001).map(|n| (format!("node_modules/p{n}"), json!({}))).collect();
    assert!(refused(Value::Object(many)));
}
