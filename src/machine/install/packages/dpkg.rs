//! Reads from dpkg and apt which process holds a lock, which packages are installed, and which are available.

use std::collections::BTreeSet;
use std::fs::File;
use std::path::Path;

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc::{F_UNLCK, F_WRLCK, SEEK_SET, flock};

use crate::error::Result;
use crate::machine::process::program;

/// The locks that apt-get takes. They are only tested: without one, two dpkg could damage the package database.
const LOCKS: [&str; 4] = [
    "/var/lib/dpkg/lock-frontend",
    "/var/lib/dpkg/lock",
    "/var/lib/apt/lists/lock",
    "/var/cache/apt/archives/lock",
];

/// The process that holds one of them: `unattended-upgr (pid 812) holds /var/lib/dpkg/lock`.
pub fn lock_holder() -> Option<String> {
    LOCKS.iter().find_map(|path| Some(format!("{} holds {path}", holder(Path::new(path))?)))
}

fn holder(path: &Path) -> Option<String> {
    let file = File::open(path).ok()?;
    let mut lock =
        flock { l_type: F_WRLCK as i16, l_whence: SEEK_SET as i16, l_start: 0, l_len: 0, l_pid: 0 };
    fcntl(&file, FcntlArg::F_GETLK(&mut lock)).ok()?;
    if lock.l_type == F_UNLCK as i16 {
        return None;
    }
    let name = std::fs::read_to_string(format!("/proc/{}/comm", lock.l_pid)).unwrap_or_default();
    let name: String = name.trim().chars().filter(|c| !c.is_control()).collect();
    Some(match name.is_empty() {
        true => format!("a process (pid {})", lock.l_pid),
        false => format!("{name} (pid {})", lock.l_pid),
    })
}

/// Which of `names` are not installed, or only half.
pub async fn missing(names: &[String]) -> Result<Vec<String>> {
    let mut argv = vec!["dpkg-query", "--show", "--showformat=${Package} ${db:Status-Status}\\n", "--"];
    argv.extend(names.iter().map(String::as_str));
    // dpkg-query fails if it does not know one of them, but lists the others.
    let output = program::run(&argv, None, std::time::Duration::from_secs(20), 1 << 20).await?;
    let text = output.text();
    let installed: BTreeSet<&str> = text.lines().filter_map(|line| line.strip_suffix(" installed")).collect();
    Ok(names.iter().filter(|name| !installed.contains(name.as_str())).cloned().collect())
}

/// Which packages dpkg marks as broken, to be reinstalled; any program may have started their installation.
pub async fn to_reinstall() -> Result<Vec<String>> {
    let argv = ["dpkg-query", "--show", "--showformat=${binary:Package} ${db:Status-Eflag}\\n"];
    let output = program::run(&argv, None, std::time::Duration::from_secs(20), 4 << 20).await?;
    let text = output.text();
    Ok(text.lines().filter_map(|line| line.strip_suffix(" reinstreq")).map(str::to_owned).collect())
}

/// Which of `names` have no candidate version in the package lists.
pub async fn without_candidate(names: &[String]) -> Result<Vec<String>> {
    let mut argv = vec!["apt-cache", "policy", "--"];
    argv.extend(names.iter().map(String::as_str));
    let offered = offered(&program::tool(&argv, 60).await?.text());
    Ok(names.iter().filter(|name| !offered.contains(*name)).cloned().collect())
}

/// Parses `apt-cache policy`: `name:` and below it, indented, `Candidate: version`, or `Candidate: (none)`.
fn offered(policy: &str) -> BTreeSet<String> {
    let mut offered = BTreeSet::new();
    let mut name = "";
    for line in policy.lines() {
        match line.trim().strip_prefix("Candidate: ") {
            Some(candidate) if candidate != "(none)" => _ = offered.insert(name.to_owned()),
            None if !line.starts_with(' ') => name = line.trim_end_matches(':'),
            _ => {}
        }
    }
    offered
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_packages_with_a_candidate_are_offered() {
        let policy = "jq:\n  Installed: (none)\n  Candidate: 1.6-2.1\n  Version table:\n     1.6-2.1 500\n\
                    gone:\n  Installed: (none)\n  Candidate: (none)\n";
        assert_eq!(offered(policy).into_iter().collect::<Vec<_>>(), ["jq"]);
        assert!(offered("").is_empty());
    }

    #[test]
    fn a_held_lock_names_its_holder_and_a_free_one_none() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(holder(file.path()), None);
        let script = "import fcntl, sys, time; f = open(sys.argv[1], 'w'); fcntl.lockf(f, fcntl.LOCK_EX); print(1, flush=True); time.sleep(60)";
        let mut child = std::process::Command::new("python3")
            .args(["-c", script, &file.path().display().to_string()])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        use std::io::Read;
        child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        let seen = holder(file.path());
        child.kill().unwrap();
        child.wait().unwrap();
        let seen = seen.unwrap();
        assert!(seen.contains("python3") && seen.contains(&child.id().to_string()), "{seen}");
        assert_eq!(holder(file.path()), None);
    }
}
