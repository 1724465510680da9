//! The work that is not root's: fetching, checking out and installing, each in its jail.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::de::DeserializeOwned;

use super::{diagnose, releases};
use crate::error::{Code, Coded, Error, Result, is_disk_full};
use crate::facts::{Commit, Source};
use crate::fault::{Fault, Slice};
use crate::machine::aws::clock;
use crate::machine::disk::{files, room};
use crate::machine::git::local::reader;
use crate::machine::jail::child::Role;
use crate::machine::jail::guard;
use crate::machine::jail::plain::{plain, plain_as};
use crate::machine::jail::request::REPLY_BYTES;
use crate::machine::jail::request::{CheckoutRequest, FetchRequest, Repository, encode_request, read_reply};
use crate::machine::jail::unit::{Jail, User, own_program};
use crate::machine::process::program::failed;
use crate::machine::process::{journal, reason, units};
use crate::machine::retry::{Patience, patiently};
use crate::machine::{Context, Scratch, now};
use crate::plan::{Checkout, Command, Mode, Owner, Seconds, layout};
use crate::secret::without_userinfo;

/// A little less than the checkout's step has: the child's own end says more than the step's.
const CHECKOUT: Duration = Duration::from_secs(Slice::Checkout.seconds().0 - 10);
/// A pack can be made to unfold into far more than it weighs, before any limit of ours sees it.
const FETCH_MEMORY: &str = "MemoryMax=1G";

/// Fetches in a unit of this name with a dynamic user; without a name, on a laptop, as the caller.
pub async fn fetch(
    request: FetchRequest,
    unit: Option<&str>,
    patience: Seconds,
) -> Result<(Source, Scratch)> {
    if let Repository::Local { path } = &request.repository {
        let repository = path.clone();
        let source = plain_as(reader(path), &own_program()?, Role::Fetch, &request, conversation()).await;
        let source = source.map_err(|error| stalled(error, &request))?;
        return Ok((source, Scratch { repository, _guard: Box::new(()) }));
    }
    conversing(Role::Fetch, &request, unit, patience).await
}

/// Asks only which commit the branch has, in the same way.
pub async fn tip(request: FetchRequest, unit: Option<&str>, patience: Seconds) -> Result<Commit> {
    conversing(Role::Tip, &request, unit, patience).await.map(|(commit, _)| commit)
}

async fn conversing<T: DeserializeOwned + Send + 'static>(
    role: Role,
    request: &FetchRequest,
    unit: Option<&str>,
    patience: Seconds,
) -> Result<(T, Scratch)> {
    let patience = Patience::lasting(patience.min(Slice::Fetch.seconds()).duration());
    match unit {
        Some(unit) => {
            let attempt = async || in_time(in_unit(role, request, unit, most(patience)).await).await;
            patiently(patience, attempt).await
        }
        None => {
            let attempt = async || in_time(in_child(role, request, most(patience)).await).await;
            patiently(patience, attempt).await
        }
    }
}

/// For one fetch. Who is waited for no longer than the budget allows is named, and not the budget: so the
/// fetch ends a little before it.
fn most(patience: Patience) -> Duration {
    const TO_END: Duration = Duration::from_secs(1);
    const LAST: Duration = Duration::from_millis(500);
    conversation().min(patience.left().saturating_sub(TO_END).max(LAST))
}

/// A child has no way to AWS's clock, and a wrong one of ours shows in the child as another fault.
async fn in_time<T>(result: Result<T>) -> Result<T> {
    match result {
        Ok(value) => Ok(value),
        Err(error) => Err(clock::judged(error, None).await),
    }
}

fn conversation() -> Duration {
    Slice::Conversation.seconds().duration()
}

/// Where what is fetched is put.
pub fn scratch(root: bool) -> PathBuf {
    if root { layout::PRIVATE.into() } else { std::env::temp_dir() }
}

async fn in_child<T: DeserializeOwned + Send + 'static>(
    role: Role,
    request: &FetchRequest,
    most: Duration,
) -> Result<(T, Scratch)> {
    let scratch = tempfile::tempdir().doing(|| "making a scratch directory".to_owned())?;
    let request = FetchRequest { scratch: scratch.path().join("repository"), ..request.clone() };
    std::fs::create_dir(&request.scratch).doing(|| "making a scratch directory".to_owned())?;
    let answer = plain(&own_program()?, role, &request, most).await;
    let answer = answer.map_err(|error| stalled(error, &request))?;
    Ok((answer, Scratch { repository: request.scratch, _guard: Box::new(scratch) }))
}

async fn in_unit<T: DeserializeOwned + Send + 'static>(
    role: Role,
    request: &FetchRequest,
    name: &str,
    most: Duration,
) -> Result<(T, Scratch)> {
    let unit = format!("{name}.service");
    units::clear(&unit).await?;
    let [directory, link] = layout::scratch(name);
    let fetched = Fetched { link, directory };
    fetched.remove();
    let request = FetchRequest { scratch: fetched.link.clone(), ..request.clone() };
    let jail = Jail::new(&unit, User::Dynamic, most)
        .property(format!("CacheDirectory={name}"))
        .property("CacheDirectoryMode=0755")
        .property(FETCH_MEMORY);
    let output = child(jail, role, &request).await.map_err(|error| stalled(error, &request))?;
    let answer = read_reply(output).await?;
    Ok((answer, Scratch { repository: fetched.directory.clone(), _guard: Box::new(fetched) }))
}

fn stalled(error: Error, request: &FetchRequest) -> Error {
    match error.code() {
        Code::Deadline => Fault::GitStalled.error(format!("fetching {}", place(request)), error.cause()),
        _ => error,
    }
}

fn place(request: &FetchRequest) -> String {
    match &request.repository {
        Repository::Remote { url } => without_userinfo(url),
        Repository::Local { path } => path.display().to_string(),
    }
}

/// The fetched objects, removed with the last word about them.
struct Fetched {
    link: PathBuf,
    directory: PathBuf,
}

impl Fetched {
    /// What cannot be removed is named by the next fetch, which needs the place empty.
    fn remove(&self) {
        let _ = files::remove_file(&self.link);
        let _ = files::remove_tree(&self.directory);
    }
}

impl Drop for Fetched {
    fn drop(&mut self) {
        self.remove();
    }
}

/// Without a unix socket it can hand nothing that it has open to anybody: what it wrote is its parent's
/// alone when it is gone.
const NO_UNIX_SOCKETS: &str = "RestrictAddressFamilies=AF_INET AF_INET6 AF_NETLINK";

pub(super) async fn child(jail: Jail, role: Role, request: &impl serde::Serialize) -> Result<Vec<u8>> {
    let jail = jail.property(NO_UNIX_SOCKETS);
    let argv = [own_program()?.display().to_string(), Role::VERB.to_owned(), role.name().to_owned()];
    let (unit, began) = (jail.unit().to_owned(), now());
    let output = jail.run(&argv, Some(encode_request(request)?), REPLY_BYTES as usize).await?;
    match output.stdout.is_empty() {
        false => Ok(output.stdout),
        // Killed before it could answer, or never started.
        true => {
            let doing = format!("running the {} child", role.name());
            let said = journal::last_word(&unit, began).await;
            match diagnose::out_of_memory(output.status, &[], &said) {
                Some(cause) => Err(Fault::OutOfMemory.error(doing, cause)),
                None if is_disk_full(&said) => {
                    let scratch = PathBuf::from(layout::PRIVATE);
                    Err(Fault::DiskFull.error(doing, format!("no room: {}", room::fullest(&[scratch]))))
                }
                None => Err(match reason::of_the_unit(output.status, &said) {
                    Some(cause) => Fault::UnitFailed.error(doing, cause).remedy(reason::REMEDY),
                    None => failed(Code::CheckoutFailed, doing, &output),
                }),
            }
        }
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
    releases::discard(&checkout.release, std::slice::from_ref(&checkout.record))?;
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
    let mut jail = Jail::new(&checkout.unit, user, CHECKOUT)
        .writable(&checkout.release)
        .hidden(Path::new(layout::RUN))
        .property("PrivateNetwork=yes")
        .property(FETCH_MEMORY);
    for property in bind {
        jail = jail.property(property);
    }
    read_reply(child(jail, Role::Checkout, &request).await?).await
}

/// The scratch stands where only root can go: the child sees it under another name, read-only.
fn within_reach(repository: &Path) -> (PathBuf, Vec<String>) {
    if !repository.starts_with(layout::PRIVATE) {
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
    let argv = guard::before(&command.argv, false)?;
    let began = now();
    let output = jail.run(&argv, None, 256 << 10).await?;
    let unit_ended = match output.ok() {
        true => String::new(),
        false => journal::last_word(&command.unit, began).await,
    };
    let ran = diagnose::Ran {
        line: command.argv.join(" "),
        user: &command.user,
        writable: &command.sandbox.writable,
        fault: Fault::InstallFailed,
    };
    in_time(diagnose::judge(&ran, &output, &unit_ended)).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fetch_that_is_cut_off_names_its_server_and_can_be_tried_again() {
        let request = FetchRequest {
            repository: Repository::Remote { url: "https://u:hunter2@git.example/a.git".into() },
            branch: "main".to_owned().try_into().unwrap(),
            pinned: None,
            credential: None,
            host_keys: Vec::new(),
            scratch: PathBuf::new(),
            network: Default::default(),
            timeouts: Default::default(),
            limits: Default::default(),
            evidence: Vec::new(),
        };
        let late = stalled(Error::new(Code::Deadline, "waiting", "not done after 9.0 s"), &request);
        assert_eq!(Fault::of(&late), Some(Fault::GitStalled));
        assert_eq!(late.report().doing, "fetching https://git.example/a.git");
        assert_eq!(late.report().causes, ["not done after 9.0 s"]);
        let other = stalled(Error::new(Code::BranchMissing, "looking", "none"), &request);
        assert_eq!(other.code(), Code::BranchMissing);
    }
}
