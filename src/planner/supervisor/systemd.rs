//! The service's unit: hardened, restarted for ever, its environment in a file that only root reads.

use std::fmt::Write;
use std::path::Path;

use crate::facts::Facts;
use crate::observe::Selection;
use crate::plan::environment::{EnvCopy, FILES, SERVICE};
use crate::plan::layout::{self, Layout};
use crate::plan::{Seconds, YIELDS};
use crate::planner::runtime::Recipe;

/// What every service lives with. `MemoryDenyWriteExecute` is absent because it kills V8's JIT, and
/// AF_NETLINK is allowed because `os.networkInterfaces()` needs it.
const HARDENING: &str = "\
NoNewPrivileges=yes
CapabilityBoundingSet=
AmbientCapabilities=
PrivateTmp=yes
PrivateDevices=yes
ProtectSystem=strict
ReadOnlyPaths=/run
ProtectHome=yes
ProtectKernelTunables=yes
ProtectKernelModules=yes
ProtectKernelLogs=yes
ProtectControlGroups=yes
ProtectClock=yes
ProtectHostname=yes
ProtectProc=invisible
RestrictRealtime=yes
RestrictSUIDSGID=yes
RestrictNamespaces=yes
RestrictAddressFamilies=AF_UNIX AF_INET AF_INET6 AF_NETLINK
LockPersonality=yes
RemoveIPC=yes
SystemCallArchitectures=native
SystemCallFilter=@system-service
SystemCallErrorNumber=EPERM
UMask=0077
LimitCORE=0
LimitNOFILE=65536
TasksMax=4096
OOMPolicy=stop
";

/// What a unit of the service says in its own way; all else is the same for all.
struct Role<'a> {
    why: &'a str,
    description: String,
    tree: &'a Path,
    environment: &'a Path,
    identifier: String,
    /// What systemd does when it ends, or when it does not.
    lasts: String,
}

/// The first pause after a crash is short, since each costs requests; a service that crashes again and again must not take
/// the processor from what it waits for. systemd 254 lets pauses grow. It counts the restarts since the unit was last
/// started by hand, not those of the last hour, so that the longest pause is no longer than one crash in a month may cost.
/// Earlier ones know one pause only.
fn restarts(systemd: Option<u32>) -> &'static str {
    const STEPS_SINCE: u32 = 254;
    match systemd {
        Some(STEPS_SINCE..) => "Restart=always\nRestartSec=100ms\nRestartSteps=4\nRestartMaxDelaySec=2s\n",
        _ => "Restart=always\nRestartSec=500ms\n",
    }
}

pub fn unit(selection: &Selection, facts: &Facts, recipe: &Recipe, layout: &Layout) -> String {
    let role = Role {
        why: "do not edit: it is written anew at each boot",
        description: format!("{} ({})", selection.service, selection.environment),
        tree: &layout.current(),
        environment: &layout.environment(),
        identifier: selection.service.to_string(),
        lasts: restarts(facts.machine.systemd).to_owned(),
    };
    written(&role, selection, recipe, layout)
}

/// The same from a release that is not the current one, once and not for long. Where its `.env` leads, it
/// sees its own one, or none, and nothing of the generation that serves.
pub fn rehearsal(
    selection: &Selection,
    recipe: &Recipe,
    release: &Path,
    most: Seconds,
    layout: &Layout,
) -> String {
    let role = Role {
        why: "it goes with the rehearsal",
        description: format!("{} ({}), rehearsal", selection.service, selection.environment),
        tree: release,
        environment: &layout.env_file(EnvCopy::Candidate, &SERVICE),
        identifier: format!("{}-rehearsal", selection.service),
        lasts: format!("RuntimeMaxSec={}\n", most.0),
    };
    let mut unit = written(&role, selection, recipe, layout);
    for yields in YIELDS {
        let _ = writeln!(unit, "{yields}");
    }
    let _ = writeln!(unit, "TemporaryFileSystem={}:mode=0755", layout.run().display());
    for file in FILES.iter().filter(|file| file.link.is_some()) {
        let [own, seen_as] = [EnvCopy::Candidate, EnvCopy::Serving].map(|copy| layout.env_file(copy, file));
        let _ = writeln!(unit, "BindReadOnlyPaths=-{}:{}", own.display(), seen_as.display());
    }
    unit
}

fn written(role: &Role, selection: &Selection, recipe: &Recipe, layout: &Layout) -> String {
    let mut unit = String::new();
    // Writing to a String cannot fail.
    let _ = write!(
        unit,
        "# Written by bootagent; {why}.
[Unit]
Description={description}
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
Type={kind}
User={user}
Group={user}
WorkingDirectory={tree}
Environment=PATH={path}
Environment=HOME={data}
EnvironmentFile={env}
ExecStart={start}
{lasts}{ends}TimeoutStopSec=30
SyslogIdentifier={identifier}
ReadWritePaths={data}
",
        why = role.why,
        kind = if recipe.start.notifies { "notify" } else { "exec" },
        description = role.description,
        user = layout.user(),
        tree = role.tree.display(),
        path = escape(&recipe.search_path(role.tree)),
        data = layout.data().display(),
        env = role.environment.display(),
        lasts = role.lasts,
        ends = ends(recipe.start.is_wrapped),
        identifier = role.identifier,
        start = recipe.start.argv.iter().map(|word| argument(word)).collect::<Vec<_>>().join(" "),
    );
    unit.push_str(HARDENING);
    if !selection.service_may_use_imds {
        unit.push_str("IPAddressDeny=169.254.169.254/32 fd00:ec2::254/128\n");
        // At every start: a kernel or a drop-in may leave the line above without effect.
        let _ = writeln!(unit, "ExecStartPre={}", layout::IMDS_PROOF);
    }
    unit
}

/// How the service hears that it shall end: our own program finds it, behind whatever its start line puts before it. All
/// units say so, because systemd stops what runs by the unit that is to come. Should bootagent be gone from the machine,
/// systemd signals the main process, or all of them where that is a shell or npm.
fn ends(is_wrapped: bool) -> String {
    let kill_mode = if is_wrapped { "control-group" } else { "mixed" };
    let drain = layout::DRAIN;
    format!("ExecStop=-{drain}\nKillMode={kill_mode}\n")
}

/// `%` starts a specifier everywhere in a unit.
fn escape(value: &str) -> String {
    value.replace('%', "%%")
}

/// One word of ExecStart, quoted so that systemd hands on exactly these bytes.
fn argument(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    let mut quoted = String::from("\"");
    for c in word.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '$' => quoted.push_str("$$"),
            '%' => quoted.push_str("%%"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() => {
                for byte in c.to_string().bytes() {
                    let _ = write!(quoted, "\\x{byte:02x}");
                }
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_systemd_that_knows_steps_is_told_of_them() {
        for old in [None, Some(219), Some(252), Some(253)] {
            assert!(
                restarts(old).contains("RestartSec=500ms\n") && !restarts(old).contains("Steps"),
                "{old:?}"
            );
        }
        for new in [254, 257] {
            let text = restarts(Some(new));
            assert!(text.contains("RestartSteps=") && text.contains("RestartMaxDelaySec="), "{text}");
        }
    }

    #[test]
    fn words_cannot_leave_their_line_or_expand() {
        assert_eq!(argument("server.js"), "server.js");
        assert_eq!(argument(""), "\"\"");
        assert_eq!(argument("a b"), "\"a b\"");
        assert_eq!(argument("$HOME %n"), "\"$$HOME %%n\"");
        assert_eq!(argument("x\nUser=root"), "\"x\\nUser=root\"");
        assert_eq!(argument("\"\\"), "\"\\\"\\\\\"");
        assert_eq!(argument("-x;"), "\"-x;\"");
        assert_eq!(argument("\u{1}"), "\"\\x01\"");
    }
}
