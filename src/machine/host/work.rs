//! The work that is not root's: fetching, checking out and installing, each in its jail.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::program::{Output, ended};
use super::{files, program, units};
use crate::error::{Code, Coded, Error, Result};
use crate::facts::Source;
use crate::machine::retry::{Attempt, patiently};
use crate::machine::sandbox::guard::IMDS_ANSWERS;
use crate::machine::sandbox::request::REPLY_BYTES;
use crate::machine::sandbox::unit::{Jail, User, own_program};
use crate::machine::sandbox::{
    CheckoutRequest, FetchRequest, Repository, Role, decode_reply, encode_request, plain,
};
use crate::machine::{Context, Scratch};
use crate::plan::{Checkout, Command, Mode, Owner};

/// One attempt at a fetch, and all of them together.
const FETCH: Duration = Duration::from_secs(120);
const ALL_FETCHES: Duration = Duration::from_secs(300);
const CHECKOUT: Duration = Duration::from_secs(290);
const FETCH_UNIT: &str = "bootagent-fetch.service";
/// Where systemd keeps the cache directory of a unit with a dynamic user: nobody else looks in.
const FETCHED: &str = "/var/cache/private/bootagent-fetch";
const FETCHED_LINK: &str = "/var/cache/bootagent-fetch";

/// Fetches with a dynamic user; on a laptop as the caller.
pub async fn fetch(request: FetchRequest, root: bool) -> Result<(Source, Scratch)> {
    if let Repository::Local { path } = &request.repository {
        let repository = path.clone();
        let source = plain(&own_program()?, Role::Fetch, &request, FETCH).await?;
        return Ok((source, Scratch { repository, _guard: Box::new(()) }));
    }
    let until = tokio::time::Instant::now() + ALL_FETCHES;
    match root {
        true => patiently(until, async || attempt(fetch_in_unit(&request).await)).await,
        false => patiently(until, async || attempt(fetch_in_child(&request).await)).await,
    }
}

fn attempt<T>(result: Result<T>) -> Attempt<T> {
    match result {
        Ok(value) => Attempt::Done(value),
        Err(error) if matches!(error.code(), Code::GitUnreachable | Code::Deadline) => Attempt::Again(error),
        Err(error) => Attempt::Stop(error),
    }
}

async fn fetch_in_child(request: &FetchRequest) -> Result<(Source, Scratch)> {
    let scratch = tempfile::tempdir().doing(|| "making a scratch directory".to_owned())?;
    let request = FetchRequest { scratch: scratch.path().join("repository"), ..request.clone() };
    std::fs::create_dir(&request.scratch).doing(|| "making a scratch directory".to_owned())?;
    let source = plain(&own_program()?, Role::Fetch, &request, FETCH).await?;
    Ok((source, Scratch { repository: request.scratch, _guard: Box::new(scratch) }))
}

async fn fetch_in_unit(request: &FetchRequest) -> Result<(Source, Scratch)> {
    units::clear(FETCH_UNIT).await?;
    let fetched = Fetched;
    fetched.remove();
    let request = FetchRequest { scratch: FETCHED_LINK.into(), ..request.clone() };
    let jail = Jail::new(FETCH_UNIT, User::Dynamic, FETCH)
        .property("CacheDirectory=bootagent-fetch")
        .property("CacheDirectoryMode=0755");
    let output = child(jail, "fetch", &request).await?;
    let source = decode_reply(&output)?;
    Ok((source, Scratch { repository: FETCHED.into(), _guard: Box::new(fetched) }))
}

/// The fetched objects, removed with the last word about them.
struct Fetched;

impl Fetched {
    fn remove(&self) {
        for (path, is_link) in [(FETCHED_LINK, true), (FETCHED, false)] {
            let path = Path::new(path);
            // What cannot be removed is named by the next fetch, which needs the place empty.
            let _ = if is_link { files::remove_file(path) } else { files::remove_tree(path).map(|_| ()) };
        }
    }
}

impl Drop for Fetched {
    fn drop(&mut self) {
        self.remove();
    }
}

async fn child(jail: Jail, role: &str, request: &impl serde::Serialize) -> Result<Vec<u8>> {
    let argv = [own_program()?.display().to_string(), "__child".to_owned(), role.to_owned()];
    let output = jail.run(&argv, Some(encode_request(request)?), REPLY_BYTES as usize).await?;
    match output.stdout.is_empty() {
        false => Ok(output.stdout),
        // Killed before it could answer, or never started.
        true => Err(Error::new(Code::CheckoutFailed, format!("running the {role} child"), ended(&output))),
    }
}

/// The commit's files into an empty directory of the build user's.
pub async fn check_out(checkout: &Checkout, context: &Context<'_>) -> Result<()> {
    let Some(scratch) = context.scratch else {
        return Err(Error::new(
            Code::Bug,
            format!("checking out {}", checkout.commit),
            "nothing was fetched",
        ));
    };
    files::remove_tree(&checkout.release)?;
    files::directory(&checkout.release, &Owner::new(&checkout.user, &checkout.group), Mode(0o750))?;
    let (repository, bind) = within_reach(&scratch.repository);
    let request = CheckoutRequest {
        repository,
        commit: checkout.commit.clone(),
        release: checkout.release.clone(),
        limits: Default::default(),
    };
    // Of the group that may enter the release: it owns the directory, and that is all it may write.
    let user = User::Named { user: checkout.user.clone(), group: checkout.group.clone() };
    let mut jail =
        Jail::new(&checkout.unit, user, CHECKOUT).writable(&checkout.release).property("PrivateNetwork=yes");
    for property in bind {
        jail = jail.property(property);
    }
    decode_reply(&child(jail, "checkout", &request).await?)
}

/// The scratch stands where only root can go: the child sees it under another name, read-only.
fn within_reach(repository: &Path) -> (PathBuf, Vec<String>) {
    if repository != Path::new(FETCHED) {
        return (repository.to_owned(), Vec::new());
    }
    let seen = "/mnt/source";
    let bind = format!("BindReadOnlyPaths={}:{seen}", repository.display());
    (seen.into(), vec!["TemporaryFileSystem=/mnt:ro".to_owned(), bind])
}

/// An install or build command, after the proof that IMDS is out of its reach.
pub async fn run(command: &Command) -> Result<()> {
    let user = User::Named { user: command.user.clone(), group: command.group.clone() };
    // The step's own deadline is shorter; this one holds if the agent dies.
    let mut jail = Jail::new(&command.unit, user, Duration::from_secs(3600))
        .directory(&command.directory)
        .environment(&command.environment);
    for path in &command.sandbox.writable {
        jail = jail.writable(path);
    }
    for path in &command.sandbox.hidden {
        jail = jail.hidden(path);
    }
    let mut argv =
        vec![own_program()?.display().to_string(), "__child".to_owned(), "guard".to_owned(), "--".to_owned()];
    argv.extend(command.argv.iter().cloned());
    let output = jail.run(&argv, None, 256 << 10).await?;
    judge(command, &output)
}

fn judge(command: &Command, output: &Output) -> Result<()> {
    let line = command.argv.join(" ");
    match output.status {
        Some(0) => Ok(()),
        Some(IMDS_ANSWERS) => {
            Err(Error::new(Code::ImdsAnswers, format!("running {line}"), output.last_lines(3)))
        }
        _ => Err(Error::new(
            Code::InstallFailed,
            format!("running {line} as {}", command.user),
            program::ended(output),
        )),
    }
}
