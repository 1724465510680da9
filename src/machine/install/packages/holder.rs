//! Which process holds a lock of a package manager. Only looks.

use std::fs::File;
use std::path::Path;

use nix::fcntl::{FcntlArg, fcntl};
use nix::libc::{F_UNLCK, F_WRLCK, SEEK_SET, flock};

/// The process that has an fcntl lock on this file: `apt-get (pid 812)`.
pub fn of_lock(path: &Path) -> Option<String> {
    let file = File::open(path).ok()?;
    let mut lock =
        flock { l_type: F_WRLCK as i16, l_whence: SEEK_SET as i16, l_start: 0, l_len: 0, l_pid: 0 };
    fcntl(&file, FcntlArg::F_GETLK(&mut lock)).ok()?;
    if lock.l_type == F_UNLCK as i16 {
        return None;
    }
    Some(named(lock.l_pid))
}

/// A process with its name: `dnf (pid 812)`.
pub fn named(pid: i32) -> String {
    let name = std::fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
    let name: String = name.trim().chars().filter(|c| !c.is_control()).collect();
    match name.is_empty() {
        true => format!("a process (pid {pid})"),
        false => format!("{name} (pid {pid})"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_held_lock_names_its_holder_and_a_free_one_none() {
        let file = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(of_lock(file.path()), None);
        let script = "import fcntl, sys, time; f = open(sys.argv[1], 'w'); fcntl.lockf(f, fcntl.LOCK_EX); print(1, flush=True); time.sleep(60)";
        let mut child = std::process::Command::new("python3")
            .args(["-c", script, &file.path().display().to_string()])
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        use std::io::Read;
        child.stdout.as_mut().unwrap().read_exact(&mut [0]).unwrap();
        let seen = of_lock(file.path());
        child.kill().unwrap();
        child.wait().unwrap();
        let seen = seen.unwrap();
        assert!(seen.contains("python3") && seen.contains(&child.id().to_string()), "{seen}");
        assert_eq!(of_lock(file.path()), None);
    }
}
