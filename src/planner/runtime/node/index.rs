//! The index of Node's releases (`index.json`): the question for it, if no installed Node fits, and its parser.
//! Keeps only what the choice of a version needs.

use serde::Deserialize;

use crate::error::Result;
use crate::facts::{Ask, Mirrors, Question};
use crate::fault::Fault;
use crate::planner::runtime::recipe::RecipeInputs;
use crate::planner::unmet::Unmet;

const OFFICIAL: &str = "https://nodejs.org/dist";

/// Base address with the same layout as https://nodejs.org/dist: the policy's mirror, or that one.
pub fn mirror(mirrors: &Mirrors) -> &str {
    mirrors.get("node").map_or(OFFICIAL, |mirror| mirror.as_str())
}

const NAME: &str = "node-index";
/// About twenty times the index's size. A mirror must not be able to exhaust the memory.
const INDEX_BYTES: u64 = 8 << 20;
/// Several times what the index has: entries of a few bytes of text each would still take much more memory.
const RELEASES: usize = 10_000;
const FILES: usize = 100;

#[derive(Debug, PartialEq, Eq)]
pub struct Release {
    /// `22.11.0`.
    pub version: String,
    /// Code name of its release line, such as `Jod`, if that is an LTS line.
    pub lts: Option<String>,
    /// Kinds of files: `linux-x64`, `src`.
    pub files: Vec<String>,
}

#[derive(Deserialize)]
struct Line {
    version: String,
    /// The code name, or `false`.
    #[serde(default)]
    lts: serde_json::Value,
    #[serde(default)]
    files: Vec<String>,
}

/// The releases of the index, or the question for it.
pub fn index(inputs: &RecipeInputs) -> Result<Vec<Release>, Unmet> {
    let address = format!("{}/index.json", mirror(inputs.mirrors));
    match inputs.facts.known.answer(NAME) {
        Some(text) => Ok(read(text, &address)?),
        None => Err(Unmet::Ask(Question {
            name: NAME.to_owned(),
            what: "reading the index of Node's releases".to_owned(),
            ask: Ask::Document { address, most: INDEX_BYTES },
        })),
    }
}

fn read(text: &str, address: &str) -> Result<Vec<Release>> {
    let lines: Vec<Line> = serde_json::from_str(text).map_err(|error| {
        let cause =
            format!("it is not an index of releases (line {}, column {})", error.line(), error.column());
        Fault::RuntimeUnusable.error(format!("reading {address}"), cause)
    })?;
    Ok(lines.into_iter().filter_map(release).take(RELEASES).collect())
}

/// `None` for a version that is not three numbers: the version becomes part of paths, and `v../../x` would leave them.
fn release(line: Line) -> Option<Release> {
    let version = line.version.strip_prefix('v')?;
    let number = |part: &str| !part.is_empty() && part.len() < 6 && part.bytes().all(|c| c.is_ascii_digit());
    let plain = version.split('.').count() == 3 && version.split('.').all(number);
    let lts = line.lts.as_str().map(str::to_owned);
    let files = line.files.into_iter().take(FILES).collect();
    plain.then(|| Release { version: version.to_owned(), lts, files })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    fn version(text: &str) -> Option<Release> {
        release(Line { version: text.to_owned(), lts: false.into(), files: Vec::new() })
    }

    #[test]
    fn only_versions_of_three_numbers_are_accepted() {
        assert_eq!(version("v22.20.0").unwrap().version, "22.20.0");
        for bad in
            ["22.20.0", "v22", "v22.20.0-rc.1", "v../../x", "v22.20.0/..", "v1.2.3.4", "v1.2.1000000", ""]
        {
            assert_eq!(version(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_index_is_reduced_to_what_can_be_chosen() {
        let text = r#"[
            {"version": "v24.1.0", "date": "2025-05-20", "files": ["linux-x64"], "lts": false, "security": false},
            {"version": "v22.20.0", "files": ["linux-x64", "src"], "lts": "Jod"},
            {"version": "v../../etc", "files": ["linux-x64"], "lts": "Jod"}
        ]"#;
        let release = |version: &str, lts: Option<&str>, files: &[&str]| Release {
            version: version.into(),
            lts: lts.map(str::to_owned),
            files: files.iter().map(|file| (*file).to_owned()).collect(),
        };
        let expected =
            [release("24.1.0", None, &["linux-x64"]), release("22.20.0", Some("Jod"), &["linux-x64", "src"])];
        assert_eq!(read(text, "x").unwrap(), expected);

        let files =
            |count: usize| format!(r#"{{"version": "v1.2.3", "files": [{}""]}}"#, r#""","#.repeat(count));
        for long in [files(200_000), vec![files(0); 20_000].join(",")] {
            let index = read(&format!("[{long}]"), "x").unwrap();
            assert!(
                index.len() <= 10_000 && index[0].files.len() <= 100,
                "a small text must not become large in memory"
            );
        }
        assert_eq!(read("<html>", "x").unwrap_err().code(), Code::RuntimeArchive);
    }
}
