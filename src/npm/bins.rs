//! The programs of packages: `bin` in npm's normal form, and which link each becomes.

use std::collections::HashSet;

use serde_json::Value;

use super::entry::Entry;
use super::path;

/// Names with the paths of files in the package, as npm cleans them: a name is one component, and a path stays inside.
pub fn of(entry: &Entry) -> Vec<(String, String)> {
    let named = |name: &str, file: &str| Some((name.to_owned(), file.to_owned()));
    let all: Vec<(String, String)> = match entry.fields.get("bin") {
        Some(Value::String(file)) => named(entry.package_name(), file).into_iter().collect(),
        Some(Value::Array(files)) => {
            let files = files.iter().filter_map(Value::as_str);
            files.filter_map(|file| named(file.rsplit('/').next().unwrap_or_default(), file)).collect()
        }
        Some(Value::Object(all)) => {
            all.iter().filter_map(|(name, file)| named(name, file.as_str()?)).collect()
        }
        _ => Vec::new(),
    };
    let mut clean: Vec<(String, String)> = Vec::new();
    for (name, file) in all {
        let name = name.replace(['\\', ':'], "/");
        let name = name.trim_end_matches('/').rsplit('/').next().unwrap_or_default().to_owned();
        let file = inside(&file.replace('\\', "/"));
        if name.is_empty() || name == "." || name == ".." || file.is_empty() {
            continue;
        }
        match clean.iter_mut().find(|(other, _)| *other == name) {
            Some(other) => other.1 = file,
            None => clean.push((name, file)),
        }
    }
    clean
}

/// `..` leads no further up than to the package.
fn inside(file: &str) -> String {
    let mut all: Vec<&str> = Vec::new();
    for name in file.split('/') {
        match name {
            "" | "." => {}
            ".." => {
                all.pop();
            }
            name => all.push(name),
        }
    }
    all.join("/")
}

/// A link in `node_modules/.bin`. Paths are relative to the project.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bin {
    pub path: String,
    /// As the link has it.
    pub target: String,
    /// The program, which becomes executable.
    pub file: String,
}

/// The links of these packages, in npm's order: of two programs with one name in one `.bin`, the first one counts.
pub fn links<'a>(entries: impl Iterator<Item = (&'a Entry, Vec<(String, String)>)>) -> Vec<Bin> {
    let mut all: Vec<(&Entry, Vec<(String, String)>)> =
        entries.filter(|(_, bins)| !bins.is_empty()).collect();
    let depth = |entry: &Entry| (entry.is_link(), entry.path.matches("node_modules/").count());
    all.sort_by(|(a, _), (b, _)| {
        depth(a).cmp(&depth(b)).then_with(|| super::collate::compare(&a.path, &b.path))
    });
    let mut seen = HashSet::new();
    let mut links = Vec::new();
    for (entry, bins) in all {
        let Some(modules) = path::modules(&entry.path) else { continue };
        for (name, file) in bins {
            let directory = format!("{modules}/.bin");
            let file = format!("{}/{file}", entry.path);
            let path = format!("{directory}/{name}");
            if seen.insert(path.clone()) {
                links.push(Bin { target: path::relative(&directory, &file), path, file });
            }
        }
    }
    links
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(path: &str, bin: Value) -> Entry {
        let fields = serde_json::Map::from_iter([("bin".to_owned(), bin)]);
        Entry { path: path.to_owned(), fields }
    }

    #[test]
    fn names_and_files_stay_inside() {
        let all = serde_json::json!({
            "a": "./cli.js", "../b": "x/../../../etc/passwd", "..": "x", "c:d": "x", "e": "/abs", "f": 7, "g": "", "@s/h": "h.js", ".": "x"
        });
        let clean = of(&entry("node_modules/a", all));
        let expected = [("a", "cli.js"), ("b", "etc/passwd"), ("d", "x"), ("e", "abs"), ("h", "h.js")];
        assert_eq!(clean, expected.map(|(name, file)| (name.to_owned(), file.to_owned())));
        let one = of(&entry("node_modules/@s/a", "x.js".into()));
        assert_eq!(one, [("a".to_owned(), "x.js".to_owned())]);
    }

    #[test]
    fn the_first_program_of_a_name_counts() {
        let (a, b) = (entry("node_modules/b", "b.js".into()), entry("node_modules/a", Value::Null));
        let bins = |file: &str| vec![("x".to_owned(), file.to_owned())];
        let links = links([(&a, bins("b.js")), (&b, bins("a.js"))].into_iter());
        assert_eq!(links.len(), 1);
        assert_eq!((links[0].target.as_str(), links[0].file.as_str()), ("../a/a.js", "node_modules/a/a.js"));
    }
}
