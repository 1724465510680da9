//! The table of what belongs to one machine, and which of it is there.

use std::path::{Path, PathBuf};

use crate::error::Result;
use crate::machine::disk::files;

/// What is done with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum How {
    Remove,
    /// The file stays, without content: others expect it.
    Empty,
}

/// Something on the disk that belongs to this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// In plural, for people.
    pub what: &'static str,
    pub path: PathBuf,
    pub how: How,
}

struct Row {
    what: &'static str,
    how: How,
    /// Absolute; one `*` in a component stands for any characters.
    paths: &'static [&'static str],
}

pub const LOGIN_KEYS: &str = "keys that may log in";

const ROWS: &[Row] = &[
    Row {
        what: "records of bootagent about this instance",
        how: How::Remove,
        paths: &[
            "/var/lib/bootagent/instances/*",
            "/var/lib/bootagent/watch.json",
            "/var/lib/bootagent/hold",
            "/var/lib/bootagent/services/*/kept",
            "/var/lib/bootagent/services/*/migrated",
            "/var/lib/bootagent/services/*/listened.json",
        ],
    },
    // What was in memory may be in it.
    Row {
        what: "swap files of bootagent",
        how: How::Remove,
        paths: &[
            "/var/lib/bootagent/swap",
            "/etc/systemd/system/var-lib-bootagent-swap.swap",
            "/etc/systemd/system/swap.target.wants/var-lib-bootagent-swap.swap",
        ],
    },
    // Without them user-data would not run on an instance of the image. `scripts` and `seed` are the operator's.
    Row {
        what: "state of cloud-init",
        how: How::Remove,
        paths: &[
            "/var/lib/cloud/data",
            "/var/lib/cloud/instance",
            "/var/lib/cloud/instances/*",
            "/var/lib/cloud/sem",
        ],
    },
    // An absent machine-id would be a first boot to systemd, which then applies presets: those may disable bootagent.
    Row { what: "machine ids", how: How::Empty, paths: &["/etc/machine-id"] },
    Row { what: "machine ids", how: How::Remove, paths: &["/var/lib/dbus/machine-id"] },
    Row { what: "ssh host keys", how: How::Remove, paths: &["/etc/ssh/ssh_host_*"] },
    Row {
        what: LOGIN_KEYS,
        how: How::Remove,
        paths: &["/root/.ssh/authorized_keys", "/home/*/.ssh/authorized_keys"],
    },
    Row {
        what: "random seeds and keys of systemd",
        how: How::Remove,
        paths: &[
            "/var/lib/systemd/random-seed",
            "/var/lib/systemd/credential.secret",
            "/boot/loader/random-seed",
            "/boot/efi/loader/random-seed",
        ],
    },
    Row {
        what: "network leases",
        how: How::Remove,
        paths: &["/var/lib/dhcp/*.leases", "/var/lib/dhclient/*", "/var/lib/NetworkManager/*.lease"],
    },
    Row {
        what: "shell histories",
        how: How::Remove,
        paths: &[
            "/root/.bash_history",
            "/home/*/.bash_history",
            "/root/.zsh_history",
            "/home/*/.zsh_history",
        ],
    },
    Row {
        what: "logs",
        how: How::Remove,
        paths: &["/var/log/journal/*", "/var/log/cloud-init.log", "/var/log/cloud-init-output.log"],
    },
    Row {
        what: "logs",
        how: How::Empty,
        paths: &[
            "/var/log/syslog",
            "/var/log/messages",
            "/var/log/auth.log",
            "/var/log/secure",
            "/var/log/daemon.log",
            "/var/log/user.log",
            "/var/log/kern.log",
            "/var/log/audit/audit.log",
            "/var/log/wtmp",
            "/var/log/btmp",
            "/var/log/lastlog",
        ],
    },
];

/// What of the table is on this machine, in the table's order.
pub fn found(keeps_login_keys: bool) -> Result<Vec<Trace>> {
    let mut found = Vec::new();
    for Row { what, how, paths } in ROWS {
        if keeps_login_keys && *what == LOGIN_KEYS {
            continue;
        }
        for pattern in *paths {
            let paths = expanded(Path::new(pattern))?.into_iter().filter(|path| is_due(path, *how));
            found.extend(paths.map(|path| Trace { what, path, how: *how }));
        }
    }
    Ok(found)
}

/// An empty file needs no emptying; the link of D-Bus to /etc/machine-id is the image's own.
fn is_due(path: &Path, how: How) -> bool {
    let Ok(metadata) = std::fs::symlink_metadata(path) else { return false };
    match how {
        How::Empty => metadata.is_file() && metadata.len() > 0,
        How::Remove => !(metadata.is_symlink() && path == Path::new("/var/lib/dbus/machine-id")),
    }
}

/// The paths that a pattern stands for, whether they exist or not.
fn expanded(pattern: &Path) -> Result<Vec<PathBuf>> {
    let mut paths = vec![PathBuf::new()];
    for component in pattern.components() {
        let name = component.as_os_str().to_string_lossy();
        match name.split_once('*') {
            None => paths.iter_mut().for_each(|path| path.push(component)),
            Some((before, after)) => {
                let mut longer = Vec::new();
                for path in paths.iter().filter(|path| path.is_dir()) {
                    let fits = |name: &String| {
                        let rest = name.strip_prefix(before);
                        rest.is_some_and(|rest| rest.ends_with(after))
                    };
                    longer.extend(files::names(path)?.into_iter().filter(fits).map(|name| path.join(name)));
                }
                paths = longer;
            }
        }
    }
    Ok(paths)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_stands_for_the_names_that_are_there() {
        let scratch = tempfile::tempdir().unwrap();
        let top = scratch.path();
        for path in ["a/x.leases", "a/y.leases", "a/z.conf", "b/x.leases"] {
            std::fs::create_dir_all(top.join(path).parent().unwrap()).unwrap();
            std::fs::write(top.join(path), "").unwrap();
        }
        let all = |pattern: &str| expanded(&top.join(pattern)).unwrap();
        assert_eq!(all("a/*.leases"), [top.join("a/x.leases"), top.join("a/y.leases")]);
        assert_eq!(all("*/x.leases"), [top.join("a/x.leases"), top.join("b/x.leases")]);
        assert_eq!(all("none/*"), [] as [PathBuf; 0]);
        assert_eq!(all("plain"), [top.join("plain")]);
    }

    #[test]
    fn every_path_of_the_table_is_absolute_and_below_a_directory() {
        for path in ROWS.iter().flat_map(|row| row.paths) {
            assert!(path.starts_with('/') && path.matches('*').count() <= 1, "{path}");
            assert!(path.split('/').count() > 2, "{path}");
        }
    }
}
