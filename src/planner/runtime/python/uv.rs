//! uv, where the machine has it or the policy pins its archive.

use std::path::PathBuf;

use crate::facts::Places;
use crate::plan::{Archive, Checksum, layout};
use crate::planner::runtime::recipe::{Need, RecipeInputs};

pub const PLACES: Places = Places {
    program: "uv",
    names: &["uv"],
    directories: &["/usr/local/bin", "/usr/bin"],
    versions: &[],
    asked: "--version",
    prints: "uv ",
    beside: &[],
};

pub const EXAMPLE: &str = "0.9.5/uv-x86_64-unknown-linux-gnu.tar.gz";
const OFFICIAL: &str = "https://github.com/astral-sh/uv/releases/download";

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Uv {
    pub program: PathBuf,
    pub need: Option<Need>,
}

/// Installed, or from its archive. Without a checksum that the policy pins no archive is taken: it has none of its own.
pub fn find(inputs: &RecipeInputs) -> Option<Uv> {
    let installed = inputs.facts.programs.get("uv").and_then(|all| all.first());
    if let Some(installed) = installed {
        return Some(Uv { program: installed.program.clone(), need: None });
    }
    let archives = inputs.archives.get("uv").filter(|archives| archives.allowed)?;
    let fits =
        |(file, _): &(&String, &String)| platform(&inputs.facts.machine.arch) == file.split('/').nth(1);
    let newest = archives.checksums.iter().filter(fits).max_by_key(|(file, _)| version(file));
    let (file, sha256) = newest?;
    let version = file.split('/').next().unwrap_or_default().to_owned();
    let path = layout::runtime("uv", &format!("v{version}"));
    let mirror = inputs.mirrors.get("uv").map_or(OFFICIAL, |mirror| mirror.as_str());
    let archive = Archive {
        runtime: "uv".to_owned(),
        version,
        address: format!("{mirror}/{file}"),
        checksum: Checksum::Pinned(sha256.clone()),
        program: "uv".into(),
        leave_out: vec!["uvx".to_owned()],
        path: path.clone(),
    };
    Some(Uv { program: path.join("uv"), need: Some(Need::Archive(archive)) })
}

fn platform(arch: &str) -> Option<&'static str> {
    match arch {
        "x86_64" => Some("uv-x86_64-unknown-linux-gnu.tar.gz"),
        "aarch64" => Some("uv-aarch64-unknown-linux-gnu.tar.gz"),
        _ => None,
    }
}

fn version(file: &str) -> Vec<u64> {
    let version = file.split('/').next().unwrap_or_default();
    version.split('.').map(|part| part.parse().unwrap_or(0)).collect()
}

/// A release's name, and of its files one for Linux with glibc.
pub fn is_archive(file: &str) -> bool {
    let number = |part: &str| !part.is_empty() && part.len() < 6 && part.bytes().all(|c| c.is_ascii_digit());
    match file.split_once('/') {
        Some((version, file)) => {
            version.split('.').count() == 3
                && version.split('.').all(number)
                && ["x86_64", "aarch64"].iter().any(|arch| platform(arch) == Some(file))
        }
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn archives_are_a_release_s() {
        assert!(is_archive(EXAMPLE));
        for file in [
            "uv-x86_64-unknown-linux-gnu.tar.gz",
            "0.9/uv-x86_64-unknown-linux-gnu.tar.gz",
            "0.9.5/uv.tar.gz",
            "0.9.5/",
            "",
        ] {
            assert!(!is_archive(file), "{file} was let through");
        }
    }
}
