//! Which archives a lockfile names, for a store of them: by their hashes alone, from whichever server.

use super::integrity::Integrity;
use super::{Result, for_npm, lockfile, quoted};

/// An archive of a registry.
#[derive(Debug, PartialEq, Eq)]
pub struct Named {
    pub integrity: Integrity,
    /// Whether the installation needs it on each platform.
    pub is_needed: bool,
}

/// An obstacle if a package has no hash, as those from a git server do not. `omits_development`: the installation has no packages
/// for development.
pub fn archives(text: &str, omits_development: bool) -> Result<Vec<Named>> {
    let lockfile = lockfile::parse(text)?;
    let of_a_registry = lockfile
        .entries
        .values()
        .filter(|entry| entry.name().is_some() && !entry.is_link() && !entry.is("inBundle"));
    let not_on_each_platform = ["optional", "devOptional", "peer"];
    let may_lack = |entry: &super::entry::Entry| {
        not_on_each_platform.iter().any(|kind| entry.is(kind)) || omits_development && entry.is("dev")
    };
    let named = |entry: &super::entry::Entry| match entry.text("integrity") {
        Some(integrity) => Ok(Named { integrity: Integrity::parse(integrity)?, is_needed: !may_lack(entry) }),
        None => for_npm(format!("the lockfile has no integrity for {}", quoted(&entry.path))),
    };
    of_a_registry.map(named).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(entries: &str) -> Result<Vec<bool>> {
        let text = format!(r#"{{"lockfileVersion": 3, "packages": {{"": {{}}, {entries}}}}}"#);
        Ok(archives(&text, true)?.iter().map(|named| named.is_needed).collect())
    }

    #[test]
    fn what_only_some_installations_have_is_not_needed() {
        let hash = format!(r#""integrity": "sha512-{}==""#, "A".repeat(86));
        for (more, is_needed) in [
            ("", true),
            (r#""dev": true,"#, false),
            (r#""optional": true,"#, false),
            (r#""peer": true,"#, false),
        ] {
            assert_eq!(
                of(&format!(r#""node_modules/a": {{{more} {hash}}}"#)).unwrap(),
                [is_needed],
                "{more}"
            );
        }
        let development = format!(
            r#"{{"lockfileVersion": 3, "packages": {{"": {{}}, "node_modules/a": {{"dev": true, {hash}}}}}}}"#
        );
        assert!(
            archives(&development, false).unwrap()[0].is_needed,
            "a build needs its packages for development"
        );
        let rest = r#""node_modules/b": {"resolved": "b", "link": true}, "b": {"name": "b"},
            "node_modules/a/node_modules/c": {"inBundle": true}"#;
        assert_eq!(of(&format!(r#""node_modules/a": {{{hash}}}, {rest}"#)).unwrap(), [true]);
    }

    #[test]
    fn a_package_without_a_hash_is_an_obstacle() {
        let error =
            of(r#""node_modules/a": {"resolved": "git+ssh://git@github.com/acme/a.git#1"}"#).unwrap_err();
        assert!(format!("{error:?}").contains("no integrity for node_modules/a"), "{error:?}");
        assert!(archives("{", true).is_err());
    }
}
