//! Installs missing OS packages with apt-get. Waits for the process that holds a lock of apt or dpkg, and names it.

use super::{
    absent, certificates, check_unlocked, doing, dpkg, failed, pause_for_lock, repositories, retried, run,
    verify,
};
use crate::error::{Code, Error, Result};
use crate::fault::Fault;
use crate::machine::process::program::{Output, how_it_ended};
use crate::machine::retry::{RetryLimit, with_retries};
use crate::plan::InstallPackages;
use crate::secret::{ForeignText, Message};

/// How an apt-get command ended.
#[derive(Debug, PartialEq, Eq)]
enum Outcome {
    Done,
    /// Another process took the lock between bootagent's check and apt-get's.
    Locked,
    /// The package lists name files that the mirror no longer has.
    Stale,
    /// An earlier dpkg was killed while it worked.
    Interrupted,
    Unreachable,
    Failed,
}

pub async fn install(wanted: &InstallPackages) -> Result<()> {
    let mut once = Once::default();
    retried(wanted, async |lock| attempt(wanted, lock, &mut once).await).await
}

async fn attempt(wanted: &InstallPackages, lock: RetryLimit, once: &mut Once) -> Result<()> {
    loop {
        with_retries(lock, async || check_unlocked(wanted, dpkg::lock_holder()).await).await?;
        let missing = dpkg::missing(&wanted.names).await?;
        if missing.is_empty() {
            return Ok(());
        }
        // Refreshed also if the lists have a package of this name: the policy's repository may have another version.
        let is_new = repositories::ensure(wanted).await?;
        if is_new {
            once.refresh(wanted).await?;
        }
        if !once.find_in_lists(wanted, &missing).await? {
            pause_for_lock(wanted, lock, Vec::new()).await?;
            continue;
        }
        // apt takes a package that a killed dpkg left half unpacked for installed: it must be reinstalled.
        let to_reinstall = dpkg::to_reinstall().await?;
        let mut argv = vec!["install", "--no-install-recommends", "--no-remove", "--reinstall"];
        argv.extend(missing.iter().chain(&to_reinstall).map(String::as_str));
        let output = apt(wanted, &argv).await?;
        match outcome(&output) {
            Outcome::Locked => pause_for_lock(wanted, lock, output.both_ends()).await?,
            Outcome::Done => return verify(wanted, &output).await,
            Outcome::Stale if !once.refreshed => once.refresh(wanted).await?,
            Outcome::Interrupted if !once.repaired => once.repair(wanted).await?,
            Outcome::Unreachable | Outcome::Stale => return Err(unreachable(doing(wanted), &output)),
            Outcome::Interrupted | Outcome::Failed => return Err(failed(wanted, &output)),
        }
    }
}

/// What one installation does at most once.
#[derive(Default)]
struct Once {
    refreshed: bool,
    repaired: bool,
}

impl Once {
    /// Refreshes the package lists only if they lack a wanted package: they can be days old, or absent. False
    /// if another process has locked them meanwhile.
    async fn find_in_lists(&mut self, wanted: &InstallPackages, missing: &[String]) -> Result<bool> {
        let mut unknown = dpkg::without_candidate(missing).await?;
        if !unknown.is_empty() && !self.refreshed {
            self.refresh(wanted).await?;
            if !self.refreshed {
                return Ok(false);
            }
            unknown = dpkg::without_candidate(missing).await?;
        }
        match unknown.is_empty() {
            true => Ok(true),
            false => Err(absent(wanted, &unknown)),
        }
    }

    /// apt-get update succeeds even if it could not fetch some lists: so its output is read.
    async fn refresh(&mut self, wanted: &InstallPackages) -> Result<()> {
        let output = apt(wanted, &["update"]).await?;
        // Before the outcome: apt calls such lists "failed to fetch", too.
        if let Some(cause) = refused_key(&output) {
            let doing = "refreshing the package lists";
            return Err(Error::new(Code::PackagesKey, doing, cause).saying(output.both_ends()));
        }
        match outcome(&output) {
            Outcome::Locked => return Ok(()),
            Outcome::Done if !says(&output, &["Failed to fetch"]) => self.refreshed = true,
            _ => return Err(unreachable("refreshing the package lists".to_owned(), &output)),
        }
        Ok(())
    }

    async fn repair(&mut self, wanted: &InstallPackages) -> Result<()> {
        self.repaired = true;
        run(wanted, &["dpkg", "--configure", "-a"]).await.map(|_| ())
    }
}

/// apt-get's message is the cause, because it may end with status 0.
fn unreachable(doing: String, output: &Output) -> Error {
    let message = |line: &ForeignText| line.after("W: ").or_else(|| line.after("E: "));
    let message = output.lines().iter().filter_map(message).find(|line| line.says("Failed to fetch"));
    let cause = message.map_or_else(|| how_it_ended(output).into(), Message::from);
    Fault::PackagesUnreachable.error(doing, cause).saying(output.both_ends())
}

/// apt's words about a repository that another key signed, or none.
fn refused_key(output: &Output) -> Option<Message> {
    let message = |line: &ForeignText| line.after("W: ").or_else(|| line.after("E: "));
    let of_a_key = |line: &ForeignText| {
        ["GPG error", "is not signed", "couldn't be verified"].iter().any(|word| line.says(word))
    };
    output.lines().iter().filter_map(message).find(of_a_key).map(Message::from)
}

async fn apt(wanted: &InstallPackages, arguments: &[&str]) -> Result<Output> {
    let mut argv =
        vec!["apt-get", "--yes", "--quiet", "-o", "DPkg::Lock::Timeout=5", "-o", "Acquire::Retries=3"];
    argv.extend(["-o", "Dpkg::Options::=--force-confold"]);
    let trusted = certificates(wanted)?.map(|file| format!("Acquire::https::CAInfo={file}"));
    argv.extend(trusted.iter().flat_map(|trusted| ["-o", trusted]));
    argv.extend(arguments);
    run(wanted, &argv).await
}

fn says(output: &Output, words: &[&str]) -> bool {
    let text = format!("{}{}", output.text(), String::from_utf8_lossy(&output.stderr));
    words.iter().any(|word| text.contains(word))
}

fn outcome(output: &Output) -> Outcome {
    let locked = ["Could not get lock", "Unable to lock", "Unable to acquire the dpkg frontend lock"];
    let no_network =
        ["Failed to fetch", "Temporary failure resolving", "Unable to connect", "Connection timed out"];
    match output {
        output if output.ok() => Outcome::Done,
        output if says(output, &locked) => Outcome::Locked,
        output if says(output, &["dpkg was interrupted"]) => Outcome::Interrupted,
        output if says(output, &["404  Not Found", "Hash Sum mismatch"]) => Outcome::Stale,
        output if says(output, &no_network) => Outcome::Unreachable,
        _ => Outcome::Failed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Redaction;

    #[test]
    fn what_could_not_be_fetched_is_the_cause() {
        let of = |status, stderr: &str| {
            let output = Output { status: Some(status), stdout: Vec::new(), stderr: stderr.into() };
            unreachable(String::new(), &output).redacted(&Redaction::default()).report().causes
        };
        let said = "Reading...\nW: Failed to fetch https://x/Packages  Certificate verification failed\nW: Some index";
        assert_eq!(of(0, said), ["Failed to fetch https://x/Packages  Certificate verification failed"]);
        assert_eq!(of(100, "E: Unable to connect"), ["it ended with status 100"]);
    }

    #[test]
    fn a_repository_that_another_key_signed_is_told_by_apt_s_words() {
        let of = |stderr: &str| {
            let output = Output { status: Some(100), stdout: Vec::new(), stderr: stderr.into() };
            refused_key(&output).map(|cause| cause.shown(&Redaction::default()))
        };
        let unknown = "Get:1 x\nW: GPG error: http://x ./ InRelease: The following signatures couldn't be verified because the public key is not available: NO_PUBKEY 1\nE: The repository 'http://x ./ InRelease' is not signed.\n";
        assert!(of(unknown).unwrap().starts_with("GPG error: http://x"));
        assert!(of("E: The repository 'http://x ./ Release' is not signed.").unwrap().contains("not signed"));
        assert_eq!(of("W: Failed to fetch http://x  Could not resolve 'x'"), None);
    }

    #[test]
    fn outcomes_are_recognized_by_apt_s_messages() {
        let said = |status, stderr: &str| {
            outcome(&Output { status: Some(status), stdout: Vec::new(), stderr: stderr.into() })
        };
        assert_eq!(said(0, "W: Failed to fetch x"), Outcome::Done);
        let lock = "E: Could not get lock /var/lib/dpkg/lock-frontend. It is held by process 812 (apt-get)";
        assert_eq!(said(100, lock), Outcome::Locked);
        let interrupted =
            "E: dpkg was interrupted, you must manually run 'dpkg --configure -a' to correct the problem.";
        assert_eq!(said(100, interrupted), Outcome::Interrupted);
        assert_eq!(
            said(100, "E: Failed to fetch http://x/a.deb  404  Not Found [IP: 1.2.3.4 80]"),
            Outcome::Stale
        );
        assert_eq!(said(100, "Err:1 x\n  Temporary failure resolving 'deb.example'"), Outcome::Unreachable);
        assert_eq!(said(100, "E: Packages need to be removed but remove is disabled."), Outcome::Failed);
    }
}
