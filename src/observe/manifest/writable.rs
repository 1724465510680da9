//! Checks `writable` against `persist`.

use super::spanned::{Fault, Placed, Read};
use super::values::related;

/// The paths of `writable`, if none is a persistent directory, in one or around one: a link replaces that in the release.
pub(super) fn finish(writable: Option<&Placed<Vec<String>>>, persist: &[String]) -> Read<Vec<String>> {
    let Some(Placed { value, at }) = writable else { return Ok(Vec::new()) };
    let kept = persist.iter().map(|directory| format!("{directory}/")).collect();
    match value.iter().find_map(|path| Some((path, related(path, &kept)?))) {
        None => Ok(value.clone()),
        Some((path, other)) => {
            let what = format!("writable has \"{path}\" and persist has \"{other}\", one inside the other");
            Err(Fault { at: *at, what })
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::*;

    fn parse(text: &str) -> Result<Manifest> {
        Manifest::parse("bootagent.toml", text, None, &[])
    }

    #[test]
    fn files_and_directories_beside_persistent_ones_are_writable() {
        let manifest =
            parse("persist = [\"public/uploads\"]\nwritable = [\"public/js\", \"config.json\"]").unwrap();
        assert_eq!(manifest.writable, ["public/js", "config.json"]);
        assert!(parse("persist = [\"data\"]").unwrap().writable.is_empty());
        for bad in ["../x", "/etc", ".env", ".git/hooks", "a b", "."] {
            let error = parse(&format!("writable = [\"{bad}\"]")).unwrap_err().to_string();
            assert!(error.contains("writable has "), "{bad}: {error}");
        }
    }

    #[test]
    fn what_a_link_replaces_is_refused() {
        for (persist, writable) in [("data", "data"), ("data", "data/a"), ("data/a", "data")] {
            let error =
                parse(&format!("persist = [\"{persist}\"]\nwritable = [\"{writable}\"]")).unwrap_err();
            let says = format!("writable has \"{writable}\" and persist has \"{persist}\"");
            assert!(error.to_string().contains(&says), "{error}");
        }
        let error = parse("writable = [\"config\"]\n[env.files]\n\"config/a.json\" = \"json\"").unwrap_err();
        assert!(error.to_string().contains("is in the way"), "{error}");
    }

    #[test]
    fn an_environment_has_its_own() {
        let text = "writable = [\"a\"]\n[environments.stage]\nwritable = [\"b\"]\n";
        let environment = "stage".try_into().ok();
        let manifest = Manifest::parse("bootagent.toml", text, environment.as_ref(), &[]).unwrap();
        assert_eq!(manifest.writable, ["b"]);
    }
}
