//! Reads from dpkg and apt which process holds a lock, which packages are installed, and which are available.

use std::collections::BTreeSet;
use std::path::Path;

use super::holder::of_lock;
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
    LOCKS.iter().find_map(|path| Some(format!("{} holds {path}", of_lock(Path::new(path))?)))
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
}
