//! The supervisor PM2: the service's unit runs `pm2-runtime`, which runs the processes of an ecosystem file,
//! generated or from the repository. PM2 is installed from bootagent's lockfile and runs as the service's user. It
//! writes no dump file, which would have the secret's values.

mod repository_file;

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::{Value, json};

use super::service_unit::Main;
use super::systemd;
use super::{App, Service, Supervisor};
use crate::error::{Code, Error, Result};
use crate::facts::{ServiceFile, Source, Supervised, Takes};
use crate::observe::manifest::{Manifest, Pm2Ecosystem, Pm2Instances, Pm2Mode, Pm2Wish, SupervisorName};
use crate::plan::layout;
use crate::plan::{Evaluation, InstallTool, Probe, Seconds};
use crate::planner::digest::digest;
use crate::planner::runtime::{Recipe, Start};

pub const PM2: Supervisor = Supervisor {
    name: SupervisorName::Pm2,
    evidence: USUAL,
    starts: |source, manifest| matches!(ecosystem(source, manifest), Ok(Ecosystem::Own(_))),
    refuse,
    supervise,
};

/// Names of the ecosystem file in PM2's documentation.
const USUAL: &[&str] = &[
    "ecosystem.config.js",
    "ecosystem.config.cjs",
    "ecosystem.config.mjs",
    "ecosystem.config.json",
    "ecosystem.json",
];

const VERSION: &str = "7.0.4";
const PACKAGE: &str = include_str!("pm2/package.json");
const LOCKFILE: &str = include_str!("pm2/package-lock.json");
const CLIENT: &str = include_str!("pm2/client.js");
const CONNECTIONS: &str = include_str!("pm2/connections.js");
const LIST: &str = include_str!("pm2/list.js");
const RELOAD: &str = include_str!("pm2/reload.js");
const EVALUATE: &str = include_str!("pm2/evaluate.js");

/// PM2 sends SIGKILL after this time; its default is 1.6 s. Less than the unit's `TimeoutStopSec=` of 30 s.
const KILL: Seconds = Seconds(20);
/// In a reload, PM2 stops the old process after this time even if the new one does not listen yet; its default is 3 s.
const LISTEN: Seconds = Seconds(30);
/// For a service without PORT: one that never listens would delay each reload by that time.
const NO_PORT: Seconds = Seconds(3);

fn listen(app: &App) -> Seconds {
    if app.variables.get("PORT").is_some() { LISTEN } else { NO_PORT }
}

/// Which ecosystem file is used.
enum Ecosystem<'a> {
    Generated,
    /// This path in the repository.
    Own(&'a str),
}

fn ecosystem<'a>(source: &Source, manifest: &'a Manifest) -> Result<Ecosystem<'a>> {
    let wish = manifest.pm2.as_ref().map(|pm2| &pm2.ecosystem);
    match wish.unwrap_or(&Pm2Ecosystem::Detected) {
        Pm2Ecosystem::Generated => Ok(Ecosystem::Generated),
        Pm2Ecosystem::File(path) if path.contains('/') || source.has(path) => Ok(Ecosystem::Own(path)),
        Pm2Ecosystem::File(path) => {
            Err(invalid(format!("pm2.ecosystem is \"{path}\", and there is no such file"))
                .remedy("correct the name, or remove pm2.ecosystem from bootagent.toml"))
        }
        Pm2Ecosystem::Detected => {
            let found: Vec<&str> = USUAL.iter().copied().filter(|path| source.has(path)).collect();
            match found.as_slice() {
                [] => Ok(Ecosystem::Generated),
                [one] => Ok(Ecosystem::Own(one)),
                [..] => Err(invalid(format!("there are {}", found.join(" and ")))
                    .remedy("name one in bootagent.toml: pm2.ecosystem = \"ecosystem.config.js\"")),
            }
        }
    }
}

fn invalid(cause: impl Into<String>) -> Error {
    Error::new(Code::ManifestInvalid, "planning how PM2 runs the service", cause.into())
}

fn refuse(source: &Source, manifest: &Manifest, recipe: &Recipe) -> Result<()> {
    if !recipe.runtime.starts_with("node ") {
        return Err(invalid(format!(
            "supervisor = \"pm2\" is for Node, and the runtime is {}",
            recipe.runtime
        ))
        .remedy("remove supervisor from bootagent.toml: then systemd runs the service without PM2"));
    }
    if manifest.candidate_port.is_some() {
        return Err(invalid("PM2 does not support a candidate (rehearsal.port)")
            .remedy("remove rehearsal or supervisor = \"pm2\" from bootagent.toml"));
    }
    let wish = manifest.pm2.clone().unwrap_or_default();
    match ecosystem(source, manifest)? {
        Ecosystem::Own(path) if wish.asks_of_a_generated_file() => {
            Err(invalid(format!("both {path} and [pm2] in bootagent.toml say how the processes run"))
                .remedy(format!("keep {path} only, or let bootagent generate a file: pm2.ecosystem = false")))
        }
        Ecosystem::Own(_) => Ok(()),
        Ecosystem::Generated => Script::of(&recipe.start, mode(&wish)).map(|_| ()),
    }
}

fn mode(wish: &Pm2Wish) -> Pm2Mode {
    let several = matches!(wish.instances, Some(Pm2Instances::Max | Pm2Instances::Count(2..)));
    wish.mode.unwrap_or(if several { Pm2Mode::Cluster } else { Pm2Mode::Fork })
}

/// The start command in the terms of an ecosystem file.
#[derive(Debug, PartialEq, Eq)]
struct Script<'a> {
    interpreter: Option<&'a str>,
    interpreter_args: &'a [String],
    script: &'a str,
    args: &'a [String],
}

impl<'a> Script<'a> {
    fn of(start: &'a Start, mode: Pm2Mode) -> Result<Script<'a>> {
        let line = start.argv.join(" ");
        let line = line.strip_prefix("/usr/bin/env ").unwrap_or(&line);
        if start.argv.iter().flat_map(|word| word.split_whitespace()).any(is_pm2) {
            return Err(invalid(format!("the start command runs PM2 itself: {line}"))
                .remedy("name the program that PM2 is to run: start = \"node server.js\""));
        }
        let Some((program, words)) = start.argv.split_first() else {
            return Err(invalid("there is no start command"));
        };
        let at = words.iter().position(|word| !word.starts_with('-'));
        // If a flag's value is the next argument, it looks like the script: then PM2 runs the line as a command.
        let flags = at.map(|at| &words[..at]).unwrap_or_default();
        let has_value = flags.iter().any(|flag| !flag.contains('=') && VALUED.contains(&flag.as_str()));
        match at.filter(|_| program.ends_with("/node") && !has_value) {
            Some(at) => Ok(Script {
                interpreter: (mode == Pm2Mode::Fork).then_some(program.as_str()),
                interpreter_args: flags,
                script: &words[at],
                args: &words[at + 1..],
            }),
            None if mode == Pm2Mode::Fork => {
                Ok(Script { interpreter: Some("none"), interpreter_args: &[], script: program, args: words })
            }
            None => Err(invalid(format!("a cluster needs a Node script, and the start command is {line}"))
                .remedy(
                    "name the script that it starts: start = \"node server.js\"; or pm2.mode = \"fork\"",
                )),
        }
    }
}

/// Node's flags whose value is the next argument.
const VALUED: &[&str] =
    &["-r", "--require", "--import", "--loader", "-C", "--conditions", "-e", "--eval", "-p", "--env-file"];

fn is_pm2(word: &str) -> bool {
    let name = word.rsplit('/').next().unwrap_or(word);
    ["pm2", "pm2-runtime", "pm2-docker", "pm2-dev"].contains(&name)
}

/// PM2 takes variables with these names for its own settings of a process.
const SETTINGS: &[&str] = &[
    "args",
    "autorestart",
    "cwd",
    "env",
    "exec_interpreter",
    "exec_mode",
    "instances",
    "kill_timeout",
    "name",
    "namespace",
    "node_args",
    "pm_cwd",
    "pm_exec_path",
    "pm_id",
    "status",
    "uid",
    "gid",
    "wait_ready",
    "watch",
];

fn supervise(app: &App) -> Result<Service> {
    let is_setting = |name: &&str| name.starts_with("PM2_") || SETTINGS.contains(name);
    if let Some(name) = app.variables.keys().find(is_setting) {
        return Err(invalid(format!(
            "the service has a variable {name}, which PM2 takes for its own setting"
        ))
        .remedy("give the variable another name, in the secret or in env.values"));
    }
    let (tool, home) = (tool(app), app.layout.data().join(".pm2"));
    let node = app.recipe.path.first().map(|bin| format!("{bin}/node")).unwrap_or_default();
    let of_tool = |name: &str| tool.path.join(name).display().to_string();
    let runs = what_runs(app, &node, &of_tool("evaluate.js"))?;
    let environment = vec![
        ("PM2_HOME", home.display().to_string()),
        // When PM2 ends, it writes the variables of its processes, secrets included, to this file.
        ("PM2_DUMP_FILE_PATH", "/dev/null".to_owned()),
        ("PM2_DISABLE_VERSION_CHECK", "true".to_owned()),
        ("PM2_NO_INTERACTION", "true".to_owned()),
    ];
    let runtime = of_tool("node_modules/pm2/bin/pm2-runtime");
    let main = Main {
        notifies: false,
        argv: vec![
            node.clone(),
            format!("--require={}", of_tool("connections.js")),
            runtime,
            "start".to_owned(),
            runs.started.display().to_string(),
        ],
        is_wrapped: false,
        // Not in a release: PM2 keeps running in a reload, after which the old release may be removed.
        tree: app.layout.data(),
        environment,
        reload: Some(vec![node.clone(), of_tool("reload.js")]),
        ..Main::default()
    };
    let probe = Probe::Command {
        what: "PM2 has every process online".to_owned(),
        argv: vec![node, of_tool("list.js")],
        user: app.layout.user().to_owned(),
        environment: [("PM2_HOME".to_owned(), home.display().to_string())].into(),
    };
    Ok(Service {
        runs_by: Supervised { unit: systemd::unit(app, &main)?, takes: takes(app, runs.by.takes), ..runs.by },
        probes: vec![probe],
        tools: vec![tool],
        evaluations: runs.evaluations,
        homes: vec![("pm2-home".to_owned(), home)],
        first_data: None,
        notes: runs.notes,
    })
}

/// A unit's view of the disk is made when it starts: after a reload the new release's writable paths would be read-only.
fn takes(app: &App, usual: Takes) -> Takes {
    if app.recipe.writable.is_empty() { usual } else { Takes::Restart }
}

/// The ecosystem file that PM2 is started with, and what is needed to make it.
struct Runs {
    started: PathBuf,
    by: Supervised,
    evaluations: Vec<(String, Evaluation)>,
    notes: Vec<String>,
}

fn what_runs(app: &App, node: &str, evaluate: &str) -> Result<Runs> {
    let manifest = app.wanted.manifest;
    match ecosystem(app.wanted.source, manifest)? {
        Ecosystem::Generated => generated(app, &manifest.pm2.clone().unwrap_or_default()),
        Ecosystem::Own(path) => repository_file::runs(app, path, node, evaluate),
    }
}

fn generated(app: &App, wish: &Pm2Wish) -> Result<Runs> {
    let (mode, path) = (mode(wish), app.layout.home().join("ecosystem.json"));
    let script = Script::of(&app.recipe.start, mode)?;
    let instances = match wish.instances {
        Some(Pm2Instances::Max) => json!("max"),
        Some(Pm2Instances::Count(count)) => json!(count),
        None => json!(1),
    };
    let mut process = fixed();
    process.extend([
        ("name", json!(app.layout.user())),
        ("cwd", json!(app.recipe.tree(&app.layout.current()))),
        ("script", json!(script.script)),
        ("args", json!(script.args)),
        ("exec_mode", json!(if mode == Pm2Mode::Cluster { "cluster" } else { "fork" })),
        ("instances", instances),
        ("wait_ready", json!(wish.wait_ready.unwrap_or(false))),
        ("kill_timeout", milliseconds(wish.kill_timeout.unwrap_or(KILL))),
        ("listen_timeout", milliseconds(wish.listen_timeout.unwrap_or(listen(app)))),
        ("node_args", json!(script.interpreter_args)),
    ]);
    process.extend(script.interpreter.map(|interpreter| ("interpreter", json!(interpreter))));
    process.extend(wish.max_memory_restart.as_ref().map(|most| ("max_memory_restart", json!(most))));
    let text = serde_json::to_string_pretty(&json!({ "apps": [process] }))
        .map_err(|error| Error::new(Code::Bug, "writing PM2's ecosystem file", error))?;
    let why = "the processes that PM2 runs".to_owned();
    let file = ServiceFile { name: "ecosystem".to_owned(), why, path: path.clone(), text: text + "\n" };
    let takes = if mode == Pm2Mode::Cluster { Takes::Reload } else { Takes::Restart };
    let by = Supervised { files: vec![file], takes, ..Supervised::default() };
    Ok(Runs { started: path, by, evaluations: Vec::new(), notes: several(mode) })
}

fn several(mode: Pm2Mode) -> Vec<String> {
    let note = "PM2 runs a cluster: timers and polling loops of the service run in each of its processes";
    if mode == Pm2Mode::Cluster { vec![note.to_owned()] } else { Vec::new() }
}

/// Settings of all processes, also with an ecosystem file of the repository: output goes to the journal only, and
/// PM2 reads no git metadata (vizion), sends no metrics (pmx) and does not restart when files change (watch).
fn fixed() -> BTreeMap<&'static str, Value> {
    let no_file = json!("/dev/null");
    [
        ("out_file", no_file.clone()),
        ("error_file", no_file),
        ("vizion", json!(false)),
        ("pmx", json!(false)),
        ("watch", json!(false)),
    ]
    .into()
}

fn milliseconds(seconds: Seconds) -> Value {
    json!(seconds.0 * 1000)
}

/// PM2 itself, which all services of the machine share. The build user of the first one installs it.
fn tool(app: &App) -> InstallTool {
    let files = [
        ("package.json", PACKAGE),
        ("package-lock.json", LOCKFILE),
        ("client.js", CLIENT),
        ("connections.js", CONNECTIONS),
        ("list.js", LIST),
        ("reload.js", RELOAD),
        ("evaluate.js", EVALUATE),
    ];
    let npm = app.recipe.path.first().map(|bin| format!("{bin}/npm")).unwrap_or_default();
    let flags = ["ci", "--omit=dev", "--ignore-scripts", "--no-audit", "--no-fund"];
    // Not that of builds: env.values of the commit are in it, and with NODE_OPTIONS npm would run the commit's code.
    let mut environment = app.recipe.tool_environment.clone();
    // A directory that was made with a service's cache has another name, and is not used again.
    let cache = environment.get("npm_config_cache").map(String::as_str);
    let version = format!("v{VERSION}-{}", digest(files.map(|(_, text)| text).into_iter().chain(cache)));
    environment.extend(app.recipe.network(app.wanted.selection));
    environment.insert("PATH".to_owned(), app.recipe.tool_path());
    InstallTool {
        name: "pm2".to_owned(),
        version: VERSION.to_owned(),
        files: files.map(|(name, text)| (name.to_owned(), text.to_owned())).into(),
        argv: std::iter::once(npm).chain(flags.map(str::to_owned)).collect(),
        own_installer: app.recipe.tool_installer.clone(),
        user: app.layout.build_user(),
        environment,
        path: layout::runtime("pm2", &version),
        unit: app.layout.transient("pm2"),
        file_hash: None,
    }
}

#[cfg(test)]
mod tests;
