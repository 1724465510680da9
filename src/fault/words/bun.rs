//! Maps bun's error output to faults.

use super::{Complaint, Fault, first_match};
use crate::secret::{ForeignText, Message};

/// Words in errors of `bun install`, and the fault that each shows. The first row that matches counts.
const TABLE: &[(&str, Fault)] = &[
    ("lockfile had changes, but lockfile is frozen", Fault::LockfileStale),
    ("Integrity check failed", Fault::PackageAltered),
    (" - 401", Fault::RegistryRefused),
    (" - 403", Fault::RegistryRefused),
    (" - 404", Fault::PackageMissing),
    (" - 429", Fault::RegistryUnreachable),
    (" - 5", Fault::RegistryUnreachable),
    ("No version matching", Fault::PackageMissing),
    ("CERT", Fault::RegistryUntrusted),
    ("SELF_SIGNED", Fault::RegistryUntrusted),
    ("ConnectionRefused", Fault::RegistryUnreachable),
    ("ConnectionClosed", Fault::RegistryUnreachable),
    ("ConnectionReset", Fault::RegistryUnreachable),
    ("FailedToOpenSocket", Fault::RegistryUnreachable),
    ("Timeout", Fault::RegistryUnreachable),
    ("failed to resolve", Fault::PackageMissing),
];

pub fn complaint(lines: &[ForeignText]) -> Option<Complaint> {
    if !lines.iter().any(|line| line.judge(|line| line.starts_with("bun install v"))) {
        return None;
    }
    let is_error = |line: &str| line.starts_with("error: ");
    let errors: Vec<ForeignText> = lines.iter().filter(|line| line.judge(is_error)).cloned().collect();
    let (fault, line) = first_match(&errors, TABLE)?;
    let mut complaint = Complaint::new(fault, Message::from("bun says: ").and(line.trimmed()));
    complaint.remedy = (fault == Fault::LockfileStale)
        .then(|| "run bun install, commit its lockfile, and then: bootagent update".to_owned());
    Some(complaint)
}

#[cfg(test)]
mod tests {
    use super::super::read;
    use super::*;

    /// As bun 1.2 prints them.
    #[test]
    fn every_complaint_has_its_fault() {
        for (said, wanted) in [
            (
                "error: lockfile had changes, but lockfile is frozen\nnote: try re-running without --frozen-lockfile",
                Fault::LockfileStale,
            ),
            ("error: GET https://registry.test/left-pad - 404", Fault::PackageMissing),
            ("error: GET https://registry.test/left-pad - 503", Fault::RegistryUnreachable),
            (
                "error: No version matching \"99.0.0\" found for specifier \"left-pad\" (but package exists)",
                Fault::PackageMissing,
            ),
            ("error: ConnectionRefused downloading package manifest left-pad", Fault::RegistryUnreachable),
            ("error: Integrity check failed for tarball: left-pad", Fault::PackageAltered),
        ] {
            let said = format!("bun install v1.2.20 (6ad208bc)\n{said}");
            let (fault, cause, _) = read(complaint, &said).unwrap_or_else(|| panic!("{said}"));
            assert_eq!(fault, wanted, "{said}");
            assert!(cause.starts_with("bun says: error: "), "{cause}");
        }
    }

    #[test]
    fn a_script_s_output_is_not_bun_s() {
        for said in [
            "error: lockfile had changes, but lockfile is frozen",
            "bun install v1.2.20 (6ad208bc)\nerror: postinstall script from \"x\" exited with 1",
            "",
        ] {
            assert!(read(complaint, said).is_none(), "{said}");
        }
    }
}
