//! The names that a service takes on the machine.

use crate::error::{Code, Error, Result};
use crate::facts::Facts;
use crate::plan::layout::Layout;

/// What stands under the service's names and is not ours is refused, never adopted.
pub fn refuse_taken(facts: &Facts, layout: &Layout) -> Result<()> {
    let refuse = |what: String| {
        let doing = format!("taking the name {} for the service", layout.user());
        Err(Error::new(Code::NameTaken, doing, format!("{what} exists and is not bootagent's")))
    };
    // Units of ours are called bootagent-...: a service by such a name would meet them.
    if layout.user() == "root" || layout.user().starts_with("bootagent") {
        return refuse(format!("the name {}", layout.user()));
    }
    if facts.claims.iter().any(|claimed| claimed.as_str() == layout.user()) {
        return Ok(());
    }
    for user in [layout.user().to_owned(), layout.build_user()] {
        if facts.taken.users.contains(&user) {
            return refuse(format!("user {user}"));
        }
        if facts.taken.groups.contains(&user) {
            return refuse(format!("group {user}"));
        }
    }
    if facts.taken.units.contains(&layout.unit()) {
        return refuse(format!("unit {}", layout.unit()));
    }
    match [layout.home(), layout.data()].into_iter().find(|path| facts.taken.paths.contains(path)) {
        Some(path) => refuse(path.display().to_string()),
        None => Ok(()),
    }
}
