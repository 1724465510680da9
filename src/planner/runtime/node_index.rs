//! The index of Node's official releases, asked for where no installed Node will do, and reduced to what a choice needs.

use serde::Deserialize;

use super::recipe::Draft;
use crate::error::Result;
use crate::facts::{Ask, Mirrors, Question};
use crate::fault::Fault;
use crate::planner::unmet::Unmet;

const OFFICIAL: &str = "https://nodejs.org/dist";

/// An address below which it is as below https://nodejs.org/dist.
pub fn mirror(mirrors: &Mirrors) -> &str {
    mirrors.get("node").map_or(OFFICIAL, |mirror| mirror.as_str())
}

const NAME: &str = "node-index";
/// Twenty times what it has.
const INDEX_BYTES: u64 = 8 << 20;
/// Several times what it has: a small text can name so many that they are large in memory.
const RELEASES: usize = 10_000;
const FILES: usize = 100;

#[derive(Debug, PartialEq, Eq)]
pub struct Release {
    /// `22.11.0`.
    pub version: String,
    /// The name of its line, `Jod`, once that has long-term support.
    pub lts: Option<String>,
    /// For what it was built: `linux-x64`, `src`.
    pub files: Vec<String>,
}

#[derive(Deserialize)]
struct Line {
    version: String,
    /// A name, or false.
    #[serde(default)]
    lts: serde_json::Value,
    #[serde(default)]
    files: Vec<String>,
}

pub fn index(draft: &Draft) -> Result<Vec<Release>, Unmet> {
    let address = format!("{}/index.json", mirror(draft.mirrors));
    match draft.facts.known.answer(NAME) {
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

/// A line with anything but a plain version cannot be chosen: the version becomes part of paths.
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
    fn only_plain_versions_are_taken() {
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
                "small on the way, large in memory"
            );
        }
        assert_eq!(read("<html>", "x").unwrap_err().code(), Code::RuntimeArchive);
    }
}
