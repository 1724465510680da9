//! Faults: errors with a cause outside bootagent, and whether each is tried again.
//!
//! The tables below are the only place that decides whether something is tried again or told at once, and how long; `docs/reference/faults.md` is checked against them. The code that meets a
//! fault makes its error here, and `machine::retry` goes by it.

pub mod words;

use crate::error::{Code, Error};
use crate::facts::Seconds;
use crate::secret::Message;

/// The whole run's time, unless the policy gives it another.
pub const BUDGET: Seconds = Seconds(900);

/// Done again from its beginning, with pauses, until its time limit or its tries are over.
const RETRY: bool = true;
/// Retrying cannot help: the run ends with it.
const STOP: bool = false;

macro_rules! phases {
    ($($(#[$doc:meta])* $variant:ident = $name:literal, $seconds:literal, $set_by:expr, $tries:literal;)+) => {
        /// A part of a run with a time limit of its own. What is left of the budget ends each of them early.
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

            /// The setting that gives it another length, if there is one.
            pub const fn set_by(self) -> Option<&'static str> {
                match self { $(Phase::$variant => $set_by),+ }
            }

            /// How often it is tried in all; 0 where only the time counts.
            pub const fn tries(self) -> u32 {
                match self { $(Phase::$variant => $tries),+ }
            }
        }
    };
}

phases! {
    Metadata = "metadata", 120, Some("imds.wait"), 0;
    Secret = "secret", 120, Some("imds.wait"), 0;
    /// For a policy that was just attached to the instance's role.
    Permission = "permission", 60, None, 0;
    /// For time synchronisation to set a wrong clock right.
    Clock = "clock", 60, None, 0;
    Fetch = "fetch", 300, None, 0;
    /// One of the fetches.
    Conversation = "conversation", 120, None, 0;
    Checkout = "checkout", 300, None, 1;
    Runtime = "runtime", 300, None, 0;
    Packages = "packages", 600, None, 1;
    /// For the process that holds dpkg's lock.
    Lock = "lock", 300, Some("packages.wait"), 0;
    Install = "install", 600, None, 3;
    Build = "build", 600, None, 1;
    /// For a program that reads what a repository says of itself.
    Evaluate = "evaluate", 60, None, 1;
    Migrate = "migrate", 600, None, 1;
    /// A step that touches a few files of the local disk.
    Local = "local", 30, None, 1;
    /// A step that goes through whole trees, or waits for units to end.
    Tidy = "tidy", 120, None, 1;
    Reload = "reload", 60, None, 1;
    Start = "start", 120, None, 1;
    HealthCheck = "health-check", 120, Some("health.timeout"), 1;
}

macro_rules! faults {
    ($($variant:ident = $name:literal, $retry:ident, $phase:ident, $code:ident, $shows:literal;)+) => {
        /// A fault, by a stable name.
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

            /// How it shows itself, for people.
            pub fn shows(self) -> &'static str {
                match self { $(Fault::$variant => $shows),+ }
            }
        }
    };
}

faults! {
    ImdsSilent = "imds-silent", RETRY, Metadata, ImdsUnreachable, "instance metadata refuses connections, does not answer in time, or answers 5xx";
    ImdsToken = "imds-token", RETRY, Metadata, ImdsUnreachable, "instance metadata answers 401: the session's token has expired";
    ImdsIncomplete = "imds-incomplete", RETRY, Metadata, ImdsUnreachable, "instance metadata has no instance id, region, zone or type yet, or not in their form";
    TagsOff = "tags-off", RETRY, Metadata, ImdsTagsOff, "instance metadata has no tags/instance";
    TagLate = "tag-late", RETRY, Metadata, TagMissing, "the tag that is needed is not there (yet)";

    CredentialsLate = "credentials-late", RETRY, Secret, CredentialsMissing, "the role's credentials are 404, or not there at all";
    RoleUnknown = "role-unknown", RETRY, Secret, SecretUnreachable, "AWS does not know the credentials yet, or they expired on the way";
    SecretThrottled = "secret-throttled", RETRY, Secret, SecretUnreachable, "Secrets Manager answers ThrottlingException or 429";
    SecretFailing = "secret-failing", RETRY, Secret, SecretUnreachable, "Secrets Manager answers 5xx";
    SecretUnreachable = "secret-unreachable", RETRY, Secret, SecretUnreachable, "no connection to Secrets Manager: no address for its name, no route, no answer in time";
    SecretUntrusted = "secret-untrusted", STOP, Secret, SecretUnreachable, "the certificate of Secrets Manager's endpoint is not trusted here";
    SecretMissing = "secret-missing", STOP, Secret, SecretMissing, "there is no secret of this name, or it is about to be deleted";
    SecretDenied = "secret-denied", STOP, Secret, SecretDenied, "the role may not read the secret, or not use its key";
    SecretDeniedYet = "secret-denied-yet", RETRY, Permission, SecretDenied, "the same before the service was ever healthy on this instance: a policy that was just attached is not known everywhere yet";
    ClockWrong = "clock-wrong", RETRY, Clock, ClockWrong, "a signature or certificate is refused for its time, and AWS's clock is over 4 minutes from ours, or GitHub's over 30 s";

    GitUnreachable = "git-unreachable", RETRY, Fetch, GitUnreachable, "no connection to the git server: no address for its name, no route, no handshake";
    GitBusy = "git-busy", RETRY, Fetch, GitUnreachable, "the git server answers 408, 425, 429 or 5xx";
    GitWebPage = "git-web-page", RETRY, Fetch, GitUnreachable, "the git server answers 200 with an HTML page, as for maintenance";
    GitStalled = "git-stalled", RETRY, Fetch, GitUnreachable, "the git server sends nothing for 30 s, or one fetch takes over 120 s";
    GitBrokenOff = "git-broken-off", RETRY, Fetch, GitUnreachable, "the git server's answer ends early, or is not what git understands";
    GitUntrusted = "git-untrusted", STOP, Fetch, GitUnreachable, "the git server's certificate is not trusted here";
    GitRefused = "git-refused", STOP, Fetch, GitRefused, "the git server answers 401, 403 or another status that is not a success, or does not let the ssh key in";
    GitNotFound = "git-not-found", STOP, Fetch, GitNotFound, "the git server answers 404 or 410, or says over ssh that it has no such repository";
    GitUnsupported = "git-unsupported", STOP, Fetch, GitUnsupported, "the git server answers 501 or 505, speaks another protocol or version than git's, TLS's or ssh's that are known here, or the repository's objects are not named by SHA-1";
    GitHostKey = "git-host-key", STOP, Fetch, HostKey, "the ssh server shows a host key that is not the known one";

    RuntimeUnreachable = "runtime-unreachable", RETRY, Runtime, RuntimeUnreachable, "no connection to the server of a runtime's archives, it sends nothing for 30 s, answers 408, 425, 429 or 5xx or with an HTML page, as for maintenance, or breaks off";
    RuntimeUntrusted = "runtime-untrusted", STOP, Runtime, RuntimeUnreachable, "the mirror's certificate is not trusted here, or the mirror redirects to plain http";
    RuntimeAbsent = "runtime-absent", STOP, Runtime, RuntimeMissing, "the mirror answers 404 or another status that is not a success";
    RuntimeAltered = "runtime-altered", STOP, Runtime, RuntimeChecksum, "the archive does not have the checksum that the policy pins, or the mirror lists";
    RuntimeUnusable = "runtime-unusable", STOP, Runtime, RuntimeArchive, "an archive, or the index, is not what it should be: too long, no archive, a link out of it";

    PackagesLocked = "os-packages-locked", RETRY, Lock, PackagesLocked, "another process holds a lock of dpkg or apt: it is named, and no lock is ever removed";
    PackagesUnreachable = "os-packages-unreachable", RETRY, Packages, PackagesUnreachable, "apt-get cannot fetch lists or packages";
    PackagesMissing = "os-packages-missing", STOP, Packages, PackagesMissing, "no repository of the machine has a package of this name, after its lists were refreshed";
    PackagesFailed = "os-packages-failed", STOP, Packages, PackagesFailed, "apt-get fails in any other way; an interrupted dpkg is repaired once, and what it left half unpacked is installed again";

    RegistryUnreachable = "registry-unreachable", RETRY, Install, RegistryUnreachable, "npm ends with ECONNRESET, ECONNREFUSED, ETIMEDOUT, EAI_AGAIN, E429, E5xx and the like, after its own 5 attempts at each file; the registry answers with an HTML page, as for maintenance; pip or uv say that connections break or that the index answers 5xx";
    RegistryUntrusted = "registry-untrusted", STOP, Install, RegistryUnreachable, "npm ends with CERT_HAS_EXPIRED, SELF_SIGNED_CERT_IN_CHAIN and the like; pip or uv say that a certificate is not trusted";
    RegistryRefused = "registry-refused", STOP, Install, RegistryRefused, "npm ends with E401, E403 or ENEEDAUTH; pip or uv are answered 401 or 403";
    PackageMissing = "dependency-missing", STOP, Install, PackageMissing, "npm ends with E404, ETARGET or ENOVERSIONS; pip or uv find no such package or version";
    LockfileStale = "lockfile-stale", STOP, Install, LockfileStale, "npm ends with EUSAGE: package.json and lockfile are not in sync; uv says that uv.lock needs to be updated; a list with hashes has not all of them";
    PackageAltered = "dependency-altered", STOP, Install, PackageAltered, "npm ends with EINTEGRITY, after its own 6 attempts, or pip or uv find another hash: a package is not what the lockfile says";
    EngineUnfit = "engine-unfit", STOP, Install, RuntimeMissing, "npm ends with EBADENGINE, or pip or uv say so: a package refuses this Node or Python";
    OutOfMemory = "out-of-memory", STOP, Install, OutOfMemory, "a command was killed by SIGKILL, or Node reached the limit of its heap";
    InstallFailed = "install-failed", STOP, Install, InstallFailed, "an install or build command fails in any other way";

    EvaluationFailed = "evaluation-failed", STOP, Evaluate, EcosystemInvalid, "a file that says what is started cannot be read: it throws, ends, does not end, or says something else";
    EvaluationRefused = "evaluation-refused", STOP, Evaluate, EcosystemRefused, "a file that says what is started asks for what it may not: another user, a script outside of the release, npm in a cluster, a deploy section";

    MigrateFailed = "migrate-failed", STOP, Migrate, MigrateFailed, "a migration command fails; nothing was switched";

    ImdsAnswers = "imds-answers", STOP, Start, ImdsAnswers, "instance metadata answers what must not reach it: an install, build or migrate command, the service, another user";
    UnitFailed = "unit-failed", STOP, Start, UnitFailed, "systemd cannot start the service's unit";
    ServiceExited = "service-exited", RETRY, HealthCheck, ServiceExited, "the service ends by itself; where a previous deployment can serve instead, the fourth time ends the wait";
    ServiceOutOfMemory = "service-out-of-memory", RETRY, HealthCheck, OutOfMemory, "the kernel kills the service for lack of memory";
    HealthNoListener = "health-no-listener", RETRY, HealthCheck, HealthNoListener, "nothing listens on the port (yet); without a health.timeout, a service that listens on others only is given up after 15 s";
    HealthForeign = "health-foreign-listener", RETRY, HealthCheck, HealthForeign, "a process outside the service's unit holds the port; it is named with its pid and unit";
    HealthBadAnswer = "health-bad-answer", RETRY, HealthCheck, HealthBadAnswer, "the health path answers another status, or nothing within health.answer";
    HealthFlapping = "health-flapping", RETRY, HealthCheck, HealthFlapping, "the service was healthy, and was restarted before health.soak was over";

    DiskFull = "disk-full", STOP, Local, DiskFull, "no space, inode or quota left where bootagent or a command of it writes";
}

impl Fault {
    /// The error of this fault: what was being done, and how the fault showed.
    pub fn error(self, doing: impl Into<String>, cause: impl Into<Message>) -> Error {
        self.is_behind(Error::new(self.code(), doing, cause))
    }

    /// Tells that this is what an error is about.
    pub fn is_behind(self, error: Error) -> Error {
        error.with_fault(self.name())
    }

    pub fn of(error: &Error) -> Option<Fault> {
        let name = error.fault()?;
        Fault::ALL.iter().copied().find(|fault| fault.name() == name)
    }

    /// How long it is put up with, unless a setting says so: then the caller knows.
    pub fn most(self) -> Option<Seconds> {
        self.phase().set_by().is_none().then(|| self.phase().seconds())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_lead_back() {
        for fault in Fault::ALL {
            let error = fault.error("booting", "it shows");
            assert_eq!((Fault::of(&error), error.code()), (Some(*fault), fault.code()));
            let told_by_a_child = Error::received(error.sent());
            assert_eq!(Fault::of(&told_by_a_child), Some(*fault));
        }
        assert_eq!(Fault::of(&Error::new(Code::GitUnreachable, "fetching", "503")), None);
    }

    #[test]
    fn every_wait_ends_within_the_budget() {
        for phase in Phase::ALL {
            assert!(phase.seconds() < BUDGET, "{} may take the whole run", phase.name());
        }
    }
}
