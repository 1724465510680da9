//! Every program that a line runs: through operators of a shell, scripts, workspaces and runners. It may run what is found
//! here; what cannot be read is named. Pure.

use std::collections::BTreeSet;

use super::parts;
use super::project::Project;
use super::rewritten::Next;
use super::runner;
use super::variables;
use super::word::Words;
use crate::error::Result;
use crate::planner::runtime::node::package::Package;
use crate::planner::runtime::shell;

/// Lines that are looked into for one start command. A script is read once, so that more is a hostile package.json.
const MOST_LINES: usize = 200;

/// Programs that run each of their arguments as a line of its own.
const OF_LINES: &[&str] = &["concurrently", "conc"];
/// Programs that run scripts by their names.
const OF_SCRIPTS: &[&str] =
    &["npm-run-all", "npm-run-all2", "run-p", "run-s", "npm-run-all-parallel", "run-pnpm", "run-z"];
/// Programs that are known by what they run.
const MANAGERS: &[&str] = &["npm", "yarn", "pnpm", "npx", "pnpx", "bunx", "bun"];
const SHELLS: &[&str] = &["sh", "bash", "dash", "ash", "zsh", "/bin/sh", "/bin/bash", "/usr/bin/bash"];
/// Commands of a shell that run no other one.
const PLAIN: &[&str] =
    &["cd", "export", "exit", "set", "unset", "umask", "ulimit", "wait", "trap", ":", "shift", "return", "#"];

/// `sh start.sh`, `./start.sh`: what it runs is not read.
fn is_script_of_a_shell(words: &Words) -> bool {
    let program = words.text(0);
    let is_file = program.contains('/') && !program.trim_start_matches("./").starts_with("node_modules/");
    SHELLS.contains(&program) || is_file && program.ends_with(".sh")
}

/// Whether a program starts several others, and ends with them.
pub fn runs_several(program: &str) -> bool {
    OF_LINES.contains(&program) || OF_SCRIPTS.contains(&program)
}

/// One command, from its program on, and the workspace that it runs in.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Command {
    pub line: String,
    pub directory: Option<String>,
}

#[derive(Debug, Default)]
pub struct Reach {
    pub commands: Vec<Command>,
    /// What could not be read.
    pub doubt: Option<String>,
    seen: BTreeSet<(Option<String>, String)>,
    lines: usize,
}

pub fn reach(line: &str, directory: Option<&str>, project: &Project) -> Result<Reach> {
    let mut reach = Reach::default();
    reach.walk(line, directory, project)?;
    Ok(reach)
}

impl Reach {
    fn walk(&mut self, line: &str, directory: Option<&str>, project: &Project) -> Result<()> {
        self.lines += 1;
        let Some(parts) = parts::split(line).filter(|_| self.lines <= MOST_LINES) else {
            self.doubt.get_or_insert_with(|| line.to_owned());
            return Ok(());
        };
        let mut directory = directory.map(str::to_owned);
        for part in parts {
            if let Some(entered) = project.enters(part, directory.as_deref()) {
                directory = Some(entered);
                continue;
            }
            // Another directory's scripts are not known.
            if part.starts_with("cd ") {
                self.doubt.get_or_insert_with(|| line.to_owned());
                return Ok(());
            }
            self.command(part, directory.as_deref(), project)?;
        }
        Ok(())
    }

    fn command(&mut self, part: &str, directory: Option<&str>, project: &Project) -> Result<()> {
        let Some(words) = Words::of(part) else { return Ok(()) };
        let at = self.assigned(&words, directory);
        let Some(words) = Words::of(words.from(at)).filter(|words| words.len() > 0) else { return Ok(()) };
        let program = words.text(0);
        if words.raw(0).contains(['$', '`']) || shell::is_of_the_shell(program) && !PLAIN.contains(&program) {
            self.doubt.get_or_insert_with(|| part.to_owned());
            return Ok(());
        }
        if PLAIN.contains(&program) {
            return Ok(());
        }
        if SHELLS.contains(&program) && words.text(1).ends_with('c') && words.text(1).starts_with('-') {
            return self.walk(words.text(2), directory, project);
        }
        if is_script_of_a_shell(&words) {
            self.doubt.get_or_insert_with(|| part.to_owned());
            return Ok(());
        }
        if program == "node" && words.text(1) == "--run" {
            return self.named(words.text(2), directory, project);
        }
        if !MANAGERS.contains(&program) {
            self.add(words.from(0), directory);
        }
        if OF_LINES.contains(&program) {
            return self.lines_of(&words, directory, project);
        }
        if OF_SCRIPTS.contains(&program) {
            let names = (1..words.len()).map(|at| words.text(at)).filter(|name| !name.starts_with('-'));
            return names.into_iter().try_for_each(|name| self.named(name, directory, project));
        }
        self.behind_a_runner(&words, directory, project)
    }

    /// The place of the program. `NODE_OPTIONS` loads modules as options of Node do.
    fn assigned(&mut self, words: &Words, directory: Option<&str>) -> usize {
        let mut at = 0;
        loop {
            match shell::assignment(words.raw(at)) {
                Some(("NODE_OPTIONS", value)) => {
                    self.add(&format!("node {}", value.trim_matches(['\'', '"'])), directory);
                }
                Some(_) => {}
                None if matches!(words.text(at), "exec" | "env" | "nohup" | "command") => {}
                None => return at,
            }
            at += 1;
        }
    }

    fn behind_a_runner(&mut self, words: &Words, directory: Option<&str>, project: &Project) -> Result<()> {
        if let Some(at) = variables::behind(words) {
            return self.walk(words.from(at), directory, project);
        }
        let place = project.place(directory);
        match runner::rewrite(words, &place)?.next {
            // Runners add their own variables in front of the command.
            Next::Line(line) => self.walk(&line, directory, project),
            Next::Script { name, .. } => self.named(&name, directory, project),
            Next::Workspace { workspace, script, .. } => match project.workspaces.find(&workspace) {
                Some((directory, _)) => self.named(&script, Some(directory), project),
                None => Ok(()),
            },
            Next::OnlyWorkspace { script, .. } => {
                let mut all = project.workspaces.iter();
                all.try_for_each(|(directory, _)| self.named(&script, Some(directory), project))
            }
            Next::Stays => {
                self.add(words.from(0), directory);
                Ok(())
            }
        }
    }

    /// The arguments of `concurrently`: lines, or `npm:NAME`.
    fn lines_of(&mut self, words: &Words, directory: Option<&str>, project: &Project) -> Result<()> {
        const WITH_VALUE: &[&str] = &["-n", "--names", "-c", "--prefix-colors", "-p", "--prefix", "-m", "-l"];
        let mut at = 1;
        while at < words.len() {
            let word = words.text(at);
            at += if WITH_VALUE.contains(&word) { 2 } else { 1 };
            if word.starts_with('-') {
                continue;
            }
            let script = ["npm:", "yarn:", "pnpm:", "bun:"].iter().find_map(|run| word.strip_prefix(run));
            match script {
                Some(name) => self.named(name, directory, project)?,
                None => self.walk(&word.replace("\\\"", "\""), directory, project)?,
            }
        }
        Ok(())
    }

    /// A script with its hooks; of `start:*` each that fits.
    fn named(&mut self, name: &str, directory: Option<&str>, project: &Project) -> Result<()> {
        let package = project.package_in(directory);
        let begin = name.split('*').next().unwrap_or_default();
        let fits = |other: &str| other == name || begin.len() < name.len() && other.starts_with(begin);
        let names: Vec<String> = package.scripts.keys().filter(|other| fits(other)).cloned().collect();
        for name in names {
            for script in [format!("pre{name}"), name.clone(), format!("post{name}")] {
                self.script(package, &script, directory, project)?;
            }
        }
        Ok(())
    }

    fn script(
        &mut self,
        package: &Package,
        name: &str,
        directory: Option<&str>,
        project: &Project,
    ) -> Result<()> {
        let Some(line) = package.script(name) else { return Ok(()) };
        match self.seen.insert((directory.map(str::to_owned), name.to_owned())) {
            true => self.walk(line, directory, project),
            false => Ok(()),
        }
    }

    fn add(&mut self, line: &str, directory: Option<&str>) {
        let command = Command { line: line.to_owned(), directory: directory.map(str::to_owned) };
        if !self.commands.contains(&command) {
            self.commands.push(command);
        }
    }
}
