//! The program's error type: what was being done, on what, why it failed, what to do.
//!
//! Every error has a stable code. Only the table below gives a code its exit status and its remedy;
//! `tests/fence.rs` compares it with `docs/reference/errors.md`.

mod explain;
mod report;

use std::fmt;

use crate::secret::{Message, Redaction};

pub use report::{ErrorReport, SentError};

pub type Result<T, E = Error> = std::result::Result<T, E>;

/// Exit statuses of a run that failed. From 64 on they are those of sysexits.h.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Exit {
    Failed = 1,
    Usage = 64,
    /// A defect of bootagent itself.
    Bug = 70,
    /// An external dependency failed until the time limit, or another run is active.
    Temporary = 75,
    /// The policy, an operator or a safety check forbids it.
    Refused = 77,
    /// Policy, tags, manifest, lockfile or secret are invalid.
    Invalid = 78,
}

macro_rules! codes {
    ($($variant:ident = $name:literal, $exit:ident, $remedy:literal;)+) => {
        /// A stable name for one kind of failure.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum Code { $($variant),+ }

        impl Code {
            pub const ALL: &'static [Code] = &[$(Code::$variant),+];

            pub fn name(self) -> &'static str {
                match self { $(Code::$variant => $name),+ }
            }

            pub fn exit(self) -> Exit {
                match self { $(Code::$variant => Exit::$exit),+ }
            }

            pub fn remedy(self) -> &'static str {
                match self { $(Code::$variant => $remedy),+ }
            }
        }
    };
}

impl Code {
    /// Whether the run ended before it did anything. It then exits with the code's status even if a service is healthy,
    /// and leaves the status file of the last run as it is.
    pub fn ends_before_the_run(self) -> bool {
        matches!(self, Code::Usage | Code::Busy | Code::NotRoot)
    }
}

codes! {
    Usage = "E-USAGE", Usage, "see bootagent --help";
    Bug = "E-BUG", Bug, "please report this, with the journal of the run";
    CoreDumps = "E-CORE-DUMPS", Bug, "nothing was done: allow setrlimit and prctl in the seccomp filter of the unit or container; without them, a crash could write secrets to the disk";
    Io = "E-IO", Failed, "check the disk, the mount and the permissions of the named path";
    NotADirectory = "E-NOT-A-DIRECTORY", Failed, "move the named link or file away and run again; to use another disk, mount it there (or bind-mount a directory of it)";
    NotRoot = "E-NOT-ROOT", Refused, "run as root, or add --dry-run to see what would be done";
    NotEc2 = "E-NOT-EC2", Usage, "a run is for EC2 instances; on a laptop: bootagent --dry-run --service auth-service --environment prod --repository . --env-file .env";
    Held = "E-HELD", Refused, "bootagent unhold ends the hold; then: bootagent run";
    Busy = "E-BUSY", Temporary, "another run is active: follow it with bootagent status --wait";
    Deadline = "E-DEADLINE", Temporary, "the run's budget is spent; bootagent status --steps shows which step took it; raise budget in the policy if the step needs that long";
    StepDeadline = "E-STEP-DEADLINE", Failed, "the step has its own time limit, which no setting raises: speed up what it waits for, or use a larger instance";
    Cancelled = "E-CANCELLED", Temporary, "the run was cancelled; run it again: it continues where it stopped";
    AgentDied = "E-AGENT-DIED", Failed, "journalctl -t bootagent has its last lines; run it again: it continues where it stopped";
    RecordUnreadable = "E-RECORD-UNREADABLE", Failed, "the run uses the other records, and the next healthy run writes this one again; check the disk";
    RecordNewer = "E-RECORD-NEWER", Invalid, "nothing was changed: install the newer bootagent again, which can read this record";
    RecordsMissing = "E-RECORDS-MISSING", Temporary, "mount or restore /var/lib/bootagent: the run is repeated every 5 minutes; if the records are lost, bootagent run --repository with the pattern starts new ones and keeps the current commit";
    ImdsUnreachable = "E-IMDS-UNREACHABLE", Temporary, "is this an EC2 instance with HttpEndpoint=enabled? on a laptop name the service with --service and --environment";
    ImdsTagsOff = "E-IMDS-TAGS-OFF", Invalid, "set InstanceMetadataTags=enabled in the launch template's MetadataOptions (no tag key may contain a slash or a space)";
    TagMissing = "E-TAG-MISSING", Invalid, "add the tag to the launch template (TagSpecifications, resource type instance), or name it with --service and --environment";
    TagInvalid = "E-TAG-INVALID", Invalid, "correct the tag's value; a running instance sees the new one at once";
    CredentialsMissing = "E-CREDENTIALS-MISSING", Temporary, "on an instance, attach an instance profile with a role, which can take a minute to arrive; elsewhere log in with the AWS CLI, or give --env-file .env";
    PolicyInvalid = "E-POLICY-INVALID", Invalid, "correct the policy; docs/reference/policy.md describes every key";
    PolicyNoRepository = "E-POLICY-NO-REPOSITORY", Invalid, "give the pattern, for example --repository 'https://github.com/acme/{service}.git', or repository = \"...\" in /etc/bootagent/policy.toml";
    PolicyRefused = "E-POLICY-REFUSED", Refused, "choose what the policy allows, or ask the owner of the AMI to change the policy";
    NameTaken = "E-NAME-TAKEN", Refused, "choose another service name; if it is left over from a service, rename it with mv; do not delete it: a directory in /var/lib may hold data";
    UnitMasked = "E-UNIT-MASKED", Refused, "an operator masked the service's unit: run systemctl unmask with its name, and then: bootagent run";
    RepositoryInvalid = "E-REPOSITORY-INVALID", Invalid, "use https:// without a user or password in it, or ssh://git@HOST/PATH; credentials come from --git-credential-secret";
    GitUnreachable = "E-GIT-UNREACHABLE", Temporary, "can the instance reach the git server (route, DNS, proxy, certificate)?";
    GitRefused = "E-GIT-REFUSED", Invalid, "is the repository private? name the credential's secret with --git-credential-secret, and check that it may read this repository";
    GitNotFound = "E-GIT-NOT-FOUND", Invalid, "check the repository pattern of the policy and the service's name; git servers also answer 404 for a private repository without a credential";
    GitUnsupported = "E-GIT-UNSUPPORTED", Invalid, "name another repository or server in the policy: bootagent reads repositories with SHA-1 objects, from servers that speak the protocol of git-upload-pack";
    CredentialInvalid = "E-GIT-CREDENTIAL", Invalid, "store a token, a private key (PEM), or JSON with username and password, or with app_id, installation_id and private_key; docs/how-to/use-a-private-repository.md shows each";
    HostUnknown = "E-GIT-HOST-UNKNOWN", Refused, "get the server's key from its owner and add it to git.host_keys in the policy, as a line of known_hosts";
    HostKey = "E-GIT-HOST-KEY", Refused, "ask the server's owner: if its key was changed, add the new one to git.host_keys in the policy; if not, another server answers in its place";
    CommitUnsigned = "E-COMMIT-UNSIGNED", Refused, "sign it with a key that is in git.signers of the policy: git config gpg.format ssh, then git commit --amend -S, and push; commits that a web page merges are not signed with ssh";
    CommitSigner = "E-COMMIT-SIGNER", Refused, "let one of the policy's signers sign it (git commit --amend -S --no-edit, and push), or let the owner of the AMI add the key to git.signers, if you know whose it is";
    CommitSignature = "E-COMMIT-SIGNATURE", Refused, "do not deploy this commit before you know who changed it: git verify-commit shows the same on a clone; sign it again, and push";
    BranchMissing = "E-BRANCH-MISSING", Invalid, "push the environment's branch, or correct the environment";
    CommitNotOnBranch = "E-COMMIT-NOT-ON-BRANCH", Refused, "choose a commit on the environment's branch (--ref, ref in the policy, or the tag bootagent:ref)";
    CommitAmbiguous = "E-COMMIT-AMBIGUOUS", Invalid, "give more digits of the commit's id";
    NoRelease = "E-NO-RELEASE", Usage, "bootagent releases lists what is kept; bootagent update --ref COMMIT deploys any commit of the branch";
    SourceUnsafe = "E-SOURCE-UNSAFE", Invalid, "remove the named entry from the repository";
    SourceSubmodule = "E-SOURCE-SUBMODULE", Invalid, "a submodule is fetched if it is on the same server and of the same owner as the repository, with the same credential: correct its url in .gitmodules, push its commit, or add its files to the repository (git subtree)";
    SourceLfs = "E-SOURCE-LFS", Invalid, "is the file pushed to the Git LFS store of the repository (git lfs push --all)? it is downloaded over https with the repository's credential; or store the file itself in git";
    SourceTooLarge = "E-SOURCE-TOO-LARGE", Invalid, "make the repository smaller: store large files elsewhere; persist in bootagent.toml keeps files that the service writes";
    ManifestInvalid = "E-MANIFEST-INVALID", Invalid, "correct the line; bootagent validate checks the file offline, and docs/reference/manifest.md describes every key";
    RuntimeUnknown = "E-RUNTIME-UNKNOWN", Invalid, "add a bootagent.toml with runtime = \"...\", or the lockfile of the language";
    ComposeInvalid = "E-COMPOSE-INVALID", Invalid, "correct the compose file; docs/how-to/run-a-container.md describes what of it is carried out";
    ComposeRefused = "E-COMPOSE-REFUSED", Refused, "remove it from the compose file: containers of a service get no more of the machine than other services";
    RuntimeMissing = "E-RUNTIME-MISSING", Invalid, "add the version to the AMI, or request an installed one";
    RuntimeUnreachable = "E-RUNTIME-UNREACHABLE", Temporary, "can the instance reach the server of the runtime's archives (route, DNS, proxy, certificate)? [mirrors] in the policy names another one, and an AMI with the runtime needs none";
    RuntimeChecksum = "E-RUNTIME-CHECKSUM", Failed, "the archive was changed, or the pinned checksum belongs to another file: compare with the checksum that the runtime's own project publishes before you change the policy";
    RuntimeArchive = "E-RUNTIME-ARCHIVE", Failed, "is the mirror a copy of the runtime's official archives? check what it serves at this address";
    PackagesLocked = "E-OS-PACKAGES-LOCKED", Temporary, "wait until the named process ends, or disable unattended upgrades in the AMI; packages.wait in the policy sets how long bootagent waits";
    PackagesMissing = "E-OS-PACKAGES-MISSING", Invalid, "correct the name in the manifest, or add the repository that has it to the AMI";
    PackagesKey = "E-OS-PACKAGES-KEY", Failed, "the repository is signed by another key, or by none: compare the key and its checksum in [apt.NAME] or [dnf.NAME] of the policy with what its owner publishes before you change them";
    PackagesUnreachable = "E-OS-PACKAGES-UNREACHABLE", Temporary, "can the instance reach the repositories of its distribution (route, DNS, proxy)? packages in the AMI need none";
    PackagesFailed = "E-OS-PACKAGES-FAILED", Failed, "the output of apt-get or dnf says why; run the same command on an instance of this AMI";
    SwapFailed = "E-SWAP", Failed, "correct [swap] in the policy (size = \"0\" for none), or give the instance more memory or a larger root volume of ext4 or XFS; the service runs without swap";
    PackagesUnsupported = "E-OS-PACKAGES-UNSUPPORTED", Invalid, "add the packages to the AMI, and remove them from the manifest";
    LockfileMissing = "E-LOCKFILE-MISSING", Invalid, "commit package-lock.json: npm install --package-lock-only writes it";
    SecretMissing = "E-SECRET-MISSING", Invalid, "create the secret with this name in this region, or set secret = false in bootagent.toml if the service has none";
    SecretDenied = "E-SECRET-DENIED", Invalid, "allow secretsmanager:GetSecretValue on this secret (and kms:Decrypt on its key) in the instance's role";
    SecretUnreachable = "E-SECRET-UNREACHABLE", Temporary, "does the subnet reach Secrets Manager (NAT or VPC endpoint), and is the clock right?";
    SecretInvalid = "E-SECRET-INVALID", Invalid, "store one flat JSON object of strings, or KEY=value lines";
    SecretKeyRefused = "E-SECRET-KEY-REFUSED", Refused, "rename or remove the key: it changes how programs are loaded";
    SecretKeyMissing = "E-SECRET-KEY-MISSING", Invalid, "add the key to the secret, or take it out of env.required in bootagent.toml";
    ParameterMissing = "E-PARAMETER-MISSING", Invalid, "create the parameter in this region, correct env.from in bootagent.toml, or set optional = true there";
    ParameterDenied = "E-PARAMETER-DENIED", Invalid, "allow ssm:GetParameter (for a path ssm:GetParametersByPath) on it in the instance's role, and kms:Decrypt on the key of each SecureString";
    ParameterUnreachable = "E-PARAMETER-UNREACHABLE", Temporary, "does the subnet reach Systems Manager (NAT or VPC endpoint for ssm), and is the clock right?";
    EnvironmentUncarried = "E-ENVIRONMENT-UNCARRIED", Invalid, "store the value in another form (base64, for example): no environment file can contain it";
    CheckoutFailed = "E-CHECKOUT-FAILED", Failed, "see the cause; check free disk space and inodes first";
    InstallFailed = "E-INSTALL-FAILED", Failed, "run the same command in a clean clone; push a fix, then: bootagent update";
    EcosystemInvalid = "E-ECOSYSTEM-INVALID", Invalid, "correct the ecosystem file (node -p 'require(\"./ecosystem.config.js\")' in a clean clone shows what it exports without the secret), or let bootagent write one: pm2.ecosystem = false; push a fix, then: bootagent update";
    EcosystemRefused = "E-ECOSYSTEM-REFUSED", Refused, "remove the named setting from the ecosystem file: bootagent runs it as the service's user, from its release; push a fix, then: bootagent update";
    SiteMissing = "E-SITE-MISSING", Invalid, "does the build leave an index.html? name its directory in bootagent.toml: [static] with root = \"dist\"; push a fix, then: bootagent update";
    SiteSecret = "E-SITE-SECRET", Refused, "everyone could read the value: remove it from the repository or its build, and replace it in the secret; a public value belongs in env.values of bootagent.toml; push a fix, then: bootagent update";
    EngineFailed = "E-CONTAINER-ENGINE", Failed, "journalctl -u docker shows why; add docker to the AMI, or correct /etc/docker/daemon.json; then: bootagent run";
    ImageUnreachable = "E-IMAGE-UNREACHABLE", Temporary, "can the instance reach the image's registry (route, DNS, proxy, certificate)?";
    ImageRefused = "E-IMAGE-REFUSED", Invalid, "name the variable of the secret that has user:password for this registry: [docker] with login = \"REGISTRY_LOGIN\", or [compose] with logins = [\"HOST=REGISTRY_LOGIN\"], in bootagent.toml; if it has one, it may not read this repository; registries also answer so for a repository that does not exist";
    ImageMissing = "E-IMAGE-MISSING", Invalid, "correct the image's name, tag or digest in bootagent.toml, or push the image (for this instance's architecture); then: bootagent update";
    ImageBuildFailed = "E-IMAGE-BUILD-FAILED", Failed, "run docker build in a clean clone; push a fix, then: bootagent update";
    ImageUsed = "E-BAKE-USED", Refused, "nothing was changed: launch a new machine for the image, and use bootagent bake on it in place of bootagent run";
    ImageUnfinished = "E-BAKE-UNFINISHED", Refused, "nothing was removed: run bootagent bake again until it ends well, and then bootagent seal";
    ImageSecret = "E-BAKE-SECRET", Refused, "nothing was removed: delete the file, or the value in it, and replace the secret if others saw it; a file that is meant to be in the image: bootagent seal --allow PATH";
    MigrateFailed = "E-MIGRATE-FAILED", Failed, "the previous deployment still serves; correct the migration so that it can be run again, push it, and then: bootagent update";
    DataFailed = "E-DATA-FAILED", Failed, "see the cause; nothing was left half-made, and the next run begins again: bootagent run";
    DataForeign = "E-DATA-FOREIGN", Refused, "nothing was changed: move the data away, or choose another volume";
    DataVersion = "E-DATA-VERSION", Invalid, "install the version that wrote the data (version in the manifest's table, from a repository that has it), or upgrade the data with the server's own tools, such as pg_upgrade";
    VolumeFailed = "E-VOLUME-FAILED", Failed, "see the cause, and the kernel's messages about the disk: journalctl -k; then: bootagent run";
    VolumeForeign = "E-VOLUME-FOREIGN", Refused, "nothing was changed: attach the right volume or an empty one; if the volume holds this service's data, set volume.label and volume.filesystem to what it has; bootagent never formats a volume that is not empty";
    VolumeMissing = "E-VOLUME-MISSING", Temporary, "attach the volume to this instance under the name in volume.device; volume.wait sets how long bootagent waits; the run is repeated every 5 minutes";
    WaitFor = "E-WAIT-FOR", Temporary, "is it up, and does its security group allow connections from this instance? correct the address in wait_for of bootagent.toml, or remove it if the service can start without it; then: bootagent update";
    ImdsAnswers = "E-IMDS-ANSWERS", Failed, "the sandbox does not work on this machine: the kernel must allow cgroup BPF for IPAddressDeny, and no drop-in of the unit may remove it";
    ImdsRules = "E-IMDS-RULES", Failed, "add nftables to the AMI (its kernel needs nf_tables), or remove imds.users from the policy";
    UnitFailed = "E-UNIT-FAILED", Failed, "journalctl -u with the unit's name shows why";
    ServiceExited = "E-SERVICE-EXITED", Failed, "the service exits: journalctl -u with its name has its last lines; push a fix, then: bootagent update";
    ServiceStopped = "E-SERVICE-STOPPED", Failed, "the service was stopped: systemctl start with its name, or bootagent run, starts it again";
    ClockWrong = "E-CLOCK-WRONG", Temporary, "set the clock at boot: chrony or systemd-timesyncd with 169.254.169.123, or another time service of the AMI";
    DiskFull = "E-DISK-FULL", Failed, "free space or inodes on the named file system, or give the instance a larger volume";
    RegistryUnreachable = "E-REGISTRY-UNREACHABLE", Temporary, "can the instance reach the package registry (route, DNS, proxy, certificate)?";
    RegistryRefused = "E-REGISTRY-REFUSED", Invalid, "the registry requires a credential, or refuses this one: [registries.NAME] in the policy names a private registry and the key of its token; docs/how-to/use-a-private-registry.md describes it";
    PackageMissing = "E-DEPENDENCY-MISSING", Invalid, "the registry does not have what the lockfile names: correct the package's name or version, or the registry; then: bootagent update";
    LockfileStale = "E-LOCKFILE-STALE", Invalid, "run npm install (or uv lock, or pip freeze > requirements.txt) and commit what it writes; then: bootagent update";
    PackageAltered = "E-DEPENDENCY-ALTERED", Invalid, "the registry serves other bytes than the lockfile names, perhaps a maintenance page: find out why before you update the lockfile";
    OutOfMemory = "E-OUT-OF-MEMORY", Failed, "use an instance type with more memory, add swap ([swap] in the policy), or build elsewhere and install the result";
    HealthNoListener = "E-HEALTH-NO-LISTENER", Failed, "does the service listen on this port, and early enough? set port or health.timeout in bootagent.toml, or health.check = \"process\" if it listens on none; then: bootagent update";
    HealthForeign = "E-HEALTH-FOREIGN-LISTENER", Failed, "another process listens on the port: end it, or choose another port";
    HealthBadAnswer = "E-HEALTH-BAD-ANSWER", Failed, "the service answers, but not with a good status: its log says why; health.path in bootagent.toml sets the path; push a fix, then: bootagent update";
    HealthWeaker = "E-HEALTH-WEAKER", Invalid, "give bootagent.toml its port and health.path back, or set health.check to allow the weaker check; then: bootagent update";
    HookFailed = "E-HOOK-FAILED", Failed, "the operator's program failed, not the service: run it by hand as root, with the variables that bootagent --dry-run -v shows; correct it, then: bootagent run";
    HookUnreachable = "E-HOOK-UNREACHABLE", Temporary, "can the instance reach Auto Scaling (NAT or VPC endpoint), does it have a role, and is its clock right?";
    HookDenied = "E-HOOK-DENIED", Invalid, "allow autoscaling:CompleteLifecycleAction and autoscaling:RecordLifecycleActionHeartbeat on the Auto Scaling group in the instance's role; then: bootagent run";
    HookRefused = "E-HOOK-REFUSED", Invalid, "compare lifecycle.hook and lifecycle.group in the policy with the group's hooks: aws autoscaling describe-lifecycle-hooks; then: bootagent run";
    EvidenceUnreachable = "E-EVIDENCE-UNREACHABLE", Temporary, "can the instance reach CloudWatch Logs and CloudFormation (NAT or VPC endpoints)? the deployment does not depend on them";
    EvidenceDenied = "E-EVIDENCE-DENIED", Invalid, "allow logs:CreateLogStream and logs:PutLogEvents on evidence.log_group, or cloudformation:SignalResource on the stack: bootagent iam-policy prints the statements";
    EvidenceRefused = "E-EVIDENCE-REFUSED", Invalid, "create the log group of evidence.log_group, or compare evidence.stack in the policy with the stack of the group; the deployment does not depend on them";
    FleetUnreachable = "E-FLEET-UNREACHABLE", Temporary, "does the subnet reach S3 (NAT or gateway endpoint), and is the clock right? fleet.unreachable = \"branch\" in the policy lets new instances start without the fleet memory";
    FleetMissing = "E-FLEET-MISSING", Invalid, "create the bucket, or correct fleet.prefix in the policy";
    FleetDenied = "E-FLEET-DENIED", Invalid, "allow s3:GetObject and s3:PutObject below fleet.prefix and s3:ListBucket on its bucket: bootagent iam-policy prints the statements";
    FleetInvalid = "E-FLEET-INVALID", Invalid, "the named object was not written by bootagent, or by a newer one: remove it, or write it again with bootagent rollout";
    CacheRefused = "E-CACHE-REFUSED", Invalid, "delete the named object or file: the next instance builds the release and stores it again; if no instance wrote it, find out who can write there";
    FleetNoReport = "E-FLEET-NO-REPORT", Failed, "has the instance the policy with fleet.prefix, and may its role write there? its console has the first error, too: aws ec2 get-console-output";
    FleetFailing = "E-FLEET-FAILING", Failed, "push a fix, or pin another commit with bootagent rollout --back; instances that wait take it within five minutes; bootagent run --again tries the commit here once more";
    RolloutRefused = "E-ROLLOUT-REFUSED", Refused, "nothing was replaced: see the cause";
    RolloutDenied = "E-ROLLOUT-DENIED", Invalid, "allow the action to the credentials of this command: bootagent iam-policy --for operator prints the statements";
    RolloutFailed = "E-ROLLOUT-FAILED", Failed, "bootagent fleet shows which commit each instance runs, and bootagent why INSTANCE why one failed; then roll out a commit that is good: bootagent rollout --commit";
    HealthFlapping = "E-HEALTH-FLAPPING", Failed, "the service was restarted during the health check: its log says why";
}

/// One failure. Boxed, so that `Result`s stay small.
#[derive(Clone, Debug)]
pub struct Error(Box<Details>);

#[derive(Clone, Debug)]
struct Details {
    code: Code,
    doing: String,
    causes: Vec<Message>,
    remedy: Option<String>,
    /// The name of a row in the table of `crate::fault`; none for an error that is not a fault.
    fault: Option<String>,
    /// Seconds, from a server's `Retry-After`.
    retry_after: Option<u64>,
    /// The last lines of the program that failed.
    output: Vec<Message>,
}

impl Error {
    /// `doing` is a gerund with its object: "writing /opt/auth-service/current".
    pub fn new(code: Code, doing: impl Into<String>, cause: impl Into<Message>) -> Self {
        Self::caused(code, doing, [cause])
    }

    /// From a chain of causes, outermost first.
    pub fn caused(
        code: Code,
        doing: impl Into<String>,
        causes: impl IntoIterator<Item: Into<Message>>,
    ) -> Self {
        let causes = causes.into_iter().map(Into::into).collect();
        let (remedy, fault, retry_after, output) = (None, None, None, Vec::new());
        Error(Box::new(Details { code, doing: doing.into(), causes, remedy, fault, retry_after, output }))
    }

    /// An error of a library's file access: `E-DISK-FULL` if the text says so, else `E-IO`.
    pub fn of_the_disk(doing: impl Into<String>, cause: impl Into<Message>) -> Self {
        let cause = cause.into();
        Self::new(if cause.judge(is_disk_full) { Code::DiskFull } else { Code::Io }, doing, cause)
    }

    /// Replaces the code's general remedy with one for this case.
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.0.remedy = Some(remedy.into());
        self
    }

    pub(crate) fn with_fault(mut self, name: &str) -> Self {
        self.0.fault = Some(name.to_owned());
        self
    }

    /// Adds an inner cause after the present ones.
    pub fn because(mut self, cause: impl Into<Message>) -> Self {
        self.0.causes.push(cause.into());
        self
    }

    /// Adds a note in parentheses to the last cause, such as how often it was tried.
    pub fn with_note(mut self, note: &str) -> Self {
        if let Some(last) = self.0.causes.pop() {
            self.0.causes.push(last.and(format!(" ({note})")));
        }
        self
    }

    pub fn retry_after(mut self, seconds: Option<u64>) -> Self {
        self.0.retry_after = seconds;
        self
    }

    /// Adds the last lines that the failed program printed.
    pub fn saying(mut self, lines: impl IntoIterator<Item: Into<Message>>) -> Self {
        self.0.output = lines.into_iter().map(Into::into).collect();
        self
    }

    /// All causes as one message, for an error or a warning that quotes this error.
    pub fn cause(&self) -> Message {
        Message::joined(self.0.causes.iter().cloned(), ": ")
    }

    /// Makes foreign text in the error visible, with the values of `redaction` replaced.
    pub fn redacted(mut self, redaction: &Redaction) -> Self {
        // `doing` can contain a command line of the repository, and that can contain a secret value.
        self.0.doing = redaction.hide(&self.0.doing);
        for message in self.0.causes.iter_mut().chain(&mut self.0.output) {
            *message = message.shown(redaction).into();
        }
        self
    }

    /// The same with all foreign text visible: only before the run has read a secret that the text could quote.
    pub fn in_public(&self) -> Self {
        self.clone().redacted(&Redaction::default())
    }

    /// Replaces the values of `redaction` in foreign text, which stays hidden until `redacted`.
    pub fn without(mut self, redaction: &Redaction) -> Self {
        for message in self.0.causes.iter_mut().chain(&mut self.0.output) {
            *message = std::mem::take(message).without(redaction);
        }
        self
    }

    pub fn code(&self) -> Code {
        self.0.code
    }

    pub fn exit(&self) -> Exit {
        self.0.code.exit()
    }

    pub fn fault(&self) -> Option<&str> {
        self.0.fault.as_deref()
    }

    /// Seconds that a server asked the agent to wait before it tries again.
    pub fn retry_after_seconds(&self) -> Option<u64> {
        self.0.retry_after
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.report().fmt(f)
    }
}

impl std::error::Error for Error {}

/// Gives the error of a library a code and what was being done. A full disk always gets `E-DISK-FULL`.
pub trait Coded<T> {
    fn coded(self, code: Code, doing: impl FnOnce() -> String) -> Result<T>;

    /// The same with the code `E-IO`, for file access.
    fn doing(self, doing: impl FnOnce() -> String) -> Result<T>
    where
        Self: Sized,
    {
        self.coded(Code::Io, doing)
    }
}

impl<T, E: Into<anyhow::Error>> Coded<T> for std::result::Result<T, E> {
    fn coded(self, code: Code, doing: impl FnOnce() -> String) -> Result<T> {
        self.map_err(|error| {
            let causes: Vec<String> = error.into().chain().map(ToString::to_string).collect();
            let full = causes.iter().any(|cause| is_disk_full(cause));
            Error::caused(if full { Code::DiskFull } else { code }, doing(), causes)
        })
    }
}

/// Whether a text contains the kernel's message for ENOSPC or EDQUOT, which libraries and programs quote.
pub fn is_disk_full(text: &str) -> bool {
    let text = text.to_lowercase();
    ["no space left on device", "quota exceeded"].iter().any(|words| text.contains(words))
}

#[cfg(test)]
mod tests;
