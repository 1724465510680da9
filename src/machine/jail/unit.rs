//! Transient units, in which children and commands from a repository run, never as root, and the operator's hooks.
//!
//! Each has a fixed name, so that a run can stop a unit that a killed run left; a clean environment; a deadline that
//! systemd enforces even if bootagent was killed; and no access to IMDS unless `with_imds` allows it.

use std::path::{Path, PathBuf};
use std::time::Duration;

use zeroize::Zeroizing;

use crate::error::{Code, Coded, Error, Result};
use crate::fault::Fault;
use crate::machine::process::program::{self, Output};
use crate::machine::process::units;
use crate::plan::hardening::{Confined, NO_IMDS, hardening};

/// A unit to run one command in. By default it can write nowhere and not reach IMDS: the methods allow more.
pub struct TransientUnit {
    unit: String,
    user: User,
    properties: Vec<String>,
    environment: Vec<(String, String)>,
    deadline: Duration,
    confined: Confined,
    may_use_imds: bool,
}

pub enum User {
    /// systemd's `DynamicUser=`: it exists only while the unit runs.
    Dynamic,
    Named {
        user: String,
        group: String,
    },
    /// Without a sandbox: only for programs that no other user can change.
    Root,
}

impl TransientUnit {
    pub fn new(unit: &str, user: User, deadline: Duration) -> Self {
        TransientUnit {
            unit: unit.to_owned(),
            user,
            properties: Vec::new(),
            environment: Vec::new(),
            deadline,
            confined: Confined::Child,
            may_use_imds: false,
        }
    }

    /// For a program of the operator: it runs as root, and may do what root may do.
    pub fn of_the_operator(unit: &str, deadline: Duration) -> Self {
        TransientUnit { may_use_imds: true, ..Self::new(unit, User::Root, deadline) }
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

    /// For a migration: it may do what the service may do.
    pub fn as_the_service(mut self) -> Self {
        self.confined = Confined::Migration;
        self
    }

    pub fn with_imds(mut self) -> Self {
        self.may_use_imds = true;
        self
    }

    /// Makes the path inaccessible; it need not exist.
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

    /// Runs `argv` to its end and keeps the last `most` bytes of its output. This process enforces the deadline
    /// (`E-DEADLINE`), and systemd 10 s later, in case this process was killed.
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
        // If this future is dropped, the unit must not continue to run.
        let mut guard = StopOnDrop(Some(self.unit.clone()));
        match program::run(&line, input, self.deadline, most).await {
            // Without a status systemd-run was killed, and the unit may still run.
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

    /// Starts `argv`, which goes on until the returned value is dropped. Returns the first line that it prints, within
    /// `patience` and of at most `most` bytes.
    pub async fn serve(
        self,
        argv: &[String],
        input: Zeroizing<Vec<u8>>,
        patience: Duration,
        most: u64,
    ) -> Result<(Vec<u8>, Serving)> {
        if !units::is_running_the_machine() {
            return Err(without_systemd(&self.unit));
        }
        units::clear(&self.unit).await?;
        let line = self.line(argv);
        let line: Vec<&str> = line.iter().map(String::as_str).collect();
        let guard = StopOnDrop(Some(self.unit.clone()));
        let doing = || format!("starting {}", self.unit);
        let served = program::serve(&line, &input, patience, most).await.doing(doing)?;
        let Some((reply, child)) = served else {
            return Err(Fault::UnitFailed.error(doing(), "it ended, or did not answer in time"));
        };
        Ok((reply, Serving { _guard: guard, _child: child }))
    }

    fn line(&self, argv: &[String]) -> Vec<String> {
        let user = match &self.user {
            User::Dynamic => vec!["DynamicUser=yes".to_owned()],
            User::Named { user, group } => vec![format!("User={user}"), format!("Group={group}")],
            User::Root => Vec::new(),
        };
        let is_confined = !matches!(self.user, User::Root);
        let runtime_max = format!("RuntimeMaxSec={}", self.deadline.as_secs() + 10);
        let imds = (!self.may_use_imds).then_some(NO_IMDS);
        // A program of root's is not confined, and is ended like the others.
        let ends = ROOT_ENDS.iter().filter(|_| !is_confined).copied();
        let hardening =
            hardening(self.confined).chain(imds).filter(|_| is_confined).chain(ends).map(str::to_owned);
        let homes = homes(argv).into_iter().filter(|_| is_confined);
        let own = self.properties.iter().cloned();
        let properties = user.into_iter().chain(hardening).chain([runtime_max]).chain(own).chain(homes);
        let environment = self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str()));
        systemd_run(&self.unit, properties, environment, argv)
    }
}

/// How a unit of root ends.
const ROOT_ENDS: [&str; 3] = ["KillMode=control-group", "TimeoutStopSec=5", "LimitCORE=0"];

/// Root runs its children in units only, and without systemd there are no units. Other users need no unit.
fn without_systemd(unit: &str) -> Error {
    Fault::UnitFailed
        .error(
            format!("starting {unit}"),
            "systemd is not PID 1 of this machine, and root fetches and installs in systemd units only",
        )
        .remedy(
            "for a dry run here, run as a user other than root, or use a local clone: --repository DIRECTORY",
        )
}

/// The command line that runs `argv` to its end in a transient unit. All transient units are started with it.
pub fn systemd_run<'a>(
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
    // systemd-run resolves the first word as a path and does not expand it.
    line.extend(argv.iter().take(1).cloned());
    line.extend(argv.iter().skip(1).map(|word| escaped(word)));
    line
}

/// Doubles each `$`. In `ExecStart=` systemd would replace `$NAME` and `${NAME}` by the unit's variables: a shell would
/// not get its own variables, and a secret's value would be in the arguments, which every user can read.
fn escaped(word: &str) -> String {
    word.replace('$', "$$")
}

/// Hides home directories. If user-data installed bootagent in one of them or in /tmp, its file stays visible, so that
/// the unit can execute it.
fn homes(argv: &[String]) -> Vec<String> {
    let Some(program) = argv.first().map(Path::new) else { return Vec::new() };
    let bound = format!("BindReadOnlyPaths={}", program.display());
    let is_below = |roots: &[&str]| roots.iter().any(|root| program.starts_with(root));
    if is_below(&["/root", "/home", "/run/user"]) {
        return vec!["ProtectHome=tmpfs".to_owned(), bound];
    }
    let hidden = "ProtectHome=yes".to_owned();
    if is_below(&["/tmp", "/var/tmp"]) { vec![hidden, bound] } else { vec![hidden] }
}

/// A unit that runs beside others. Stopped when this is dropped.
pub struct Serving {
    _guard: StopOnDrop,
    _child: tokio::process::Child,
}

/// Stops the unit if the run is cancelled while it waits for the unit.
struct StopOnDrop(Option<String>);

impl Drop for StopOnDrop {
    fn drop(&mut self) {
        if let Some(unit) = self.0.take() {
            let _ = std::process::Command::new("systemctl").args(["stop", "--", &unit]).status();
        }
    }
}

/// The path of bootagent's executable.
pub fn own_program() -> Result<PathBuf> {
    std::env::current_exe().map_err(|error| Error::new(Code::Io, "finding bootagent's executable", error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn systemd_expands_no_variable_in_a_command() {
        let argv = ["/bin/sh", "-c", "echo ${f} $f $$ %n %%"].map(str::to_owned);
        let line = systemd_run("x.service", [], [("A", "$B")], &argv);
        assert_eq!(
            line[line.len() - 5..],
            ["--setenv=A=$B", "--", "/bin/sh", "-c", "echo $${f} $$f $$$$ %n %%"]
        );
    }
}
