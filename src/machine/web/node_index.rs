//! The index of Node's official releases, reduced to what a choice needs.

use serde::Deserialize;

use super::get::Web;
use crate::error::Result;
use crate::facts::NodeRelease;
use crate::fault::Fault;
use crate::machine::jail::request::IndexRequest;

/// Twenty times what it has.
const INDEX_BYTES: u64 = 8 << 20;
/// Several times what it has: a small text can name so many that they are large in memory.
const RELEASES: usize = 10_000;
const FILES: usize = 100;

#[derive(Deserialize)]
struct Line {
    version: String,
    /// A name, or false.
    #[serde(default)]
    lts: serde_json::Value,
    #[serde(default)]
    files: Vec<String>,
}

pub fn node_index(request: &IndexRequest) -> Result<Vec<NodeRelease>> {
    let address = format!("{}/index.json", request.mirror.trim_end_matches('/'));
    let bytes = Web::new(&request.network, &request.timeouts)?.bytes(&address, INDEX_BYTES)?;
    let lines: Vec<Line> = serde_json::from_slice(&bytes).map_err(|error| {
        let cause = format!("it is no index of releases (line {}, column {})", error.line(), error.column());
        Fault::RuntimeUnusable.error(format!("reading {address}"), cause)
    })?;
    Ok(lines.into_iter().filter_map(release).take(RELEASES).collect())
}

/// A line with anything but a plain version is nobody's to choose: the version becomes part of paths.
fn release(line: Line) -> Option<NodeRelease> {
    let version = line.version.strip_prefix('v')?;
    let number = |part: &str| !part.is_empty() && part.len() < 6 && part.bytes().all(|c| c.is_ascii_digit());
    let plain = version.split('.').count() == 3 && version.split('.').all(number);
    let lts = line.lts.as_str().map(str::to_owned);
    let files = line.files.into_iter().take(FILES).collect();
    plain.then(|| NodeRelease { version: version.to_owned(), lts, files })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn version(text: &str) -> Option<NodeRelease> {
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
}
