//! Gives files the labels of SELinux's policy, by restorecon. It may write nothing else: the tree belongs to the build user,
//! who could lead it elsewhere by a symbolic link.

use std::path::Path;
use std::time::Duration;

use crate::error::Result;
use crate::fault::Phase;
use crate::machine::install::releases;
use crate::machine::jail::unit::systemd_run;
use crate::machine::process::program::{self, how_it_ended};
use crate::machine::process::units;
use crate::machine::{Check, progress};
use crate::plan::RestoreLabels;

const PROGRAMS: [&str; 2] = ["/usr/sbin/restorecon", "/sbin/restorecon"];

pub fn check(wanted: &RestoreLabels) -> Result<Check> {
    let Some(release) = wanted.paths.last() else { return Ok(Check::AlreadySo) };
    releases::check_whole(release, &wanted.done_by)
}

/// A label that could not be set is a note: if it matters, the service does not start, and systemd says why.
pub async fn restore(wanted: &RestoreLabels) -> Result<()> {
    let Some(program) = PROGRAMS.iter().find(|path| Path::new(path).exists()) else {
        progress::note(
            "files keep the labels with which they were made: the machine has SELinux, and no restorecon"
                .to_owned(),
        );
        return Ok(());
    };
    let limit = Phase::Tidy.seconds().0 - 10;
    let argv: Vec<String> = argv(program, wanted);
    units::clear(&wanted.unit).await?;
    let line = systemd_run(&wanted.unit, properties(wanted, limit), std::iter::empty(), &argv);
    let line: Vec<&str> = line.iter().map(String::as_str).collect();
    let output = program::run(&line, None, Duration::from_secs(limit + 5), 64 << 10).await?;
    if !output.ok() {
        progress::note(format!("SELinux's labels are not all set: restorecon: {}", how_it_ended(&output)));
    }
    Ok(())
}

/// Ignores what is not there: a recipe may name a runtime of the machine.
fn argv(program: &str, wanted: &RestoreLabels) -> Vec<String> {
    let options = [program, "-R", "-i", "--"].map(str::to_owned);
    options.into_iter().chain(wanted.paths.iter().map(|path| path.display().to_string())).collect()
}

fn properties(wanted: &RestoreLabels, limit: u64) -> Vec<String> {
    let mut all = vec![
        format!("RuntimeMaxSec={limit}"),
        "ProtectSystem=strict".to_owned(),
        "ProtectHome=yes".to_owned(),
        "PrivateNetwork=yes".to_owned(),
        "PrivateTmp=yes".to_owned(),
    ];
    all.extend(wanted.paths.iter().map(|path| format!("ReadWritePaths=-{}", path.display())));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wanted() -> RestoreLabels {
        RestoreLabels {
            paths: vec!["/opt/bootagent/runtimes/node/v22.20.0".into(), "/opt/auth/releases/x".into()],
            unit: "bootagent-auth-labels.service".to_owned(),
            done_by: "/var/lib/bootagent/services/auth/releases/x".into(),
        }
    }

    #[test]
    fn only_the_named_trees_are_labelled_and_writable() {
        let paths = ["/opt/bootagent/runtimes/node/v22.20.0", "/opt/auth/releases/x"];
        let all = argv("/usr/sbin/restorecon", &wanted());
        assert_eq!(all, [&["/usr/sbin/restorecon", "-R", "-i", "--"][..], &paths].concat());
        let properties = properties(&wanted(), 100);
        assert!(properties.contains(&"ProtectSystem=strict".to_owned()));
        let writable: Vec<&str> =
            properties.iter().filter_map(|line| line.strip_prefix("ReadWritePaths=-")).collect();
        assert_eq!(writable, paths);
    }
}
