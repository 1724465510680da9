//! The texts of units: the service's, those of its processes and timers, and a candidate's. Hardened, always restarted, with
//! the environment in a file that only root can read.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use super::App;
use super::restarts::restarts;
use super::unit_syntax::{escape, line, variable};
use crate::observe::Selection;
use crate::plan::environment::{EnvCopy, EnvFile, FILES, SERVICE};
use crate::plan::hardening::{Confined, LOW_PRIORITY, NO_IMDS, REMOVE_IPC, hardening, opening_low_ports};
use crate::plan::layout::{self, Layout};
use crate::plan::{Limits, Seconds};
use crate::planner::limits;
use crate::planner::runtime::Recipe;
use crate::planner::volume::place;

/// The main program of a unit.
#[derive(Default)]
pub struct Main {
    pub argv: Vec<String>,
    /// Whether it is a shell or a package manager, and the service is its child.
    pub is_wrapped: bool,
    /// Whether it notifies systemd when it is ready (`Type=notify`).
    pub notifies: bool,
    /// Whether it ends by itself (`Type=oneshot`).
    pub is_job: bool,
    /// Its working directory.
    pub tree: PathBuf,
    /// Additional variables. The service's environment overrides them.
    pub environment: Vec<(&'static str, String)>,
    /// Checks the program's files before each start and reload.
    pub check: Option<Vec<String>>,
    /// The command that makes the running program use the new release (`ExecReload=`).
    pub reload: Option<Vec<String>>,
    /// Whether it gets none of the service's variables.
    pub needs_no_variables: bool,
    /// The signal that ends it, in place of a drain by SIGTERM.
    pub stop_signal: Option<&'static str>,
    /// How long it may take to end; none: 30 s.
    pub stop_seconds: Option<u32>,
}

/// What differs between the service's unit and a candidate's.
struct Role<'a> {
    /// For the comment in the first line.
    why: &'a str,
    description: String,
    main: &'a Main,
    /// Further directives of its section [Unit].
    unit: String,
    /// The directory whose packages' programs are in PATH.
    tree: &'a Path,
    environment: &'a Path,
    identifier: String,
    /// Directives for restarts, or for the longest run time.
    lasts: String,
    /// Whether its port is below 1024, as the policy allows.
    opens_low_port: bool,
    /// Where the service's volume is mounted.
    volume: Option<PathBuf>,
    /// Paths of the release that it may change.
    writable: Vec<PathBuf>,
    limits: Limits,
    /// Whether other units of the same user run: what one of them leaves is another one's.
    shares_user: bool,
}

/// The service's unit, which runs this main program. `more`: further lines of its section [Unit].
pub fn unit(app: &App, main: &Main, more: String) -> String {
    let (App { wanted, recipe, layout, .. }, selection) = (app, app.wanted.selection);
    let role = Role {
        why: REPLACED,
        description: format!("{} ({})", selection.service, selection.environment),
        main,
        unit: more,
        tree: &layout.current(),
        environment: &layout.environment(),
        identifier: selection.service.to_string(),
        lasts: restarts(wanted.facts.machine.systemd).to_owned(),
        opens_low_port: app.port().is_some_and(|port| port < 1024),
        volume: place::path(wanted.manifest, layout),
        writable: recipe.writable_in(&layout.current()),
        limits: limits::of_service(wanted),
        shares_user: !(wanted.manifest.processes.is_empty() && wanted.manifest.timers.is_empty()),
    };
    text(&role, selection, recipe, layout)
}

/// A program that runs beside the service.
pub struct Beside<'a> {
    pub name: &'a str,
    pub argv: Vec<String>,
    pub is_wrapped: bool,
    /// It is not kept running: a timer starts it, and it is stopped after this time.
    pub timeout: Option<Seconds>,
    /// Its number among the instances of one process.
    pub instance: Option<u16>,
    /// In place of the manifest's `[limits]`, key by key.
    pub limits: &'a Limits,
}

/// The unit of a program that runs beside the service, and stops with it.
pub fn beside(app: &App, beside: &Beside) -> String {
    let (App { wanted, recipe, layout, .. }, selection) = (app, app.wanted.selection);
    let (argv, is_wrapped) = (beside.argv.clone(), beside.is_wrapped);
    let is_job = beside.timeout.is_some();
    let environment = beside.instance.iter().map(|number| ("INSTANCE", number.to_string())).collect();
    let tree = recipe.tree(&layout.current());
    let main = Main { argv, is_wrapped, is_job, tree, environment, ..Main::default() };
    let role = Role {
        why: REPLACED,
        description: format!("{} ({}), {}", selection.service, selection.environment, beside.name),
        main: &main,
        unit: format!("StopPropagatedFrom={}\n", layout.unit()),
        tree: &layout.current(),
        environment: &layout.environment(),
        identifier: format!("{}.{}", selection.service, beside.name),
        lasts: match beside.timeout {
            Some(timeout) => format!("TimeoutStartSec={}\n", timeout.0),
            None => restarts(wanted.facts.machine.systemd).to_owned(),
        },
        opens_low_port: false,
        volume: place::path(wanted.manifest, layout),
        writable: recipe.writable_in(&layout.current()),
        limits: limits::of(wanted, beside.limits),
        shares_user: true,
    };
    text(&role, selection, recipe, layout)
}

/// The timer of a unit of the same name.
pub fn timer(app: &App, name: &str, schedule: &str) -> String {
    let (selection, layout) = (app.wanted.selection, app.layout);
    // Persistent: a time that passed while the machine was off is made up for.
    format!(
        "{} {REPLACED}
[Unit]
Description={} ({}), timer of {name}
StopPropagatedFrom={}

[Timer]
OnCalendar={}
Persistent=yes
AccuracySec=1s
",
        layout::WRITTEN_BY,
        selection.service,
        selection.environment,
        layout.unit(),
        escape(schedule),
    )
}

const REPLACED: &str = "do not edit: each run replaces this file. Use systemctl edit";

/// What the unit of a candidate needs beside what the service's has.
pub struct Candidate<'a> {
    /// How long it may run.
    pub most: Seconds,
    pub port: u16,
    /// Where the service's volume is mounted.
    pub volume: Option<PathBuf>,
    /// The files of `env.files`.
    pub made: &'a [EnvFile],
    /// Those of the service: what it would not survive must not pass its check.
    pub limits: Limits,
}

/// The unit of a candidate: runs the new release once, for a limited time. It sees its own `.env` at the path of the
/// service's, or none, the same for the files of `env.files` (`made`), and no other file of the serving deployment's environment.
pub fn candidate(
    selection: &Selection,
    recipe: &Recipe,
    release: &Path,
    candidate: Candidate,
    layout: &Layout,
) -> String {
    let Candidate { most, port, volume, made, limits: own } = candidate;
    let start = &recipe.start;
    let (argv, tree) = (start.argv.clone(), recipe.tree(release));
    let (is_wrapped, notifies) = (start.is_wrapped, start.notifies);
    let main = Main { argv, is_wrapped, notifies, tree, ..Main::default() };
    let role = Role {
        why: "removed with the candidate",
        description: format!("{} ({}), candidate", selection.service, selection.environment),
        main: &main,
        unit: String::new(),
        tree: release,
        environment: &layout.env_file(EnvCopy::Candidate, &SERVICE),
        identifier: format!("{}-candidate", selection.service),
        lasts: format!("RuntimeMaxSec={}\n", most.0),
        opens_low_port: port < 1024,
        volume,
        writable: recipe.writable_in(release),
        limits: own,
        shares_user: false,
    };
    let mut unit = text(&role, selection, recipe, layout);
    for line in LOW_PRIORITY {
        let _ = writeln!(unit, "{line}");
    }
    let _ = writeln!(unit, "TemporaryFileSystem={}:mode=0755", layout.run().display());
    for file in FILES.iter().filter(|file| file.link.is_some()).chain(made) {
        let [file, seen_as] = [EnvCopy::Candidate, EnvCopy::Serving].map(|copy| layout.env_file(copy, file));
        let _ = writeln!(unit, "BindReadOnlyPaths=-{}:{}", file.display(), seen_as.display());
    }
    unit
}

fn text(role: &Role, selection: &Selection, recipe: &Recipe, layout: &Layout) -> String {
    let mut unit = String::new();
    // Writing to a String cannot fail.
    let _ = write!(
        unit,
        "{written} {why}.
[Unit]
Description={description}
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0
{mounts}{unit}
[Service]
Type={kind}
User={user}
Group={user}
WorkingDirectory={tree}
Environment=PATH={path}
Environment=HOME={data}
{variables}{env}{check}ExecStart={start}
{reload}{lasts}{ends}TimeoutStopSec={stop}
SyslogIdentifier={identifier}
ReadWritePaths={data}{writes}
",
        written = layout::WRITTEN_BY,
        why = role.why,
        unit = role.unit,
        kind = match role.main {
            Main { is_job: true, .. } => "oneshot",
            Main { notifies: true, .. } => "notify",
            _ => "exec",
        },
        description = role.description,
        user = layout.user(),
        tree = role.main.tree.display(),
        variables =
            role.main.environment.iter().map(|(name, value)| variable(name, value)).collect::<String>(),
        check =
            role.main.check.as_ref().map(|argv| format!("ExecStartPre={}\n", line(argv))).unwrap_or_default(),
        reload =
            role.main.reload.as_ref().map(|argv| reloads(role.main.check.as_ref(), argv)).unwrap_or_default(),
        path = match role.main.needs_no_variables {
            true => "/usr/local/bin:/usr/bin:/bin".to_owned(),
            false => escape(&recipe.search_path(role.tree)),
        },
        data = layout.data().display(),
        mounts = role
            .volume
            .iter()
            .map(|path| format!("RequiresMountsFor={}\n", path.display()))
            .collect::<String>(),
        writes = writes(role),
        env = match role.main.needs_no_variables {
            true => String::new(),
            false => format!("EnvironmentFile={}\n", role.environment.display()),
        },
        lasts = role.lasts,
        ends = match role.main.stop_signal {
            Some(signal) => format!("KillSignal={signal}\nKillMode=mixed\n"),
            // systemd runs `ExecStop=` of a job also after it has ended.
            None if role.main.is_job => "KillMode=mixed\n".to_owned(),
            None => ends(role.main.is_wrapped),
        },
        stop = role.main.stop_seconds.unwrap_or(30),
        identifier = role.identifier,
        start = line(&role.main.argv),
    );
    let name = |line: &str| line.split('=').next().map(str::to_owned);
    let limits = role.limits.directives();
    let limited: Vec<Option<String>> = limits.iter().map(|line| name(line)).collect();
    let is_kept = |line: &&str| !(limited.contains(&name(line)) || role.shares_user && *line == REMOVE_IPC);
    for line in hardening(Confined::Service).filter(is_kept) {
        let _ = writeln!(unit, "{}", if role.opens_low_port { opening_low_ports(line) } else { line });
    }
    for line in &limits {
        let _ = writeln!(unit, "{line}");
    }
    if recipe.keeps_home {
        let _ = writeln!(unit, "{}", finds_cache(role.tree));
    }
    if !selection.service_may_use_imds {
        let _ = writeln!(unit, "{NO_IMDS}");
        // Tests at each start that IMDS does not answer: with some kernels or a drop-in, the line above has no effect.
        let _ = writeln!(unit, "ExecStartPre={}", layout::IMDS_PROOF);
    }
    unit
}

/// Further words of `ReadWritePaths=`. A path of the release that is missing does not keep the service from starting.
fn writes(role: &Role) -> String {
    let volume = role.volume.iter().map(|path| format!(" {}", path.display()));
    volume.chain(role.writable.iter().map(|path| format!(" -{}", path.display()))).collect()
}

/// Links what the build left in its `~/.cache`, such as a browser, into the service's, and leaves there what is the
/// service's own. Not with a mount: the service may write other directories there.
fn finds_cache(tree: &Path) -> String {
    let from = layout::build_home(tree).join(".cache");
    let script = format!(
        "for built in {}/*; do own=\"$HOME/.cache/${{built##*/}}\"; [ -e \"$built\" ] && mkdir -p \"$HOME/.cache\" && \
         {{ [ -L \"$own\" ] || [ ! -e \"$own\" ]; }} && ln -sfn \"$built\" \"$own\"; done",
        from.display()
    );
    format!("ExecStartPre=-/bin/sh -c '{}'", escape(&script).replace('$', "$$"))
}

/// How the service is stopped: bootagent sends SIGTERM to the service itself, also if it is a child of a shell or
/// npm. All units have it, since systemd stops a running service by the directives of the new unit file. If the
/// bootagent binary is missing, `KillMode=` decides: SIGTERM to the main process, or to all if that is a shell or
/// npm.
fn ends(is_wrapped: bool) -> String {
    let kill_mode = if is_wrapped { "control-group" } else { "mixed" };
    let drain = layout::DRAIN;
    format!("ExecStop=-{drain}\nKillMode={kill_mode}\n")
}

/// The time limit is long because a reload replaces the processes one after the other. The second command runs only if the
/// first succeeds.
fn reloads(check: Option<&Vec<String>>, argv: &[String]) -> String {
    let check = check.map(|argv| format!("ExecReload={}\n", line(argv))).unwrap_or_default();
    format!("{check}ExecReload={}\nTimeoutStartSec=110\n", line(argv))
}
