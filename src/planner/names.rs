//! Refusals because of a service's name: an operator masked its unit, or its user, unit or directories are not
//! bootagent's.

use crate::error::{Code, Error, Result};
use crate::facts::Facts;
use crate::plan::layout::Layout;

/// Fails if the service's unit is masked. An operator masked it, so no run unmasks it.
pub fn refuse_masked(facts: &Facts, layout: &Layout) -> Result<()> {
    let unit = layout.unit();
    if !facts.operator.masked.contains(&unit) {
        return Ok(());
    }
    let remedy =
        format!("systemctl unmask {unit} (with --runtime if it was masked with it); then: bootagent run");
    let cause = format!("{unit} is masked, so nothing may start it");
    let doing = format!("checking the unit of {}", layout.user());
    Err(Error::new(Code::UnitMasked, doing, cause).remedy(remedy))
}

/// Fails if a user, group, unit or directory with one of the service's names exists and has no ownership marker. A run
/// would otherwise replace files of another program, or of the operating system.
pub fn refuse_taken(facts: &Facts, layout: &Layout) -> Result<()> {
    let refuse = |what: String| {
        let doing = format!("taking the name {} for the service", layout.user());
        Err(Error::new(Code::NameTaken, doing, what))
    };
    let refuse_taken = |what: String| refuse(format!("{what} exists and is not bootagent's"));
    if layout.user() == "root" {
        return refuse("the service would run as root".to_owned());
    }
    if layout.user().starts_with("bootagent") {
        return refuse("names of bootagent's own units and directories start with bootagent".to_owned());
    }
    if facts.claims.iter().any(|claimed| claimed.as_str() == layout.user()) {
        return Ok(());
    }
    for user in [layout.user().to_owned(), layout.build_user()] {
        if facts.taken.users.contains(&user) {
            return refuse_taken(format!("user {user}"));
        }
        if facts.taken.groups.contains(&user) {
            return refuse_taken(format!("group {user}"));
        }
    }
    if facts.taken.units.contains(&layout.unit()) {
        return refuse_taken(format!("unit {}", layout.unit()));
    }
    match [layout.home(), layout.data()].into_iter().find(|path| facts.taken.paths.contains(path)) {
        Some(path) => refuse_taken(path.display().to_string()),
        None => Ok(()),
    }
}
