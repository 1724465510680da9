//! Records of healthy releases: how they are written, how a plan finds a release by them, and the environment with
//! which it is started. With them an instance needs no git server after its first deployment.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::draft::Draft;
use super::records::{good_of, instance, name, text};
use super::runtime::Recipe;
use super::steps::Steps;
use super::{Wanted, compose, env, header, value_files};
use crate::error::{Code, Error, Result};
use crate::facts::{
    Commit, CommitPrefix, Facts, Generation, Ingredients, Kept, Service, ValuePlace, ValueSource, records,
};
use crate::observe::Selection;
use crate::observe::secrets::{Collected, Variables, merge};
use crate::plan::Rendering;
use crate::plan::layout::Layout;
use crate::secret::Secret;

/// The directory of the release of this commit and recipe. A release with a record keeps its name, so that it is not
/// built again. Older versions of bootagent wrote no such records and hashed more into the name; of those, only the
/// last healthy release is found, by its record.
pub fn release(wanted: &Wanted, recipe: &Recipe, layout: &Layout) -> PathBuf {
    let (commit, recipe) = (&wanted.source.commit, recipe.fingerprint());
    let service = &wanted.selection.service;
    let passed = |kept: &&Kept| kept.generation.commit == *commit && kept.recipe == recipe;
    if let Some(kept) = all(wanted.facts, service).iter().find(passed) {
        return kept.generation.release.clone();
    }
    let unrecorded = good_of(wanted.facts, service)
        .map(|good| &good.generation)
        .filter(|generation| generation.commit == *commit && of(wanted.facts, service, generation).is_none());
    unrecorded.map_or_else(|| layout.release(commit, &recipe), |generation| generation.release.clone())
}

/// All records of this service.
pub fn all<'a>(facts: &'a Facts, service: &Service) -> &'a [Kept] {
    facts.kept.get(service).map(Vec::as_slice).unwrap_or_default()
}

/// The record of this deployment's release.
pub fn of<'a>(facts: &'a Facts, service: &Service, generation: &Generation) -> Option<&'a Kept> {
    all(facts, service).iter().find(|kept| kept.generation.release == generation.release)
}

/// The record from which a commit can be planned without git, if it is of the selected environment, repository and
/// branch. `None` if the abbreviation fits several commits: git then says that it is ambiguous.
pub fn of_commit<'a>(facts: &'a Facts, selection: &Selection, commit: &CommitPrefix) -> Option<&'a Kept> {
    let same = |kept: &&Kept| {
        commit.fits(&kept.source.commit)
            && kept.environment == selection.environment
            && kept.source.branch == selection.branch
            && kept.source.repository == selection.repository.trim_end_matches('/')
    };
    let mut fitting = all(facts, &selection.service).iter().filter(same);
    let first = fitting.next()?;
    fitting.all(|other| other.source.commit == first.source.commit).then_some(first)
}

/// All that the environment depends on, except for the secret's values, which are never recorded.
pub fn ingredients(wanted: &Wanted, recipe: &Recipe) -> Ingredients {
    let manifest = wanted.manifest;
    let mut under: BTreeMap<String, String> = recipe.defaults.clone();
    under.extend(manifest.port.map(|port| ("PORT".to_owned(), port.to_string())));
    under.extend(manifest.env.values.clone());
    Ingredients {
        secret: wanted.secret.filter(|_| manifest.secret).map(|_| wanted.selection.secret.clone()),
        sources: wanted.values.map(|values| values.sources.clone()).unwrap_or_default(),
        compose: manifest.env.compose.clone(),
        files: manifest.env.files.clone(),
        allow: manifest.env.allow.clone(),
        required: manifest.env.required.iter().cloned().collect(),
        under,
        over: recipe.start.environment.clone(),
        dotenv: recipe.dotenv(manifest).is_some(),
        dialect: recipe.dotenv.name.to_owned(),
    }
}

/// All variables of the service. Later ones replace earlier ones: defaults of the runtime, the manifest's, those of
/// further sources, the secret's, composed ones, those that the start command sets.
pub fn variables(service: &Service, of: &Ingredients, secret: Option<&Variables>) -> Result<Variables> {
    let mut all = Variables::default();
    for (name, value) in &of.under {
        all.insert(name, Secret::new(value));
    }
    for (name, value) in secret.into_iter().flat_map(Variables::iter) {
        all.insert(name, value.clone());
    }
    for (name, value) in &of.over {
        all.insert(name, Secret::new(value));
    }
    for (name, value) in compose::compose(&of.compose, &all)?.iter() {
        if !of.over.contains_key(name) {
            all.insert(name, value.clone());
        }
    }
    let missing: Vec<&str> =
        of.required.iter().map(String::as_str).filter(|name| all.get(name).is_none()).collect();
    if missing.is_empty() {
        return Ok(all);
    }
    let missing = missing.join(", ");
    let mut places = of.sources.iter().map(|source| source.place.to_string()).chain(of.secret.clone());
    let cause = match (places.next(), places.next()) {
        (Some(only), None) => format!("{only} has no {missing}"),
        (Some(first), Some(second)) => {
            let all = [first, second].into_iter().chain(places).collect::<Vec<_>>().join(", ");
            format!("none of {all} has {missing}")
        }
        (None, _) => format!("the service has no secret, and nothing else sets {missing}"),
    };
    Err(Error::new(Code::SecretKeyMissing, format!("checking the environment of {service}"), cause))
}

/// The variables of a recorded release, from the values that were read for another one; `present` is the name of the
/// service's secret by now. `None` if the release has a source that was not read.
pub fn secret_of(kept: &Kept, values: &Collected, present: &str) -> Option<Variables> {
    let of = &kept.variables;
    let mut read = values.read.clone();
    let own = of.secret.clone().map(|name| ValueSource::whole(ValuePlace::Secret(name)));
    let present = ValuePlace::Secret(present.to_owned());
    if let (Some(own), Some(at)) = (&own, read.iter().position(|read| read.place == present)) {
        read[at].place = own.place.clone();
    }
    let sources: Vec<ValueSource> = of.sources.iter().cloned().chain(own).collect();
    merge(&sources, &read, Some(&of.allow)).ok().map(|merged| merged.variables)
}

/// The environment of a recorded release, with the secret's present values.
pub fn rendering(service: &Service, kept: &Kept, secret: Option<&Variables>) -> Result<Rendering> {
    let variables = variables(service, &kept.variables, secret)?;
    let header = header(&Layout::new(service));
    let unknown = || {
        let dialect = &kept.variables.dialect;
        let cause = format!("its record names the dialect {dialect}, which this bootagent does not know");
        Error::new(Code::RecordUnreadable, format!("rendering the .env of {service}"), cause)
    };
    let known = || env::dialect(&kept.variables.dialect).ok_or_else(unknown);
    let dialect = if kept.variables.dotenv { Some(known()?) } else { None };
    let (mut rendering, _) = env::render(&variables, dialect, &header)?;
    if !kept.variables.files.is_empty() {
        let files = value_files::render(&kept.variables.files, &variables, known()?, &header)?;
        files.into_iter().for_each(|(file, text, _)| rendering.add(file, text));
    }
    Ok(rendering)
}

/// Adds the step that records the release, so that it can be planned and started without git.
pub fn keep(steps: &mut Steps, draft: &Draft) -> Result<()> {
    let Draft { wanted, recipe, generation, layout, .. } = draft;
    let record = Kept {
        schema: records::SCHEMA,
        instance: instance(wanted.facts),
        environment: wanted.selection.environment.clone(),
        source: wanted.source.root(),
        credential: wanted.selection.credential.clone(),
        recipe: recipe.fingerprint(),
        variables: ingredients(wanted, recipe),
        generation: generation.clone(),
    };
    let why = "with it, this release can be started again without git";
    let path = layout.kept().join(name(&generation.release));
    steps.file("kept", why, path, text(&record)?, 0o600).after(&["health-check"]);
    Ok(())
}

/// What replaces a lost record of the pinned commit: the record of the last healthy release, or only its commit.
pub enum Lost<'a> {
    Kept(&'a Kept),
    Commit(&'a Commit),
}

/// For an instance whose record of the pinned commit is lost. Without it, the instance would take the branch's newest
/// commit. `None` if the machine is not an instance, or nothing was deployed on it.
pub fn replacement_for_lost_pin<'a>(facts: &'a Facts, service: &Service) -> Option<Lost<'a>> {
    facts.instance.as_ref()?;
    let Some(good) = good_of(facts, service) else {
        let current = facts.unrecorded.get(service)?.as_ref();
        return current.map(Lost::Commit);
    };
    Some(match of(facts, service, &good.generation) {
        Some(kept) => Lost::Kept(kept),
        None => Lost::Commit(&good.generation.commit),
    })
}

/// The services that were deployed on this instance. Empty on a new one: records in an AMI are of another instance.
/// If the policy names no repository, this tells a machine that lost its configuration from one that never had any.
pub fn services_deployed_here(facts: &Facts) -> Vec<&Service> {
    let of_this_instance = facts.good.iter().filter(|(_, good)| {
        facts.instance.as_ref().is_some_and(|instance| good.instance.as_ref() == Some(&instance.id))
    });
    facts.unrecorded.keys().chain(of_this_instance.map(|(service, _)| service)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{Branch, FileFormat, Gate, Good, Instance, Probe, Seconds, Source, ValueFile};
    use crate::observe::secrets::{Content, PlaceValues};
    use crate::plan::environment::{DOTENV, MADE};

    const COMMIT: &str = "0123456789abcdef0123456789abcdef01234567";

    fn service() -> Service {
        Service::try_from("auth").unwrap()
    }

    fn commit() -> Commit {
        Commit::try_from(COMMIT).unwrap()
    }

    fn good(instance: &str) -> Good {
        let gate = Gate {
            unit: "auth.service".to_owned(),
            probe: Probe::Alive,
            also: Vec::new(),
            within: Seconds(60),
            soak: Seconds(5),
            interval_ms: 500,
        };
        let release = format!("/opt/auth/releases/{COMMIT}-aaaaaaaaaaaa").into();
        let generation = Generation { commit: commit(), release, runs_by: Default::default(), gate };
        Good { schema: records::SCHEMA, instance: Some(instance.to_owned()), generation, before: None }
    }

    fn kept(good: &Good) -> Kept {
        Kept {
            schema: records::SCHEMA,
            instance: good.instance.clone(),
            environment: "test".try_into().unwrap(),
            source: Source {
                repository: "https://example.com/auth.git".to_owned(),
                branch: Branch::try_from("test").unwrap(),
                commit: commit(),
                entries: Vec::new(),
                evidence: Default::default(),
                unread: Default::default(),
                is_manifest: false,
                signed_by: None,
                copy: None,
                absent: Default::default(),
                directories: Default::default(),
                gitlinks: Default::default(),
                listing: Default::default(),
            },
            credential: None,
            recipe: "aaaaaaaaaaaa".to_owned(),
            variables: Ingredients { secret: Some("env_auth".to_owned()), ..Ingredients::default() },
            generation: good.generation.clone(),
        }
    }

    fn facts(good: Option<Good>) -> Facts {
        let instance = Instance {
            id: "i-1".to_owned(),
            region: "eu-west-1".to_owned(),
            zone: "eu-west-1a".to_owned(),
            kind: "t3.small".to_owned(),
            address: None,
        };
        let good = good.map(|good| (service(), good)).into_iter().collect();
        Facts { instance: Some(instance), good, ..Facts::default() }
    }

    #[test]
    fn the_last_healthy_release_replaces_a_lost_pin() {
        let mut facts = facts(Some(good("i-1")));
        assert!(
            matches!(replacement_for_lost_pin(&facts, &service()), Some(Lost::Commit(of)) if *of == commit())
        );
        facts.kept = [(service(), vec![kept(&good("i-1"))])].into();
        assert!(matches!(replacement_for_lost_pin(&facts, &service()), Some(Lost::Kept(_))));
        let other = Service::try_from("cart").unwrap();
        assert!(replacement_for_lost_pin(&facts, &other).is_none());
    }

    #[test]
    fn without_records_the_current_release_s_commit_replaces_a_lost_pin() {
        let mut facts = facts(None);
        facts.unrecorded = [(service(), Some(commit()))].into();
        assert!(
            matches!(replacement_for_lost_pin(&facts, &service()), Some(Lost::Commit(of)) if *of == commit())
        );
        facts.unrecorded = [(service(), None)].into();
        assert!(replacement_for_lost_pin(&facts, &service()).is_none());
    }

    #[test]
    fn records_in_an_ami_do_not_count_for_another_instance() {
        let mut baked = facts(Some(good("i-0")));
        baked.kept = [(service(), vec![kept(&good("i-0"))])].into();
        assert!(replacement_for_lost_pin(&baked, &service()).is_none());
        assert!(services_deployed_here(&baked).is_empty());
        assert_eq!(services_deployed_here(&facts(Some(good("i-1")))), [&service()]);
        assert!(services_deployed_here(&facts(None)).is_empty());
    }

    #[test]
    fn an_unknown_dialect_in_a_record_is_an_error() {
        let mut of = kept(&good("i-1"));
        of.variables = Ingredients { dotenv: true, ..Ingredients::default() };
        assert!(rendering(&service(), &of, None).unwrap().text(&DOTENV).is_some());
        of.variables.dialect = "fortran".to_owned();
        let error = rendering(&service(), &of, None).unwrap_err();
        assert_eq!(error.code(), Code::RecordUnreadable);
        assert!(error.to_string().contains("fortran"), "{error}");
        of.variables.dotenv = false;
        assert!(rendering(&service(), &of, None).unwrap().text(&DOTENV).is_none());
    }

    #[test]
    fn another_release_s_variables_are_made_of_what_was_read() {
        let place = |name: &str| ValuePlace::Secret(name.to_owned());
        let text = |name: &str, text: &str| PlaceValues {
            place: place(name),
            content: Content::Text(Secret::new(text)),
        };
        let read = vec![text("env_auth_new", "TOKEN=1\n"), text("shared/db", "host=h\nuser_=u\n")];
        let values = Collected { read, ..Collected::default() };
        let mut former = kept(&good("i-1"));
        let shown = |former: &Kept| {
            let made = secret_of(former, &values, "env_auth_new")?;
            Some(made.keys().map(str::to_owned).collect::<Vec<_>>())
        };
        assert_eq!(shown(&former).unwrap(), ["TOKEN"]);
        let rename = [("host".to_owned(), "PGHOST".to_owned())].into();
        let source =
            ValueSource { keys: Some(Default::default()), rename, ..ValueSource::whole(place("shared/db")) };
        former.variables.sources = vec![source];
        assert_eq!(shown(&former).unwrap(), ["PGHOST", "TOKEN"]);
        former.variables.sources.push(ValueSource::whole(place("shared/none")));
        assert_eq!(shown(&former), None);
        former.variables.sources.clear();
        former.variables.secret = Some("another".to_owned());
        assert_eq!(secret_of(&former, &values, "not read"), None);
    }

    #[test]
    fn files_are_restored_from_a_record() {
        let mut of = kept(&good("i-1"));
        let file = |path: &str, format| ValueFile { path: path.to_owned(), format, keys: None };
        let under = [("A".to_owned(), "a\nb".to_owned())].into();
        let files = vec![file("a.json", FileFormat::Json), file("b.env", FileFormat::Env)];
        of.variables = Ingredients { files, under, ..Ingredients::default() };
        let rendering = rendering(&service(), &of, None).unwrap();
        assert_eq!(rendering.text(&MADE[0]).unwrap().expose(), "{\n  \"A\": \"a\\nb\"\n}\n");
        assert!(rendering.text(&MADE[1]).unwrap().expose().ends_with("A='a\nb'\n"));
        assert!(rendering.text(&MADE[2]).is_none());
    }

    #[test]
    fn later_sources_replace_earlier_ones_and_missing_variables_are_named() {
        let mut of = Ingredients {
            under: [("A".to_owned(), "under".to_owned()), ("B".to_owned(), "under".to_owned())].into(),
            over: [("C".to_owned(), "over".to_owned())].into(),
            ..Ingredients::default()
        };
        let mut secret = Variables::default();
        secret.insert("B", Secret::new("secret"));
        secret.insert("C", Secret::new("secret"));
        let all = variables(&service(), &of, Some(&secret)).unwrap();
        let values: Vec<(&str, &str)> = all.iter().map(|(name, value)| (name, value.expose())).collect();
        assert_eq!(values, [("A", "under"), ("B", "secret"), ("C", "over")]);
        of.required = ["A".to_owned(), "D".to_owned()].into();
        let error = variables(&service(), &of, Some(&secret)).unwrap_err();
        assert_eq!(error.code(), Code::SecretKeyMissing);
        assert!(error.to_string().contains(" D [") && !error.to_string().contains("A,"), "{error}");
    }
}
