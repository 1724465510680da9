//! Maps Yarn's error output to faults: of Yarn 1, whose lines begin with `error`, and of later ones with codes such as
//! `➤ YN0028`.

use super::{Complaint, Fault, first_match, reason};
use crate::secret::{ForeignText, Message};

/// Words in errors of Yarn 1, and the fault that each shows. The first row that matches counts.
const CLASSIC: &[(&str, Fault)] = &[
    ("Your lockfile needs to be updated", Fault::LockfileStale),
    ("is incompatible with this module", Fault::EngineUnfit),
    ("Integrity check failed for", Fault::PackageAltered),
    ("CERT_", Fault::RegistryUntrusted),
    ("self signed certificate", Fault::RegistryUntrusted),
    ("self-signed certificate", Fault::RegistryUntrusted),
    ("unable to get local issuer certificate", Fault::RegistryUntrusted),
    ("unable to verify the first certificate", Fault::RegistryUntrusted),
    ("status code 401", Fault::RegistryRefused),
    ("status code 403", Fault::RegistryRefused),
    ("Unauthorized", Fault::RegistryRefused),
    ("Couldn't find any versions for", Fault::PackageMissing),
    ("Couldn't find package", Fault::PackageMissing),
    (": Not found", Fault::PackageMissing),
    ("status code 404", Fault::PackageMissing),
    ("ECONNREFUSED", Fault::RegistryUnreachable),
    ("ECONNRESET", Fault::RegistryUnreachable),
    ("ETIMEDOUT", Fault::RegistryUnreachable),
    ("ESOCKETTIMEDOUT", Fault::RegistryUnreachable),
    ("EAI_AGAIN", Fault::RegistryUnreachable),
    ("ENOTFOUND", Fault::RegistryUnreachable),
    ("status code 5", Fault::RegistryUnreachable),
    ("status code 429", Fault::RegistryUnreachable),
    ("Internal Server Error", Fault::RegistryUnreachable),
    ("Service Unavailable", Fault::RegistryUnreachable),
    ("Bad Gateway", Fault::RegistryUnreachable),
];

/// The same for later versions, by code or words.
const BERRY: &[(&str, Fault)] = &[
    // In the lines before it, with the same code, Yarn prints the difference.
    ("The lockfile would have been", Fault::LockfileStale),
    ("YN0018", Fault::PackageAltered),
    ("YN0082", Fault::PackageMissing),
    ("Package not found", Fault::PackageMissing),
    ("Response Code: 404", Fault::PackageMissing),
    ("YN0041", Fault::RegistryRefused),
    ("Response Code: 401", Fault::RegistryRefused),
    ("Response Code: 403", Fault::RegistryRefused),
    ("CERT", Fault::RegistryUntrusted),
    ("self-signed certificate", Fault::RegistryUntrusted),
    ("unable to get local issuer certificate", Fault::RegistryUntrusted),
    ("unable to verify the first certificate", Fault::RegistryUntrusted),
    ("Response Code: 5", Fault::RegistryUnreachable),
    ("Response Code: 429", Fault::RegistryUnreachable),
    ("RequestError: ", Fault::RegistryUnreachable),
    ("ECONNREFUSED", Fault::RegistryUnreachable),
    ("ECONNRESET", Fault::RegistryUnreachable),
    ("ETIMEDOUT", Fault::RegistryUnreachable),
    ("EAI_AGAIN", Fault::RegistryUnreachable),
];

pub fn complaint(lines: &[ForeignText]) -> Option<Complaint> {
    let of = |judge: fn(&str) -> bool| -> Vec<ForeignText> {
        lines.iter().filter(|line| line.judge(judge)).cloned().collect()
    };
    let is_classic = lines.iter().any(|line| line.judge(|line| line.starts_with("yarn install v1.")));
    let classic = if is_classic { of(|line| line.starts_with("error ")) } else { Vec::new() };
    let berry = of(|line| line.starts_with("➤ YN") && !line.contains("STDERR") && !line.contains("STDOUT"));
    let (fault, line) = first_match(&classic, CLASSIC).or_else(|| first_match(&berry, BERRY))?;
    let cause = Message::from("Yarn says: ").and(own(line));
    // A later Yarn names the package in one line and the answer in another one; or what would have changed.
    let says_more = |line: &str| {
        ["Response Code: ", "YN0028: │ +", "YN0028: │ -"].iter().any(|words| line.contains(words))
    };
    let more = berry.iter().filter(|other| *other != line && other.judge(says_more)).take(3);
    let cause = more.fold(cause, |cause, more| cause.and(" ").and(reason::own_of(more)));
    let mut complaint = Complaint::new(fault, cause);
    complaint.remedy = (fault == Fault::LockfileStale)
        .then(|| "run yarn install, commit yarn.lock, and then: bootagent update".to_owned());
    Some(complaint)
}

/// The line without `➤ YN0028: │`.
fn own(line: &ForeignText) -> ForeignText {
    ForeignText::derived(std::slice::from_ref(line), |line| {
        let line = line.first()?.trim_start_matches("➤ ").trim_start_matches("error ");
        Some(match line.split_once(": ") {
            Some((code, rest)) if code.starts_with("YN") => {
                format!("{code}: {}", rest.trim_start_matches(['│', '┌', '└', '·', ' ']))
            }
            _ => line.to_owned(),
        })
    })
    .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::super::read;
    use super::*;

    #[track_caller]
    fn is(said: &str, wanted: Fault, names: &str) {
        let (fault, cause, _) = read(complaint, said).unwrap_or_else(|| panic!("{said}"));
        assert_eq!(fault, wanted, "{said}");
        assert!(cause.contains(names), "{said}: {cause}");
    }

    /// As Yarn 1.22 prints them.
    #[test]
    fn every_complaint_of_yarn_1_has_its_fault() {
        for (said, wanted, names) in [
            (
                "error Your lockfile needs to be updated, but yarn was run with `--frozen-lockfile`.",
                Fault::LockfileStale,
                "Yarn says: Your lockfile needs",
            ),
            (
                "error sample@1.0.0: The engine \"node\" is incompatible with this module. Expected version \">=99\". Got \"22.20.0\"\n\
                 error Found incompatible module.",
                Fault::EngineUnfit,
                "Expected version \">=99\". Got \"22.20.0\"",
            ),
            (
                "error Couldn't find any versions for \"left-pad\" that matches \"99.0.0\"",
                Fault::PackageMissing,
                "\"left-pad\" that matches \"99.0.0\"",
            ),
            (
                "error Couldn't find package \"xyz\" on the \"npm\" registry.",
                Fault::PackageMissing,
                "\"xyz\" on the",
            ),
            (
                "error Error: connect ECONNREFUSED 127.0.0.1:9\n    at TCPConnectWrap.afterConnect [as oncomplete] (node:net:1611:16)",
                Fault::RegistryUnreachable,
                "Yarn says: Error: connect ECONNREFUSED",
            ),
            (
                "info There appears to be trouble with your network connection. Retrying...\n\
                 error An unexpected error occurred: \"https://registry.test/left-pad: connect ECONNREFUSED 127.0.0.1:9\".",
                Fault::RegistryUnreachable,
                "ECONNREFUSED",
            ),
        ] {
            is(&format!("yarn install v1.22.22\n[1/4] Resolving packages...\n{said}"), wanted, names);
        }
    }

    /// As Yarn 4 prints them.
    #[test]
    fn every_complaint_of_a_later_yarn_has_its_fault() {
        for (said, wanted, names) in [
            (
                "➤ YN0000: ┌ Post-resolution validation\n➤ YN0028: │ +    is-odd: \"npm:3.0.1\"\n\
                 ➤ YN0000: │      left-pad: \"npm:^1.3.0\"\n\
                 ➤ YN0028: │ The lockfile would have been modified by this install, which is explicitly forbidden.\n\
                 ➤ YN0000: └ Completed\n➤ YN0000: · Failed with errors in 0s 42ms",
                Fault::LockfileStale,
                "explicitly forbidden. +    is-odd: \"npm:3.0.1\"",
            ),
            (
                "➤ YN0000: ┌ Resolution step\n➤ YN0035: │ xyz@npm:1: Package not found\n\
                 ➤ YN0035: │   Response Code: 404 (Not Found)\n➤ YN0035: │   Request URL: https://registry.test/xyz",
                Fault::PackageMissing,
                "xyz@npm:1: Package not found Response Code: 404",
            ),
            (
                "➤ YN0082: │ left-pad@npm:99.0.0: No candidates found",
                Fault::PackageMissing,
                "left-pad@npm:99.0.0",
            ),
            (
                "➤ YN0001: │ RequestError: connect ECONNREFUSED 127.0.0.1:9",
                Fault::RegistryUnreachable,
                "ECONNREFUSED",
            ),
            (
                "➤ YN0018: │ left-pad@npm:1.3.0: The remote archive doesn't match the expected checksum",
                Fault::PackageAltered,
                "left-pad@npm:1.3.0",
            ),
        ] {
            is(said, wanted, names);
        }
    }

    #[test]
    fn a_script_s_output_is_not_yarn_s() {
        for said in [
            "error Couldn't find package \"x\"",
            "➤ YN0000: │ sample@workspace:. STDERR Error: connect ECONNREFUSED 127.0.0.1:5432",
            "yarn run v1.22.22\nerror Command failed with exit code 1.",
            "",
        ] {
            assert!(read(complaint, said).is_none(), "{said}");
        }
    }
}
