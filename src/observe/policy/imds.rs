//! The table `[imds]`: how long to wait for IMDS, and which users may reach it.

use serde::{Deserialize, Serialize};

use super::{Policy, Sourced};
use crate::plan::{Seconds, Setting};

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Imds {
    /// How long to wait for IMDS, and for tags and credentials that are not yet propagated.
    pub wait: Option<Seconds>,
    /// Whether the service may reach IMDS.
    pub service: Option<bool>,
    /// The only users that may reach IMDS besides root and, depending on `service`, the service; none: all users.
    pub users: Option<Vec<String>>,
}

/// An AMI has a few agents that need the role. A long list is a mistake.
const MOST_USERS: usize = 32;
/// The kernel's and useradd's limit for a name.
const LONGEST_NAME: usize = 32;

impl Imds {
    pub fn is_empty(&self) -> bool {
        *self == Imds::default()
    }

    pub fn over(self, under: Imds) -> Imds {
        Imds {
            wait: self.wait.or(under.wait),
            service: self.service.or(under.service),
            users: self.users.or(under.users),
        }
    }

    pub fn check(&self) -> Result<(), String> {
        let users = self.users.as_deref().unwrap_or_default();
        if users.len() > MOST_USERS {
            return Err(format!("imds.users names {} users; the limit is {MOST_USERS}", users.len()));
        }
        match users.iter().find(|user| !is_user_name(user)) {
            Some(user) => {
                let shown: String = user.chars().take(40).collect();
                let shown = shown.escape_default();
                Err(format!("imds.users names \"{shown}\", which is not a user name (ids are not accepted)"))
            }
            None => Ok(()),
        }
    }
}

/// A user name of a distribution or a directory service. Not a number: it would be looked up as a name.
fn is_user_name(name: &str) -> bool {
    name.len() <= LONGEST_NAME
        && name.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && name.chars().all(|c| c.is_ascii_alphanumeric() || "_-.".contains(c))
}

impl Policy {
    pub fn service_may_use_imds(&self) -> Sourced<bool> {
        self.or_default(|fragment| fragment.imds.service)
    }

    /// The users that the firewall rules let through, and the setting; none if there are no rules.
    pub fn imds_users(&self) -> (Option<Vec<String>>, Option<Setting>) {
        let Some(found) = self.uppermost(|fragment| fragment.imds.users.clone()) else { return (None, None) };
        let users = found.value.clone();
        let shown = if users.is_empty() { "none".to_owned() } else { users.join(", ") };
        (Some(users), Some(found.map(|_| shown).setting("imds.users")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn naming(users: &[&str]) -> Result<(), String> {
        Imds { users: Some(users.iter().map(|user| (*user).to_owned()).collect()), ..Imds::default() }.check()
    }

    #[test]
    fn users_are_a_few_names() {
        for users in [&[][..], &["cwagent", "ec2-instance-connect", "_apt", "J.Doe"], &["u"; MOST_USERS]] {
            assert_eq!(naming(users), Ok(()), "{users:?}");
        }
        let long = "x".repeat(LONGEST_NAME + 1);
        for user in ["", "0", "998", "-u", "a b", "a,b", "a}", "a\n", "$(id)", "\"", "a/b", "é", &long] {
            let cause = naming(&["cwagent", user]).unwrap_err();
            assert!(cause.contains("not a user name") && cause.len() < 300, "{user}: {cause}");
            assert!(!cause.contains('\n'), "{cause}");
        }
        assert!(naming(&["u"; MOST_USERS + 1]).unwrap_err().contains("names 33 users"));
    }
}
