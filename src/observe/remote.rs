//! The repository of a service and the secret with its git credential: those of the policy, of an earlier run's record, or of
//! the operator's manifest, which needs none. No reads happen here.

use super::Decision;
use super::compare::contradiction;
use super::policy::{Origin, Sourced, holds_a_secret};
use crate::error::{Code, Error, Result};
use crate::facts::Facts;

/// For a service without a repository: the path of its manifest, in place of the repository's address.
pub fn without_repository(facts: &Facts, recorded: Option<&Decision>) -> Option<Remote> {
    let (value, origin) = match (recorded, &facts.own_manifest) {
        (Some(decided), _) if decided.source.is_manifest => (&decided.source.repository, Origin::Decided),
        (None, Some(manifest)) => (&manifest.path, Origin::OwnManifest),
        _ => return None,
    };
    Some(Remote { repository: Sourced { value: value.clone(), origin }, credential: None })
}

/// The address of a repository, and the name of the secret with the credential for it.
pub struct Remote {
    pub repository: Sourced<String>,
    pub credential: Option<Sourced<String>>,
}

impl Remote {
    /// The pinned commit comes from the recorded repository, even if the policy names another one by now: the
    /// credential for one server must not be sent to another. A flag that contradicts the record is an error.
    pub fn pinned_to(self, decided: &Decision) -> Result<Remote> {
        let before = &decided.source.repository;
        let same = self.repository.value.trim_end_matches('/') == before;
        if self.repository.is_flag() && !same {
            return Err(contradiction("repository", &self.repository.value, before));
        }
        let flag = self.credential.as_ref().filter(|name| name.is_flag()).map(|name| &name.value);
        if let Some(name) = flag.filter(|name| decided.credential.as_ref() != Some(name)) {
            let before = decided.credential.as_deref().unwrap_or("no credential");
            return Err(contradiction("git-credential-secret", name, before));
        }
        if same {
            return Ok(self);
        }
        let recorded = |value: &String| Sourced { value: value.clone(), origin: Origin::Decided };
        Ok(Remote { repository: recorded(before), credential: decided.credential.as_ref().map(recorded) })
    }
}

/// Called before any message shows the address, because a password in it would be shown, too.
pub fn refuse_userinfo(repository: &Sourced<String>) -> Result<()> {
    match holds_a_secret(&repository.value) {
        true => Err(Error::new(
            Code::RepositoryInvalid,
            format!("choosing the repository from {}", repository.origin),
            "its address has a user or a password in it",
        )),
        false => Ok(()),
    }
}
