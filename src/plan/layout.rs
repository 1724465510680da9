//! The paths and unit names that bootagent uses on the machine, for each service and in common. Pure: it looks at none.

use std::path::{Path, PathBuf};

use super::environment::{EnvCopy, EnvFile, SERVICE};
use crate::facts::{Commit, Service};

/// The paths and names of one service.
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

    /// The user that the service runs as. It can read the release and the environment, and change neither.
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
        unit_file(&self.unit())
    }

    /// The unit of the proxy in front of the service.
    pub fn proxy(&self) -> String {
        format!("{}.proxy.service", self.service)
    }

    /// The volumes of its container, below root's own directory.
    pub fn volumes(&self) -> PathBuf {
        self.records().join("volumes")
    }

    /// That proxy's configuration.
    pub fn proxy_file(&self) -> PathBuf {
        self.home().join("proxy.conf")
    }

    /// A unit that belongs to the service's, such as that of a worker: `auth.worker.service`. A service's name has no dot,
    /// so that it is not the unit of another service.
    pub fn process_unit(&self, name: &str, kind: &str) -> String {
        format!("{}.{name}.{kind}", self.service)
    }

    /// Name of a transient unit. It is fixed, so that a run finds the units that a killed run left.
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

    /// Home and persistent directories of the service, kept when a release is replaced.
    pub fn data(&self) -> PathBuf {
        Path::new("/var/lib").join(self.service.as_str())
    }

    /// Home and package cache of the build user.
    pub fn cache(&self) -> PathBuf {
        Path::new("/var/cache/bootagent").join(self.service.as_str())
    }

    /// The certificates that an installation from private registries trusts, while it runs. Not below `RUN`, which
    /// build commands cannot see.
    pub fn certificates(&self) -> PathBuf {
        Path::new("/run/bootagent-registries").join(self.service.as_str()).join("ca.pem")
    }

    /// Directory of the environment's files, on tmpfs: no secret is on disk.
    pub fn run(&self) -> PathBuf {
        Path::new(RUN).join(self.service.as_str())
    }

    /// Path of one file of the environment, in one of its copies.
    pub fn env_file(&self, copy: EnvCopy, file: &EnvFile) -> PathBuf {
        match copy {
            EnvCopy::Serving => self.run().join(file.name),
            EnvCopy::Good => self.run().join(format!("good-{}", file.name)),
            EnvCopy::Candidate => self.candidate().join(file.name),
            EnvCopy::Migration => self.migration().join(file.name),
        }
    }

    /// The `EnvironmentFile=` of the service's unit.
    pub fn environment(&self) -> PathBuf {
        self.env_file(EnvCopy::Serving, &SERVICE)
    }

    /// Directory of a migration's environment while it runs: on tmpfs, readable only by root.
    pub fn migration(&self) -> PathBuf {
        self.run().join("migrate")
    }

    /// Directory of a candidate's environment while it runs: on tmpfs, readable only by root.
    pub fn candidate(&self) -> PathBuf {
        self.run().join("candidate")
    }

    /// In /run instead of /etc, so that a reboot removes it.
    pub fn candidate_unit_file(&self) -> PathBuf {
        Path::new("/run/systemd/system").join(self.transient("candidate"))
    }

    /// The name of the service's container. With a prefix, so that no container of the operator has it.
    pub fn container(&self) -> String {
        format!("bootagent-{}", self.service)
    }

    /// The repository of the service's images on this machine. It is in no registry.
    pub fn images(&self) -> String {
        format!("bootagent/{}", self.service)
    }

    /// The image of a release.
    pub fn image(&self, release: &Path) -> String {
        format!("{}:{}", self.images(), release.file_name().unwrap_or_default().to_string_lossy())
    }

    /// The image of one container of a release, if it has several.
    pub fn member_image(&self, release: &Path, member: &str) -> String {
        format!("{}.{member}", self.image(release))
    }

    /// What docker compose runs.
    pub fn compose_file(&self) -> PathBuf {
        self.home().join("compose.json")
    }

    /// One record for each release with an image: what the image was made from.
    pub fn image_records(&self) -> PathBuf {
        self.records().join("images")
    }

    /// Docker's configuration with the credential of a registry, while an image is pulled: on tmpfs, readable only by root.
    /// In the place of a migration, which no container has: each run removes what a killed one left there.
    pub fn registry_login(&self) -> PathBuf {
        self.migration()
    }

    /// All files and directories of a candidate, to be removed with it.
    pub fn candidate_paths(&self) -> [PathBuf; 3] {
        [self.candidate(), self.candidate_unit_file(), passed(&self.transient("candidate"))]
    }

    /// Record of what the running unit was started from: on tmpfs, readable only by root.
    pub fn started_from(&self) -> PathBuf {
        started_from(&self.unit())
    }

    /// Directory of the records about the service, readable only by root.
    pub fn records(&self) -> PathBuf {
        Path::new(STATE).join("services").join(self.service.as_str())
    }

    /// Marks the service's user, unit and directories as bootagent's.
    pub fn claim(&self) -> PathBuf {
        self.records().join("claim")
    }

    /// Record of the last healthy deployment.
    pub fn good(&self) -> PathBuf {
        self.records().join("good.json")
    }

    /// Record of the deployment that was last started, healthy or not.
    pub fn attempt(&self) -> PathBuf {
        self.records().join("attempt.json")
    }

    /// Record of the ports on which the last healthy deployment was observed to listen.
    pub fn listened(&self) -> PathBuf {
        self.records().join("listened.json")
    }

    /// One record for each release whose migration is done.
    pub fn migrated(&self) -> PathBuf {
        self.records().join("migrated")
    }

    /// One record for each release that is complete.
    pub fn finished(&self) -> PathBuf {
        self.records().join("releases")
    }

    /// Record of the release that is part of the image.
    pub fn baked(&self) -> PathBuf {
        self.records().join("baked.json")
    }

    /// One record for each healthy release, from which it can be planned and started again without git.
    pub fn kept(&self) -> PathBuf {
        self.records().join("kept")
    }

    /// The name that a release has while its commit is built again.
    pub fn aside(&self, release: &Path) -> PathBuf {
        let mut name = release.file_name().unwrap_or_default().to_os_string();
        name.push(".aside");
        self.releases().join(name)
    }

    /// Record of the deployments that failed in this boot, with their errors: on tmpfs, readable only by root.
    pub fn failed(&self) -> PathBuf {
        Path::new(RUN).join(format!("{}.failed", self.service))
    }

    /// Temporary name of that record while it is written. A killed run leaves it; a healthy run does not replace it.
    pub fn unfinished_failures(&self) -> PathBuf {
        Path::new(RUN).join(format!(".{}.failed.bootagent", self.service))
    }

    /// Names the release that was rebuilt in this boot; on tmpfs, so that a release is rebuilt once for each boot.
    pub fn rebuilt(&self) -> PathBuf {
        Path::new(RUN).join(format!("{}.rebuilt", self.service))
    }
}

pub const STATE: &str = "/var/lib/bootagent";
pub const RUN: &str = "/run/bootagent";

/// Files on their way to or from S3; only root can enter it.
pub const STAGING: &str = "/var/lib/bootagent/staging";

/// The machine's swap file, of `[swap]` in the policy.
pub const SWAP: &str = "/var/lib/bootagent/swap";
/// The name that systemd requires for the unit of that file.
pub const SWAP_UNIT: &str = "var-lib-bootagent-swap.swap";
/// journald's settings, of `[journal]` in the policy.
pub const JOURNAL_LIMIT: &str = "/etc/systemd/journald.conf.d/bootagent.conf";
/// Directory of the operator's hooks: one directory for each phase, `before-start.d`.
pub const HOOKS: &str = "/etc/bootagent/hooks";

/// Whether it is a unit of bootagent itself, such as a candidate: no service has such a name.
pub fn is_transient(unit: &str) -> bool {
    unit.starts_with("bootagent-")
}

pub fn unit_file(unit: &str) -> PathBuf {
    Path::new("/etc/systemd/system").join(unit)
}

/// Record of what a running unit was started from: on tmpfs, readable only by root.
pub fn started_from(unit: &str) -> PathBuf {
    Path::new(RUN).join(format!("{}.handover", unit.trim_end_matches(".service")))
}

/// While this file exists, no run changes the machine (`bootagent hold`).
pub const HOLD: &str = "/var/lib/bootagent/hold";
/// On tmpfs: exists if the console showed the hold in this boot already.
pub const HOLD_TOLD: &str = "/run/bootagent/hold.told";
/// The unit that runs bootagent at every boot.
pub const AGENT_UNIT: &str = "bootagent.service";
/// The timer that starts that unit again after a failed run. Cannot be a service's transient unit: these have one more
/// `-`, after the service's name.
pub const RETRY: &str = "bootagent-retry";

/// How the files of all units begin.
pub const WRITTEN_BY: &str = "# Written by bootagent;";

/// On tmpfs: the invocation of a unit (`InvocationID`) that passed its health check.
pub fn passed(unit: &str) -> PathBuf {
    Path::new(RUN).join(format!("{}.passed", unit.trim_end_matches(".service")))
}

/// Loads the firewall rules for IMDS at every boot. No service's unit: their names do not start with `bootagent`.
pub const IMDS_RULES_UNIT: &str = "bootagent-imds.service";
/// The transient unit that tests the rules. The `.` keeps it apart from the transient units of services.
pub const IMDS_PROOF_UNIT: &str = "bootagent-imds.proof.service";
/// The rules for nft, with the uids of the users that may reach IMDS.
pub const IMDS_RULES_FILE: &str = "/var/lib/bootagent/imds.nft";
/// On tmpfs: the rules as the kernel listed them after they were loaded.
pub const IMDS_RULES_LOADED: &str = "/run/bootagent/imds.loaded";

pub fn imds_rules_unit_file() -> PathBuf {
    Path::new("/etc/systemd/system").join(IMDS_RULES_UNIT)
}

/// The unit that watches while the service runs, and what it watches, as JSON.
pub const WATCH_UNIT: &str = "bootagent-watch.service";
pub const WATCH_FILE: &str = "/var/lib/bootagent/watch.json";
/// On tmpfs: what it has seen, as JSON, for `bootagent status`.
pub const WATCH_STATE: &str = "/run/bootagent/watch.json";
/// On tmpfs: the terminate hook is completed.
pub const WATCH_DRAINED: &str = "/run/bootagent/watch.drained";
/// The transient unit of a run that the watcher starts. The `.` keeps it apart from the transient units of services.
pub const WATCH_REFRESH: &str = "bootagent-watch.refresh.service";

/// `ExecStartPre=` of a service that may not reach IMDS: tests that IMDS does not answer, as the service's user and
/// with the unit's hardening. The command has no path: systemd looks for it in its own search path.
pub const IMDS_PROOF: &str = "bootagent __child imds-proof";

/// `ExecStop=` of a service: sends it the signal to end, and waits.
pub const DRAIN: &str = "bootagent __child drain";

/// The transient unit of a fetch, and its directory. Cannot be a service's transient unit: these have one more `-`,
/// after the service's name.
pub const FETCH: &str = "bootagent-fetch";

/// The unit that downloads a document, for the fetch of this name.
pub fn document_unit(fetch: &str) -> String {
    format!("{fetch}.document.service")
}

/// The fetch of a command that only reads, such as a dry run. Process id and start time keep it apart from a run's.
pub fn fetch_of(pid: u32, started: u64) -> String {
    format!("{FETCH}.{pid}.{started}")
}

/// Process id and start time in the name of such a fetch or of its units. `None` for other names.
pub fn observer(name: &str) -> Option<(u32, u64)> {
    let mut parts = name.strip_prefix(FETCH)?.strip_prefix('.')?.split('.');
    Some((parts.next()?.parse().ok()?, parts.next()?.parse().ok()?))
}

pub const CACHE: &str = "/var/cache";
/// Where systemd keeps those of units with `DynamicUser=`. Only root can enter it.
pub const PRIVATE: &str = "/var/cache/private";

/// The directory with a fetch's git objects, and the link that systemd makes to it.
pub fn scratch(fetch: &str) -> [PathBuf; 2] {
    [Path::new(PRIVATE).join(fetch), Path::new(CACHE).join(fetch)]
}

/// Directory of installed runtimes and tools, one directory for each version, for all services of the machine.
pub const RUNTIMES: &str = "/opt/bootagent/runtimes";

/// Where a runtime is unpacked and removed, for root only. On the same file system: by a rename it appears complete.
pub const UNFINISHED_RUNTIME: &str = "/opt/bootagent/runtimes/.unfinished";

/// HOME of a release's build commands. Programs that an install script leaves in `~/.cache` are part of the release.
pub fn build_home(release: &Path) -> PathBuf {
    release.join(".build-home")
}

/// The link in a release to the directory that is served, if it is a static site.
pub fn site(release: &Path) -> PathBuf {
    release.join(".site")
}

pub fn runtime(name: &str, version: &str) -> PathBuf {
    Path::new(RUNTIMES).join(name).join(version)
}

/// Directory of one instance's records. An instance of an AMI that was made from it has another id, and ignores them.
pub fn instance_records(instance: &str) -> PathBuf {
    Path::new(STATE).join("instances").join(instance)
}

/// Record of the service, environment and commit that the instance is pinned to.
pub fn decision(instance: &str) -> PathBuf {
    instance_records(instance).join("decision.json")
}

/// Record of the lifecycle hook that a run of the instance completed: the state that the instance went to.
pub fn lifecycle(instance: &str) -> PathBuf {
    instance_records(instance).join("lifecycle")
}

/// Record of the CloudFormation stack that a run of the instance signalled.
pub fn stack_signal(instance: &str) -> PathBuf {
    instance_records(instance).join("stack")
}

/// The flags of the instance's runs, in the policy's format.
pub fn recorded_flags(instance: &str) -> PathBuf {
    instance_records(instance).join("policy.toml")
}

#[cfg(test)]
mod tests;
