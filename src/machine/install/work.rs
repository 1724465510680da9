//! Fills a release: checks out its files and runs its commands, each in a transient unit and never as root.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{diagnose, releases};
use crate::error::{Code, Error, Result};
use crate::facts::Registry;
use crate::fault::{Fault, Phase};
use crate::machine::aws::clock;
use crate::machine::disk::files;
use crate::machine::git::parent::MEMORY;
use crate::machine::git::request::CheckoutRequest;
use crate::machine::jail::ask::ask_in;
use crate::machine::jail::child::Role;
use crate::machine::jail::request::read_reply;
use crate::machine::jail::unit::{TransientUnit, User};
use crate::machine::jail::wrapper;
use crate::machine::npm_tree;
use crate::machine::process::journal;
use crate::machine::registries;
use crate::machine::{Context, now};
use crate::plan::{Checkout, Command, Mode, Owner, RegistryAccess, layout};

/// Less than the step's time limit, because the child's error says more than the step's.
const CHECKOUT: Duration = Duration::from_secs(Phase::Checkout.seconds().0 - 10);

/// Writes the commit's files into a new directory of the build user's.
pub async fn check_out(checkout: &Checkout, context: &Context<'_>) -> Result<()> {
    let Some(scratch) = context.scratch else {
        return Err(Error::new(
            Code::Bug,
            format!("checking out {}", checkout.commit),
            "nothing was fetched",
        ));
    };
    releases::discard(&checkout.release, std::slice::from_ref(&checkout.record))?;
    files::directory(&checkout.release, &Owner::new(&checkout.user, &checkout.group), Mode(0o750))?;
    let (repository, bind) = mounted(&scratch.repository);
    let request = CheckoutRequest {
        repository,
        commit: checkout.commit.clone(),
        release: checkout.release.clone(),
        limits: Default::default(),
    };
    // It owns the directory, in the group that may enter the release, and can write nothing else.
    let user = User::Named { user: checkout.user.clone(), group: checkout.group.clone() };
    let mut transient = TransientUnit::new(&checkout.unit, user, CHECKOUT)
        .writable(&checkout.release)
        .hidden(Path::new(layout::RUN))
        .property("PrivateNetwork=yes")
        .property(MEMORY);
    for property in bind {
        transient = transient.property(property);
    }
    read_reply(ask_in(transient, Role::Checkout, &request).await?).await
}

/// Only root can enter the scratch directory, so it is mounted for the child elsewhere, read-only. Returns that path
/// and the properties of the unit.
fn mounted(repository: &Path) -> (PathBuf, Vec<String>) {
    if !repository.starts_with(layout::PRIVATE) {
        return (repository.to_owned(), Vec::new());
    }
    let mount = "/mnt/source";
    let bind = format!("BindReadOnlyPaths={}:{mount}", repository.display());
    (mount.into(), vec!["TemporaryFileSystem=/mnt:ro".to_owned(), bind])
}

/// Runs an install or build command, after a proof that it cannot reach IMDS and so the role's credentials. Returns what
/// its own installer says of npm, if it had to start npm.
pub async fn run(command: &Command, context: &Context<'_>) -> Result<Option<String>> {
    let user = User::Named { user: command.user.clone(), group: command.group.clone() };
    // Longer than the step's time limit: it ends the unit if the agent was killed.
    let proxy = match &command.registries {
        Some(access) => Some(registries::start(access, &command.user, context.tokens).await?),
        None => None,
    };
    let environment = match &proxy {
        Some(proxy) => proxy.environment(&command.environment),
        None => command.environment.clone(),
    };
    let mut transient = TransientUnit::new(&command.unit, user, Duration::from_secs(3600))
        .directory(&command.directory)
        .environment(&environment);
    for path in &command.sandbox.writable {
        transient = transient.writable(path);
    }
    for path in &command.sandbox.hidden {
        transient = transient.hidden(path);
    }
    let argv = match &command.own_installer {
        Some(node) => npm_tree::command_line(node, &command.argv)?,
        None => wrapper::command_line(&command.argv, false)?,
    };
    let began = now();
    let output = transient.run(&argv, None, 256 << 10).await?;
    drop(proxy);
    let unit_ended = match output.ok() {
        true => String::new(),
        false => journal::systemd_messages(&command.unit, began).await,
    };
    let ran = diagnose::Ran {
        line: shown(command),
        user: &command.user,
        writable: &command.sandbox.writable,
        fault: Fault::InstallFailed,
    };
    let judged = diagnose::judge(&ran, &output, &unit_ended);
    clock::checked(judged.map_err(|error| remedied(error, command.registries.as_ref()))).await?;
    Ok(command.own_installer.as_ref().and_then(|_| npm_tree::about_npm(&output.stderr)))
}

/// The command, and the directory of the release that it runs in, if that is not the root.
fn shown(command: &Command) -> String {
    let line = command.argv.join(" ");
    let below = |root: &PathBuf| command.directory.strip_prefix(root).ok().map(Path::to_owned);
    match command.sandbox.writable.iter().find_map(below) {
        Some(directory) if !directory.as_os_str().is_empty() => format!("{line} in {}", directory.display()),
        _ => line,
    }
}

/// Of a registry that refuses the token: where the token comes from.
fn remedied(error: Error, access: Option<&RegistryAccess>) -> Error {
    let (Some(access), Some(Fault::RegistryRefused)) = (access, Fault::of(&error)) else { return error };
    let of = |registry: &Registry| format!("{} for {}", registry.token, registry.url);
    let tokens: Vec<String> = access.registries.iter().map(of).collect();
    error.remedy(format!(
        "does the token still work, and may it read this package? the secret {} has {}; other registries get no token: \
         [registries] in the policy names them",
        access.secret,
        tokens.join(", ")
    ))
}
