//! The table `[journal]`: how much of the disk the machine's journal may use.

use serde::{Deserialize, Serialize};

use super::Policy;
use super::origin::Sourced;

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Journal {
    /// `SystemMaxUse=` of journald, like `500M`. Without it: journald's own, a tenth of the disk and at most 4G.
    pub max_use: Option<String>,
}

impl Journal {
    pub fn is_empty(&self) -> bool {
        *self == Journal::default()
    }

    pub fn over(self, under: Journal) -> Journal {
        Journal { max_use: self.max_use.or(under.max_use) }
    }

    pub fn check(&self) -> Result<(), String> {
        match &self.max_use {
            Some(text) if !is_size(text) => {
                let shown: String = text.chars().take(30).flat_map(char::escape_default).collect();
                Err(format!("journal.max_use is \"{shown}\"; expected a size from 16M to 999G like \"500M\""))
            }
            _ => Ok(()),
        }
    }
}

/// journald keeps no less than some 8 MiB.
fn is_size(text: &str) -> bool {
    let Some(digits) = text.strip_suffix(['M', 'G']) else { return false };
    let number = digits.parse::<u32>().ok().filter(|_| digits.bytes().all(|c| c.is_ascii_digit()));
    let least = if text.ends_with('M') { 16 } else { 1 };
    number.is_some_and(|number| number >= least && digits.len() <= 3)
}

impl Policy {
    /// The most that the journal may use on disk, in journald's words.
    pub fn journal(&self) -> Option<Sourced<String>> {
        self.uppermost(|fragment| fragment.journal.max_use.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_cannot_add_a_line_to_the_file() {
        for good in ["500M", "1G", "16M", "999G"] {
            assert!(is_size(good), "{good}");
        }
        for bad in ["", "M", "15M", "0G", "1000M", "500", "5M\nStorage=none", "1 G", "infinity", "1T", "+50M"]
        {
            assert!(!is_size(bad), "{bad}");
        }
    }
}
