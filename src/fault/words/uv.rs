//! Maps uv's error output to faults.

use super::{Complaint, Fault, first_match};
use crate::secret::{ForeignText, Message};

/// Words in uv's messages, and the fault that each shows. The first row that matches counts.
const TABLE: &[(&str, Fault)] = &[
    ("needs to be updated, but `--locked` was provided", Fault::LockfileStale),
    ("Hash mismatch for", Fault::PackageAltered),
    ("In `--require-hashes` mode", Fault::LockfileStale),
    ("invalid peer certificate", Fault::RegistryUntrusted),
    ("(401 Unauthorized)", Fault::RegistryRefused),
    ("(403 Forbidden)", Fault::RegistryRefused),
    ("HTTP status server error", Fault::RegistryUnreachable),
    ("error sending request", Fault::RegistryUnreachable),
    ("Could not connect", Fault::RegistryUnreachable),
    ("dns error", Fault::RegistryUnreachable),
    ("operation timed out", Fault::RegistryUnreachable),
    ("Request failed after", Fault::RegistryUnreachable),
    ("is incompatible with the project's Python requirement", Fault::EngineUnfit),
    ("does not satisfy Python", Fault::EngineUnfit),
    ("No interpreter found for", Fault::EngineUnfit),
    ("was not found in the package registry", Fault::PackageMissing),
    ("there is no version of", Fault::PackageMissing),
    ("only the following versions of", Fault::PackageMissing),
    ("(404 Not Found)", Fault::PackageMissing),
    ("No solution found when resolving dependencies", Fault::LockfileStale),
];

pub fn complaint(lines: &[ForeignText]) -> Option<Complaint> {
    let (fault, line) = first_match(&errors(lines), TABLE).map(|(fault, line)| (fault, line.trimmed()))?;
    Some(Complaint::new(fault, Message::from("uv says: ").and(line)))
}

/// The lines from uv's error on: uv wraps its sentences.
fn errors(lines: &[ForeignText]) -> Vec<ForeignText> {
    let begins = |line: &ForeignText| {
        line.judge(|line| {
            let line = line.trim_start();
            line.starts_with("error: ") || line.starts_with('×') || line.starts_with("Caused by: ")
        })
    };
    lines.iter().skip_while(|line| !begins(line)).cloned().collect()
}

#[cfg(test)]
mod tests {
    use super::super::read;
    use super::*;

    #[test]
    fn every_complaint_has_its_fault() {
        for (said, wanted) in [
            (
                "error: The lockfile at `uv.lock` needs to be updated, but `--locked` was provided. To update the lockfile, run `uv lock`.",
                Fault::LockfileStale,
            ),
            (
                "  × No solution found when resolving dependencies:\n  ╰─▶ Because left-pad was not found in the package registry and you require left-pad",
                Fault::PackageMissing,
            ),
            (
                "  × Failed to download `packaging==25.0`\n  ╰─▶ Hash mismatch for `packaging==25.0`\n\n      Expected:",
                Fault::PackageAltered,
            ),
            (
                "error: Request failed after 3 retries\n  Caused by: Failed to fetch: `https://i.test/simple/x/`",
                Fault::RegistryUnreachable,
            ),
        ] {
            assert_eq!(read(complaint, said).unwrap_or_else(|| panic!("{said}")).0, wanted, "{said}");
        }
    }

    #[test]
    fn other_tools_are_not_uv() {
        for said in ["Hash mismatch for x", "npm error 403", ""] {
            assert!(read(complaint, said).is_none(), "{said}");
        }
    }
}
