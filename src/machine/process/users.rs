//! System users, created by systemd-sysusers: it locks the user databases, and every machine with systemd has it.

use std::path::Path;

use nix::unistd::User;

use super::program::tool;
use crate::error::{Code, Coded, Error, Result};
use crate::machine::{Change, Check};

/// The user of this name. Fails if there is none.
pub fn named(name: &str) -> Result<User> {
    let doing = || format!("looking up user {name}");
    let found = User::from_name(name).doing(doing)?;
    found.ok_or_else(|| Error::new(Code::Io, doing(), "it does not exist"))
}

pub fn check(name: &str) -> Result<Check> {
    let user = User::from_name(name).doing(|| format!("looking up user {name}"))?;
    Ok(if user.is_some() { Check::AlreadySo } else { Check::WouldChange("absent".into()) })
}

pub async fn create(name: &str, description: &str, home: &Path) -> Result<Change> {
    if check(name)? == Check::AlreadySo {
        return Ok(Change::Unchanged);
    }
    let line = format!("u {name} - \"{description}\" {} -", home.display());
    tool(&["systemd-sysusers", "--inline", &line], 30).await?;
    Ok(Change::Changed(format!("user {name} created")))
}
