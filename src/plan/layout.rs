//! Where everything of a service lives on the machine.

use std::path::{Path, PathBuf};

use super::environment::{EnvCopy, EnvFile, SERVICE};
use crate::facts::{Commit, Service};

/// All paths and names that belong to one service.
#[derive(Clone, Debug)]
pub struct Layout {
    service: Service,
}

impl Layout {
    pub fn new(service: &Service) -> Self {
        Layout { service: service.clone() }
    }

    pub fn service(&self) -> &Service {
        &self.service
    }

    /// The user that the service runs as: reads the release and the environment, changes neither.
    pub fn user(&self) -> &str {
        self.service.as_str()
    }

    /// The user that owns the release and runs the repository's install scripts.
    pub fn build_user(&self) -> String {
        format!("{}-build", self.service)
    }

    pub fn unit(&self) -> String {
        format!("{}.service", self.service)
    }

    pub fn unit_file(&self) -> PathBuf {
        Path::new("/etc/systemd/system").join(self.unit())
    }

    /// A transient unit of a fixed name, so that the next run finds what a killed one left.
    pub fn transient(&self, what: &str) -> String {
        format!("bootagent-{}-{what}.service", self.service)
    }

    pub fn home(&self) -> PathBuf {
        Path::new("/opt").join(self.service.as_str())
    }

    pub fn releases(&self) -> PathBuf {
        self.home().join("releases")
    }

    pub fn release(&self, commit: &Commit, recipe: &str) -> PathBuf {
        self.releases().join(format!("{commit}-{recipe}"))
    }

    pub fn current(&self) -> PathBuf {
        self.home().join("current")
    }

    /// What the service keeps over releases and boots.
    pub fn data(&self) -> PathBuf {
        Path::new("/var/lib").join(self.service.as_str())
    }

    /// Home and package cache of the build user.
    pub fn cache(&self) -> PathBuf {
        Path::new("/var/cache/bootagent").join(self.service.as_str())
    }

    /// tmpfs: the rendered environment.
    pub fn run(&self) -> PathBuf {
        Path::new(RUN).join(self.service.as_str())
    }

    /// Where a copy of the environment has one of its files.
    pub fn env_file(&self, copy: EnvCopy, file: &EnvFile) -> PathBuf {
        match copy {
            EnvCopy::Serving => self.run().join(file.name),
            EnvCopy::Good => self.run().join(format!("good-{}", file.name)),
            EnvCopy::Candidate => self.candidate().join(file.name),
            EnvCopy::Migration => self.migration().join(file.name),
        }
    }

    /// What the service's unit reads.
    pub fn environment(&self) -> PathBuf {
        self.env_file(EnvCopy::Serving, &SERVICE)
    }

    /// tmpfs, root only: the environment of a migration, as long as it lasts.
    pub fn migration(&self) -> PathBuf {
        self.run().join("migrate")
    }

    /// tmpfs, root only: the environment of a candidate, as long as it lasts.
    pub fn candidate(&self) -> PathBuf {
        self.run().join("candidate")
    }

    /// Not in /etc: nothing of a candidate outlives the boot.
    pub fn candidate_unit_file(&self) -> PathBuf {
        Path::new("/run/systemd/system").join(self.transient("candidate"))
    }

    /// All that a candidate puts anywhere.
    pub fn of_candidate(&self) -> [PathBuf; 3] {
        [self.candidate(), self.candidate_unit_file(), passed(&self.transient("candidate"))]
    }

    /// tmpfs, root only: from which bytes the running unit was started.
    pub fn started_from(&self) -> PathBuf {
        Path::new(RUN).join(format!("{}.started-from", self.service))
    }

    /// Root's own records about the service.
    pub fn records(&self) -> PathBuf {
        Path::new(STATE).join("services").join(self.service.as_str())
    }

    pub fn claim(&self) -> PathBuf {
        self.records().join("claim")
    }

    pub fn good(&self) -> PathBuf {
        self.records().join("good.json")
    }

    /// What was last put to run, whether or not it passed.
    pub fn attempt(&self) -> PathBuf {
        self.records().join("attempt.json")
    }

    /// One record for each release that was migrated.
    pub fn migrated(&self) -> PathBuf {
        self.records().join("migrated")
    }

    pub fn finished(&self) -> PathBuf {
        self.records().join("releases")
    }

    /// One record for each release that passed and is kept: what it is planned and started from.
    pub fn kept(&self) -> PathBuf {
        self.records().join("kept")
    }

    /// Where a release stands aside while it is built once more.
    pub fn aside(&self, release: &Path) -> PathBuf {
        let mut name = release.file_name().unwrap_or_default().to_os_string();
        name.push(".aside");
        self.releases().join(name)
    }

    /// tmpfs, root only: which deployments failed in this boot, and how.
    pub fn failed(&self) -> PathBuf {
        Path::new(RUN).join(format!("{}.failed", self.service))
    }

    /// As it is called until it is whole: a run that ends well does not write it anew.
    pub fn unfinished_failures(&self) -> PathBuf {
        Path::new(RUN).join(format!(".{}.failed.bootagent", self.service))
    }

    /// tmpfs: the release that was built once more in this boot.
    pub fn rebuilt(&self) -> PathBuf {
        Path::new(RUN).join(format!("{}.rebuilt", self.service))
    }
}

pub const STATE: &str = "/var/lib/bootagent";
pub const RUN: &str = "/run/bootagent";

/// As long as it is there, no run changes the machine.
pub const HOLD: &str = "/var/lib/bootagent/hold";
/// tmpfs: the console was told of it in this boot.
pub const HOLD_TOLD: &str = "/run/bootagent/hold.told";
/// The agent's own unit, which runs it at every boot.
pub const AGENT_UNIT: &str = "bootagent.service";
/// Starts that unit once more, a while after a run that failed. A service's transient units have another `-` here.
pub const RETRY: &str = "bootagent-retry";

/// tmpfs: which invocation of a unit passed its gate.
pub fn passed(unit: &str) -> PathBuf {
    Path::new(RUN).join(format!("{}.passed", unit.trim_end_matches(".service")))
}

/// Loads the rules of instance metadata at every boot. No service's unit is called so.
pub const IMDS_RULES_UNIT: &str = "bootagent-imds.service";
/// The transient unit of the proof that the rules hold. A service's transient units have another `-` here.
pub const IMDS_PROOF_UNIT: &str = "bootagent-imds.proof.service";
/// The rules, with the numbers of the users that it lets through.
pub const IMDS_RULES_FILE: &str = "/var/lib/bootagent/imds.nft";
/// tmpfs: the rules as the kernel had them when they were loaded.
pub const IMDS_RULES_LOADED: &str = "/run/bootagent/imds.loaded";

pub fn imds_rules_unit_file() -> PathBuf {
    Path::new("/etc/systemd/system").join(IMDS_RULES_UNIT)
}

/// What a unit runs before its service, as that user and within the unit's walls, where IMDS must not answer
/// the service. Found by its name, as in the agent's own unit.
pub const IMDS_PROOF: &str = "bootagent __child imds-proof";

/// What a unit runs to end its service, likewise.
pub const DRAIN: &str = "bootagent __child drain";

/// The transient unit that fetches, and the name of its scratch. No service's transient units are called
/// so: behind a service's name there is always another `-`.
pub const FETCH: &str = "bootagent-fetch";

/// The unit that downloads a document, beside the fetch of this name.
pub fn document_unit(fetch: &str) -> String {
    format!("{fetch}.document.service")
}

/// The fetch of a process that only looks, beside whatever runs: it has the process in its name.
pub fn fetch_of(pid: u32, started: u64) -> String {
    format!("{FETCH}.{pid}.{started}")
}

/// Whose it is, if it is an observer's: a fetch, or a unit of one.
pub fn observer(name: &str) -> Option<(u32, u64)> {
    let mut parts = name.strip_prefix(FETCH)?.strip_prefix('.')?.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

/// Where systemd keeps the cache directories of units with a dynamic user: only root can look in.
pub const PRIVATE: &str = "/var/cache/private";
pub const CACHE: &str = "/var/cache";

/// A fetch's objects, and the link by which its unit finds them.
pub fn scratch(fetch: &str) -> [PathBuf; 2] {
    [Path::new(PRIVATE).join(fetch), Path::new(CACHE).join(fetch)]
}

/// Where runtimes from archives stand, one directory for each version, for all services of the machine.
pub const RUNTIMES: &str = "/opt/bootagent/runtimes";

/// Where a runtime is unpacked, and removed: on their file system, so that one rename finishes it; root's alone.
pub const UNFINISHED_RUNTIME: &str = "/opt/bootagent/runtimes/.unfinished";

pub fn runtime(name: &str, version: &str) -> PathBuf {
    Path::new(RUNTIMES).join(name).join(version)
}

/// Records of one instance: an image baked from a used machine does not inherit them.
pub fn instance_records(instance: &str) -> PathBuf {
    Path::new(STATE).join("instances").join(instance)
}

pub fn decision(instance: &str) -> PathBuf {
    instance_records(instance).join("decision.json")
}

pub fn recorded_flags(instance: &str) -> PathBuf {
    instance_records(instance).join("policy.toml")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_service_s_pattern_fits_is_a_service_s() {
        for name in ["fetch", "fetch-17", "auth", "auth-build"] {
            let layout = Layout::new(&Service::try_from(name).unwrap());
            let pattern = layout.transient("*");
            let (front, _) = pattern.split_once('*').unwrap();
            let others = [FETCH.to_owned(), fetch_of(17, 4711)];
            for unit in others.iter().flat_map(|fetch| [format!("{fetch}.service"), document_unit(fetch)]) {
                assert!(!unit.starts_with(front), "{pattern} fits {unit}");
            }
        }
    }

    #[test]
    fn an_observer_is_known_by_what_it_leaves() {
        let fetch = fetch_of(17, 4711);
        for name in [fetch.clone(), format!("{fetch}.service"), document_unit(&fetch)] {
            assert_eq!(observer(&name), Some((17, 4711)), "{name}");
        }
        for name in
            [FETCH, "bootagent-fetch.service", &document_unit(FETCH), "bootagent-fetch.17", "x.17.4711"]
        {
            assert_eq!(observer(name), None, "{name}");
        }
    }
}
