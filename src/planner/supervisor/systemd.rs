//! The service's unit: hardened, restarted for ever, its environment in a file that only root reads.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use super::{App, Service, Supervisor};
use crate::facts::Supervised;
use crate::observe::Selection;
use crate::observe::manifest::SupervisorName;
use crate::plan::Seconds;
use crate::plan::environment::{EnvCopy, FILES, SERVICE};
use crate::plan::hardening::{Confined, LOW_PRIORITY, NO_IMDS, hardening};
use crate::plan::layout::{self, Layout};
use crate::planner::runtime::Recipe;

pub const SYSTEMD: Supervisor = Supervisor {
    name: SupervisorName::Systemd,
    evidence: &[],
    starts: |_, _| false,
    refuse: |_, _, _| Ok(()),
    supervise: |app| {
        let start = &app.recipe.start;
        let (tree, argv) = (app.layout.current(), start.argv.clone());
        let (is_wrapped, notifies) = (start.is_wrapped, start.notifies);
        let main = Main { argv, is_wrapped, notifies, tree, ..Main::default() };
        Ok(Service { runs_by: Supervised::by_unit(unit(app, &main)), ..Service::default() })
    },
};

/// The program that a unit runs.
#[derive(Default)]
pub struct Main {
    pub argv: Vec<String>,
    /// Whether the service itself is only a child of it.
    pub is_wrapped: bool,
    /// Whether it tells systemd when it is ready.
    pub notifies: bool,
    /// Its working directory.
    pub tree: PathBuf,
    /// Variables of its own: the service's environment goes before them.
    pub environment: Vec<(&'static str, String)>,
    /// What makes the running program take up another release.
    pub reload: Option<Vec<String>>,
}

/// What a unit of the service says in its own way; all else is the same for all.
struct Role<'a> {
    why: &'a str,
    description: String,
    main: &'a Main,
    /// Where the packages' programs are looked for.
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

/// The service's unit, for what its supervisor runs in it.
pub fn unit(app: &App, main: &Main) -> String {
    let (App { wanted, recipe, layout, .. }, selection) = (app, app.wanted.selection);
    let role = Role {
        why: "do not edit: it is written anew at each boot",
        description: format!("{} ({})", selection.service, selection.environment),
        main,
        tree: &layout.current(),
        environment: &layout.environment(),
        identifier: selection.service.to_string(),
        lasts: restarts(wanted.facts.machine.systemd).to_owned(),
    };
    written(&role, selection, recipe, layout)
}

/// The same from a release that is not the current one, once and not for long. Where its `.env` leads, it
/// sees its own one, or none, and nothing of the generation that serves.
pub fn candidate(
    selection: &Selection,
    recipe: &Recipe,
    release: &Path,
    most: Seconds,
    layout: &Layout,
) -> String {
    let start = &recipe.start;
    let (argv, tree) = (start.argv.clone(), release.to_owned());
    let (is_wrapped, notifies) = (start.is_wrapped, start.notifies);
    let main = Main { argv, is_wrapped, notifies, tree, ..Main::default() };
    let role = Role {
        why: "removed with the candidate",
        description: format!("{} ({}), candidate", selection.service, selection.environment),
        main: &main,
        tree: release,
        environment: &layout.env_file(EnvCopy::Candidate, &SERVICE),
        identifier: format!("{}-candidate", selection.service),
        lasts: format!("RuntimeMaxSec={}\n", most.0),
    };
    let mut unit = written(&role, selection, recipe, layout);
    for line in LOW_PRIORITY {
        let _ = writeln!(unit, "{line}");
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
{own}EnvironmentFile={env}
ExecStart={start}
{reload}{lasts}{ends}TimeoutStopSec=30
SyslogIdentifier={identifier}
ReadWritePaths={data}
",
        why = role.why,
        kind = if role.main.notifies { "notify" } else { "exec" },
        description = role.description,
        user = layout.user(),
        tree = role.main.tree.display(),
        own = role.main.environment.iter().map(|(name, value)| variable(name, value)).collect::<String>(),
        reload = role.main.reload.as_ref().map(|argv| reloads(argv)).unwrap_or_default(),
        path = escape(&recipe.search_path(role.tree)),
        data = layout.data().display(),
        env = role.environment.display(),
        lasts = role.lasts,
        ends = ends(role.main.is_wrapped),
        identifier = role.identifier,
        start = line(&role.main.argv),
    );
    for line in hardening(Confined::Service) {
        let _ = writeln!(unit, "{line}");
    }
    if !selection.service_may_use_imds {
        let _ = writeln!(unit, "{NO_IMDS}");
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

/// A reload waits for one new process after the other.
fn reloads(argv: &[String]) -> String {
    format!("ExecReload={}\nTimeoutStartSec=110\n", line(argv))
}

fn variable(name: &str, value: &str) -> String {
    format!("Environment={name}={}\n", escape(value))
}

fn line(argv: &[String]) -> String {
    argv.iter().map(|word| argument(word)).collect::<Vec<_>>().join(" ")
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
