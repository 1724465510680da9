//! Reads a commit from its repository's git server, or from a copy of the repository while that server cannot be reached.

use std::path::PathBuf;

use super::reads::{self, Fetched, region};
use super::{Flags, Policy, Selection, policy::Fragment};
use crate::error::{Code, Error, Result};
use crate::facts::{CommitPrefix, CopyKind, Facts, S3Object, SourceCopy};
use crate::fault::Fault;
use crate::machine::{Observe, Repository, SecretPatience};
use crate::plan::Seconds;

/// From where a commit may be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SourceOrigin {
    /// The repository's git server.
    Server,
    /// Of a copy, `pinned` is the commit that must be in it; `None` for the branch's newest one, as the copy says.
    Mirror {
        address: String,
        pinned: Option<CommitPrefix>,
    },
    Bundle {
        at: S3Object,
        pinned: Option<CommitPrefix>,
    },
    Image {
        path: PathBuf,
        pinned: Option<CommitPrefix>,
    },
}

/// All origins of the policy, in order.
pub fn source_origins(selection: &Selection, facts: &Facts) -> Vec<SourceOrigin> {
    let copies = &selection.copies;
    let mut origins = vec![SourceOrigin::Server];
    // A copy may be older than what serves here: then only a commit that is named is read from one.
    let of_instance = facts.instance.as_ref().map(|instance| &instance.id);
    let good_here = facts.good.get(&selection.service).filter(|good| good.instance.as_ref() == of_instance);
    let would_guess = selection.pinned.is_none() && good_here.is_some();
    if !Fragment::is_address(&selection.repository) || would_guess {
        return origins;
    }
    // For the same reason, a copy's own newest commit counts only if the group has none yet.
    let good = facts.fleet.good.as_ref().map(|good| good.commit.clone().into());
    let pinned = selection.pinned.clone().or(good);
    let mirror = copies.mirror.clone();
    origins.extend(mirror.map(|address| SourceOrigin::Mirror { address, pinned: pinned.clone() }));
    if let (Some(_), Some(memory)) = (copies.bundles, selection.fleet_memory()) {
        if let Some(commit) = pinned.as_ref().and_then(CommitPrefix::whole) {
            origins.push(SourceOrigin::Bundle { at: memory.bundle(&commit), pinned: Some(commit.into()) });
        }
        origins.push(SourceOrigin::Bundle { at: memory.branch_bundle(), pinned: pinned.clone() });
    }
    origins.extend(copies.image.clone().map(|path| SourceOrigin::Image { path, pinned }));
    origins
}

impl SourceOrigin {
    pub fn kind(&self) -> Option<CopyKind> {
        match self {
            SourceOrigin::Server => None,
            SourceOrigin::Mirror { .. } => Some(CopyKind::Mirror),
            SourceOrigin::Bundle { .. } => Some(CopyKind::Bundle),
            SourceOrigin::Image { .. } => Some(CopyKind::Image),
        }
    }

    /// Whether the next origin may be read after this error. A server that refuses access, or has no such branch, means it. A
    /// copy may lack a commit, and a bundle may be damaged: neither says anything about the repository.
    pub fn leads_on(&self, error: &Error) -> bool {
        match self {
            SourceOrigin::Server => reads::leads_to_next_origin(error),
            SourceOrigin::Mirror { .. } => {
                let lacks_it = [Code::BranchMissing, Code::CommitNotOnBranch].contains(&error.code());
                lacks_it || reads::leads_to_next_origin(error)
            }
            SourceOrigin::Bundle { .. } | SourceOrigin::Image { .. } => error.code() != Code::DiskFull,
        }
    }
}

/// Reads the commit from this origin, within `patience`.
pub async fn source_from(
    machine: &impl Observe,
    origin: &SourceOrigin,
    (flags, policy): (&Flags, &Policy),
    (selection, facts): (&Selection, &Facts),
    evidence: Vec<String>,
    patience: Seconds,
) -> Result<Fetched> {
    let of_server = async |selection: &Selection| {
        let wanted = (selection, facts);
        reads::source_within(machine, (flags, policy), wanted, evidence.clone(), patience).await
    };
    let (fetched, place, age) = match origin {
        SourceOrigin::Server => return of_server(selection).await,
        SourceOrigin::Mirror { address, pinned } => {
            let credential = selection.copies.mirror_credential.clone();
            let (repository, pinned) = (address.clone(), pinned.clone());
            let mirror = Selection { repository, credential, pinned, ..selection.clone() };
            (of_server(&mirror).await, address.clone(), None)
        }
        SourceOrigin::Bundle { at, pinned } => {
            let wait = SecretPatience { time: patience, waits_for_permission: false };
            let downloading = machine.download(at, region(facts), &selection.network, wait);
            // Each part has a limit of its own; together they must leave time for the next copy.
            let downloaded = tokio::time::timeout(patience.duration(), downloading).await;
            let downloaded = downloaded.unwrap_or_else(|_| {
                Err(Fault::FleetUnreachable
                    .error(format!("reading {at}"), format!("it is not done after {patience}")))
            })?;
            let absent =
                || Error::new(Code::SourceUnsafe, format!("reading {at}"), "there is no such object");
            let download = downloaded.ok_or_else(absent)?;
            let from = Repository::Bundle { path: download.path.clone(), name: at.to_string() };
            let request = reads::request_from(from, selection, pinned.clone(), policy, evidence.clone());
            (reads::fetched(machine, request, selection, patience).await, at.to_string(), Some(download.age))
        }
        SourceOrigin::Image { path, pinned } => {
            let absent = || {
                Error::new(Code::SourceUnsafe, format!("reading {}", path.display()), "there is no such file")
            };
            let age = machine.file_age(path).ok_or_else(absent)?;
            let from = Repository::Bundle { path: path.clone(), name: path.display().to_string() };
            let request = reads::request_from(from, selection, pinned.clone(), policy, evidence.clone());
            let fetched = reads::fetched(machine, request, selection, patience).await;
            (fetched, path.display().to_string(), Some(age))
        }
    };
    let mut fetched = fetched?;
    let Some(kind) = origin.kind() else { return Ok(fetched) };
    // Records and later runs compare it: the copy stands for the repository.
    selection.repository.trim_end_matches('/').clone_into(&mut fetched.source.repository);
    fetched.source.copy = Some(SourceCopy { kind, place, age });
    Ok(fetched)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_fault_of_the_network_leads_on_from_a_server() {
        let mirror = SourceOrigin::Mirror { address: "https://mirror.test/a.git".to_owned(), pinned: None };
        for origin in [SourceOrigin::Server, mirror.clone()] {
            for fault in [Fault::GitUnreachable, Fault::GitBusy, Fault::GitStalled] {
                assert!(origin.leads_on(&fault.error("fetching", "a cause")), "{}", fault.name());
            }
            for fault in [Fault::GitRefused, Fault::GitNotFound, Fault::GitHostKey, Fault::GitUntrusted] {
                assert!(!origin.leads_on(&fault.error("fetching", "a cause")), "{}", fault.name());
            }
            let unsigned = Error::new(Code::CommitUnsigned, "verifying", "no signature");
            assert!(!origin.leads_on(&unsigned));
        }
        let missing = Error::new(Code::BranchMissing, "fetching", "no such branch");
        assert!(!SourceOrigin::Server.leads_on(&missing) && mirror.leads_on(&missing));
    }

    #[test]
    fn a_copy_that_lacks_the_commit_or_is_damaged_leads_on() {
        let image = SourceOrigin::Image { path: "/srv/x.bundle".into(), pinned: None };
        for code in [Code::SourceUnsafe, Code::CommitNotOnBranch, Code::BranchMissing] {
            assert!(image.leads_on(&Error::new(code, "reading", "a cause")));
        }
        assert!(!image.leads_on(&Error::new(Code::DiskFull, "reading", "a cause")));
    }
}
