//! The role: reads the commit's files and npm's settings, installs, and starts npm where only npm is certain.

use std::path::{Path, PathBuf};

use super::cache::Cache;
use super::failure::{Failure, Result};
use super::files::{Project, read};
use super::install::{install, renew};
use crate::error::{Code, Coded, Error};
use crate::machine::jail::child::Role;
use crate::machine::jail::unit::own_program;
use crate::machine::jail::wrapper;
use crate::npm::{Inputs, Layer, Obstacle, Platform, Settings, Tree, tree};
use crate::secret::excerpt;

/// The child role. Its arguments: `--node=VERSION`, then npm's command line.
pub const ROLE: &str = "npm-tree";

const NO_SCRIPTS: &str = "--ignore-scripts";
const LOCKFILES: &[&str] = &["npm-shrinkwrap.json", "package-lock.json"];

/// The command line with which bootagent carries out this `npm ci`, after a proof that it cannot reach IMDS.
pub fn command_line(node: &str, npm: &[String]) -> crate::error::Result<Vec<String>> {
    let own = own_program()?.display().to_string();
    let line = [own, Role::VERB.to_owned(), ROLE.to_owned(), "--".to_owned(), format!("--node={node}")];
    let line: Vec<String> = line.into_iter().chain(npm.iter().cloned()).collect();
    wrapper::command_line(&line, false)
}

/// Installs in the current directory, and returns the exit status.
pub fn run(argv: &[String]) -> crate::error::Result<i32> {
    let [node, npm @ ..] = argv else {
        return Err(Error::new(Code::Bug, "starting an installation", "arguments are missing"));
    };
    let project = std::env::current_dir().doing(|| "finding the release".to_owned())?;
    let node = node.strip_prefix("--node=").unwrap_or_default();
    match attempt(node, npm, &project) {
        Ok(Tree { builds, .. }) if builds.is_empty() => Ok(0),
        Ok(Tree { builds, builds_may_fail, .. }) => {
            let about = format!("npm runs the install scripts of {}", builds.join(", "));
            // A package may be called as an option is.
            let words = ["rebuild".to_owned(), "--".to_owned()];
            let rebuild = npm.first().cloned().into_iter().chain(words).chain(builds);
            let status = run_npm(&about, &rebuild.collect::<Vec<_>>())?;
            if status != 0 && builds_may_fail {
                return run_npm(
                    "npm installs, because the install script of an optional package may have failed",
                    npm,
                );
            }
            renew(&project);
            Ok(status)
        }
        Err(Failure::ForNpm(reason)) => run_npm(&format!("npm installs, because {reason}"), npm),
        Err(Failure::Fault { fault, cause }) => {
            // Read by `fault::words::own`.
            say(&format!("the installation failed ({}): {cause}", fault.name()));
            Ok(1)
        }
    }
}

/// Says why npm is started: before for the log, and after npm's own output, of which the parent keeps only the end.
fn run_npm(about: &str, argv: &[String]) -> crate::error::Result<i32> {
    say(about);
    let status = wrapper::run(argv)?;
    if status == 0 {
        say(about);
    }
    Ok(status)
}

/// What the installer says of npm, in the last such line of its output. The process has no secrets, so the text cannot
/// have one.
pub fn about_npm(output: &[u8]) -> Option<String> {
    let text = String::from_utf8_lossy(output);
    let said = text.lines().rev().find_map(|line| line.strip_prefix("bootagent: "))?;
    said.starts_with("npm ").then(|| excerpt(said))
}

/// For the unit's log and the parent.
#[allow(clippy::print_stderr)]
fn say(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "bootagent: {line}");
}

/// What is installed now, but for the install scripts.
fn attempt(node: &str, npm: &[String], project: &Path) -> Result<Tree> {
    let variables: Vec<(String, String)> = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    let program = npm.first().map(PathBuf::from).unwrap_or_default();
    let mut settings = Settings::read(&variables, &layers(&variables, &program, project))?;
    settings.runs_scripts &= !npm.iter().any(|word| word == NO_SCRIPTS);
    let files = Project(project.to_owned());
    let lockfile = LOCKFILES.iter().find_map(|name| read(&project.join(name)));
    let Some(lockfile) = lockfile else {
        return Err(Failure::ForNpm("the lockfile cannot be read".to_owned()));
    };
    let platform = platform(node, &program)?;
    let omits_development = omits_development(npm)?;
    let tree: Tree = tree(&Inputs {
        lockfile: &lockfile,
        files: &files,
        settings: &settings,
        platform: &platform,
        omits_development,
    })?;
    let path_in =
        |name: &str| variables.iter().find(|(other, _)| other == name).map(|(_, path)| Path::new(path));
    let cache = Cache::below(path_in("npm_config_cache"));
    install(&tree, &settings, path_in("NODE_EXTRA_CA_CERTS"), &cache, project)?;
    Ok(tree)
}

/// What npm's command line installs. A flag that is not known here is npm's.
fn omits_development(npm: &[String]) -> Result<bool> {
    let unusual = || Failure::ForNpm("its command line is not a plain npm ci".to_owned());
    let mut omits = None;
    for word in npm.iter().skip(1) {
        match word.as_str() {
            "ci" | "--no-audit" | "--no-fund" | NO_SCRIPTS => {}
            "--omit=dev" => omits = Some(true),
            "--include=dev" => omits = Some(false),
            _ => return Err(unusual()),
        }
    }
    omits.ok_or_else(unusual)
}

/// `.npmrc` of the project, of the user, and of the machine.
fn layers(variables: &[(String, String)], npm: &Path, project: &Path) -> Vec<Layer> {
    let home =
        variables.iter().find(|(name, _)| name == "HOME").map(|(_, home)| Path::new(home).join(".npmrc"));
    let prefix = npm.parent().and_then(Path::parent);
    let etc = prefix.map(|prefix| prefix.join("etc/npmrc"));
    let built_in = npm_package(npm).map(|package| package.join("npmrc"));
    let all = [(Some(project.join(".npmrc")), true), (home, false), (etc, false), (built_in, false)];
    let read = |(path, is_of_project): (Option<PathBuf>, bool)| {
        let path = path?;
        let file = if is_of_project { ".npmrc".to_owned() } else { path.display().to_string() };
        Some(Layer { file, text: read(&path)?, is_of_project })
    };
    all.into_iter().filter_map(read).collect()
}

/// The directory of npm itself.
fn npm_package(npm: &Path) -> Option<PathBuf> {
    let program = std::fs::canonicalize(npm).ok()?;
    Some(program.parent()?.parent()?.to_owned())
}

fn platform(node: &str, npm: &Path) -> std::result::Result<Platform, Obstacle> {
    let cpu = match std::env::consts::ARCH {
        "x86_64" => "x64",
        "aarch64" => "arm64",
        other => return Err(Obstacle::ForNpm(format!("the processor {other} is not known here"))),
    };
    // Where npm looks first.
    let ldd = read(Path::new("/usr/bin/ldd")).unwrap_or_default();
    let libc = match (ldd.contains("musl"), ldd.contains("GNU C Library")) {
        (true, _) => Some("musl"),
        (_, true) => Some("glibc"),
        _ => None,
    };
    let package = npm_package(npm).and_then(|package| read(&package.join("package.json")));
    let package: Option<serde_json::Value> = package.and_then(|text| serde_json::from_str(&text).ok());
    let version = package.and_then(|package| Some(package.get("version")?.as_str()?.to_owned()));
    Ok(Platform { cpu: cpu.to_owned(), libc: libc.map(str::to_owned), node: node.to_owned(), npm: version })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn why_npm_was_started_is_found_at_the_end_of_long_output() {
        let long = "npm warn deprecated x\n".repeat(20_000);
        let output = format!("{long}bootagent: npm installs, because of x\n");
        assert_eq!(about_npm(output.as_bytes()).as_deref(), Some("npm installs, because of x"));
        for other in ["", "npm warn x\n", "bootagent: the installation failed (x): y\n"] {
            assert_eq!(about_npm(other.as_bytes()), None, "{other}");
        }
    }

    #[test]
    fn a_command_line_that_is_not_known_is_npm_s() {
        let line = |words: &[&str]| {
            let words: Vec<String> = ["/x/npm"].iter().chain(words).map(|word| (*word).to_owned()).collect();
            omits_development(&words)
        };
        assert!(line(&["ci", "--no-audit", "--omit=dev"]).is_ok_and(|omits| omits));
        assert!(line(&["ci", "--include=dev"]).is_ok_and(|omits| !omits));
        assert!(line(&["ci", "--omit=dev", "--ignore-scripts"]).is_ok_and(|omits| omits));
        for words in [&["ci", "--omit=optional"][..], &["install", "--omit=dev"], &["ci", "x"]] {
            assert!(line(words).is_err(), "{words:?}");
        }
    }
}
