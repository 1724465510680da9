//! Transient units: the children that touch what others wrote run in one, never as root.
//!
//! Each has a fixed name, so that a run can stop what a killed run left; a clean environment; a
//! deadline that systemd keeps even if the agent is gone; and no IMDS.

use std::path::{Path, PathBuf};
use std::time::Duration;

use zeroize::Zeroizing;

use crate::error::{Code, Error, Result};
use crate::fault::Fault;
use crate::machine::process::program::{self, Output};
use crate::machine::process::units;
use crate::plan::YIELDS;

/// A child to be. Everything that is not said stays shut.
pub struct Jail {
    unit: String,
    user: User,
    properties: Vec<String>,
    environment: Vec<(String, String)>,
    deadline: Duration,
    may_use_imds: bool,
}

pub enum User {
    /// Made for this unit and gone with it.
    Dynamic,
    Named {
        user: String,
        group: String,
    },
}

/// For every child but one that the policy lets ask IMDS. It needs the kernel's cgroup BPF: a child that
/// runs other people's code proves first, by a connection attempt, that it holds.
const NO_IMDS: &str = "IPAddressDeny=169.254.169.254/32 fd00:ec2::254/128";

/// What holds for every child, and every child yields.
const WALLS: &[&str] = &[
    "NoNewPrivileges=yes",
    "CapabilityBoundingSet=",
    "AmbientCapabilities=",
    "ProtectSystem=strict",
    "PrivateTmp=yes",
    "PrivateDevices=yes",
    // Where everybody may write even under "strict": shared memory, queues, and with some systemd /run.
    "TemporaryFileSystem=/dev/shm:mode=1777",
    "InaccessiblePaths=-/dev/mqueue",
    "ReadOnlyPaths=/run",
    "ProtectKernelTunables=yes",
    "ProtectKernelModules=yes",
    "ProtectKernelLogs=yes",
    "ProtectControlGroups=yes",
    "ProtectClock=yes",
    "ProtectHostname=yes",
    "ProtectProc=invisible",
    "RestrictRealtime=yes",
    "RestrictSUIDSGID=yes",
    "RestrictNamespaces=yes",
    "LockPersonality=yes",
    "SystemCallArchitectures=native",
    "SystemCallFilter=@system-service",
    "SystemCallErrorNumber=EPERM",
    "LimitCORE=0",
    "TasksMax=1024",
    "UMask=0022",
    "KillMode=control-group",
    "TimeoutStopSec=5",
    "Slice=system.slice",
];

impl Jail {
    pub fn new(unit: &str, user: User, deadline: Duration) -> Self {
        Jail {
            unit: unit.to_owned(),
            user,
            properties: Vec::new(),
            environment: Vec::new(),
            deadline,
            may_use_imds: false,
        }
    }

    pub fn unit(&self) -> &str {
        &self.unit
    }

    pub fn property(mut self, property: impl Into<String>) -> Self {
        self.properties.push(property.into());
        self
    }

    pub fn writable(self, path: &Path) -> Self {
        self.property(format!("ReadWritePaths={}", path.display()))
    }

    pub fn with_imds(mut self) -> Self {
        self.may_use_imds = true;
        self
    }

    /// The leading `-` lets the path be absent.
    pub fn hidden(self, path: &Path) -> Self {
        self.property(format!("InaccessiblePaths=-{}", path.display()))
    }

    pub fn directory(self, path: &Path) -> Self {
        self.property(format!("WorkingDirectory={}", path.display()))
    }

    pub fn environment<'a>(mut self, variables: impl IntoIterator<Item = (&'a String, &'a String)>) -> Self {
        self.environment.extend(variables.into_iter().map(|(name, value)| (name.clone(), value.clone())));
        self
    }

    /// Runs `argv` to its end. The deadline is the parent's, and systemd's a little later.
    pub async fn run(
        self,
        argv: &[String],
        input: Option<Zeroizing<Vec<u8>>>,
        most: usize,
    ) -> Result<Output> {
        if !units::is_running_the_machine() {
            return Err(without_systemd(&self.unit));
        }
        units::clear(&self.unit).await?;
        let line = self.line(argv);
        let line: Vec<&str> = line.iter().map(String::as_str).collect();
        // Whatever ends this future, the unit must not go on.
        let mut guard = Stopper(Some(self.unit.clone()));
        match program::run(&line, input, self.deadline, most).await {
            // Without a status systemd-run itself was killed: the unit may well go on.
            Ok(output) if output.status.is_some() => {
                guard.0 = None;
                Ok(output)
            }
            Ok(output) => {
                units::stop(&self.unit).await?;
                guard.0 = None;
                Ok(output)
            }
            Err(error) => {
                units::stop(&self.unit).await?;
                guard.0 = None;
                match error.code() {
                    Code::Deadline => Err(Error::new(
                        Code::Deadline,
                        format!("running {}", argv.join(" ")),
                        format!("not done after {} s", self.deadline.as_secs()),
                    )),
                    _ => Err(error),
                }
            }
        }
    }

    fn line(&self, argv: &[String]) -> Vec<String> {
        let user = match &self.user {
            User::Dynamic => vec!["DynamicUser=yes".to_owned()],
            User::Named { user, group } => vec![format!("User={user}"), format!("Group={group}")],
        };
        let kept = format!("RuntimeMaxSec={}", self.deadline.as_secs() + 10);
        let imds = (!self.may_use_imds).then_some(&NO_IMDS);
        let walls = WALLS.iter().chain(&YIELDS).chain(imds).map(|wall| (*wall).to_owned());
        let own = self.properties.iter().cloned();
        let properties = user.into_iter().chain(walls).chain([kept]).chain(own).chain(homes(argv));
        let environment = self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        transient(&self.unit, properties, environment, argv)
    }
}

/// Root's children run in units, and there are none. A user who is not root needs none.
fn without_systemd(unit: &str) -> Error {
    Fault::UnitFailed
        .error(format!("starting {unit}"), "systemd does not run this machine, and root fetches and installs in its units only")
        .remedy("for a dry run here, be another user than root, or name a clone's directory: --repository DIRECTORY")
}

/// The command line that runs `argv` to its end in a transient unit. Every transient unit is made here.
pub fn transient<'a>(
    unit: &str,
    properties: impl IntoIterator<Item = String>,
    environment: impl IntoIterator<Item = (&'a str, &'a str)>,
    argv: &[String],
) -> Vec<String> {
    const RUN: [&str; 6] = ["systemd-run", "--quiet", "--pipe", "--wait", "--collect", "--service-type=exec"];
    let mut line: Vec<String> = RUN.map(str::to_owned).into();
    line.push(format!("--unit={unit}"));
    line.extend(properties.into_iter().map(|property| format!("--property={property}")));
    line.extend(environment.into_iter().map(|(name, value)| format!("--setenv={name}={value}")));
    line.push("--".to_owned());
    // The first word is looked up as a path before anything is expanded.
    line.extend(argv.iter().take(1).cloned());
    line.extend(argv.iter().skip(1).map(|word| literal(word)));
    line
}

/// systemd-run hands its words over as `ExecStart=`, in which systemd replaces `$NAME`, `${NAME}` and `$$` by the
/// unit's variables before the program starts: a shell would never see its own, and a secret's value would stand in
/// the arguments, which every user can read.
fn literal(word: &str) -> String {
    word.replace('$', "$$")
}

/// Homes and /tmp are hidden, but for this very program, if user-data put it there.
fn homes(argv: &[String]) -> Vec<String> {
    let Some(program) = argv.first().map(Path::new) else { return Vec::new() };
    let bound = format!("BindReadOnlyPaths={}", program.display());
    let stands_in = |roots: &[&str]| roots.iter().any(|root| program.starts_with(root));
    if stands_in(&["/root", "/home", "/run/user"]) {
        return vec!["ProtectHome=tmpfs".to_owned(), bound];
    }
    let forbidden = "ProtectHome=yes".to_owned();
    if stands_in(&["/tmp", "/var/tmp"]) { vec![forbidden, bound] } else { vec![forbidden] }
}

/// Stops the unit if the run is cancelled while it is waited for.
struct Stopper(Option<String>);

impl Drop for Stopper {
    fn drop(&mut self) {
        if let Some(unit) = self.0.take() {
            let _ = std::process::Command::new("systemctl").args(["stop", "--", &unit]).status();
        }
    }
}

/// This program, for a child that may not read root's home.
pub fn own_program() -> Result<PathBuf> {
    std::env::current_exe()
        .map_err(|error| Error::new(Code::Io, "looking for this program's own file", error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systemd_expands_no_word_of_a_command() {
        let argv = ["/bin/sh", "-c", "echo ${f} $f $$ %n %%"].map(str::to_owned);
        let line = transient("x.service", [], [("A", "$B")], &argv);
        assert_eq!(
            line[line.len() - 5..],
            ["--setenv=A=$B", "--", "/bin/sh", "-c", "echo $${f} $$f $$$$ %n %%"]
        );
    }
}
