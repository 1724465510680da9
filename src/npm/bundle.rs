//! What an archive has to have below its `node_modules`: exactly the packages of which the lockfile says so, and of each a
//! package.json that says the same as the lockfile. npm writes the hidden lockfile from those files.

use serde_json::{Map, Value};

use super::bins;
use super::entry::Entry;
use super::hidden;

/// Of what npm keeps, what is compared in a way of its own, or is not in a package.json.
const OTHERWISE: &[&str] = &[
    "name",
    "dependencies",
    "bin",
    "bundleDependencies",
    "resolved",
    "integrity",
    "inBundle",
    "peer",
    "dev",
    "optional",
];
const SCRIPTS: &[&str] = &["preinstall", "install", "postinstall"];
const MODULES: &str = "node_modules/";

/// The packages inside of one archive; none, of nearly all.
#[derive(Clone, Debug, Default)]
pub struct Bundle {
    /// By their paths.
    packages: Vec<Bundled>,
}

#[derive(Clone, Debug)]
pub struct Bundled {
    /// Relative to the package that brings it along: `node_modules/b/node_modules/c`.
    pub path: String,
    locked: Entry,
}

impl Bundle {
    pub fn new(mut packages: Vec<Bundled>) -> Bundle {
        packages.sort_by(|a, b| a.path.cmp(&b.path));
        Bundle { packages }
    }

    pub fn packages(&self) -> &[Bundled] {
        &self.packages
    }

    /// Whether a file of the archive is outside of `node_modules`, or in one of these packages.
    pub fn has_place(&self, file: &str) -> bool {
        let mut rest = file;
        while let Some(inside) = rest.strip_prefix(MODULES) {
            let names = if inside.starts_with('@') { 2 } else { 1 };
            let Some((at, _)) = inside.match_indices('/').nth(names - 1) else { return false };
            rest = inside.get(at + 1..).unwrap_or_default();
            let package = file.get(..file.len() - rest.len() - 1).unwrap_or_default();
            if self.packages.binary_search_by(|one| one.path.as_str().cmp(package)).is_err() {
                return false;
            }
        }
        !rest.is_empty()
    }
}

impl Bundled {
    /// `locked` are the fields of its entry in the lockfile.
    pub fn new(path: String, locked: Map<String, Value>) -> Bundled {
        Bundled { locked: Entry { path: path.clone(), fields: locked }, path }
    }

    /// The key of its package.json by which npm could make something else of it than the lockfile says.
    pub fn difference(&self, package_json: &str) -> Option<&'static str> {
        let text = package_json.strip_prefix('\u{feff}').unwrap_or(package_json);
        let Ok(Value::Object(fields)) = serde_json::from_str(text) else { return Some("form") };
        let own = Entry { path: self.locked.path.clone(), fields };
        if own.text("name") != self.locked.name() {
            return Some("name");
        }
        let mut compared = hidden::KEPT.iter().filter(|key| !OTHERWISE.contains(key));
        if let Some(key) = compared.find(|key| own.plain(key) != self.locked.plain(key)) {
            return Some(key);
        }
        if dependencies(&own) != dependencies(&self.locked) {
            return Some("dependencies");
        }
        let of = |key: &str, name: &str| own.fields.get(key).is_some_and(|all| all.get(name).is_some());
        if bins::of(&own) != bins::of(&self.locked) || of("directories", "bin") {
            return Some("bin");
        }
        if own.bundles() {
            return Some("bundleDependencies");
        }
        SCRIPTS.iter().any(|event| of("scripts", event)).then_some("scripts")
    }
}

/// Without those that are optional, too.
fn dependencies(entry: &Entry) -> Option<Value> {
    let mut all = entry.plain("dependencies")?;
    let optional = entry.plain("optionalDependencies");
    if let (Some(all), Some(Value::Object(optional))) = (all.as_object_mut(), optional) {
        all.retain(|name, _| !optional.contains_key(name));
    }
    (all != Value::Object(Map::new())).then_some(all)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn bundled(path: &str, fields: Value) -> Bundled {
        let Value::Object(fields) = fields else { panic!() };
        Bundled::new(path.to_owned(), fields)
    }

    #[test]
    fn only_places_of_listed_packages_are_good() {
        let listed = ["node_modules/b", "node_modules/@s/c", "node_modules/b/node_modules/d"];
        let bundle = Bundle::new(listed.iter().map(|path| bundled(path, json!({}))).collect());
        for place in [
            "index.js",
            "lib/node_modules/x/y.js",
            "node_modules/b/index.js",
            "node_modules/b/lib/node_modules/x/y.js",
            "node_modules/@s/c/a/b.js",
            "node_modules/b/node_modules/d/package.json",
        ] {
            assert!(bundle.has_place(place), "{place}");
        }
        for place in [
            "node_modules/.package-lock.json",
            "node_modules/.bin/x",
            "node_modules/b",
            "node_modules/B/index.js",
            "node_modules/bb/index.js",
            "node_modules/@s/x",
            "node_modules/@s/d/x",
            "node_modules/@s/c",
            "node_modules/d/index.js",
            "node_modules/b/node_modules/e/index.js",
            "node_modules/@s/c/node_modules/d/index.js",
            "node_modules/node_modules/b/x",
        ] {
            assert!(!bundle.has_place(place), "{place}");
        }
        assert!(
            Bundle::default().has_place("a/node_modules/b/c")
                && !Bundle::default().has_place("node_modules/b/c")
        );
    }

    #[test]
    fn a_package_json_says_the_same_in_other_words() {
        let locked = json!({
            "version": "1.0.0", "inBundle": true, "dev": true, "license": "MIT", "funding": { "url": "https://f.test" },
            "bin": { "b": "cli.js" }, "dependencies": { "c": "1" }, "optionalDependencies": { "d": "1" }
        });
        let own = json!({
            "name": "b", "version": "1.0.0", "license": { "type": "MIT", "url": "x" }, "funding": "https://f.test", "bin": "./cli.js",
            "dependencies": { "d": "1", "c": "1" }, "optionalDependencies": { "d": "1" }, "devDependencies": { "e": "1" },
            "scripts": { "test": "x", "prepare": "x" }, "engines": {}, "main": "x.js", "bundleDependencies": false, "peerDependencies": {}
        });
        assert_eq!(bundled("node_modules/b", locked).difference(&format!("\u{feff}{own}")), None);
    }

    #[test]
    fn a_package_json_that_differs_is_seen() {
        let locked = json!({ "version": "1.0.0", "inBundle": true });
        let own = json!({ "name": "b", "version": "1.0.0" });
        let of = |text: &str| bundled("node_modules/b", locked.clone()).difference(text);
        assert_eq!(of(&own.to_string()), None);
        for (key, value) in [
            ("name", json!("c")),
            ("name", json!(null)),
            ("version", json!("1.0.1")),
            ("version", json!("v1.0.0")),
            ("dependencies", json!({ "c": "1" })),
            ("peerDependencies", json!({ "c": "1" })),
            ("optionalDependencies", json!({ "c": "1" })),
            ("license", json!("MIT")),
            ("os", json!(["darwin"])),
            ("libc", json!(["musl"])),
            ("engines", json!({ "node": "1" })),
            ("bin", json!("x.js")),
            ("bundleDependencies", json!(["c"])),
            ("hasInstallScript", json!(true)),
            ("scripts", json!({ "postinstall": "x" })),
        ] {
            let mut own = own.clone();
            own[key] = value;
            assert_eq!(of(&own.to_string()), Some(key), "{own}");
        }
        let directory = json!({ "name": "b", "version": "1.0.0", "directories": { "bin": "bin" } });
        assert_eq!(of(&directory.to_string()), Some("bin"));
        for text in ["", "[]", "{", "null"] {
            assert_eq!(of(text), Some("form"), "{text}");
        }
    }
}
