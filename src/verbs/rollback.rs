//! `bootagent rollback`: finds the release to return to, and starts a run that deploys it.

use crate::cli::RollbackArgs;
use crate::error::{Code, Error, Result};
use crate::facts::{Commit, CommitPrefix, Facts, Good, Service};
use crate::machine::{LocalHost, Observe, Release};
use crate::observe;
use crate::plan::{Seconds, layout};

const DOING: &str = "choosing the release to go back to";
/// Short: on an instance that has booted, IMDS answers at once.
const IMDS: Seconds = Seconds(10);
const ROOT: &str = "run as root; other users may run bootagent update --ref COMMIT --dry-run";

pub async fn rollback(args: &RollbackArgs) -> u8 {
    let machine = LocalHost::observer();
    let target = async {
        super::root_only(&machine, DOING, ROOT)?;
        if !args.is_dry_run() {
            super::hold::refuse(false)?;
        }
        target(&machine, args.commit.as_ref()).await
    };
    match target.await {
        Ok(commit) => super::run::run_or_show(&args.run(&commit)).await,
        Err(error) => super::print_error(&error),
    }
}

async fn target(machine: &LocalHost, asked: Option<&CommitPrefix>) -> Result<CommitPrefix> {
    super::root_only(machine, DOING, ROOT)?;
    let instance = machine.instance(IMDS).await?;
    let decision = observe::decided(machine, &layout::decision(&instance.id)).await?;
    let Some(decision) = decision else {
        return Err(Error::new(Code::NoRelease, DOING, "no run on this instance has pinned a commit yet")
            .remedy("deploy first: bootagent run"));
    };
    let facts = machine.facts(&[]).await?;
    let kept = machine.releases(&decision.service)?;
    match asked {
        Some(asked) => named(asked, &kept),
        None => before(good(&facts, &decision.service, &instance.id), &kept).map(CommitPrefix::from),
    }
}

fn good<'a>(facts: &'a Facts, service: &Service, instance: &str) -> Option<&'a Good> {
    facts.good.get(service).filter(|good| good.instance.as_deref() == Some(instance))
}

/// The commit that was healthy before the serving one, if its release still exists.
fn before(good: Option<&Good>, kept: &[Release]) -> Result<Commit> {
    let none = |cause: String| Err(Error::new(Code::NoRelease, DOING, cause));
    let Some(good) = good else { return none("no deployment has been healthy on this instance".into()) };
    let serving = good.generation.commit.short();
    let Some(path) = &good.before else {
        return none(format!("no deployment was healthy here before commit {serving}"));
    };
    match kept.iter().find(|release| release.path == *path) {
        Some(release) => Ok(release.commit.clone()),
        None => none(format!("{}, the healthy release before {serving}, no longer exists", path.display())),
    }
}

/// The commit of the kept release whose id begins with `asked`. Without one, `asked` itself: the run looks for it on
/// the branch.
fn named(asked: &CommitPrefix, kept: &[Release]) -> Result<CommitPrefix> {
    let mut commits: Vec<&Commit> = kept.iter().map(|release| &release.commit).collect();
    commits.retain(|commit| asked.fits(commit));
    commits.sort_unstable();
    commits.dedup();
    match commits.as_slice() {
        [] => Ok(asked.clone()),
        [commit] => Ok((*commit).clone().into()),
        several => {
            let named: Vec<&str> = several.iter().map(|commit| commit.as_str()).collect();
            let cause = format!("several kept commits begin with it: {}", named.join(", "));
            Err(Error::new(Code::CommitAmbiguous, format!("looking for the release {asked}"), cause))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{Gate, Generation, Probe};

    const A: &str = "aaaaaaa1aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";
    const B: &str = "aaaaaaa2aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

    fn release(commit: &str) -> Release {
        let path = format!("/opt/x/releases/{commit}-0123456789ab").into();
        Release { commit: Commit::try_from(commit).unwrap(), path, finished: 0 }
    }

    fn passed(commit: &str, before: Option<&str>) -> Good {
        let Release { commit, path, .. } = release(commit);
        let gate = Gate {
            unit: "x.service".to_owned(),
            probe: Probe::Alive,
            also: Vec::new(),
            within: Seconds(1),
            soak: Seconds(1),
            interval_ms: 500,
        };
        let generation = Generation { commit, release: path, runs_by: Default::default(), gate };
        Good { schema: 1, instance: None, generation, before: before.map(|commit| release(commit).path) }
    }

    #[test]
    fn the_default_is_the_previous_healthy_release_if_it_is_kept() {
        let good = passed(B, Some(A));
        assert_eq!(before(Some(&good), &[release(A), release(B)]).unwrap().as_str(), A);
        for (good, kept, says) in [
            (None, vec![release(A)], "no deployment has been healthy"),
            (Some(passed(B, None)), vec![release(A), release(B)], "healthy here before commit aaaaaaa2aaaa"),
            (Some(passed(B, Some(A))), vec![release(B)], "no longer exists"),
        ] {
            let error = before(good.as_ref(), &kept).unwrap_err();
            assert_eq!(error.code(), Code::NoRelease);
            assert!(error.to_string().contains(says), "{error}");
        }
    }

    #[test]
    fn the_first_digits_name_a_commit_if_they_are_unique() {
        let kept = [release(A), release(B), release(B)];
        let asked = |text: &str| named(&CommitPrefix::try_from(text).unwrap(), &kept);
        assert_eq!(asked("aaaaaaa2").unwrap().as_str(), B);
        assert_eq!(asked(A).unwrap().as_str(), A);
        assert_eq!(asked("bbbbbbb").unwrap().as_str(), "bbbbbbb", "the branch may have it");
        let error = asked("aaaaaaa").unwrap_err();
        assert!(error.code() == Code::CommitAmbiguous && error.to_string().contains(B), "{error}");
    }
}
