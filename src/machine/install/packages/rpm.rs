//! Reads from rpm and dnf which process holds a lock, and which packages are installed.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::holder::{named, of_lock};
use crate::error::Result;
use crate::machine::process::program;

/// dnf's locks: each file has the pid of the process that holds it. The file of a process that has ended does not count.
const PID_FILES: [&str; 3] =
    ["/var/cache/dnf/metadata_lock.pid", "/var/cache/dnf/download_lock.pid", "/var/lib/dnf/rpmdb_lock.pid"];
const ASKED: Duration = Duration::from_secs(20);

/// The process that holds one of them, or rpm's own: `dnf (pid 812) holds /var/lib/dnf/rpmdb_lock.pid`.
pub async fn lock_holder() -> Option<String> {
    let of_dnf = PID_FILES.iter().find_map(|path| Some(format!("{} holds {path}", of_pid_file(path)?)));
    match of_dnf {
        Some(holder) => Some(holder),
        None => {
            let path = rpm_lock().await?;
            Some(format!("{} holds {}", of_lock(&path)?, path.display()))
        }
    }
}

fn of_pid_file(path: &str) -> Option<String> {
    let pid: i32 = std::fs::read_to_string(path).ok()?.trim().parse().ok()?;
    Path::new(&format!("/proc/{pid}")).exists().then(|| named(pid))
}

/// Distributions keep rpm's database, and the lock in it, at different places.
async fn rpm_lock() -> Option<PathBuf> {
    let output = program::run(&["rpm", "--eval", "%{_rpmlock_path}"], None, ASKED, 4096).await.ok()?;
    let path = output.text().trim().to_owned();
    path.starts_with('/').then(|| path.into())
}

/// Which of `names` no installed package is or provides: `curl-minimal` provides `curl`, and is in its way.
pub async fn missing(names: &[String]) -> Result<Vec<String>> {
    let all: Vec<&str> = names.iter().map(String::as_str).collect();
    if provided(&all).await? {
        return Ok(Vec::new());
    }
    let mut missing = Vec::new();
    for name in names {
        if !provided(&[name]).await? {
            missing.push(name.clone());
        }
    }
    Ok(missing)
}

async fn provided(names: &[&str]) -> Result<bool> {
    let mut argv = vec!["rpm", "--query", "--whatprovides", "--"];
    argv.extend(names);
    Ok(program::run(&argv, None, ASKED, 1 << 20).await?.ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_of_a_process_that_has_ended_is_not_a_lock() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let path = file.path().to_str().unwrap();
        assert_eq!(of_pid_file(path), None);
        std::fs::write(path, "999999999").unwrap();
        assert_eq!(of_pid_file(path), None);
        let pid = std::process::id();
        std::fs::write(path, pid.to_string()).unwrap();
        assert!(of_pid_file(path).unwrap().contains(&format!("(pid {pid})")));
        assert_eq!(of_pid_file("/nowhere/x.pid"), None);
    }
}
