//! The keys of a compose file that are refused, and why: each would give a container more of the machine than a service
//! gets, or depends on what is not in the commit. Data only.

use super::reader::{At, Reader};

/// Keys of a service, with what they would do and what to do instead. A key that is neither here nor known is refused, too.
pub const OF_A_SERVICE: &[(&str, &str, &str)] = &[
    ("privileged", "gives the container the whole machine", REMOVE),
    ("pid", "shares the processes of the machine", REMOVE),
    ("ipc", "shares the memory of other programs", REMOVE),
    ("uts", "shares the name of the machine", REMOVE),
    ("cgroup", "shares the control groups of the machine", REMOVE),
    ("cgroup_parent", "leaves the control group of docker", REMOVE),
    ("userns_mode", "shares the users of the machine", REMOVE),
    (
        "network_mode",
        "shares the network of the machine or of another container",
        "remove it: containers reach each other by their names",
    ),
    ("devices", "gives the container devices of the machine", REMOVE),
    ("device_cgroup_rules", "gives the container devices of the machine", REMOVE),
    ("gpus", "gives the container devices of the machine", REMOVE),
    ("volumes_from", "mounts what another container has", "name the volumes themselves"),
    ("group_add", "adds groups of the machine", REMOVE),
    ("sysctls", "changes settings of the kernel", REMOVE),
    ("oom_kill_disable", "lets the kernel end other programs instead", REMOVE),
    ("oom_score_adj", "lets the kernel end other programs instead", REMOVE),
    ("runtime", "chooses another program to run containers", REMOVE),
    ("isolation", "chooses another way to run containers", REMOVE),
    ("credential_spec", "names a credential of the machine", REMOVE),
    (
        "extends",
        "takes a part of another file, which is not checked",
        "write the part into the file, or use an anchor",
    ),
    ("external_links", "reaches containers that are not of this file", "set the address in environment"),
    ("post_start", "runs commands in the container from outside", "run them in its entry point"),
    (
        "pre_stop",
        "runs commands in the container from outside",
        "run them when the container gets its stop signal",
    ),
];

/// Keys of the file itself.
pub const OF_THE_FILE: &[(&str, &str, &str)] =
    &[("include", "takes parts of other files, which are not checked", "write the parts into the file")];

/// Keys of a service that have no effect here: what they are for does systemd, or nothing on this machine reads them.
pub const WITHOUT_EFFECT: &[&str] =
    &["annotations", "attach", "develop", "labels", "logging", "pull_policy", "restart", "stdin_open", "tty"];

const REMOVE: &str = "remove it";

/// The error of a key that is refused, or not known.
pub fn unknown(reader: &Reader, key: &str, at: At, table: &[(&str, &str, &str)]) -> crate::error::Error {
    match table.iter().find(|(name, ..)| *name == key) {
        Some((_, why, remedy)) => reader.refused(at.path, &format!("is refused: it {why}"), remedy),
        None => reader.refused(
            at.path,
            "is refused: it is not one of the keys that bootagent carries out",
            "remove it; docs/how-to/run-a-container.md lists the keys",
        ),
    }
}
