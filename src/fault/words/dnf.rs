//! Reads what dnf says when it could not install packages. Pure.

use crate::secret::{ForeignText, Message};

/// Why dnf did not install what it should.
#[derive(Debug)]
pub enum Complaint {
    /// A package, or the list of packages, is not signed by the repository's key.
    Untrusted(Message),
    NoRoom(Message),
    /// The lists name a file that the repository no longer has.
    Stale(Message),
    Unreachable(Message),
    NoRepository(Message),
    /// These are in no repository.
    Absent(Vec<String>),
}

type Of = fn(Message) -> Complaint;

/// Words of a line, and what it shows. The first row that matches counts: dnf goes on without a repository that it cannot
/// trust or reach, and then also says that there is no such package.
const TABLE: &[(&str, Of)] = &[
    ("GPG signature verification error", Complaint::Untrusted),
    ("is not signed", Complaint::Untrusted),
    ("Failing package is:", Complaint::Untrusted),
    ("Public key for ", Complaint::Untrusted),
    ("GPG check FAILED", Complaint::Untrusted),
    ("No space left on device", Complaint::NoRoom),
    ("more space needed on the", Complaint::NoRoom),
    ("Failed to download metadata", Complaint::Unreachable),
    ("Cannot prepare internal mirrorlist", Complaint::Unreachable),
    ("Curl error", Complaint::Unreachable),
    ("Status code: 404 for", Complaint::Stale),
    ("No more mirrors to try", Complaint::Stale),
    ("There are no enabled repositories", Complaint::NoRepository),
];

/// What dnf complains about, which was to install packages of these names; `None` for anything else, such as packages that
/// contradict each other.
pub fn complaint(lines: &[ForeignText], names: &[String]) -> Option<Complaint> {
    let row = |(words, of): &(&str, Of)| {
        let line = lines.iter().find(|line| line.says(words))?;
        Some(of(line.after("Error: ").unwrap_or_else(|| line.trimmed()).into()))
    };
    TABLE.iter().find_map(row).or_else(|| {
        let is_absent = |name: &&String| {
            let said = format!("No match for argument: {name}");
            lines.iter().any(|line| line.judge(|line| line.trim() == said))
        };
        let absent: Vec<String> = names.iter().filter(is_absent).cloned().collect();
        (!absent.is_empty()).then_some(Complaint::Absent(absent))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> (String, String) {
        let lines: Vec<ForeignText> = text.lines().map(ForeignText::line).collect();
        let shown = |message: Message| message.shown(&Default::default());
        match complaint(&lines, &["libpq".to_owned(), "jq".to_owned()]) {
            Some(Complaint::Untrusted(cause)) => ("untrusted".to_owned(), shown(cause)),
            Some(Complaint::NoRoom(cause)) => ("no room".to_owned(), shown(cause)),
            Some(Complaint::Stale(cause)) => ("stale".to_owned(), shown(cause)),
            Some(Complaint::Unreachable(cause)) => ("unreachable".to_owned(), shown(cause)),
            Some(Complaint::NoRepository(cause)) => ("no repository".to_owned(), shown(cause)),
            Some(Complaint::Absent(names)) => ("absent".to_owned(), names.join(" ")),
            None => ("none".to_owned(), String::new()),
        }
    }

    #[test]
    fn a_signature_that_is_not_the_repository_s_is_told_before_what_follows_from_it() {
        let lists = "Error: Failed to download metadata for repo 'x': repomd.xml GPG signature verification error: Bad GPG signature
Ignoring repositories: x
No match for argument: libpq
Error: Unable to find a match: libpq";
        let cause = "Failed to download metadata for repo 'x': repomd.xml GPG signature verification error: Bad GPG signature";
        assert_eq!(of(lists), ("untrusted".to_owned(), cause.to_owned()));
        for said in [
            "Package libpq-1.0-1.noarch.rpm is not signed\nError: GPG check FAILED",
            "Public key for libpq-1.0-1.noarch.rpm is not installed. Failing package is: libpq-1.0-1.noarch\nError: GPG check FAILED",
        ] {
            let (what, cause) = of(said);
            assert!(what == "untrusted" && cause.contains("libpq-1.0-1"), "{what} {cause}");
        }
    }

    #[test]
    fn a_repository_that_cannot_be_reached_is_no_absent_package() {
        let lists = "  - Curl error (6): Couldn't resolve host name for https://x/repodata/repomd.xml
Error: Failed to download metadata for repo 'x': Cannot download repomd.xml: All mirrors were tried
Ignoring repositories: x
No match for argument: libpq";
        let cause =
            "Failed to download metadata for repo 'x': Cannot download repomd.xml: All mirrors were tried";
        assert_eq!(of(lists), ("unreachable".to_owned(), cause.to_owned()));
        let package = "[MIRROR] a.rpm: Curl error (7): Couldn't connect to server for https://x/a.rpm
[FAILED] a.rpm: No more mirrors to try - All mirrors were already tried without success";
        assert_eq!(of(package).0, "unreachable");
        let gone = "[MIRROR] a.rpm: Status code: 404 for https://x/a.rpm (IP: 10.0.0.1)
[FAILED] a.rpm: No more mirrors to try - All mirrors were already tried without success";
        assert_eq!(of(gone).0, "stale");
    }

    #[test]
    fn only_packages_that_were_asked_for_are_absent() {
        let said =
            "No match for argument: jq\nNo match for argument: $(id)\nError: Unable to find a match: jq";
        assert_eq!(of(said), ("absent".to_owned(), "jq".to_owned()));
        assert_eq!(of("No match for argument: other").0, "none");
    }

    #[test]
    fn other_reasons() {
        let full = "Error: Transaction test error:\n  installing package a needs 12MB more space needed on the / filesystem";
        assert_eq!(of(full).0, "no room");
        let none = "Error: There are no enabled repositories in \"/etc/yum.repos.d\".";
        assert_eq!(of(none).0, "no repository");
        let conflict =
            "Error: \n Problem: package a requires b = 1, but none of the providers can be installed";
        assert_eq!(of(conflict).0, "none");
        assert_eq!(of("").0, "none");
    }
}
