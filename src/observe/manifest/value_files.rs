//! Parses `env.files`: files of the release that are made of the service's variables.

use std::collections::BTreeMap;

use super::spanned::{Fault, Item, Placed, Read, shown};
use super::values::{MOST_VARIABLES, names, related, relative};
use crate::facts::{FileFormat, ValueFile};
use crate::plan::environment::MADE;

const KEYS: &[&str] = &["format", "keys"];

pub(super) fn files(item: &Item<'_>) -> Read<BTreeMap<String, Placed<ValueFile>>> {
    let mut files = BTreeMap::new();
    for (path, at, item) in item.bounded_table(MADE.len())?.entries() {
        let inside = relative(path, "a file inside the repository, like \"config/production.json\"");
        inside.map_err(|what| Fault { at, what: format!("env.files has {}{what}", shown(path)) })?;
        files.insert(path.to_owned(), item.placed(file(path, &item)?));
    }
    Ok(files)
}

fn file(path: &str, item: &Item<'_>) -> Read<ValueFile> {
    let path = path.to_owned();
    if item.as_str().is_some() {
        return Ok(ValueFile { path, format: format(item)?, keys: None });
    }
    let section = item.table().map_err(|_| item.expected("\"json\", \"env\" or a table"))?;
    let (mut of, mut keys) = (None, None);
    for (key, at, item) in section.entries() {
        match key {
            "format" => of = Some(format(&item)?),
            "keys" => keys = Some(names(&item, MOST_VARIABLES)?.into_iter().collect()),
            _ => return Err(section.unknown(key, at, KEYS, &[])),
        }
    }
    let format = of.ok_or_else(|| item.fault("has no format: expected format = \"json\" or \"env\""))?;
    Ok(ValueFile { path, format, keys })
}

fn format(item: &Item<'_>) -> Read<FileFormat> {
    let known = FileFormat::ALL.map(|format| format!("\"{}\"", format.name())).join(" or ");
    let name = item.string(&known)?;
    FileFormat::ALL
        .into_iter()
        .find(|format| format.name() == name)
        .ok_or_else(|| item.fault(format!("is {}; expected {known}", shown(name))))
}

/// The checks that need the values of all layers. `elsewhere`: paths that a link replaces, or that the service may change: a file
/// in a persistent directory would be written outside of the release.
pub(super) fn finish<'a>(
    files: BTreeMap<String, Placed<ValueFile>>,
    elsewhere: impl Iterator<Item = &'a String>,
) -> Read<Vec<ValueFile>> {
    let mut taken = elsewhere.map(|directory| format!("{directory}/")).collect();
    for (path, file) in &files {
        if let Some(other) = related(path, &taken) {
            let what =
                format!("env.files has \"{path}\" and \"{other}\" is in the way: one is inside the other");
            return Err(Fault { at: file.at, what });
        }
        taken.insert(format!("{path}/"));
    }
    Ok(files.into_values().map(|file| file.value).collect())
}

#[cfg(test)]
mod tests {
    use super::super::*;
    use crate::facts::{FileFormat, ValueFile};

    fn parse(text: &str) -> Result<Manifest> {
        Manifest::parse("bootagent.toml", text, None, &[])
    }

    #[test]
    fn a_file_is_a_format_or_a_table() {
        let text = "[env.files]\n\"config/production.json\" = \"json\"\n\"app.env\" = { format = \"env\", keys = [\"A\"] }\n";
        let files = parse(text).unwrap().env.files;
        let file = |path: &str, format, keys| ValueFile { path: path.to_owned(), format, keys };
        let expected = [
            file("app.env", FileFormat::Env, Some(["A".to_owned()].into())),
            file("config/production.json", FileFormat::Json, None),
        ];
        assert_eq!(files, expected);
    }

    #[test]
    fn an_overlay_adds_files() {
        let text = "[env.files]\na = \"env\"\n[environments.prod.env.files]\na = \"json\"\nb = \"json\"\n";
        let prod = Environment::try_from("prod").unwrap();
        let files = Manifest::parse("bootagent.toml", text, Some(&prod), &[]).unwrap().env.files;
        let shown: Vec<_> = files.iter().map(|file| (file.path.as_str(), file.format.name())).collect();
        assert_eq!(shown, [("a", "json"), ("b", "json")]);
    }

    #[test]
    fn a_path_out_of_the_release_or_in_another_s_way_is_refused() {
        for (files, says) in [
            ("\"../x.json\" = \"json\"", "relative, without . and .."),
            ("\"/etc/passwd\" = \"json\"", "relative, without . and .."),
            ("\"a/../b\" = \"json\"", "relative, without . and .."),
            ("\"a//b\" = \"json\"", "relative, without . and .."),
            ("\"a/\" = \"json\"", "relative, without . and .."),
            ("\"a\\nb\" = \"json\"", "relative, without . and .."),
            ("\".env\" = \"env\"", "bootagent itself manages"),
            ("\".git/hooks/x\" = \"env\"", "bootagent itself manages"),
            ("\"a\" = \"json\"\n\"a/b\" = \"json\"", "one is inside the other"),
            ("\"uploads/x\" = \"json\"", "one is inside the other"),
            ("\"a\" = \"yaml\"", "expected \"json\" or \"env\""),
            ("\"a\" = 1", "expected \"json\", \"env\" or a table"),
            ("\"a\" = { keys = [\"A\"] }", "has no format"),
            ("\"a\" = { format = \"json\", mode = 1 }", "unknown key \"mode\""),
        ] {
            let error =
                parse(&format!("persist = [\"uploads\"]\n[env.files]\n{files}\n")).unwrap_err().to_string();
            assert!(error.contains(says) && error.contains("[E-MANIFEST-INVALID]"), "{files}: {error}");
        }
    }

    #[test]
    fn there_are_at_most_as_many_as_there_are_places() {
        let files = |count: usize| (0..count).map(|n| format!("f{n} = \"json\"\n")).collect::<String>();
        let most = crate::plan::environment::MADE.len();
        assert!(parse(&format!("[env.files]\n{}", files(most))).is_ok());
        let error = parse(&format!("[env.files]\n{}", files(most + 1))).unwrap_err().to_string();
        assert!(
            error.contains(&format!("env.files has {} entries; the limit is {most}", most + 1)),
            "{error}"
        );
    }
}
