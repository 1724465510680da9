//! The release that is part of an image: its record, which instances of the image may plan from it, and the machines on
//! which no image may be made. Pure.

use super::draft::Draft;
use super::records::{name, text};
use super::steps::Steps;
use crate::error::{Code, Error, Result};
use crate::facts::{Baked, Facts, Service, records};
use crate::fault::Phase;
use crate::observe::Selection;
use crate::plan::{Action, Prune};

/// Adds the record of the release, and removes releases of earlier bakes.
pub fn record(steps: &mut Steps, draft: &Draft) -> Result<()> {
    let Draft { wanted, layout, .. } = draft;
    let record = Baked {
        schema: records::SCHEMA,
        environment: wanted.selection.environment.clone(),
        source: wanted.source.root(),
        credential: wanted.selection.credential.clone(),
    };
    let why = "an instance of the image that wants this commit need not fetch it";
    steps.file("baked", why, layout.baked(), text(&record)?, 0o600).after(&["finish"]);
    let prune = Action::PruneReleases(Prune {
        releases: layout.releases(),
        records: vec![layout.finished()],
        keep: vec![name(draft.release())],
    });
    let why = "an image has one release of the service";
    steps.add("prune", why, prune).after(&["baked"]).within(Phase::Tidy).optional();
    Ok(())
}

/// The record of the image's release, if it is of the selected environment, branch and repository, and was fetched with
/// the same credential: what this instance may not fetch it may not read from the record either.
pub fn baked<'a>(facts: &'a Facts, selection: &Selection) -> Option<&'a Baked> {
    facts.baked.get(&selection.service).filter(|baked| {
        !selection.bakes
            && !selection.is_manifest
            && baked.environment == selection.environment
            && baked.source.branch == selection.branch
            && baked.source.repository == selection.repository.trim_end_matches('/')
            && baked.credential == selection.credential
    })
}

/// Refuses a machine on which a service was started: its data, its logs and perhaps its values would be in the image.
/// `is_pinned`: a run has chosen a commit for this instance.
pub fn refuse_used(facts: &Facts, is_pinned: bool) -> Result<()> {
    let started = facts.active.iter().chain(facts.restarting.iter());
    let started = started.chain(facts.attempted.keys()).chain(facts.good.keys()).next();
    let refused = |cause: String| Err(Error::new(Code::ImageUsed, "making an image of this machine", cause));
    match (started, is_pinned) {
        (Some(service), _) if is_up(facts, service) => refused(format!("{service} runs on it")),
        (Some(service), _) => refused(format!("{service} was started on it")),
        (None, true) => refused("bootagent run was used on it".to_owned()),
        (None, false) => Ok(()),
    }
}

fn is_up(facts: &Facts, service: &Service) -> bool {
    facts.active.contains(service) || facts.restarting.contains(service)
}

/// A note if the instances of the image would not know what this run knows.
pub fn note(selection: &Selection) -> Option<String> {
    let repository = selection.settings.iter().find(|setting| setting.name == "repository")?;
    (repository.origin == "flag").then(|| {
        "the repository comes from a flag: the image's instances need it in /etc/bootagent/policy.toml, or as a flag in \
         their user-data"
            .to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(service: &str) -> Service {
        Service::try_from(service).unwrap()
    }

    #[test]
    fn an_image_is_made_only_of_a_machine_on_which_nothing_was_started() {
        let mut facts = Facts::default();
        facts.claims.insert(of("auth"));
        assert!(refuse_used(&facts, false).is_ok());
        assert!(refuse_used(&facts, true).unwrap_err().to_string().contains("bootagent run was used"));
        facts.active.insert(of("auth"));
        let error = refuse_used(&facts, false).unwrap_err();
        assert_eq!(error.code(), Code::ImageUsed);
        assert!(error.to_string().contains("auth runs on it"), "{error}");
        let attempt = r#"{"instance": "i-0", "commit": "0123456789abcdef0123456789abcdef01234567", "release": "/opt/auth/releases/y"}"#;
        let attempt = serde_json::from_str(attempt).unwrap();
        let facts = Facts { attempted: [(of("auth"), attempt)].into(), ..Facts::default() };
        assert!(refuse_used(&facts, false).unwrap_err().to_string().contains("auth was started on it"));
    }
}
