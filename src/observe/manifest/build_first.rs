//! Parses `build_first` of a manifest: directories that are installed and built before the service.

use std::collections::BTreeSet;

use super::spanned::{Item, Placed, Read, Section};
use super::tables::Table;
use super::values;

/// Each is an installation of its own, with its packages.
pub const MOST: usize = 10;
const KEYS: &[&str] = &["build", "directory", "install", "runtime"];
const A_DIRECTORY: &str =
    "a directory, or a table such as { directory = \"web\", build = \"npm run build\" }";

/// A directory of the repository, and what the manifest says about it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BuildFirst {
    pub directory: String,
    /// The runtime's name; none: detect it.
    pub runtime: Option<String>,
    /// Commands; none: the runtime's default; empty: install nothing.
    pub install: Option<Vec<String>>,
    /// As `install`.
    pub build: Option<Vec<String>>,
}

/// In the order of the list, in which they are built.
pub(super) fn read(item: &Item<'_>, runtimes: &[&Table]) -> Read<Vec<Placed<BuildFirst>>> {
    let (mut all, mut known) = (Vec::new(), BTreeSet::new());
    for item in item.list("a list of directories", MOST)? {
        let first = one(&item, runtimes)?;
        if !known.insert(first.directory.clone()) {
            return Err(item.fault(format!("names \"{}\" twice", first.directory)));
        }
        all.push(item.placed(first));
    }
    Ok(all)
}

fn one(item: &Item<'_>, runtimes: &[&Table]) -> Read<BuildFirst> {
    let plain = |directory| BuildFirst { directory, runtime: None, install: None, build: None };
    if item.as_str().is_some() {
        return Ok(plain(values::directory(item)?));
    }
    let section = item.table().map_err(|_| item.expected(A_DIRECTORY))?;
    let mut first = plain(String::new());
    for (key, at, item) in section.entries() {
        first.set(&section, (key, at), &item, runtimes)?;
    }
    match first.directory.is_empty() {
        true => Err(item.fault(format!("has a table without directory; expected {A_DIRECTORY}"))),
        false => Ok(first),
    }
}

impl BuildFirst {
    fn set(
        &mut self,
        section: &Section<'_>,
        (key, at): (&str, usize),
        item: &Item<'_>,
        runtimes: &[&Table],
    ) -> Read<()> {
        match key {
            "directory" => self.directory = values::directory(item)?,
            "runtime" => self.runtime = Some(values::runtime(item, runtimes)?),
            "install" => self.install = Some(values::commands(item)?),
            "build" => self.build = Some(values::commands(item)?),
            _ => return Err(section.unknown(key, at, KEYS, &[])),
        }
        Ok(())
    }
}

/// The directories, none of which is the service's own: that is built after them.
pub(super) fn finish(all: Vec<Placed<BuildFirst>>, service: Option<&str>) -> Read<Vec<BuildFirst>> {
    match all.iter().find(|first| Some(first.value.directory.as_str()) == service) {
        Some(own) => {
            let directory = &own.value.directory;
            let what = format!(
                "build_first has \"{directory}\", the service's own directory, which is built after the others"
            );
            Err(super::spanned::Fault { at: own.at, what })
        }
        None => Ok(all.into_iter().map(|first| first.value).collect()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Manifest;

    fn read(text: &str) -> Result<Manifest, String> {
        Manifest::parse("bootagent.toml", text, None, &crate::planner::runtime::tables())
            .map_err(|error| error.to_string())
    }

    #[test]
    fn directories_are_read_in_their_order() {
        let text = "build_first = [\"web/\", { directory = \"lib/a\", install = false, build = \"make\" }]";
        let all = read(text).unwrap().build_first;
        assert_eq!(all.iter().map(|first| first.directory.as_str()).collect::<Vec<_>>(), ["web", "lib/a"]);
        assert_eq!((all[0].install.clone(), all[0].build.clone()), (None, None));
        assert_eq!(
            (all[1].install.clone(), all[1].build.clone()),
            (Some(vec![]), Some(vec!["make".to_owned()]))
        );
    }

    #[test]
    fn other_forms_are_refused() {
        let many = ["\"a\""; 11].join(",");
        for (line, says) in [
            ("build_first = \"web\"", "a list of directories"),
            ("build_first = [1]", "expected a directory, or a table"),
            ("build_first = [\"../x\"]", "expected a directory inside the repository"),
            ("build_first = [\"web\", \"web/\"]", "names \"web\" twice"),
            ("build_first = [{ build = \"make\" }]", "without directory"),
            ("build_first = [{ directory = \"a\", start = \"x\" }]", "unknown key \"start\""),
            ("build_first = [{ directory = \"a\", runtime = \"rust\" }]", "expected one of"),
            ("directory = \"web\"\nbuild_first = [\"web\"]", "the service's own directory"),
            (&format!("build_first = [{many}]"), "has 11 entries; the limit is 10"),
        ] {
            let error = read(line).unwrap_err();
            assert!(error.contains(says), "{line}: {error}");
        }
    }
}
