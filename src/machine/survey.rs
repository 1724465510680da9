//! Reads the facts of the machine: its system, programs, and the records of earlier runs. Runs a program as root only
//! if no other user can replace it.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use futures_util::future::join_all;
use sysinfo::{MemoryRefreshKind, RefreshKind, System};

use crate::error::Result;
use crate::facts::{ExistingNames, Facts, Installed, Machine, Places, Programs, Selinux, Service};
use crate::machine::disk::owned::only_root_can_replace;
use crate::machine::disk::{bundles, files};
use crate::machine::jail::imds_rules;
use crate::machine::jail::unit::own_program;
use crate::machine::process::program;
use crate::machine::process::units::{self, UnitState};
use crate::machine::service::hooks;
use crate::machine::service::operator;
use crate::machine::service::records::{self, Records};
use crate::machine::versions::Versions;
use crate::plan::layout::{self, Layout};

/// `wanted`: the programs to look for, and where.
pub async fn facts(wanted: &[&Places], versions: &Versions) -> Result<Facts> {
    // At once: those that are not known are programs that have to start.
    let asking = join_all(wanted.iter().map(|places| installed_versions(places, versions)));
    let (machine, versions) = tokio::join!(machine(), asking);
    let names = wanted.iter().map(|places| places.program.to_owned());
    let mut programs: Programs = names.zip(versions).collect();
    programs.retain(|_, versions| !versions.is_empty());
    let Records { claims, good, attempted, listened, kept, baked, unusable, unrecorded } = records::read()?;
    let units = services_units(&claims).await?;
    Ok(Facts {
        machine,
        installed: is_installed(),
        nft: imds_rules::is_nft_there(),
        no_certificates: bundles::is_without(),
        imds_rules: files::exists(&layout::imds_rules_unit_file())?,
        swap: files::exists(&layout::unit_file(layout::SWAP_UNIT))?,
        journal: files::exists(Path::new(layout::JOURNAL_LIMIT))?,
        watch: files::exists(&layout::unit_file(layout::WATCH_UNIT))?,
        instance: None,
        tags: None,
        own_manifest: None,
        hooks: hooks::read(),
        lifecycle: Default::default(),
        fleet: Default::default(),
        programs,
        known: Default::default(),
        taken: taken()?,
        good,
        attempted,
        listened,
        kept,
        baked,
        unusable,
        unrecorded,
        active: whose_unit(&units, UnitState::is_active),
        restarting: whose_unit(&units, |unit| !unit.is_active() && !unit.is_down()),
        process_units: process_units(&claims)?,
        operator: operator::said()?,
        claims,
    })
}

/// Whether this program is the one that systemd runs for `ExecStart=bootagent`: the first of these that exists.
fn is_installed() -> bool {
    let places = ["/usr/local/bin/bootagent", "/usr/bin/bootagent"].map(Path::new);
    let first = places.into_iter().find(|place| place.exists());
    own_program().is_ok_and(|program| first.is_some_and(|first| program == first))
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
        like: field("ID_LIKE"),
        version: field("VERSION_ID"),
        arch: std::env::consts::ARCH.to_owned(),
        memory_mib: system.map_or(0, |system| system.total_memory() >> 20),
        systemd: systemd().await,
        selinux: selinux(),
    }
}

fn selinux() -> Option<Selinux> {
    let enforces = std::fs::read_to_string("/sys/fs/selinux/enforce").ok()?;
    Some(if enforces.trim() == "1" { Selinux::Enforcing } else { Selinux::Permissive })
}

/// The memory, and what of it new programs can get without swapping, in bytes.
pub fn memory() -> (u64, u64) {
    let system = System::new_with_specifics(
        RefreshKind::nothing().with_memory(MemoryRefreshKind::nothing().with_ram()),
    );
    system.map_or((0, 0), |system| (system.total_memory(), system.available_memory()))
}

/// systemd's version: `systemd 252 (252.39-1~deb12u2)` -> 252; `None` if it is not the init system.
async fn systemd() -> Option<u32> {
    if !units::is_running_the_machine() {
        return None;
    }
    // The library that the running systemd has loaded names its version. Only root can read that.
    let maps = std::fs::read_to_string("/proc/1/maps").unwrap_or_default();
    if let Some(version) = version_of_library(&maps) {
        return Some(version);
    }
    let output = program::tool(&["systemctl", "--version"], 10).await.ok()?;
    output.text().split_whitespace().nth(1)?.parse().ok()
}

/// 252 of `.../libsystemd-shared-252.so`, also with a distribution's suffix.
fn version_of_library(maps: &str) -> Option<u32> {
    let (_, after) = maps.split_once("/libsystemd-shared-")?;
    let digits: String = after.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().ok()
}

/// Every installed version of a program, the newest first.
async fn installed_versions(places: &Places, versions: &Versions) -> Vec<Installed> {
    let mut found = Vec::new();
    let mut seen = BTreeSet::new();
    for path in directories(places).iter().flat_map(|bin| places.names.iter().map(|name| bin.join(name))) {
        // One question in place of one for each component: most candidates do not exist.
        if !path.exists() {
            continue;
        }
        let Ok(real) = path.canonicalize() else { continue };
        // Root runs it for its version: not if another user could have replaced it.
        if !only_root_can_replace(&real) || !seen.insert(real.clone()) {
            continue;
        }
        // The resolved path, where possible: a link in /usr/local/bin may lead to another version later.
        let is_named = |name: &OsStr| places.names.iter().any(|known| name == OsStr::new(known));
        let program = if real.file_name().is_some_and(is_named) { real.clone() } else { path };
        let Some(version) = version(places, &real, versions).await else { continue };
        let beside = beside(places, &program, &version);
        found.push(Installed { version, program, beside });
    }
    found.sort_by_key(|found| std::cmp::Reverse(nodejs_semver::Version::parse(&found.version).ok()));
    found
}

/// Which other programs (npm, pip) are installed with this version.
fn beside(places: &Places, program: &Path, version: &str) -> BTreeSet<String> {
    let line = version.split('.').take(2).collect::<Vec<_>>().join(".");
    let bin = program.parent().unwrap_or(program);
    let exists = |path: &&str| bin.join(path.replace("{line}", &line)).exists();
    let present = places.beside.iter().filter(|(_, paths)| paths.iter().any(&exists));
    present.map(|(name, _)| (*name).to_owned()).collect()
}

/// From the path of a runtime that bootagent installed, or as it was printed for an earlier run; else the program prints it.
async fn version(places: &Places, program: &Path, versions: &Versions) -> Option<String> {
    let below = program.strip_prefix(layout::runtime(places.program, "")).ok();
    let named = below.and_then(|path| path.iter().next()?.to_str()?.strip_prefix('v'));
    if let Some(version) = named.filter(|name| nodejs_semver::Version::parse(name).is_ok()) {
        return Some(version.to_owned());
    }
    versions.of(program, places.names, async || printed(places, program).await).await
}

async fn printed(places: &Places, program: &Path) -> Option<String> {
    let output = program::tool(&[&program.display().to_string(), places.asked], 10).await.ok()?;
    // nginx prints its version to standard error.
    let errors = String::from_utf8_lossy(&output.stderr);
    let printed = [output.text().trim().to_owned(), errors.trim().to_owned()];
    let after = printed.iter().find_map(|text| text.strip_prefix(places.prints))?;
    let version = after.split_whitespace().next()?;
    let version = version.strip_prefix('v').unwrap_or(version);
    version.starts_with(|c: char| c.is_ascii_digit()).then(|| version.to_owned())
}

fn directories(places: &Places) -> Vec<PathBuf> {
    let mut directories: Vec<PathBuf> = places.directories.iter().map(PathBuf::from).collect();
    let installed = layout::runtime(places.program, "");
    let parents = places.versions.iter().map(|(parent, begin)| (PathBuf::from(parent), *begin));
    for (parent, begin) in parents.chain([(installed, "")]) {
        let names = files::names(&parent).unwrap_or_default();
        for name in names.iter().filter(|name| name.starts_with(begin)) {
            directories.extend([parent.join(name).join("bin"), parent.join(name)]);
        }
    }
    directories
}

/// Names that a new service must not use, because users, units or directories have them already.
fn taken() -> Result<ExistingNames> {
    let first_fields = |file: &str| -> BTreeSet<String> {
        let text = std::fs::read_to_string(file).unwrap_or_default();
        text.lines().filter_map(|line| line.split(':').next()).map(str::to_owned).collect()
    };
    let mut units = BTreeSet::new();
    for directory in [
        "/etc/systemd/system",
        "/run/systemd/system",
        // systemd's generators write units for /etc/init.d and the like; systemd-run makes transient ones.
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
    Ok(ExistingNames { users: first_fields("/etc/passwd"), groups: first_fields("/etc/group"), units, paths })
}

/// Unit files beside those of the services, which begin with bootagent's comment.
fn process_units(claims: &BTreeSet<Service>) -> Result<BTreeMap<Service, BTreeSet<String>>> {
    let mut beside: BTreeMap<Service, BTreeSet<String>> = BTreeMap::new();
    for name in files::names(&layout::unit_file(""))? {
        let Some(service) = name.split('.').next().and_then(|name| Service::try_from(name).ok()) else {
            continue;
        };
        // Not the directory of an operator's drop-ins, `auth.service.d`.
        let is_unit = name.ends_with(".service") || name.ends_with(".timer");
        let is_beside = is_unit && name.matches('.').count() == 2 && claims.contains(&service);
        let text = if is_beside { files::read(&layout::unit_file(&name))? } else { None };
        if text.is_some_and(|text| text.starts_with(layout::WRITTEN_BY.as_bytes())) {
            beside.entry(service).or_default().insert(name);
        }
    }
    Ok(beside)
}

/// The unit of each service of bootagent.
async fn services_units(claims: &BTreeSet<Service>) -> Result<Vec<(Service, UnitState)>> {
    let names: Vec<String> = claims.iter().map(|service| Layout::new(service).unit()).collect();
    Ok(claims.iter().cloned().zip(units::states(&names).await?).collect())
}

/// The services whose unit is in a certain state.
fn whose_unit(units: &[(Service, UnitState)], fits: fn(&UnitState) -> bool) -> BTreeSet<Service> {
    units.iter().filter(|(_, unit)| fits(unit)).map(|(service, _)| service.clone()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systemd_s_version_is_that_of_the_library_that_it_has_loaded() {
        let maps = "7f00-7f01 r--p 00000000 08:01 42   /usr/lib/systemd/libsystemd-shared-";
        for (rest, version) in [("252.so", 252), ("252.4-1.amzn2023.so", 252), ("257~rc1.so", 257)] {
            assert_eq!(version_of_library(&format!("{maps}{rest}\n")), Some(version), "{rest}");
        }
        assert_eq!(version_of_library(&format!("{maps}x.so\n")), None);
        assert_eq!(version_of_library("7f00 /usr/lib/libc.so.6\n"), None);
    }
}
