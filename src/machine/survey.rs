//! The machine as facts: read from where the system keeps them, as root without running anything that
//! others could have put there.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use sysinfo::{MemoryRefreshKind, RefreshKind, System};

use crate::error::Result;
use crate::facts::{Facts, Machine, NodeRuntime, Service, Taken};
use crate::machine::disk::files;
use crate::machine::jail::imds_wall;
use crate::machine::jail::unit::own_program;
use crate::machine::process::program;
use crate::machine::process::units::{self, UnitState};
use crate::machine::service::operator;
use crate::machine::service::records::{self, Records};
use crate::plan::layout::{self, Layout};

pub async fn facts() -> Result<Facts> {
    let machine = machine().await;
    let node = node().await;
    let Records { claims, good, attempted, kept, unusable, unrecorded } = records::read()?;
    Ok(Facts {
        machine,
        installed: is_installed(),
        nft: imds_wall::is_nft_there(),
        imds_wall: files::exists(&layout::imds_wall_unit_file())?,
        instance: None,
        tags: None,
        node,
        node_index: None,
        taken: taken()?,
        good,
        attempted,
        kept,
        unusable,
        unrecorded,
        active: standing(&claims, UnitState::is_active).await?,
        restarting: standing(&claims, |unit| !unit.is_active() && !unit.is_down()).await?,
        operator: operator::said()?,
        claims,
    })
}

/// Whether this program is the one that systemd finds for a unit's `ExecStart=bootagent`: of two, the first.
fn is_installed() -> bool {
    let places = ["/usr/local/bin/bootagent", "/usr/bin/bootagent"].map(Path::new);
    let found = places.into_iter().find(|place| place.exists());
    own_program().is_ok_and(|program| found.is_some_and(|found| program == found))
}

async fn machine() -> Machine {
    let release = std::fs::read_to_string("/etc/os-release").unwrap_or_default();
    let field = |name: &str| {
        let line = release.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix('='));
        line.unwrap_or_default().trim_matches('"').to_owned()
    };
    let system = System::new_with_specifics(
        RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram()),
    );
    Machine {
        os: field("ID"),
        version: field("VERSION_ID"),
        arch: std::env::consts::ARCH.to_owned(),
        memory_mib: system.map_or(0, |system| system.total_memory() >> 20),
        systemd: systemd().await,
    }
}

/// `systemd 252 (252.39-1~deb12u2)` -> 252; `None` where systemd does not run the machine.
async fn systemd() -> Option<u32> {
    if !units::is_running_the_machine() {
        return None;
    }
    let output = program::tool(&["systemctl", "--version"], 10).await.ok()?;
    output.text().split_whitespace().nth(1)?.parse().ok()
}

/// Where Node is put: by distributions, by the official archive's instructions, by image builders.
async fn node() -> Vec<NodeRuntime> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for bin in node_directories() {
        let program = bin.join("node");
        let Ok(real) = program.canonicalize() else { continue };
        if !only_root_can_change(&real) || !seen.insert(real.clone()) {
            continue;
        }
        // The directory of the real program: a link in /usr/local/bin may move, a version may not.
        let home = real.parent().filter(|home| home.join("node") == real).map_or(bin, Path::to_path_buf);
        let Some(version) = version(&real).await else { continue };
        let npm = home.join("npm").exists();
        found.push(NodeRuntime { version, bin: home, npm });
    }
    found.sort_by_key(|node| std::cmp::Reverse(nodejs_semver::Version::parse(&node.version).ok()));
    found
}

/// Ours has it in its name: it is not run for that.
async fn version(program: &Path) -> Option<String> {
    let ours = program.strip_prefix(layout::runtime("node", "")).ok().and_then(|path| path.iter().next());
    let named = ours.and_then(|name| name.to_str()?.strip_prefix('v'));
    if let Some(version) = named.filter(|name| nodejs_semver::Version::parse(name).is_ok()) {
        return Some(version.to_owned());
    }
    let output = program::tool(&[&program.display().to_string(), "--version"], 10).await.ok()?;
    Some(output.text().trim().trim_start_matches('v').to_owned())
}

fn node_directories() -> Vec<PathBuf> {
    let mut directories: Vec<PathBuf> = ["/usr/local/bin", "/usr/bin"].map(PathBuf::from).into();
    for parent in ["/usr/local/lib/nodejs", "/opt/bootagent/runtimes/node", "/opt"] {
        let names = files::names(Path::new(parent)).unwrap_or_default();
        let node = names.iter().filter(|name| parent != "/opt" || name.starts_with("node"));
        directories.extend(node.map(|name| Path::new(parent).join(name).join("bin")));
    }
    directories
}

/// Root is about to run it.
fn only_root_can_change(path: &Path) -> bool {
    path.ancestors().all(|part| part.metadata().is_ok_and(|data| data.uid() == 0 && data.mode() & 0o022 == 0))
}

fn taken() -> Result<Taken> {
    let first_fields = |file: &str| -> BTreeSet<String> {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        text.lines().filter_map(|line| line.split(':').next()).map(str::to_owned).collect()
    };
    let mut units = BTreeSet::new();
    for directory in [
        "/etc/systemd/system",
        "/run/systemd/system",
        // What generators make of /etc/init.d and the like, and what systemd-run made.
        "/run/systemd/generator",
        "/run/systemd/generator.early",
        "/run/systemd/generator.late",
        "/run/systemd/transient",
        "/usr/local/lib/systemd/system",
        "/usr/lib/systemd/system",
        "/lib/systemd/system",
    ] {
        units.extend(
            files::names(Path::new(directory))?.into_iter().filter(|name| name.ends_with(".service")),
        );
    }
    let mut paths = BTreeSet::new();
    for directory in ["/opt", "/var/lib"] {
        paths.extend(
            files::names(Path::new(directory))?.into_iter().map(|name| Path::new(directory).join(name)),
        );
    }
    Ok(Taken { users: first_fields("/etc/passwd"), groups: first_fields("/etc/group"), units, paths })
}

async fn standing(claims: &BTreeSet<Service>, fits: fn(&UnitState) -> bool) -> Result<BTreeSet<Service>> {
    let mut standing = BTreeSet::new();
    for service in claims {
        if fits(&units::state(&Layout::new(service).unit()).await?) {
            standing.insert(service.clone());
        }
    }
    Ok(standing)
}
