//! Back to what passed before: which release that is, and the run that puts it in place.

use crate::cli::RollbackArgs;
use crate::error::{Code, Error, Result};
use crate::facts::{Commit, CommitPrefix, Facts, Good, Service};
use crate::machine::{LocalHost, Observe, Release};
use crate::observe;
use crate::plan::{Seconds, layout};

const DOING: &str = "choosing the release to go back to";
/// On an instance that serves, metadata answers at once.
const IMDS: Seconds = Seconds(10);

pub async fn rollback(args: &RollbackArgs) -> u8 {
    let machine = LocalHost::observer();
    let target = async {
        super::root_only(
            &machine,
            DOING,
            "run as root; bootagent update --ref COMMIT --dry-run is for everybody",
        )?;
        if !args.is_dry_run() {
            super::hold::refuse(false)?;
        }
        target(&machine, args.commit.as_ref()).await
    };
    match target.await {
        Ok(commit) => super::run::run_or_show(&args.run(&commit)).await,
        Err(error) => super::told(&error),
    }
}

async fn target(machine: &LocalHost, asked: Option<&CommitPrefix>) -> Result<CommitPrefix> {
    super::root_only(
        machine,
        DOING,
        "run as root; bootagent update --ref COMMIT --dry-run is for everybody",
    )?;
    let instance = machine.instance(IMDS).await?;
    let decision = observe::decided(machine, &layout::decision(&instance.id)).await?;
    let Some(decision) = decision else {
        return Err(Error::new(Code::NoRelease, DOING, "this instance has not chosen a service yet")
            .remedy("bootagent run is its first one"));
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

/// What passed before that which serves, if it is still there, whole.
fn before(good: Option<&Good>, kept: &[Release]) -> Result<Commit> {
    let none = |cause: String| Err(Error::new(Code::NoRelease, DOING, cause));
    let Some(good) = good else { return none("nothing has passed its health check on this instance".into()) };
    let serving = good.generation.commit.short();
    let Some(path) = &good.before else { return none(format!("nothing passed here before {serving}")) };
    match kept.iter().find(|release| release.path == *path) {
        Some(release) => Ok(release.commit.clone()),
        None => none(format!("{}, which passed before {serving}, is not there any more", path.display())),
    }
}

/// The kept release that is meant, or else a commit that the branch must have.
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
            let cause = format!("the releases of several commits begin with it: {}", named.join(", "));
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
    fn what_passed_before_is_the_default_as_long_as_it_is_kept() {
        let good = passed(B, Some(A));
        assert_eq!(before(Some(&good), &[release(A), release(B)]).unwrap().as_str(), A);
        for (good, kept, says) in [
            (None, vec![release(A)], "nothing has passed"),
            (Some(passed(B, None)), vec![release(A), release(B)], "nothing passed here before aaaaaaa2aaaa"),
            (Some(passed(B, Some(A))), vec![release(B)], "is not there any more"),
        ] {
            let error = before(good.as_ref(), &kept).unwrap_err();
            assert_eq!(error.code(), Code::NoRelease);
            assert!(error.to_string().contains(says), "{error}");
        }
    }

    #[test]
    fn a_commit_is_named_by_its_first_digits_if_no_other_begins_so() {
        let kept = [release(A), release(B), release(B)];
        let asked = |text: &str| named(&CommitPrefix::try_from(text).unwrap(), &kept);
        assert_eq!(asked("aaaaaaa2").unwrap().as_str(), B);
        assert_eq!(asked(A).unwrap().as_str(), A);
        assert_eq!(asked("bbbbbbb").unwrap().as_str(), "bbbbbbb", "the branch may have it");
        let error = asked("aaaaaaa").unwrap_err();
        assert!(error.code() == Code::CommitAmbiguous && error.to_string().contains(B), "{error}");
    }
}
