//! Maps pip's error output to faults. If the network fails, pip also reports a package that does not exist: so the
//! messages about the network come first.

use super::{Complaint, Fault, first_match};
use crate::secret::{ForeignText, Message};

/// Words in messages of pip 22 to 25, and the fault that each shows. The first row that matches counts.
const TABLE: &[(&str, Fault)] = &[
    ("CERTIFICATE_VERIFY_FAILED", Fault::RegistryUntrusted),
    ("suitable TLS CA certificate bundle", Fault::RegistryUntrusted),
    ("THESE PACKAGES DO NOT MATCH THE HASHES", Fault::PackageAltered),
    ("Hashes are required in --require-hashes mode", Fault::LockfileStale),
    ("In --require-hashes mode, all requirements must have their versions pinned", Fault::LockfileStale),
    ("401 Client Error", Fault::RegistryRefused),
    ("403 Client Error", Fault::RegistryRefused),
    ("HTTP error 401", Fault::RegistryRefused),
    ("HTTP error 403", Fault::RegistryRefused),
    ("Server Error", Fault::RegistryUnreachable),
    ("HTTP error 5", Fault::RegistryUnreachable),
    ("too many 5", Fault::RegistryUnreachable),
    ("connection broken by", Fault::RegistryUnreachable),
    ("Could not fetch URL", Fault::RegistryUnreachable),
    ("ReadTimeoutError", Fault::RegistryUnreachable),
    ("Connection aborted", Fault::RegistryUnreachable),
    ("IncompleteRead", Fault::RegistryUnreachable),
    ("requires a different Python", Fault::EngineUnfit),
    ("No matching distribution found for", Fault::PackageMissing),
    ("Could not find a version that satisfies", Fault::PackageMissing),
    ("404 Client Error", Fault::PackageMissing),
    ("Cannot install", Fault::LockfileStale),
    ("ResolutionImpossible", Fault::LockfileStale),
];

pub fn complaint(lines: &[ForeignText]) -> Option<Complaint> {
    // Only pip's errors and warnings: the build of a package can print the same words.
    let of_pip: Vec<ForeignText> = lines.iter().filter(|line| line.judge(is_of_pip)).cloned().collect();
    let (fault, line) = first_match(&of_pip, TABLE)?;
    let mut cause = Message::from("pip says: ").and(line.trimmed());
    if fault == Fault::PackageAltered {
        // pip names the package in a line below.
        let which = lines
            .iter()
            .find(|line| line.judge(|line| line.trim_start().contains("from ") && line.contains("==")));
        let which = which.or_else(|| {
            lines
                .iter()
                .find(|line| line.judge(|line| line.trim_end().ends_with(':') && line.starts_with("    ")))
        });
        cause = which.into_iter().fold(cause, |cause, which| cause.and(" ").and(which.trimmed()));
    }
    if fault == Fault::PackageMissing {
        let unfit = lines.iter().find(|line| line.says("require a different python version"));
        cause = unfit.into_iter().fold(cause, |cause, unfit| cause.and(" (").and(unfit.trimmed()).and(")"));
    }
    let mut complaint = Complaint::new(fault, cause);
    if fault == Fault::LockfileStale {
        complaint.remedy = Some(
            "let the list have each package that is needed, in one version, and with a hash if one has (uv pip compile \
             --generate-hashes and pip-compile --generate-hashes write it), and commit it; then: bootagent update"
                .to_owned(),
        );
    }
    Some(complaint)
}

/// Of a command that failed below pip, such as git: pip's own last line says only that a subprocess failed.
pub fn sentences(lines: &[ForeignText]) -> Vec<ForeignText> {
    // uv names the package and its address itself.
    if lines.iter().any(|line| line.says("error: Failed to")) {
        return Vec::new();
    }
    let of = |words: &str| lines.iter().filter(|line| line.says(words)).map(ForeignText::trimmed).collect();
    let fatal: Vec<ForeignText> = of("fatal: ");
    if fatal.is_empty() { of("did not run successfully") } else { fatal }
}

fn is_of_pip(line: &str) -> bool {
    ["ERROR: ", "WARNING: ", "error: "].iter().any(|start| line.trim_start().starts_with(start))
        || line.starts_with("pip._")
        || line.contains("requests.exceptions")
}

#[cfg(test)]
mod tests {
    use super::super::read;
    use super::*;

    /// As pip 23 prints them.
    #[test]
    fn every_complaint_has_its_fault() {
        for (said, wanted, names) in [
            (
                "ERROR: Could not find a version that satisfies the requirement left-pad==99.0 (from versions: none)\n\
                 ERROR: No matching distribution found for left-pad==99.0",
                Fault::PackageMissing,
                "left-pad==99.0",
            ),
            (
                "WARNING: Retrying (Retry(total=0, connect=None)) after connection broken by 'NewConnectionError': /simple/x/\n\
                 ERROR: Could not find a version that satisfies the requirement x==1 (from versions: none)",
                Fault::RegistryUnreachable,
                "NewConnectionError",
            ),
            (
                "ERROR: THESE PACKAGES DO NOT MATCH THE HASHES FROM THE REQUIREMENTS FILE. If you have updated the package versions, please update the hashes.\n    \
                 packaging==25.0 from https://i.test/packaging.whl (from -r requirements.txt (line 1)):\n        Expected sha256 0000",
                Fault::PackageAltered,
                "packaging==25.0",
            ),
            (
                "ERROR: Package 'x' requires a different Python: 3.9.2 not in '>=3.10'",
                Fault::EngineUnfit,
                "3.9.2 not in",
            ),
            (
                "ERROR: Could not install packages due to an OSError: ... CERTIFICATE_VERIFY_FAILED",
                Fault::RegistryUntrusted,
                "CERTIFICATE",
            ),
            ("ERROR: HTTP error 403 while getting https://i.test/x.whl", Fault::RegistryRefused, "403"),
            ("ERROR: HTTP error 503 while getting https://i.test/x.whl", Fault::RegistryUnreachable, "503"),
            (
                "ERROR: Hashes are required in --require-hashes mode, but they are missing",
                Fault::LockfileStale,
                "Hashes",
            ),
        ] {
            let (fault, cause, _) = read(complaint, said).unwrap_or_else(|| panic!("{said}"));
            assert_eq!(fault, wanted, "{said}");
            assert!(cause.contains(names), "{said}: {cause}");
        }
    }

    #[test]
    fn the_output_of_a_package_is_not_an_error_of_pip() {
        for said in ["the docs say: No matching distribution found for x", "ERROR: it broke", ""] {
            assert!(read(complaint, said).is_none(), "{said}");
        }
    }

    #[test]
    fn what_failed_below_pip_is_named() {
        let clone =
            "  × git clone --filter=blob:none https://git.acme.test/x.git /tmp/x did not run successfully.\n";
        let note = "note: This error originates from a subprocess, and is likely not a problem with pip.\n";
        let fatal = "  fatal: repository 'https://git.acme.test/x.git/' not found\n";
        for (text, first) in [
            (format!("{clone}{fatal}{note}"), "fatal: repository"),
            (format!("{clone}{note}"), "× git clone"),
        ] {
            let lines: Vec<ForeignText> = text.lines().map(ForeignText::line).collect();
            let said = sentences(&lines);
            assert!(said[0].judge(|line| line.starts_with(first)), "{said:?}");
        }
        assert!(sentences(&[ForeignText::line("Collecting x")]).is_empty());
    }
}
