//! Reads the error of bootagent's own installer, which runs in a unit like the other tools.

use super::{Complaint, Fault};
use crate::secret::{ForeignText, Message};

const BEGINNING: &str = "bootagent: the installation failed (";

/// What it says of npm before it starts it: the words are a lockfile's, and no complaint of a tool.
const NOTE: &str = "bootagent: npm ";

/// The output without such lines.
pub fn without_notes(mut lines: Vec<ForeignText>) -> Vec<ForeignText> {
    lines.retain(|line| !line.judge(|line| line.starts_with(NOTE)));
    lines
}

pub fn complaint(lines: &[ForeignText]) -> Option<Complaint> {
    let line = lines.iter().find_map(|line| line.after(BEGINNING))?;
    let named = |fault: &&Fault| line.judge(|line| line.starts_with(&format!("{}): ", fault.name())));
    let fault = Fault::ALL.iter().find(named)?;
    let cause = line.after(&format!("{}): ", fault.name()))?;
    let mut complaint = Complaint::new(*fault, Message::from("bootagent's installer: ").and(cause));
    if *fault == Fault::PackageUnusable {
        complaint.remedy = Some(
            "no tool writes this, so find out who did before anything installs it; node.installer = \"npm\" in bootagent.toml \
             leaves it to npm; then: bootagent update"
                .to_owned(),
        );
    }
    Some(complaint)
}

#[cfg(test)]
mod tests {
    use super::super::read;
    use super::*;

    #[test]
    fn the_fault_is_named_in_the_line() {
        let (fault, cause, _) = read(
            complaint,
            "x\nbootagent: the installation failed (registry-unreachable): connecting to r.test: refused",
        )
        .unwrap();
        assert_eq!(
            (fault, cause.as_str()),
            (Fault::RegistryUnreachable, "bootagent's installer: connecting to r.test: refused")
        );
        let refused = "bootagent: the installation failed (dependency-unusable): x is a device";
        assert!(read(complaint, refused).unwrap().2.contains("node.installer"));
        assert!(read(complaint, "bootagent: the installation failed (no-such-fault): x").is_none());
        assert!(read(complaint, "bootagent: npm installs, because x").is_none());
    }

    #[test]
    fn notes_about_npm_are_not_npm_s_words() {
        let output =
            "bootagent: npm installs, because git+ssh://g.test/x is not a version\nnpm error code E404";
        let left = without_notes(output.lines().map(ForeignText::line).collect());
        assert_eq!(left.len(), 1);
        assert!(left[0].says("npm error"));
    }
}
