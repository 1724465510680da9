//! uv, where the machine has it or the policy pins its archive; else, for a lockfile that only uv reads, the one of the
//! package index whose checksums are known here.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use crate::facts::Places;
use crate::plan::{Archive, Checksum, InstallTool, layout};
use crate::planner::digest::digest;
use crate::planner::network;
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

/// Of the package index, and its wheels for x86_64 and aarch64 as it publishes them.
const OF_THE_INDEX: &str = "0.13.9";
const REQUIREMENTS: &str = "uv==0.13.9 \\
    --hash=sha256:d7f459fe4fd247d830351c75686d3996ace3c6f3f728eb0e85a30b7ada0cef19 \\
    --hash=sha256:5435c5ce14a56431208ca0996416d310f1598e8c2c8ba707688985a16bb82dbe
";
/// Some distributions have pip, and no venv without another package; the others the other way round.
/// A file given to pip replaces the certificates that it knows: the policy's CA file is put behind the system's.
const INSTALL: &str = "for system in /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem; do \
    if [ -f \"$system\" ]; then break; fi; system=; done; \
    if [ -n \"$system$BOOTAGENT_CA_FILE\" ]; then for file in $system $BOOTAGENT_CA_FILE; do cat \"$file\" && echo || exit 1; \
    done >/tmp/ca.pem; export PIP_CERT=/tmp/ca.pem; fi; \
    if \"$0\" -I -m pip --version >/dev/null 2>&1; then set -- \"$0\" -I -m pip; \
    else \"$0\" -I -m venv /tmp/venv && set -- /tmp/venv/bin/python -I -m pip; fi && \
    exec \"$@\" install --no-deps --only-binary=:all: --require-hashes --no-compile --target . -r requirements.txt";

/// By pip of this Python, once for the machine. None if the policy forbids to fetch uv.
pub fn by_pip(inputs: &RecipeInputs, python: &Path) -> Option<Uv> {
    if inputs.archives.get("uv").is_some_and(|archives| !archives.allowed) {
        return None;
    }
    let argv =
        ["/bin/sh", "-c", INSTALL].map(str::to_owned).into_iter().chain([python.display().to_string()]);
    let argv: Vec<String> = argv.collect();
    let version = format!("v{OF_THE_INDEX}-{}", digest([REQUIREMENTS, INSTALL]));
    let path = layout::runtime("uv", &version);
    let tool = InstallTool {
        name: "uv".to_owned(),
        version: OF_THE_INDEX.to_owned(),
        files: [("requirements.txt".to_owned(), REQUIREMENTS.to_owned())].into(),
        argv,
        own_installer: None,
        user: inputs.layout.build_user(),
        environment: environment(inputs),
        path: path.clone(),
        unit: inputs.layout.transient("uv"),
        file_hash: None,
    };
    Some(Uv { program: path.join("bin/uv"), need: Some(Need::Tool(tool)) })
}

/// Nothing of the commit determines them, and the cache belongs to this installation alone: uv becomes a program of all services.
fn environment(inputs: &RecipeInputs) -> BTreeMap<String, String> {
    let own = [
        ("CI", "true"),
        ("HOME", "/tmp"),
        ("LANG", "C.UTF-8"),
        ("PATH", "/usr/local/bin:/usr/bin:/bin"),
        ("PIP_CACHE_DIR", "/tmp/pip"),
        ("PIP_DISABLE_PIP_VERSION_CHECK", "1"),
        ("PIP_NO_INPUT", "1"),
        ("PIP_RETRIES", "2"),
    ];
    let own = own.map(|(name, value)| (name.to_owned(), value.to_owned()));
    let of_the_network = network::environment(inputs.network, super::network(inputs.network, inputs.mirrors));
    own.into_iter().chain(of_the_network).collect()
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
