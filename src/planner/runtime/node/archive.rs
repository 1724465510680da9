//! Chooses Node from official archives: the newest release that fits the request and was built for this machine. If the
//! policy pins checksums, only the archives with a checksum are candidates, and no index is read.

use nodejs_semver::Version;

use super::index::{index, mirror};
use super::version::{Node, Request, Versions};
use crate::error::{Code, Error, Result};
use crate::observe::{Archives, ArchivesAllowed};
use crate::plan::{Archive, Checksum, layout};
use crate::planner::runtime::recipe::RecipeInputs;
use crate::planner::unmet::Unmet;

/// Not installed, because a service does not need them: corepack, manuals, and headers, which node-gyp downloads
/// itself.
const LEFT_OUT: &[&str] = &["bin/corepack", "include", "lib/node_modules/corepack", "share"];
/// How many of the closest versions an error names if none fits.
const NAMED: usize = 3;

pub fn allowed(archives: &Archives) -> ArchivesAllowed {
    archives.get("node").cloned().unwrap_or_default()
}

/// Whether a file name in the policy is that of a Node archive for Linux.
pub fn is_one(file: &str) -> bool {
    let Some(rest) = file.strip_prefix("node-v").and_then(|rest| rest.strip_suffix(".tar.gz")) else {
        return false;
    };
    let version = ["-linux-x64", "-linux-arm64"].iter().find_map(|platform| rest.strip_suffix(platform));
    let number = |part: &str| !part.is_empty() && part.bytes().all(|c| c.is_ascii_digit());
    version.is_some_and(|version| version.split('.').count() == 3 && version.split('.').all(number))
}

/// The newest archive that fits, or the question for the index of releases. Adds a note if a newer release fits that was not built.
pub fn choose(request: &Request, inputs: &RecipeInputs, notes: &mut Vec<String>) -> Result<Node, Unmet> {
    let wanted = request.versions()?;
    let archives = &allowed(inputs.archives);
    let platform = platform(request, &inputs.facts.machine.arch)?;
    let missing = |cause: String| Err(Error::new(Code::RuntimeMissing, request.doing(), cause).into());
    let known = match archives.checksums.is_empty() {
        true => released(inputs, &wanted, platform)?,
        false => pinned(archives, &wanted, platform),
    };
    let (fitting, other): (Vec<Known>, Vec<Known>) = known.into_iter().partition(|known| known.fits);
    let newest = fitting.iter().filter(|known| known.built).max_by(|a, b| a.version.cmp(&b.version));
    match (newest, fitting.iter().max_by(|a, b| a.version.cmp(&b.version))) {
        (Some(known), newer) => {
            let newer = newer.filter(|newer| newer.version > known.version);
            notes.extend(newer.map(|newer| {
                let (wanted, by) = (request.shown(), request.by);
                format!(
                    "Node {} is used for {wanted} ({by}): {} is newer, and there is no build of it for {platform}",
                    known.version, newer.version
                )
            }));
            Ok(archived(&known.version, platform, inputs))
        }
        (None, Some(known)) => missing(format!("Node {} was not built for {platform}", known.version)),
        (None, None) => {
            let there = other.into_iter().filter(|known| known.built).map(|known| known.version).collect();
            missing(match archives.checksums.is_empty() {
                true => format!("no release fits; the closest are {}", closest(&request.range, there)),
                false => format!("the policy pins only {}", closest(&request.range, there)),
            })
        }
    }
}

/// A version of the index or of the policy.
struct Known {
    version: Version,
    fits: bool,
    /// Whether there is an archive for this machine's platform.
    built: bool,
}

fn released(inputs: &RecipeInputs, wanted: &Versions, platform: &str) -> Result<Vec<Known>, Unmet> {
    let known = index(inputs)?.into_iter().filter_map(|release| {
        let version = Version::parse(&release.version).ok()?;
        let fits = wanted.fit_release(&version, release.lts.as_deref());
        Some(Known { version, fits, built: release.files.iter().any(|file| file == platform) })
    });
    Ok(known.collect())
}

fn pinned(archives: &ArchivesAllowed, wanted: &Versions, platform: &str) -> Vec<Known> {
    let suffix = format!("-{platform}.tar.gz");
    let version = |file: &String| Version::parse(file.strip_prefix("node-v")?.strip_suffix(&suffix)?).ok();
    let versions = archives.checksums.keys().filter_map(version);
    versions.map(|version| Known { fits: wanted.fit_version(&version), built: true, version }).collect()
}

/// Node's name for the machine's architecture.
fn platform(request: &Request, arch: &str) -> Result<&'static str> {
    match arch {
        "x86_64" => Ok("linux-x64"),
        "aarch64" => Ok("linux-arm64"),
        other => Err(Error::new(
            Code::RuntimeMissing,
            request.doing(),
            format!("there are no official archives for {other}"),
        )),
    }
}

fn archived(version: &Version, platform: &str, inputs: &RecipeInputs) -> Node {
    let file = format!("node-v{version}-{platform}.tar.gz");
    let directory = format!("{}/v{version}", mirror(inputs.mirrors));
    let path = layout::runtime("node", &format!("v{version}"));
    let checksum = match allowed(inputs.archives).checksums.get(&file) {
        Some(sha256) => Checksum::Pinned(sha256.clone()),
        None => Checksum::Listed(format!("{directory}/SHASUMS256.txt")),
    };
    let version = version.to_string();
    Node {
        bin: path.join("bin"),
        npm: path.join("bin"),
        has_headers: false,
        archive: Some(Archive {
            runtime: "node".to_owned(),
            version: version.clone(),
            address: format!("{directory}/{file}"),
            checksum,
            program: "bin/node".into(),
            leave_out: LEFT_OUT.iter().map(|path| (*path).to_owned()).collect(),
            path,
        }),
        version,
    }
}

/// For an error: the newest version of each major version, those near the requested one first.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_are_archives_for_linux() {
        for file in ["node-v22.20.0-linux-x64.tar.gz", "node-v20.9.0-linux-arm64.tar.gz"] {
            assert!(is_one(file), "{file}");
        }
        for file in [
            "22.20.0",
            "node-v22-linux-x64.tar.gz",
            "node-v22.20.0-linux-x64.tar.xz",
            "node-v22.20.0-darwin-x64.tar.gz",
            "node-v22.20.0/../../x-linux-x64.tar.gz",
            "",
        ] {
            assert!(!is_one(file), "{file} was let through");
        }
    }
}
