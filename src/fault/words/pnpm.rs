//! Maps pnpm's error output to faults. Each error has a code, as ` ERR_PNPM_OUTDATED_LOCKFILE  Cannot install with ...`.

use super::{Complaint, Fault};
use crate::secret::{ForeignText, Message};

const MARK: &str = "ERR_PNPM_";

pub fn complaint(lines: &[ForeignText]) -> Option<Complaint> {
    let at = lines.iter().position(|line| {
        line.judge(|line| line.trim_start().trim_start_matches("[ERROR] ").starts_with(MARK))
    })?;
    let line = lines[at].trimmed();
    let fault = line.judge(fault)?;
    let details =
        lines[at + 1..].iter().take(12).map(ForeignText::trimmed).filter(|line| line.judge(is_detail));
    let details: Vec<Message> = details.take(3).map(Message::from).collect();
    let cause = Message::from("pnpm says: ").and(line);
    let cause = details.into_iter().fold(cause, |cause, detail| cause.and(" ").and(detail));
    let mut complaint = Complaint::new(fault, cause);
    complaint.remedy = (fault == Fault::LockfileStale)
        .then(|| "run pnpm install, commit pnpm-lock.yaml, and then: bootagent update".to_owned());
    Some(complaint)
}

fn fault(line: &str) -> Option<Fault> {
    // A thin space (U+2009) follows the code.
    let code = line.split(MARK).nth(1)?.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next()?;
    let says = |words: &[&str]| words.iter().any(|words| line.contains(words));
    Some(match code {
        "OUTDATED_LOCKFILE"
        | "NO_LOCKFILE"
        | "LOCKFILE_BREAKING_CHANGE"
        | "LOCKFILE_CONFIG_MISMATCH"
        | "BROKEN_LOCKFILE"
        | "LOCKFILE_MISSING_DEPENDENCY"
        | "FROZEN_LOCKFILE_WITH_OUTDATED_LOCKFILE" => Fault::LockfileStale,
        "UNSUPPORTED_ENGINE" | "UNSUPPORTED_PLATFORM" | "BAD_PM_VERSION" => Fault::EngineUnfit,
        "FETCH_404"
        | "NO_MATCHING_VERSION"
        | "NO_MATCHING_VERSION_INSIDE_WORKSPACE"
        | "NO_VERSIONS"
        | "PACKAGE_NOT_FOUND" => Fault::PackageMissing,
        "FETCH_401" | "FETCH_403" => Fault::RegistryRefused,
        "TARBALL_INTEGRITY" | "BAD_TARBALL_CHECKSUM" => Fault::PackageAltered,
        _ if code.starts_with("FETCH_5") || code == "FETCH_429" || code == "FETCH_408" => {
            Fault::RegistryUnreachable
        }
        _ if says(&["CERT_", "SELF_SIGNED_", "UNABLE_TO_VERIFY", "UNABLE_TO_GET_ISSUER"]) => {
            Fault::RegistryUntrusted
        }
        "META_FETCH_FAIL" | "BROKEN_METADATA_JSON" | "BAD_TARBALL_SIZE" | "TARBALL_FETCH" => {
            Fault::RegistryUnreachable
        }
        _ if says(&[
            "ECONNRESET",
            "ECONNREFUSED",
            "ETIMEDOUT",
            "EAI_AGAIN",
            "ENOTFOUND",
            "ERR_SOCKET_TIMEOUT",
        ]) =>
        {
            Fault::RegistryUnreachable
        }
        _ => return None,
    })
}

/// A line below the error that says what does not fit.
fn is_detail(line: &str) -> bool {
    [
        "* ",
        "Your ",
        "Expected version:",
        "Got:",
        "Wanted:",
        "specifiers in the lockfile",
        "The latest release of",
        "settings.",
    ]
    .iter()
    .any(|begin| line.starts_with(begin))
}

#[cfg(test)]
mod tests;
