//! A static site: which directory of a release is served, and what answers a path without a file. From the manifest's
//! table `[static]`, a `Staticfile`, else the convention of a framework. Pure.

use std::path::PathBuf;

use super::recipe::{Need, RecipeInputs, Site};
use crate::error::{Code, Error, Result};
use crate::facts::{Facts, Family};
use crate::secret::excerpt;

/// The runtime's name, and that of its table in the manifest.
pub const NAME: &str = "static";
pub const A_ROOT: &str = "a directory of the repository or of its build, like \"dist\"";
pub const STATICFILE: &str = "Staticfile";
/// The port, unless the manifest or the secret has another one.
pub const PORT: &str = "8080";

/// A site by the convention of a framework, or of plain HTML.
#[derive(Debug, Default)]
pub struct Convention {
    pub roots: Vec<String>,
    pub fallback: Option<String>,
}

/// Directories in which builds leave a site, for one whose framework is not known. Not `public`, which in many
/// repositories holds files for the build.
pub const USUAL: &[&str] = &["dist", "dist/*/browser", "build", "out", "_site", "www"];

/// Configurations of servers, which say more than a site of files needs.
const OTHER_SERVERS: &[&str] = &["Caddyfile", "nginx.conf", "nginx.conf.template", "_redirects", "_headers"];

/// The site, and notes about what was not understood.
pub fn site(inputs: &RecipeInputs, by: Convention, notes: &mut Vec<String>) -> Result<Site> {
    let file = staticfile(inputs.source.text(STATICFILE).unwrap_or_default(), notes)?;
    let said = |key: &str| inputs.manifest.said("static", key);
    let roots = match said("root").map(str::to_owned).or(file.root) {
        Some(root) => vec![directory(&root)],
        None => by.roots,
    };
    let is_spa = said("spa").map(|flag| flag == "true").or(file.is_spa);
    let index = || Some("index.html".to_owned());
    let fallback = match is_spa {
        Some(true) => by.fallback.or_else(index),
        Some(false) => None,
        None => by.fallback,
    };
    for path in OTHER_SERVERS.iter().filter(|path| inputs.source.has(path)) {
        notes.push(format!(
            "{path} of the repository is not used: the site is served by a configuration of bootagent"
        ));
    }
    let (nginx, takes_error_log) = nginx(inputs.facts);
    Ok(Site { roots, fallback, nginx, takes_error_log })
}

/// What must be installed for nginx to run.
pub fn needs(facts: &Facts) -> Option<Need> {
    let is_installed = facts.programs.get("nginx").is_some_and(|found| !found.is_empty());
    (!is_installed).then(|| Need::Packages(vec!["nginx".to_owned()]))
}

/// Path of the installed nginx, else of the one that the distribution's package will install; and whether it has `-e`,
/// which came with 1.19.5.
pub fn nginx(facts: &Facts) -> (PathBuf, bool) {
    if let Some(found) = facts.programs.get("nginx").and_then(|found| found.first()) {
        let parts = found.version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
        return (found.program.clone(), parts.collect::<Vec<_>>() >= vec![1, 19, 5]);
    }
    let machine = &facts.machine;
    let is_new = matches!(
        (machine.os.as_str(), machine.family(), machine.major()),
        ("debian", _, 12..)
            | ("ubuntu", _, 23..)
            | (_, Some(Family::Amazon), _)
            | (_, Some(Family::Rhel), 9..)
    );
    (PathBuf::from("/usr/sbin/nginx"), is_new)
}

/// Without `./` and slashes around it; the release itself is `.`.
fn directory(root: &str) -> String {
    let parts: Vec<&str> = root.split('/').filter(|part| !part.is_empty() && *part != ".").collect();
    if parts.is_empty() { ".".to_owned() } else { parts.join("/") }
}

/// Whether a root may be named: below the release, without characters that the configuration would not take as such.
pub fn is_root(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.+@/".contains(c);
    !text.is_empty()
        && text.len() <= 200
        && !text.starts_with('/')
        && text.chars().all(plain)
        && text.split('/').all(|part| part != "..")
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Staticfile {
    root: Option<String>,
    is_spa: Option<bool>,
}

/// The file of the buildpacks of Cloud Foundry and of Railpack: `key: value` in each line.
fn staticfile(text: &str, notes: &mut Vec<String>) -> Result<Staticfile> {
    let mut file = Staticfile::default();
    for line in text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')) {
        let (key, value) = line.split_once(':').unwrap_or((line, ""));
        let value = value.trim().trim_matches(['"', '\'']);
        let is_on = matches!(value, "true" | "enabled" | "on" | "yes");
        match key.trim() {
            "root" if is_root(value) => file.root = Some(value.to_owned()),
            "root" => {
                let cause = format!("root is {}; expected {}", excerpt(value), A_ROOT);
                return Err(Error::new(Code::ManifestInvalid, format!("reading {STATICFILE}"), cause)
                    .remedy("correct the line; push a fix, then: bootagent update"));
            }
            "index_fallback" | "pushstate" => file.is_spa = Some(is_on),
            other => notes.push(format!("{STATICFILE}: {} is not used", excerpt(other))),
        }
    }
    Ok(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_staticfile_says_root_and_fallback() {
        let read = |text| staticfile(text, &mut Vec::new()).unwrap();
        let file = |root: Option<&str>, is_spa| Staticfile { root: root.map(str::to_owned), is_spa };
        assert_eq!(read("root: hello\n"), file(Some("hello"), None));
        assert_eq!(read("# x\nroot: 'a/b'\npushstate: enabled\n"), file(Some("a/b"), Some(true)));
        assert_eq!(read("index_fallback: false"), file(None, Some(false)));
        assert_eq!(read(""), file(None, None));
        let mut notes = Vec::new();
        staticfile("directory: visible\n", &mut notes).unwrap();
        assert!(notes[0].contains("directory is not used"), "{notes:?}");
        for outside in ["root: ../x", "root: /etc", "root: a;b", "root:"] {
            assert!(staticfile(outside, &mut Vec::new()).is_err(), "{outside}");
        }
    }

    #[test]
    fn roots_are_below_the_release() {
        for (root, is) in [("dist", "dist"), ("./a//b/", "a/b"), (".", "."), ("./", ".")] {
            assert!(is_root(root), "{root}");
            assert_eq!(directory(root), is);
        }
        for root in ["", "/", "/etc", "..", "a/../b", "a b", "a;", "a{", "$x", "a\nb", "\"", "é"] {
            assert!(!is_root(root), "{root}");
        }
    }
}
