//! Faults: errors with a cause outside bootagent, and whether each is tried again.
//!
//! Only the tables below decide what is tried again, and for how long; `tests/fence.rs` compares them with
//! `docs/reference/faults.md`. Other code makes the error of a fault here; `machine::retry` reads the tables.

pub mod words;

use crate::error::{Code, Error};
use crate::facts::Seconds;
use crate::secret::Message;

/// The time limit of a whole run; `budget` in the policy replaces it.
pub const BUDGET: Seconds = Seconds(900);

/// The operation starts again from the beginning, with pauses, until its time limit or number of tries is reached.
const RETRY: bool = true;
/// The operation fails immediately, because retrying cannot help.
const STOP: bool = false;

macro_rules! phases {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $seconds:literal, $set_by:expr, $tries:literal;)+) => {
        /// A part of a run that has a time limit. The rest of the budget is its limit if that is less.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Phase { $($(#[$doc])* $variant),+ }

        impl Phase {
            pub const ALL: &'static [Phase] = &[$(Phase::$variant),+];

            pub fn name(self) -> &'static str {
                match self { $(Phase::$variant => $name),+ }
            }

            pub const fn seconds(self) -> Seconds {
                Seconds(match self { $(Phase::$variant => $seconds),+ })
            }

            /// The policy's or manifest's key that sets the limit, if there is one.
            pub const fn set_by(self) -> Option<&'static str> {
                match self { $(Phase::$variant => $set_by),+ }
            }

            /// The number of tries, the first one included; 0 if only the time limit ends them.
            pub const fn tries(self) -> u32 {
                match self { $(Phase::$variant => $tries),+ }
            }
        }
    };
}

phases! {
    Metadata = "metadata", 120, Some("imds.wait"), 0;
    Secret = "secret", 120, Some("imds.wait"), 0;
    /// IAM takes seconds until a policy that was just attached to the instance's role has an effect.
    Permission = "permission", 60, None, 0;
    /// Time synchronisation corrects a wrong clock some seconds after the boot.
    Clock = "clock", 60, None, 0;
    /// All tries to fetch from the git server.
    Fetch = "fetch", 300, None, 0;
    /// All tries to read a commit from one origin, if there is another one.
    Origin = "origin", 60, Some("origins.wait"), 0;
    /// One try to fetch.
    Conversation = "conversation", 120, None, 0;
    Checkout = "checkout", 300, None, 1;
    Runtime = "runtime", 300, None, 0;
    Packages = "packages", 600, None, 1;
    /// Waiting for another process to release the package manager's lock.
    Lock = "lock", 300, Some("packages.wait"), 0;
    Install = "install", 600, None, 3;
    Build = "build", 600, None, 1;
    /// A program that evaluates a file of the repository, such as PM2's ecosystem file.
    Evaluate = "evaluate", 60, None, 1;
    Migrate = "migrate", 600, None, 1;
    /// Waiting for what the service needs, such as its database.
    WaitFor = "wait-for", 120, None, 0;
    /// A step that reads or writes a few local files.
    Local = "local", 30, None, 1;
    /// A step that removes directory trees, or waits for units to stop.
    Tidy = "tidy", 120, None, 1;
    Reload = "reload", 60, None, 1;
    Start = "start", 120, None, 1;
    HealthCheck = "health-check", 120, Some("health.timeout"), 1;
    /// Each of the operator's hooks.
    Hooks = "hooks", 300, Some("hooks.timeout"), 1;
    /// All tries to complete a lifecycle hook: a run can be done before its instance has reached the hook.
    Hook = "hook", 120, None, 0;
    /// All tries to read the fleet memory.
    Fleet = "fleet", 60, None, 0;
    /// Writing one object of the fleet memory: no service waits for it.
    FleetWrite = "fleet-write", 15, None, 0;
    /// Telling CloudWatch Logs or CloudFormation how a run ended.
    Evidence = "evidence", 30, None, 0;
    /// A step that reads or writes a large object of S3.
    Transfer = "transfer", 300, None, 1;
    /// The step that completes a lifecycle hook: longer than its tries, so that it ends with their last error.
    Signal = "signal", 150, None, 1;
}

macro_rules! faults {
    ($($variant:ident = $name:literal, $retry:ident, $phase:ident, $code:ident, $shows:literal;)+) => {
        /// A fault. Its name is stable: the status file and `docs/reference/faults.md` have it.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Fault { $($variant),+ }

        impl Fault {
            pub const ALL: &'static [Fault] = &[$(Fault::$variant),+];

            pub fn name(self) -> &'static str {
                match self { $(Fault::$variant => $name),+ }
            }

            /// Whether trying again can help.
            pub fn is_retried(self) -> bool {
                match self { $(Fault::$variant => $retry),+ }
            }

            pub fn phase(self) -> Phase {
                match self { $(Fault::$variant => Phase::$phase),+ }
            }

            pub fn code(self) -> Code {
                match self { $(Fault::$variant => Code::$code),+ }
            }

            /// What the agent observes, for `docs/reference/faults.md`.
            pub fn shows(self) -> &'static str {
                match self { $(Fault::$variant => $shows),+ }
            }
        }
    };
}

faults! {
    ImdsSilent = "imds-silent", RETRY, Metadata, ImdsUnreachable, "IMDS refuses connections, does not answer in time, or answers 5xx";
    ImdsToken = "imds-token", RETRY, Metadata, ImdsUnreachable, "IMDS answers 401: the session's token has expired";
    ImdsIncomplete = "imds-incomplete", RETRY, Metadata, ImdsUnreachable, "IMDS has no instance id, region, zone or type yet, or one that is not well-formed";
    TagsOff = "tags-off", RETRY, Metadata, ImdsTagsOff, "IMDS has no tags/instance";
    TagLate = "tag-late", RETRY, Metadata, TagMissing, "the instance does not have the required tag (yet)";

    CredentialsLate = "credentials-late", RETRY, Secret, CredentialsMissing, "IMDS answers 404 for the role's credentials, or has no role";
    OwnCredentials = "own-credentials", STOP, Secret, CredentialsMissing, "off EC2: the caller has no credentials in the environment, and the AWS CLI is missing, has none or refuses";
    RoleUnknown = "role-unknown", RETRY, Secret, SecretUnreachable, "AWS does not know the credentials yet, or they expired on the way";
    SecretThrottled = "secret-throttled", RETRY, Secret, SecretUnreachable, "Secrets Manager answers ThrottlingException or 429";
    SecretFailing = "secret-failing", RETRY, Secret, SecretUnreachable, "Secrets Manager answers 5xx";
    SecretUnreachable = "secret-unreachable", RETRY, Secret, SecretUnreachable, "no connection to Secrets Manager: no address for its name, no route, no answer in time";
    SecretUntrusted = "secret-untrusted", STOP, Secret, SecretUnreachable, "the certificate of Secrets Manager's endpoint is not trusted here";
    SecretMissing = "secret-missing", STOP, Secret, SecretMissing, "there is no secret of this name, or it is about to be deleted";
    SecretDenied = "secret-denied", STOP, Secret, SecretDenied, "the role may not read the secret, or not use its key";
    SecretDeniedYet = "secret-denied-yet", RETRY, Permission, SecretDenied, "the same before the service was first healthy on this instance: IAM may not have propagated a new policy yet";
    ParameterUnreachable = "parameter-unreachable", RETRY, Secret, ParameterUnreachable, "no connection to Parameter Store, or it answers ThrottlingException, 429 or 5xx";
    ParameterUntrusted = "parameter-untrusted", STOP, Secret, ParameterUnreachable, "the certificate of Parameter Store's endpoint is not trusted here";
    ParameterMissing = "parameter-missing", STOP, Secret, ParameterMissing, "there is no parameter of this name, or none below this path";
    ParameterDenied = "parameter-denied", STOP, Secret, ParameterDenied, "the role may not read the parameter, or not use its key";
    ParameterDeniedYet = "parameter-denied-yet", RETRY, Permission, ParameterDenied, "the same before the service was first healthy on this instance: IAM may not have propagated a new policy yet";
    ClockWrong = "clock-wrong", RETRY, Clock, ClockWrong, "a server refuses a signature or certificate for its time, and the machine's clock differs from AWS's by over 4 minutes, or from GitHub's by over 30 s";

    GitUnreachable = "git-unreachable", RETRY, Fetch, GitUnreachable, "no connection to the git server: no address for its name, no route, no handshake";
    GitBusy = "git-busy", RETRY, Fetch, GitUnreachable, "the git server answers 408, 425, 429 or 5xx";
    GitWebPage = "git-web-page", RETRY, Fetch, GitUnreachable, "the git server answers 200 with an HTML page, as for maintenance";
    GitStalled = "git-stalled", RETRY, Fetch, GitUnreachable, "the git server sends nothing for 30 s, or one fetch takes over 120 s";
    GitBrokenOff = "git-broken-off", RETRY, Fetch, GitUnreachable, "the git server's answer ends early, or does not follow git's protocol";
    GitUntrusted = "git-untrusted", STOP, Fetch, GitUnreachable, "the git server's certificate is not trusted here";
    GitRefused = "git-refused", STOP, Fetch, GitRefused, "the git server answers 401, 403 or another status that is not a success, or refuses the ssh key";
    GitNotFound = "git-not-found", STOP, Fetch, GitNotFound, "the git server answers 404 or 410, or says over ssh that it has no such repository";
    GitUnsupported = "git-unsupported", STOP, Fetch, GitUnsupported, "the git server answers 501 or 505, uses a protocol or a version of git, TLS or ssh that bootagent does not support, or the repository's objects are not SHA-1";
    GitHostKey = "git-host-key", STOP, Fetch, HostKey, "the ssh server's host key is not the known one";

    RuntimeUnreachable = "runtime-unreachable", RETRY, Runtime, RuntimeUnreachable, "no connection to the server of a runtime's archives, or the server sends nothing for 30 s, answers 408, 425, 429, 5xx or an HTML page, as for maintenance, or breaks off";
    RuntimeUntrusted = "runtime-untrusted", STOP, Runtime, RuntimeUnreachable, "the mirror's certificate is not trusted here, or the mirror redirects to plain http";
    RuntimeAbsent = "runtime-absent", STOP, Runtime, RuntimeMissing, "the mirror answers 404 or another status that is not a success";
    RuntimeAltered = "runtime-altered", STOP, Runtime, RuntimeChecksum, "the archive does not have the checksum that the policy pins, or the mirror lists";
    RuntimeUnusable = "runtime-unusable", STOP, Runtime, RuntimeArchive, "an archive or the index is invalid: too long, not an archive, or with a link that leads out of it";

    PackagesLocked = "os-packages-locked", RETRY, Lock, PackagesLocked, "another process holds a lock of dpkg, apt, rpm or dnf; the message names the process, and bootagent never removes a lock";
    PackagesUnreachable = "os-packages-unreachable", RETRY, Packages, PackagesUnreachable, "apt-get or dnf cannot fetch lists or packages";
    PackagesUntrusted = "os-packages-untrusted", STOP, Packages, PackagesKey, "the list of a repository, or a package, is not signed by the repository's key";
    PackagesMissing = "os-packages-missing", STOP, Packages, PackagesMissing, "no repository of the machine has a package of this name, after its lists were refreshed";
    PackagesFailed = "os-packages-failed", STOP, Packages, PackagesFailed, "apt-get or dnf fails in any other way; bootagent repairs an interrupted dpkg once, and installs half-unpacked packages again";

    RegistryUnreachable = "registry-unreachable", RETRY, Install, RegistryUnreachable, "npm ends with ECONNRESET, ECONNREFUSED, ETIMEDOUT, EAI_AGAIN, E429, E5xx or the like, after 5 attempts at each file; the registry answers an HTML page, as for maintenance; Yarn, pnpm, bun, pip or uv report broken connections, or a server that answers 5xx";
    RegistryUntrusted = "registry-untrusted", STOP, Install, RegistryUnreachable, "npm ends with CERT_HAS_EXPIRED, SELF_SIGNED_CERT_IN_CHAIN or the like; Yarn, pnpm, bun, pip or uv report that a certificate is not trusted";
    RegistryRefused = "registry-refused", STOP, Install, RegistryRefused, "npm ends with E401, E403 or ENEEDAUTH; the server answers Yarn, pnpm, bun, pip or uv with 401 or 403";
    PackageMissing = "dependency-missing", STOP, Install, PackageMissing, "npm ends with E404, ETARGET or ENOVERSIONS; Yarn, pnpm, bun, pip or uv find no such package or version";
    LockfileStale = "lockfile-stale", STOP, Install, LockfileStale, "npm ends with EUSAGE: package.json and lockfile are not in sync; Yarn, pnpm or bun may not change their frozen lockfile; uv reports that uv.lock needs to be updated; a requirements file lacks some hashes";
    PackageAltered = "dependency-altered", STOP, Install, PackageAltered, "npm ends with EINTEGRITY, after 6 attempts, or Yarn, pnpm, bun, pip or uv report a hash mismatch: a package is not the one in the lockfile";
    EngineUnfit = "engine-unfit", STOP, Install, RuntimeMissing, "npm ends with EBADENGINE, or Yarn, pnpm, pip or uv report the same: a package requires another version of Node, of the package manager or of Python";
    OutOfMemory = "out-of-memory", STOP, Install, OutOfMemory, "SIGKILL ended a command, or Node reached its heap limit";
    PackageUnusable = "dependency-unusable", STOP, Install, PackageAltered, "the lockfile or a package's archive has something that no tool writes: a path that leads elsewhere, a device, no end";
    InstallFailed = "install-failed", STOP, Install, InstallFailed, "an install or build command fails in any other way";

    EngineFailed = "engine-failed", STOP, Start, EngineFailed, "docker's daemon does not start or does not answer, its daemon.json is not valid, or iptables is missing";
    ImageUnreachable = "image-unreachable", RETRY, Install, ImageUnreachable, "docker reports no connection to the registry, 5xx, or too many requests";
    ImageUntrusted = "image-untrusted", STOP, Install, ImageUnreachable, "docker does not trust the registry's certificate, or the registry speaks plain http";
    ImageRefused = "image-refused", STOP, Install, ImageRefused, "the registry answers docker with 401 or 403, or denies access to the repository";
    ImageMissing = "image-missing", STOP, Install, ImageMissing, "the registry has no such repository, tag or digest, or none for this architecture";
    ImageBuildFailed = "image-build-failed", STOP, Build, ImageBuildFailed, "docker build fails in any other way";

    EvaluationFailed = "evaluation-failed", STOP, Evaluate, EcosystemInvalid, "the ecosystem file cannot be evaluated: it throws, ends its process, does not end, or exports something else";
    EvaluationRefused = "evaluation-refused", STOP, Evaluate, EcosystemRefused, "the ecosystem file contains a setting that is not allowed: another user, a script outside the release, npm in a cluster, a deploy section";

    MigrateFailed = "migrate-failed", STOP, Migrate, MigrateFailed, "a migration command fails; nothing was switched";

    DataFailed = "data-failed", STOP, Migrate, DataFailed, "the script that makes the first data of a database server fails; the data directory does not exist yet";
    AddressClosed = "address-closed", RETRY, WaitFor, WaitFor, "an address of wait_for refuses connections or does not answer, or its name has no address";

    ImdsAnswers = "imds-answers", STOP, Start, ImdsAnswers, "IMDS answers a process that must not reach it: an install, build or migrate command, the service, a process of another user";
    UnitFailed = "unit-failed", STOP, Start, UnitFailed, "systemd cannot start the service's unit";
    ServiceExited = "service-exited", RETRY, HealthCheck, ServiceExited, "the service exits; if there is a previous deployment to go back to, the fourth exit ends the wait";
    ServiceOutOfMemory = "service-out-of-memory", RETRY, HealthCheck, OutOfMemory, "the kernel kills the service for lack of memory";
    HealthNoListener = "health-no-listener", RETRY, HealthCheck, HealthNoListener, "nothing listens on the port (yet); without health.timeout, the wait for a service that listens only on other ports ends after 15 s";
    HealthForeign = "health-foreign-listener", RETRY, HealthCheck, HealthForeign, "a process outside the service's unit listens on the port; the message has its pid and unit";
    HealthBadAnswer = "health-bad-answer", RETRY, HealthCheck, HealthBadAnswer, "the health path answers with a status that is not good, or not within health.answer; without a path: no connection is accepted within 5 s";
    HealthFlapping = "health-flapping", RETRY, HealthCheck, HealthFlapping, "the service was healthy, and was restarted before health.soak was over";

    HookNotWaiting = "hook-not-waiting", RETRY, Hook, HookRefused, "Auto Scaling answers that no lifecycle action is active: the instance has not reached the hook yet, or has left it; in the end a note, not an error";
    HookUnreachable = "hook-unreachable", RETRY, Hook, HookUnreachable, "no connection to Auto Scaling, no credentials for it, or it answers 429 or 5xx, or does not know the credentials";
    HookUntrusted = "hook-untrusted", STOP, Hook, HookUnreachable, "the certificate of Auto Scaling's endpoint is not trusted here";
    HookDenied = "hook-denied", STOP, Hook, HookDenied, "the role may not complete lifecycle actions of this group";
    HookRefused = "hook-refused", STOP, Hook, HookRefused, "Auto Scaling refuses the call in any other way: there is no such group or hook";

    HookFailed = "hook-failed", STOP, Hooks, HookFailed, "a program of /etc/bootagent/hooks ends with a status other than 0, is not done in time, or was changed so that users other than root can write it";
    EvidenceUnreachable = "evidence-unreachable", RETRY, Evidence, EvidenceUnreachable, "no connection to CloudWatch Logs or CloudFormation, no credentials for it, or it answers 429 or 5xx, or does not know the credentials";
    EvidenceUntrusted = "evidence-untrusted", STOP, Evidence, EvidenceUnreachable, "the certificate of the endpoint of CloudWatch Logs or CloudFormation is not trusted here";
    EvidenceDenied = "evidence-denied", STOP, Evidence, EvidenceDenied, "the role may not write to the log group, or not signal the stack";
    EvidenceNotWanted = "evidence-not-wanted", STOP, Evidence, EvidenceRefused, "the stack is neither created nor updated now, and waits for no signal; a note, not an error";
    EvidenceRefused = "evidence-refused", STOP, Evidence, EvidenceRefused, "CloudWatch Logs or CloudFormation refuses the call in any other way: there is no such log group, stack or resource";

    FleetUnreachable = "fleet-unreachable", RETRY, Fleet, FleetUnreachable, "no connection to S3, or it answers SlowDown, 429 or 5xx";
    FleetUntrusted = "fleet-untrusted", STOP, Fleet, FleetUnreachable, "the certificate of S3's endpoint is not trusted here";
    FleetMissing = "fleet-missing", STOP, Fleet, FleetMissing, "there is no bucket of the name in fleet.prefix";
    FleetDenied = "fleet-denied", STOP, Fleet, FleetDenied, "the role may not read, list or write below fleet.prefix, or not use the bucket's key";
    FleetDeniedYet = "fleet-denied-yet", RETRY, Permission, FleetDenied, "the same before the service was first healthy on this instance: IAM may not have propagated a new policy yet";
    FleetRefused = "fleet-refused", STOP, Fleet, FleetInvalid, "S3 refuses the request in any other way, or an object is longer than bootagent writes any";

    GroupUnreachable = "group-unreachable", RETRY, Fleet, HookUnreachable, "of a rollout: no connection to Auto Scaling, or it answers 429 or 5xx";
    GroupUntrusted = "group-untrusted", STOP, Fleet, HookUnreachable, "of a rollout: the certificate of Auto Scaling's endpoint is not trusted here";
    GroupDenied = "group-denied", STOP, Fleet, RolloutDenied, "of a rollout: the credentials may not read the group, or not start or cancel its instance refresh";
    GroupRefused = "group-refused", STOP, Fleet, RolloutRefused, "of a rollout: Auto Scaling refuses the call in any other way";

    DiskFull = "disk-full", STOP, Local, DiskFull, "no space, inode or quota left where bootagent or one of its commands writes";
}

impl Fault {
    /// The error of this fault. `doing` is a gerund with its object; `cause` is what was observed.
    pub fn error(self, doing: impl Into<String>, cause: impl Into<Message>) -> Error {
        self.is_behind(Error::new(self.code(), doing, cause))
    }

    /// Marks an error as caused by this fault.
    pub fn is_behind(self, error: Error) -> Error {
        error.with_fault(self.name())
    }

    pub fn of(error: &Error) -> Option<Fault> {
        let name = error.fault()?;
        Fault::ALL.iter().copied().find(|fault| fault.name() == name)
    }

    /// Whether a commit may be read from another origin after this fault: the git server cannot be reached. One that
    /// refuses access or has no such repository any more means it, and a copy elsewhere must not replace its answer.
    pub fn leads_to_next_origin(self) -> bool {
        self.phase() == Phase::Fetch && self.is_retried()
    }

    /// How long it may last; none if a setting determines that, which the caller knows.
    pub fn most(self) -> Option<Seconds> {
        self.phase().set_by().is_none().then(|| self.phase().seconds())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_is_found_by_the_name_in_its_error() {
        for fault in Fault::ALL {
            let error = fault.error("booting", "a cause");
            assert_eq!((Fault::of(&error), error.code()), (Some(*fault), fault.code()));
            let of_a_child = Error::received(error.sent());
            assert_eq!(Fault::of(&of_a_child), Some(*fault));
        }
        assert_eq!(Fault::of(&Error::new(Code::GitUnreachable, "fetching", "503")), None);
    }

    #[test]
    fn every_phase_is_shorter_than_the_budget() {
        for phase in Phase::ALL {
            assert!(phase.seconds() < BUDGET, "{} may take the whole run", phase.name());
        }
    }
}
