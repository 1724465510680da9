//! Node from its official archives: the newest release that the wish allows and that was built for this
//! machine. A policy that pins checksums means these archives and no others.

use nodejs_semver::Version;

use super::node_version::{Asked, Node, Wish};
use crate::error::{Code, Error, Result};
use crate::facts::Facts;
use crate::observe::NodeArchives;
use crate::plan::{Archive, Checksum, layout};

/// Headers, which node-gyp fetches by itself, manuals, and another package manager's launcher.
const LEFT_OUT: &[&str] = &["bin/corepack", "include", "lib/node_modules/corepack", "share"];
/// How many of the closest versions are named when there is none that fits.
const NAMED: usize = 3;

pub fn choose(wish: &Wish, facts: &Facts, archives: &NodeArchives) -> Result<Node> {
    let asked = wish.asked()?;
    let platform = platform(wish, &facts.machine.arch)?;
    let missing = |cause: String| Err(Error::new(Code::RuntimeMissing, wish.doing(), cause));
    let known = match archives.checksums.is_empty() {
        true => released(wish, facts, &asked, platform)?,
        false => pinned(archives, &asked, platform),
    };
    let (fitting, other): (Vec<Known>, Vec<Known>) = known.into_iter().partition(|known| known.fits);
    let newest = fitting.iter().filter(|known| known.built).max_by(|a, b| a.version.cmp(&b.version));
    match (newest, fitting.iter().max_by(|a, b| a.version.cmp(&b.version))) {
        (Some(known), _) => Ok(archived(&known.version, platform, archives)),
        (None, Some(known)) => missing(format!("Node {} was not built for {platform}", known.version)),
        (None, None) => {
            let there = other.into_iter().filter(|known| known.built).map(|known| known.version).collect();
            missing(match archives.checksums.is_empty() {
                true => format!("no release fits; the closest are {}", closest(&wish.range, there)),
                false => format!("the policy pins only {}", closest(&wish.range, there)),
            })
        }
    }
}

/// A version that somebody lists.
struct Known {
    version: Version,
    fits: bool,
    /// For this machine's platform.
    built: bool,
}

fn released(wish: &Wish, facts: &Facts, asked: &Asked, platform: &str) -> Result<Vec<Known>> {
    let Some(index) = &facts.node_index else {
        let cause = "the machine has none that fits, and nobody asked which archives there are";
        return Err(Error::new(Code::RuntimeMissing, wish.doing(), cause));
    };
    let known = index.iter().filter_map(|release| {
        let version = Version::parse(&release.version).ok()?;
        let fits = asked.of_release(&version, release.lts.as_deref());
        Some(Known { version, fits, built: release.files.iter().any(|file| file == platform) })
    });
    Ok(known.collect())
}

fn pinned(archives: &NodeArchives, asked: &Asked, platform: &str) -> Vec<Known> {
    let suffix = format!("-{platform}.tar.gz");
    let version = |file: &String| Version::parse(file.strip_prefix("node-v")?.strip_suffix(&suffix)?).ok();
    let versions = archives.checksums.keys().filter_map(version);
    versions.map(|version| Known { fits: asked.of_version(&version), built: true, version }).collect()
}

/// Node's name for the machine's architecture.
fn platform(wish: &Wish, arch: &str) -> Result<&'static str> {
    match arch {
        "x86_64" => Ok("linux-x64"),
        "aarch64" => Ok("linux-arm64"),
        other => Err(Error::new(
            Code::RuntimeMissing,
            wish.doing(),
            format!("there are no official archives for {other}"),
        )),
    }
}

fn archived(version: &Version, platform: &str, archives: &NodeArchives) -> Node {
    let file = format!("node-v{version}-{platform}.tar.gz");
    let directory = format!("{}/v{version}", archives.mirror.trim_end_matches('/'));
    let path = layout::runtime("node", &format!("v{version}"));
    let checksum = match archives.checksums.get(&file) {
        Some(sha256) => Checksum::Pinned(sha256.clone()),
        None => Checksum::Listed(format!("{directory}/SHASUMS256.txt")),
    };
    let version = version.to_string();
    Node {
        bin: path.join("bin"),
        archive: Some(Archive {
            runtime: "node".to_owned(),
            version: version.clone(),
            address: format!("{directory}/{file}"),
            checksum,
            leave_out: LEFT_OUT.iter().map(|path| (*path).to_owned()).collect(),
            path,
        }),
        version,
    }
}

/// The newest of each line, those first that are near to the one asked for.
fn closest(range: &str, mut versions: Vec<Version>) -> String {
    let digits: String =
        range.chars().skip_while(|c| !c.is_ascii_digit()).take_while(char::is_ascii_digit).collect();
    let wanted = digits.parse().unwrap_or(u64::MAX);
    versions.sort_by(|a, b| b.cmp(a));
    versions.dedup_by_key(|version| version.major());
    versions.sort_by_key(|version| version.major().abs_diff(wanted));
    match versions.is_empty() {
        true => "none for this machine".to_owned(),
        false => versions.iter().take(NAMED).map(ToString::to_string).collect::<Vec<_>>().join(", "),
    }
}
