//! The steps of a service that runs as a container: docker's daemon, the image of the release, the directories of its
//! volumes, and the removal of old images. Adds steps only; how a container runs says `supervisor/docker.rs`.

use std::path::PathBuf;

use super::Wanted;
use super::draft::Draft;
use super::records::name;
use super::runtime::Recipe;
use super::runtime::container::{Container, DOCKERFILE, Image};
use super::runtime::needs_buildkit;
use super::steps::Steps;
use super::supervisor::docker::{BRIDGE, NETWORK};
use super::{imds, remember};
use crate::error::{Code, Error, Result};
use crate::facts::Generation;
use crate::fault::Phase;
use crate::plan::container::{ecr, registry};
use crate::plan::layout::Layout;
use crate::plan::*;
use crate::secret::Sealed;

const UNIT: &str = "docker.service";
const CONFIGURATION: &str = "/etc/docker/daemon.json";
/// Docker's default keeps the whole output of a container for as long as the container exists.
const LOG_SIZE: &str = "100m";
const LOG_FILES: &str = "3";

/// Adds the directories of volumes. Every user may write there, because an image may have any user; only root can enter the
/// directory that they are in. It is not the service's own: who can replace a volume by a link chooses what docker mounts.
pub fn volumes(steps: &mut Steps, draft: &Draft) -> Vec<StepId> {
    let Some(container) = draft.recipe.container() else { return Vec::new() };
    if container.volumes.is_empty() {
        return Vec::new();
    }
    let mut ids = Vec::new();
    let why = "the volumes of the container, for root alone";
    steps.directory("volumes", why, draft.layout.volumes(), Owner::root(), 0o700).after(&["data"]);
    for volume in &container.volumes {
        let id = format!("volume-{}", volume.name);
        let why = "a volume of the container, kept when releases change";
        let path = draft.layout.volumes().join(&volume.name);
        steps.directory(&id, why, path, Owner::root(), 0o777).after(&["volumes"]);
        ids.push(StepId::new(id));
    }
    ids
}

/// Adds the steps that start docker and get or build the image.
pub fn prepare(steps: &mut Steps, draft: &Draft) -> Result<()> {
    let Draft { wanted, recipe, layout, .. } = draft;
    let Some(container) = recipe.container() else { return Ok(()) };
    let engine = Action::ConfigureEngine(ConfigureEngine {
        docker: container.docker.clone(),
        unit: UNIT.to_owned(),
        file: CONFIGURATION.into(),
        log_size: LOG_SIZE.to_owned(),
        log_files: LOG_FILES.to_owned(),
        network: NETWORK.to_owned(),
        bridge: BRIDGE.to_owned(),
    });
    let ready: Vec<&str> = ["packages"].into_iter().filter(|id| steps.has(id)).collect();
    let why = "docker runs the container";
    steps.add("docker", why, engine).after(&["remove-leftovers"]).after(&ready).within(Phase::Start);

    let login = login(wanted, container)?;
    let (from, why, phase) = match &container.image {
        Image::Named(reference) => (
            ImageOrigin::Registry { reference: reference.clone() },
            "the image of this release",
            Phase::Install,
        ),
        Image::Built { dockerfile, target } => {
            let text = wanted.source.text(DOCKERFILE).unwrap_or_default();
            let from = ImageOrigin::Dockerfile {
                context: draft.release().to_owned(),
                dockerfile: dockerfile.clone(),
                target: target.clone(),
                needs_buildkit: needs_buildkit(text),
            };
            (from, "built from the commit's files, without secrets and without IMDS", Phase::Build)
        }
    };
    let image = PrepareImage {
        docker: container.docker.clone(),
        image: layout.image(draft.release()),
        from,
        login,
        record: layout.image_records().join(name(draft.release())),
        scratch: layout.registry_login(),
    };
    let rules: Vec<&str> = imds::LAST.into_iter().filter(|id| steps.has(id)).collect();
    steps
        .directory(
            "image-records",
            "which image each release has",
            layout.image_records(),
            Owner::root(),
            0o700,
        )
        .after(&["records"]);
    steps
        .add("image", why, Action::PrepareImage(image))
        .after(&["docker", "checkout", "image-records", "run"])
        .after(&rules)
        .within(phase);
    steps.finished_by("image");
    Ok(())
}

/// The credential for the registry, if the manifest names a variable of the secret.
fn login(wanted: &Wanted, container: &Container) -> Result<Option<RegistryLogin>> {
    let Some(variable) = &container.login else { return Ok(by_role(wanted, container)) };
    let doing = "planning the registry's credential";
    let value = wanted.secret.and_then(|secret| secret.get(variable)).ok_or_else(|| {
        let cause = format!("[docker] has login = \"{variable}\", and the secret has no such variable");
        Error::new(Code::SecretKeyMissing, doing, cause).remedy(
            "add it to the secret, with user:password as its value; or remove login from bootagent.toml",
        )
    })?;
    let text = value.expose().trim();
    if !text.split_once(':').is_some_and(|(user, password)| !user.is_empty() && !password.is_empty()) {
        let cause = format!("the value of {variable} is not user:password");
        return Err(Error::new(Code::SecretInvalid, doing, cause)
            .remedy("store the registry's user and password, or user and token, with a colon between them"));
    }
    let registry = match &container.image {
        Image::Named(reference) => registry(reference),
        // Whatever the Dockerfile is based on.
        Image::Built { .. } => {
            let cause = "login is for an image of a registry, and this one is built";
            return Err(Error::new(Code::ManifestInvalid, doing, cause)
                .remedy("remove login from [docker]; root's own docker configuration is used for a Dockerfile's bases"));
        }
    };
    let credential = Sealed::new(vec![variable.clone()], text);
    Ok(Some(RegistryLogin::Given { registry: registry.to_owned(), credential }))
}

/// The instance's role, for an image of ECR. A registry in the instance's account needs no further key in a manifest.
fn by_role(wanted: &Wanted, container: &Container) -> Option<RegistryLogin> {
    let Image::Named(reference) = &container.image else { return None };
    let registry = ecr(registry(reference))?;
    Some(RegistryLogin::Role { registry, network: wanted.selection.network.clone() })
}

/// Adds the removal of images that no kept release uses.
pub fn prune(steps: &mut Steps, draft: &Draft) {
    let Draft { wanted, recipe, generation, layout, .. } = draft;
    let Some(Container { docker, .. }) = recipe.container() else { return };
    let action = Action::PruneImages(PruneImages {
        docker: docker.clone(),
        repository: layout.images(),
        keep: remember::prune(wanted, generation, layout).keep,
        records: layout.image_records(),
    });
    let why = "removes images that no kept release uses";
    steps.add("prune-images", why, action).after(&["prune"]).within(Phase::Tidy).optional();
}

/// Adds a step that stops the container of the `old` deployment, if the `new` one has none. Returns its id.
pub fn stop_container(
    steps: &mut Steps,
    (old, new): (&Generation, &Generation),
    after: &[&str],
    layout: &Layout,
) -> Option<StepId> {
    let (docker, name) = container_of(old).filter(|_| container_of(new).is_none())?;
    let why = "a container that ignores the signal would keep the service's port";
    let stop = StopContainer { docker: docker.clone(), unit: layout.unit(), name: name.clone() };
    steps.add("stop-container", why, Action::StopContainer(stop)).after(after).within(Phase::Start);
    Some(StepId::new("stop-container"))
}

/// Docker's client and the name of the container that a deployment runs.
fn container_of(generation: &Generation) -> Option<(&PathBuf, &String)> {
    generation.gate.also.iter().find_map(|probe| match probe {
        Probe::Container { docker, name, .. } => Some((docker, name)),
        _ => None,
    })
}

/// A note on what a container sees of the machine.
pub fn note(recipe: &Recipe) -> Option<String> {
    let container = recipe.container()?;
    let Image::Built { .. } = container.image else { return None };
    Some("RUN lines of the Dockerfile run as docker's builds do: as root of a container, with the network of this machine's containers".to_owned())
}
