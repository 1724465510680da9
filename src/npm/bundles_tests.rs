//! Lockfiles with packages in the archives of others: which ones are carried out, and which are npm's.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::super::tests::{answer, entry, is_for_npm, text_of, with};
use crate::npm::{Platform, Tree};

const A: &str = "node_modules/a";
const B: &str = "node_modules/a/node_modules/b";
const C: &str = "node_modules/a/node_modules/@s/c";

/// `a` brings `b` and `@s/c` along, which `b` requires.
fn packages() -> BTreeMap<&'static str, Value> {
    let a = json!({ "bundleDependencies": ["b"], "dependencies": { "b": "2" } });
    let b = json!({ "version": "2.0.0", "inBundle": true, "dependencies": { "@s/c": "3" }, "bin": { "b": "cli.js" } });
    BTreeMap::from([
        (A, with(entry("1.0.0"), a)),
        (B, b),
        (C, json!({ "version": "3.0.0", "inBundle": true, "license": "MIT" })),
    ])
}

fn changed(path: &'static str, more: Value) -> Value {
    let mut all = packages();
    let one = all.remove(path).unwrap_or_else(|| json!({}));
    all.insert(path, with(one, more));
    json!(all)
}

fn of_npm(npm: &str, packages: &Value) -> crate::npm::Result<Tree> {
    let root = json!({ "dependencies": { "a": "1" } });
    let lockfile = json!({ "lockfileVersion": 3, "packages": with(json!({ "": root }), packages.clone()) });
    text_of(npm, &lockfile.to_string(), root, &[], false)
}

#[test]
fn bundled_packages_come_with_the_one_that_brings_them() {
    let tree = answer(json!(packages()), &[], false).unwrap();
    let [package] = tree.packages.as_slice() else { panic!("{:?}", tree.packages) };
    let inside: Vec<&str> = package.bundle.packages().iter().map(|one| one.path.as_str()).collect();
    assert_eq!(inside, ["node_modules/@s/c", "node_modules/b"]);
    assert_eq!(tree.bins[0].path, "node_modules/a/node_modules/.bin/b");
    let hidden: Value = serde_json::from_str(&tree.hidden).unwrap();
    assert_eq!(hidden["packages"][C], packages()[C]);
    assert_eq!(hidden["packages"][A]["bundleDependencies"], json!(["b"]));
    assert_eq!(hidden["packages"][B]["inBundle"], json!(true));
}

#[test]
fn one_that_is_left_out_takes_them_with_it() {
    let optional = json!({ "optional": true, "engines": { "node": ">=99" } });
    let mut all = packages();
    let root = json!({ "optionalDependencies": { "a": "1" } });
    for one in all.values_mut() {
        *one = with(one.clone(), optional.clone());
    }
    let lockfile = json!({ "lockfileVersion": 3, "packages": with(json!({ "": root }), json!(all)) });
    let tree = text_of("10.9.3", &lockfile.to_string(), root, &[], false).unwrap();
    assert!(tree.packages.is_empty() && tree.bins.is_empty() && !tree.hidden.contains("inBundle"));
    assert_eq!(tree.leftovers, ["node_modules"]);
}

#[test]
fn an_optional_one_of_what_is_needed_is_one_of_them() {
    let mut all = packages();
    all.insert(B, json!({ "version": "2.0.0", "inBundle": true, "optionalDependencies": { "@s/c": "3" } }));
    all.insert(C, json!({ "version": "3.0.0", "inBundle": true, "optional": true }));
    assert_eq!(answer(json!(all), &[], false).unwrap().packages.len(), 1);
    all.insert(C, json!({ "version": "3.0.0", "inBundle": true }));
    is_for_npm(answer(json!(all), &[], false), "has other flags");
    all.insert(C, json!({ "version": "3.0.0", "inBundle": true, "optional": true, "os": ["darwin"] }));
    is_for_npm(answer(json!(all), &[], false), "is not for this machine");
}

#[test]
fn peers_are_marked_as_this_npm_marks_them() {
    let mut all = packages();
    all.insert(A, with(all[A].clone(), json!({ "dependencies": { "b": "2", "@s/c": "3" } })));
    all.insert(B, json!({ "version": "2.0.0", "inBundle": true, "peerDependencies": { "@s/c": "3" } }));
    let marked = |npm: &str| of_npm(npm, &json!(all)).map(|tree| tree.hidden.contains("\"peer\": true"));
    for (npm, is_marked) in
        [("10.9.3", false), ("11.6.1", true), ("11.6.2", true), ("11.6.3", false), ("11.21.2", false)]
    {
        assert_eq!(marked(npm), Ok(is_marked), "{npm}");
    }
    for npm in ["11.6.0", "11.3.0"] {
        is_for_npm(of_npm(npm, &json!(all)), "in a way of its own");
    }
    // What the lockfile says of it does not count.
    all.insert(C, with(all[C].clone(), json!({ "peer": true })));
    assert!(!of_npm("10.9.3", &json!(all)).unwrap().hidden.contains("peer\": true"));
    let optional = json!({ "peerDependenciesMeta": { "@s/c": { "optional": true } } });
    all.insert(B, with(all[B].clone(), optional));
    assert!(of_npm("11.21.2", &json!(all)).is_ok());
    is_for_npm(of_npm("11.6.2", &json!(all)), "in a way of its own");
}

#[test]
fn what_is_not_certain_is_npm_s() {
    for (path, more, why) in [
        (A, json!({ "bundleDependencies": ["b", "x"] }), "does not list x"),
        (A, json!({ "bundleDependencies": ["b", "b"] }), "unusual form"),
        (A, json!({ "bundleDependencies": true }), "unusual form"),
        (A, json!({ "bundleDependencies": [] }), "unusual form"),
        (A, json!({ "hasInstallScript": true }), "has install scripts"),
        (A, json!({ "peer": true }), "is a peer"),
        (A, json!({ "inBundle": true }), "the project brings"),
        (A, json!({ "dependencies": {} }), "does not require"),
        (B, json!({ "hasInstallScript": true }), "has hasInstallScript"),
        (B, json!({ "bundleDependencies": ["@s/c"] }), "has bundleDependencies"),
        (B, json!({ "resolved": "https://r.test/b.tgz" }), "has resolved"),
        (B, json!({ "integrity": "sha512-x" }), "has integrity"),
        (B, json!({ "name": "other" }), "has name"),
        (B, json!({ "libc": ["glibc"] }), "has libc"),
        (B, json!({ "os": ["darwin"] }), "not for this platform"),
        (B, json!({ "dev": true }), "has other flags"),
        (B, json!({ "inBundle": false }), "is not one of them"),
        (B, json!({ "version": "1.0.0" }), "has another one"),
        (B, json!({ "hasShrinkwrap": true }), "lockfile of its own"),
        ("node_modules/a/node_modules/x", entry("1.0.0"), "is not one of them"),
        ("node_modules/a/node_modules/b/node_modules/x", entry("1.0.0"), "is not one of them"),
        (
            "node_modules/a/node_modules/x",
            json!({ "version": "1.0.0", "inBundle": true }),
            "does not require",
        ),
    ] {
        is_for_npm(answer(changed(path, more), &[], false), why);
    }
    let mut hoisted = packages();
    hoisted.remove(C);
    hoisted.insert("node_modules/@s/c", entry("3.0.0"));
    is_for_npm(answer(json!(hoisted), &[], false), "which is elsewhere");
    let omitted = changed(B, json!({ "dev": true }));
    is_for_npm(answer(omitted, &[], true), "are for this installation");
}

#[test]
fn platforms_without_a_known_npm_have_no_bundles() {
    let platform = |npm: Option<&str>| Platform {
        cpu: "x64".to_owned(),
        libc: None,
        node: "22.1.0".to_owned(),
        npm: npm.map(str::to_owned),
    };
    for npm in [None, Some("x"), Some("9.9.9"), Some("12.0.0"), Some("11.5.9")] {
        assert!(super::peers(&platform(npm)).is_none(), "{npm:?}");
    }
}
