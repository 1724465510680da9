//! Messages of git: of a package manager that fetches a dependency with it, and of a build that asks for its commit. Pure.

use super::reason::own_of;
use super::{Complaint, Fault, missing};
use crate::secret::{ForeignText, Message};

const NO_KEY: &str = "an installation has no ssh key and knows no ssh hosts: name the dependency over https in package.json and \
                      the lockfile (git+https://..., with a credential in .npmrc or none if it is public), publish it to a \
                      registry, or add its files to the repository; then: bootagent update";

/// Words by which ssh ends a fetch.
const OF_SSH: [&str; 6] = [
    "Host key verification failed",
    "Permission denied (publickey",
    "Could not resolve hostname",
    "cannot run ssh",
    "ssh: not found",
    "connect to host",
];

pub fn complaint(lines: &[ForeignText]) -> Option<Complaint> {
    dependency(lines).or_else(|| no_program(lines)).or_else(|| no_repository(lines))
}

/// A dependency that git cannot fetch. npm names the command, and it the address.
fn dependency(lines: &[ForeignText]) -> Option<Complaint> {
    let address = ForeignText::derived(lines, |lines| lines.iter().find_map(|line| address(line)))?;
    let why = lines.iter().find(|line| OF_SSH.iter().any(|words| line.says(words)));
    let is_ssh = address.judge(|address| !address.starts_with("http")) || why.is_some();
    // pip names the address itself, in a line about `git clone`.
    let asks = lines.iter().any(|line| line.says("ls-remote") || line.says("git fetch"));
    let why = why.or_else(|| lines.iter().find(|line| asks && line.says("fatal: ")))?;
    let cause = Message::from("git cannot fetch the dependency ").and(address).and(": ").and(own_of(why));
    let mut complaint = Complaint::new(Fault::InstallFailed, cause);
    complaint.remedy = Some(match is_ssh {
        true => NO_KEY.to_owned(),
        false => "is the address right, and may this instance read the repository? A package in a registry, or the files in the \
                  repository, need no git; then: bootagent update"
            .to_owned(),
    });
    Some(complaint)
}

/// git itself is not there. npm then names the dependency only in a warning.
fn no_program(lines: &[ForeignText]) -> Option<Complaint> {
    let said = ["syscall spawn git", "spawn git ENOENT", "git: not found", "git: command not found"];
    let line = lines.iter().find(|line| said.iter().any(|words| line.says(words)))?;
    let cause = Message::from("git is not on the machine");
    let dependency = ForeignText::derived(lines, |lines| lines.iter().find_map(|line| git_dependency(line)));
    let is_ssh = dependency.as_ref().is_some_and(|dependency| dependency.says("git+ssh:"));
    let cause = match dependency {
        Some(dependency) => cause.and(", and the dependency ").and(dependency).and(" is fetched with it"),
        None => cause.and(": ").and(own_of(line)),
    };
    let mut complaint = Complaint::new(Fault::InstallFailed, cause);
    let packages = missing::packages(&["git"]);
    complaint.remedy = Some(match is_ssh {
        true => format!("add {packages} to bootagent.toml; but {NO_KEY}"),
        false => format!(
            "add {packages} to bootagent.toml; a release has no .git, so a build that asks git for the commit should read the \
             variable SOURCE_COMMIT; then: bootagent update"
        ),
    });
    Some(complaint)
}

/// `helper@git+ssh://git@git.acme.test/acme/helper.git` in npm's `tarball data for helper@git+ssh://... (null) seems to be
/// corrupted`.
fn git_dependency(line: &str) -> Option<String> {
    let word =
        line.split_whitespace().find(|word| word.contains("git+ssh://") || word.contains("git+https://"))?;
    Some(word.split('#').next().unwrap_or(word).to_owned())
}

/// A build asks git for its commit.
fn no_repository(lines: &[ForeignText]) -> Option<Complaint> {
    let line = lines.iter().find(|line| line.says("fatal: not a git repository"))?;
    let cause = Message::from("a command asks git, and a release has no .git: ").and(own_of(line));
    let mut complaint = Complaint::new(Fault::InstallFailed, cause);
    complaint.remedy = Some(
        "read the commit from the variable SOURCE_COMMIT instead of git; then: bootagent update".to_owned(),
    );
    Some(complaint)
}

/// The address in a line such as `command git --no-replace-objects ls-remote ssh://git@github.com/acme/x.git`, or uv's
/// `/usr/bin/git fetch --force 'https://github.com/acme/x.git'`.
fn address(line: &str) -> Option<String> {
    // npm and pnpm name the command, a later Yarn only the address.
    let is_command =
        line.contains("git ") && ["ls-remote", "clone", "fetch"].iter().any(|verb| line.contains(verb));
    if !is_command && !line.contains("Repository URL: ") {
        return None;
    }
    let is_address = |word: &&str| {
        ["ssh://", "git+ssh://", "https://", "http://", "git://"]
            .iter()
            .any(|scheme| word.starts_with(scheme))
            || (word.contains('@') && word.contains(':'))
    };
    line.split_whitespace()
        .map(|word| word.trim_matches(['"', '\'', '`']))
        .find(is_address)
        .map(str::to_owned)
}

#[cfg(test)]
mod tests {
    use super::super::read;
    use super::*;

    const NPM: &str = "npm error code 128\nnpm error An unknown git error occurred\n\
        npm error command git --no-replace-objects ls-remote ssh://git@git.acme.test/acme/helper.git\n";

    /// As npm 10 prints them.
    #[test]
    fn a_dependency_over_ssh_is_named_with_what_helps() {
        for why in [
            "npm error Host key verification failed.",
            "npm error git@git.acme.test: Permission denied (publickey).",
            "npm error error: cannot run ssh: No such file or directory",
            "npm error ssh: Could not resolve hostname git.acme.test: Name or service not known",
        ] {
            let said = format!("{NPM}{why}\nnpm error fatal: Could not read from remote repository.");
            let (fault, cause, remedy) = read(complaint, &said).unwrap_or_else(|| panic!("{said}"));
            assert_eq!(fault, Fault::InstallFailed);
            let why = why.trim_start_matches("npm error ");
            assert!(
                cause.starts_with("git cannot fetch the dependency ssh://")
                    && cause.contains("acme/helper.git"),
                "{cause}"
            );
            assert!(cause.ends_with(why) && remedy.contains("git+https://"), "{cause} {remedy}");
        }
    }

    /// Of pnpm 10 and Yarn 4.
    #[test]
    fn other_package_managers_name_it_too() {
        for (said, ends) in [
            (
                "pnpm: Command failed with exit code 128: git ls-remote ssh://git@127.0.0.1:9/acme/helper.git HEAD\n\
                 ssh: connect to host 127.0.0.1 port 9: Connection refused\nfatal: Could not read from remote repository.",
                "ssh: connect to host 127.0.0.1 port 9: Connection refused",
            ),
            (
                "➤ YN0001: │ x@git+ssh://git@127.0.0.1:9/acme/helper.git: Failed listing refs\n\
                 ➤ YN0001: │   Repository URL: ssh://git@127.0.0.1:9/acme/helper.git\n\
                 ➤ YN0001: │   Ssh Error: connect to host 127.0.0.1 port 9: Connection refused",
                "Ssh Error: connect to host 127.0.0.1 port 9: Connection refused",
            ),
        ] {
            let (_, cause, remedy) = read(complaint, said).unwrap_or_else(|| panic!("{said}"));
            assert!(cause.contains("/acme/helper.git: ") && cause.ends_with(ends), "{cause}");
            assert!(remedy.contains("git+https://"), "{remedy}");
        }
    }

    /// uv 0.13, for a tag and a repository that do not exist.
    #[test]
    fn a_fetch_over_https_is_named_with_its_address() {
        let fetch = "process didn't exit successfully: `/usr/bin/git fetch --force 'https://git.acme.test/acme/x.git' '+refs/tags/v9:refs/remotes/origin/tags/v9'` (exit status: 128)";
        for why in [
            "fatal: couldn't find remote ref refs/tags/v9",
            "fatal: repository 'https://git.acme.test/acme/x.git/' not found",
        ] {
            let (_, cause, remedy) = read(complaint, &format!("{fetch}\n   --- stderr\n   {why}")).unwrap();
            assert_eq!(
                cause,
                format!("git cannot fetch the dependency https://git.acme.test/acme/x.git: {why}")
            );
            assert!(remedy.contains("is the address right"), "{remedy}");
        }
    }

    /// npm 10 on a machine without git.
    #[test]
    fn a_dependency_is_named_also_where_there_is_no_git() {
        let said = "npm warn tarball tarball data for helper@git+ssh://git@git.acme.test/acme/helper.git#0123456 (null) seems to be corrupted. Trying again.\n\
            npm error code ENOENT\nnpm error syscall spawn git\nnpm error path git\nnpm error errno -2\n\
            npm error enoent An unknown git error occurred\nnpm error enoent This is related to npm not being able to find a file.";
        let (_, cause, remedy) = read(complaint, said).unwrap();
        assert!(
            cause.starts_with("git is not on the machine, and the dependency helper@git+ssh://"),
            "{cause}"
        );
        assert!(
            cause.contains("acme/helper.git is fetched") && remedy.contains("git+https://"),
            "{cause} {remedy}"
        );
    }

    #[test]
    fn a_missing_git_and_a_missing_repository_are_told_apart() {
        let (_, cause, remedy) =
            read(complaint, "/bin/sh: 1: git: not found\nError: Command failed: git rev-parse").unwrap();
        assert!(
            cause.starts_with("git is not on the machine") && remedy.contains(r#"packages = ["git"]"#),
            "{cause} {remedy}"
        );
        assert!(remedy.contains("SOURCE_COMMIT"));
        let (_, cause, remedy) =
            read(complaint, "fatal: not a git repository (or any of the parent directories): .git").unwrap();
        assert!(
            cause.contains("no .git") && remedy.contains("SOURCE_COMMIT") && !remedy.contains("packages"),
            "{cause}"
        );
    }

    #[test]
    fn other_failures_are_not_git_s() {
        for said in [
            "npm error code 1\nnpm error no luck",
            "cloning https://x.test/git",
            "fatal error: x.h: No such file",
            "",
        ] {
            assert!(read(complaint, said).is_none(), "{said}");
        }
    }
}
