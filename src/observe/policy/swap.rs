//! The table `[swap]`: a swap file for machines with little memory.

use serde::{Deserialize, Serialize};

use super::Policy;
use super::origin::Sourced;
use crate::plan::Setting;

#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Swap {
    /// `2G`, `512M`; `0` for none.
    pub size: Option<String>,
}

/// In MiB. Less does not help; more is a disk, and a machine that swaps so much does not answer.
const BOUNDS: std::ops::RangeInclusive<u64> = 64..=(64 << 10);

impl Swap {
    pub fn is_empty(&self) -> bool {
        *self == Swap::default()
    }

    pub fn over(self, under: Swap) -> Swap {
        Swap { size: self.size.or(under.size) }
    }

    pub fn check(&self) -> Result<(), String> {
        match &self.size {
            Some(text) if mib(text).is_none() => {
                let shown: String = text.chars().take(30).flat_map(char::escape_default).collect();
                Err(format!(
                    "swap.size is \"{shown}\"; expected a size from 64M to 64G like \"2G\", or \"0\""
                ))
            }
            _ => Ok(()),
        }
    }
}

/// A size in MiB.
fn mib(text: &str) -> Option<u64> {
    if text == "0" {
        return Some(0);
    }
    let (digits, unit) =
        [("M", 1), ("G", 1024)].iter().find_map(|(unit, mib)| Some((text.strip_suffix(unit)?, mib)))?;
    let is_number = !digits.is_empty() && digits.len() <= 5 && digits.bytes().all(|c| c.is_ascii_digit());
    let size = digits.parse::<u64>().ok().filter(|_| is_number)? * unit;
    BOUNDS.contains(&size).then_some(size)
}

/// What looks after the machine rather than a service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Upkeep {
    /// The size of the swap file in MiB; none without one.
    pub swap: Option<u64>,
    /// The most that the journal may use on disk, in journald's words; none for journald's own limit.
    pub journal: Option<String>,
}

impl Policy {
    /// The swap file and the journal's limit, and the settings that are not defaults.
    pub fn upkeep(&self) -> (Upkeep, Vec<Setting>) {
        let (swap, journal) = (self.swap(), self.journal());
        let size = swap.clone().map(|found| found.map(|mib| format!("{mib} MiB")));
        let settings = [
            size.map(|found| found.setting("swap.size")),
            journal.as_ref().map(|found| found.setting("journal.max_use")),
        ];
        let upkeep =
            Upkeep { swap: swap.map(|found| found.value), journal: journal.map(|found| found.value) };
        (upkeep, settings.into_iter().flatten().collect())
    }

    /// The size of the swap file in MiB; none without one.
    fn swap(&self) -> Option<Sourced<u64>> {
        let size = self.uppermost(|fragment| fragment.swap.size.clone())?;
        let value = mib(&size.value).filter(|mib| *mib > 0)?;
        Some(Sourced { value, origin: size.origin })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_has_a_unit_and_bounds() {
        for (text, size) in [("2G", 2048), ("512M", 512), ("64M", 64), ("64G", 65536), ("0", 0)] {
            assert_eq!(mib(text), Some(size), "{text}");
        }
        for text in
            ["", "2", "G", "63M", "65G", "-1G", "1.5G", "2g", "2GB", "2 G", "+2G", "99999999999999999999G"]
        {
            assert_eq!(mib(text), None, "{text}");
            assert!(Swap { size: Some(text.to_owned()) }.check().is_err(), "{text}");
        }
    }
}
