//! The operator's hooks: finds the programs below `/etc/bootagent/hooks`, and runs them as root. A program, and each
//! directory and link on the way to it, must belong to root and be writable for root only: this is checked when the
//! machine is inspected, and again right before a program is started.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::error::{Code, Error, Result};
use crate::facts::{HookPhase, Hooks};
use crate::fault::Fault;
use crate::machine::disk::{files, owned};
use crate::machine::jail::unit::TransientUnit;
use crate::machine::process::program::{Output, how_it_ended};
use crate::machine::{Check, progress};
use crate::plan::{RunHooks, layout};
use crate::secret::Message;

/// Programs of one phase. Far more than anybody writes by hand.
const MOST: usize = 64;
/// Of each program's output, in bytes: the last ones are kept.
const OUTPUT: usize = 64 << 10;

/// The hooks of this machine, or why they are refused.
pub fn read() -> Hooks {
    read_at(Path::new(layout::HOOKS))
        .unwrap_or_else(|cause| Hooks { refused: Some(cause), ..Hooks::default() })
}

fn read_at(directory: &Path) -> std::result::Result<Hooks, String> {
    let mut hooks = Hooks::default();
    for name in names(directory)? {
        let phase = HookPhase::ALL.into_iter().find(|phase| name.strip_suffix(".d") == Some(phase.name()));
        let Some(phase) = phase else {
            let known: Vec<String> = HookPhase::ALL.iter().map(|phase| format!("{phase}.d")).collect();
            let path = directory.join(&name);
            return Err(format!("{} is not one of {}", path.display(), known.join(", ")));
        };
        let within = directory.join(&name);
        let mut programs = Vec::new();
        for name in names(&within)? {
            programs.push(program(&within.join(name), directory)?);
        }
        if programs.len() > MOST {
            return Err(format!("{} has {} programs; the limit is {MOST}", within.display(), programs.len()));
        }
        if !programs.is_empty() {
            hooks.programs.insert(phase, programs);
        }
    }
    Ok(hooks)
}

/// The names in a directory in lexical order, without those that editors and package managers leave (`.x`, `x~`). None
/// if the directory is absent.
fn names(directory: &Path) -> std::result::Result<Vec<String>, String> {
    if owned::resolved(directory)?.is_none() {
        return Ok(Vec::new());
    }
    let names = files::names(directory).map_err(|error| error.to_string())?;
    let mut names: Vec<String> =
        names.into_iter().filter(|name| !name.starts_with('.') && !name.ends_with('~')).collect();
    names.sort_unstable();
    let plain = |name: &&String| name.chars().all(|c| c.is_ascii_alphanumeric() || "._-".contains(c));
    match names.iter().find(|name| !plain(name)) {
        Some(name) => Err(format!(
            "{}: a name may have letters, digits, '.', '_' and '-'",
            directory.join(name).to_string_lossy().escape_debug()
        )),
        None => Ok(names),
    }
}

/// The path of a program without links. Refuses one outside of the hooks' directory, and what cannot be executed.
fn program(path: &Path, directory: &Path) -> std::result::Result<PathBuf, String> {
    let absent = || format!("{} leads to nothing", path.display());
    let real = owned::resolved(path)?.ok_or_else(absent)?;
    let within = owned::resolved(directory)?.ok_or_else(absent)?;
    if !real.starts_with(&within) {
        return Err(format!(
            "{} leads to {}, outside of {}",
            path.display(),
            real.display(),
            within.display()
        ));
    }
    let data = std::fs::metadata(&real).map_err(|error| format!("{}: {error}", real.display()))?;
    if !data.is_file() {
        return Err(format!("{} is not a file", path.display()));
    }
    if data.permissions().mode() & 0o100 == 0 {
        return Err(format!("{} is not executable: chmod u+x, or move it away", path.display()));
    }
    Ok(real)
}

pub fn check(hooks: &RunHooks) -> Result<Check> {
    let is_done = match &hooks.done_by {
        Some(record) => files::exists(record)?,
        None => false,
    };
    Ok(if is_done { Check::AlreadySo } else { Check::WouldChange("run by every run".to_owned()) })
}

/// Runs the programs, one after the other. The first that fails is the error.
pub async fn run(hooks: &RunHooks) -> Result<()> {
    for path in &hooks.programs {
        run_one(hooks, path).await?;
    }
    Ok(())
}

async fn run_one(hooks: &RunHooks, path: &Path) -> Result<()> {
    let doing = || format!("running the hook {} ({})", path.display(), hooks.phase);
    let refused = |cause: String| Fault::HookFailed.error(doing(), cause);
    let real = program(path, Path::new(layout::HOOKS)).map_err(refused)?;
    progress::say(format!("{} runs", path.display()));
    let unit = TransientUnit::of_the_operator(&hooks.unit, hooks.timeout.duration());
    let ran = unit.environment(&hooks.environment).run(&[real.display().to_string()], None, OUTPUT).await;
    let output = match ran {
        Err(error) if error.code() == Code::Deadline => {
            return Err(refused(format!("not done after {}: it was stopped", hooks.timeout)));
        }
        ran => ran?,
    };
    progress::log(&format!("{}: ", path.display()), &output.lines());
    if output.ok() { Ok(()) } else { Err(failed(&output, doing())) }
}

fn failed(output: &Output, doing: String) -> Error {
    let how = Message::from(how_it_ended(output));
    let cause = match output.lines().pop() {
        Some(last) => how.and(": ").and(last.trimmed()),
        None => how,
    };
    Fault::HookFailed.error(doing, cause).saying(output.both_ends())
}

#[cfg(test)]
mod tests {
    use std::fs::{Permissions, create_dir_all, set_permissions, write};
    use std::os::unix::fs::symlink;

    use super::*;

    /// Reads hooks of which `change` was made from two programs of one phase.
    fn of(change: impl FnOnce(&Path)) -> std::result::Result<Vec<String>, String> {
        let scratch = tempfile::tempdir().unwrap();
        let root = scratch.path().join("hooks");
        let within = root.join("before-start.d");
        create_dir_all(&within).unwrap();
        for name in ["20-b", "10-a.sh"] {
            write(within.join(name), "#!/bin/sh\n").unwrap();
            mode(&within.join(name), 0o755);
        }
        for directory in [&root, &within] {
            mode(directory, 0o755);
        }
        change(&within);
        let hooks = read_at(&root)?;
        let names = |paths: &[PathBuf]| -> Vec<String> {
            paths.iter().map(|path| path.file_name().unwrap().to_string_lossy().into_owned()).collect()
        };
        assert!(hooks.programs.keys().all(|phase| *phase == HookPhase::BeforeStart));
        Ok(names(hooks.of(HookPhase::BeforeStart)))
    }

    fn mode(path: &Path, mode: u32) {
        set_permissions(path, Permissions::from_mode(mode)).unwrap();
    }

    #[test]
    fn programs_are_found_in_lexical_order() {
        assert_eq!(of(|_| ()), Ok(vec!["10-a.sh".to_owned(), "20-b".to_owned()]));
        assert_eq!(of(|within| write(within.join("20-b~"), "").unwrap()).map(|all| all.len()), Ok(2));
        assert_eq!(of(|within| write(within.join(".swp"), "").unwrap()).map(|all| all.len()), Ok(2));
        let linked = |within: &Path| symlink("20-b", within.join("30-c")).unwrap();
        assert_eq!(of(linked).map(|all| all.len()), Ok(3));
        assert_eq!(of(|within| std::fs::remove_dir_all(within.parent().unwrap()).unwrap()), Ok(Vec::new()));
    }

    #[test]
    fn what_others_could_change_or_what_leads_outside_is_refused() {
        for (says, change) in [
            ("mode 0775", (|within| mode(&within.join("20-b"), 0o775)) as fn(&Path)),
            ("mode 0777", |within| mode(within, 0o777)),
            ("mode 0757", |within| mode(within.parent().unwrap(), 0o757)),
            ("outside of", |within| symlink("/usr/bin/env", within.join("30-c")).unwrap()),
            ("leads to nothing", |within| symlink("none", within.join("30-c")).unwrap()),
            ("is not executable", |within| mode(&within.join("20-b"), 0o644)),
            ("is not a file", |within| std::fs::create_dir(within.join("30-c")).unwrap()),
            ("a name may have", |within| write(within.join("a b"), "").unwrap()),
            ("is not one of before-install.d", |within| {
                std::fs::create_dir(within.parent().unwrap().join("before_start.d")).unwrap();
            }),
        ] {
            let cause = of(change).unwrap_err();
            assert!(cause.contains(says), "{says}: {cause}");
        }
        if nix::unistd::geteuid().is_root() {
            let theirs =
                |within: &Path| std::os::unix::fs::chown(within.join("20-b"), Some(1), None).unwrap();
            assert!(of(theirs).unwrap_err().contains("owner daemon"));
        }
    }
}
