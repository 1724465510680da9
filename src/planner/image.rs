//! The steps of a service that runs as containers: docker's daemon, the images of the release, the directories of its
//! volumes, and the removal of old images. Adds steps only; how they run say `supervisor/docker.rs` and `supervisor/compose.rs`.

use std::collections::BTreeMap;
use std::path::PathBuf;

use super::Wanted;
use super::draft::Draft;
use super::records::name;
use super::runtime::compose::project::{self, Project};
use super::runtime::container::{Container, DOCKERFILE, Image};
use super::runtime::{Kind, Recipe, needs_buildkit};
use super::steps::Steps;
use super::supervisor::docker::{BRIDGE, NETWORK};
use super::{imds, remember};
use crate::error::{Code, Error, Result};
use crate::facts::Generation;
use crate::fault::Phase;
use crate::plan::container::{HUB, ecr, registry};
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

/// Adds the steps that start docker and get or build the images.
pub fn prepare(steps: &mut Steps, draft: &Draft) -> Result<()> {
    let layout = &draft.layout;
    let (docker, images) = match &draft.recipe.kind {
        Kind::Container(container) => (&container.docker, vec![of_container(draft, container)?]),
        Kind::Compose(project) => {
            let members = project.members.iter();
            let images = members.map(|(name, member)| of_member(draft, project, name, &member.image));
            (&project.docker, images.collect::<Result<Vec<_>>>()?)
        }
        _ => return Ok(()),
    };
    let engine = Action::ConfigureEngine(ConfigureEngine {
        docker: docker.clone(),
        unit: UNIT.to_owned(),
        file: CONFIGURATION.into(),
        log_size: LOG_SIZE.to_owned(),
        log_files: LOG_FILES.to_owned(),
        network: NETWORK.to_owned(),
        bridge: BRIDGE.to_owned(),
    });
    let ready: Vec<&str> = ["packages"].into_iter().filter(|id| steps.has(id)).collect();
    let why = if images.len() > 1 { "docker runs the containers" } else { "docker runs the container" };
    steps.add("docker", why, engine).after(&["remove-leftovers"]).after(&ready).within(Phase::Start);
    let why = "which image each release has";
    steps.directory("image-records", why, layout.image_records(), Owner::root(), 0o700).after(&["records"]);
    let rules: Vec<&str> = imds::LAST.into_iter().filter(|id| steps.has(id)).collect();
    let tree = if steps.has("checkout") { "checkout" } else { "manifest" };
    // One after the other: all use the same place for docker's configuration with a credential.
    let mut last = "run".to_owned();
    for Prepared { id, from, image, record, login } in images {
        let (why, phase) = match &from {
            ImageOrigin::Registry { .. } => ("the image of this release", Phase::Install),
            ImageOrigin::Dockerfile { .. } => {
                ("built from the commit's files, without secrets and without IMDS", Phase::Build)
            }
        };
        let scratch = layout.registry_login();
        let image = PrepareImage { docker: docker.clone(), image, from, login, record, scratch };
        steps
            .add(&id, why, Action::PrepareImage(image))
            .after(&["docker", tree, "image-records", &last])
            .after(&rules)
            .within(phase);
        steps.finished_by(&id);
        last = id;
    }
    Ok(())
}

/// An image of the release, and the id of its step.
struct Prepared {
    id: String,
    from: ImageOrigin,
    image: String,
    record: PathBuf,
    login: Option<RegistryLogin>,
}

fn of_container(draft: &Draft, container: &Container) -> Result<Prepared> {
    let (layout, release) = (&draft.layout, draft.release());
    let from = match &container.image {
        Image::Named(reference) => ImageOrigin::Registry { reference: reference.clone() },
        Image::Built { dockerfile, target } => ImageOrigin::Dockerfile {
            context: release.to_owned(),
            dockerfile: dockerfile.clone(),
            target: target.clone(),
            needs_buildkit: needs_buildkit(draft.wanted.source.text(DOCKERFILE).unwrap_or_default()),
            arguments: BTreeMap::new(),
        },
    };
    Ok(Prepared {
        id: "image".to_owned(),
        from,
        image: layout.image(release),
        record: layout.image_records().join(name(release)),
        login: login(draft.wanted, container)?,
    })
}

fn of_member(draft: &Draft, project: &Project, member: &str, image: &project::Image) -> Result<Prepared> {
    let (layout, release) = (&draft.layout, draft.release());
    let (from, login) = match image {
        project::Image::Named(reference) => {
            let login = match project.logins.get(host(reference)) {
                Some(variable) => {
                    let key = format!("[compose] has logins = [\"{}={variable}\"]", host(reference));
                    Some(given(draft.wanted, registry(reference), (&key, variable))?)
                }
                None => by_role(draft.wanted, reference),
            };
            (ImageOrigin::Registry { reference: reference.clone() }, login)
        }
        project::Image::Built(build) => {
            let from = ImageOrigin::Dockerfile {
                context: release.join(&build.context),
                dockerfile: build.dockerfile.clone(),
                target: build.target.clone(),
                needs_buildkit: build.needs_buildkit,
                arguments: build.arguments.clone(),
            };
            (from, None)
        }
    };
    Ok(Prepared {
        id: format!("image-{member}"),
        from,
        image: layout.member_image(release, member),
        record: layout.image_records().join(format!("{}.{member}", name(release))),
        login,
    })
}

/// The host of a reference, as people write it.
fn host(reference: &str) -> &str {
    match registry(reference) {
        HUB => "docker.io",
        host => host,
    }
}

/// The credential for the registry, if the manifest names a variable of the secret.
fn login(wanted: &Wanted, container: &Container) -> Result<Option<RegistryLogin>> {
    match (&container.image, &container.login) {
        (Image::Named(reference), Some(variable)) => {
            let key = format!("[docker] has login = \"{variable}\"");
            given(wanted, registry(reference), (&key, variable)).map(Some)
        }
        (Image::Named(reference), None) => Ok(by_role(wanted, reference)),
        (Image::Built { .. }, None) => Ok(None),
        // Whatever the Dockerfile is based on.
        (Image::Built { .. }, Some(_)) => {
            let cause = "login is for an image of a registry, and this one is built";
            Err(Error::new(Code::ManifestInvalid, DOING, cause)
                .remedy("remove login from [docker]; root's own docker configuration is used for a Dockerfile's bases"))
        }
    }
}

const DOING: &str = "planning the registry's credential";

/// The credential in a variable of the secret. `key` is what the manifest has.
fn given(wanted: &Wanted, registry: &str, (key, variable): (&str, &str)) -> Result<RegistryLogin> {
    let value = wanted.secret.and_then(|secret| secret.get(variable)).ok_or_else(|| {
        let cause = format!("{key}, and the secret has no such variable");
        Error::new(Code::SecretKeyMissing, DOING, cause).remedy(
            "add it to the secret, with user:password as its value; or remove login from bootagent.toml",
        )
    })?;
    let text = value.expose().trim();
    if !text.split_once(':').is_some_and(|(user, password)| !user.is_empty() && !password.is_empty()) {
        let cause = format!("the value of {variable} is not user:password");
        return Err(Error::new(Code::SecretInvalid, DOING, cause)
            .remedy("store the registry's user and password, or user and token, with a colon between them"));
    }
    let credential = Sealed::new(vec![variable.to_owned()], text);
    Ok(RegistryLogin::Given { registry: registry.to_owned(), credential })
}

/// The instance's role, for an image of ECR. A registry in the instance's account needs no further key in a manifest.
fn by_role(wanted: &Wanted, reference: &str) -> Option<RegistryLogin> {
    let registry = ecr(registry(reference))?;
    Some(RegistryLogin::Role { registry, network: wanted.selection.network.clone() })
}

/// Adds the removal of images that no kept release uses.
pub fn prune(steps: &mut Steps, draft: &Draft) {
    let Draft { wanted, recipe, generation, layout, .. } = draft;
    let docker = match &recipe.kind {
        Kind::Container(container) => &container.docker,
        Kind::Compose(project) => &project.docker,
        _ => return,
    };
    let action = Action::PruneImages(PruneImages {
        docker: docker.clone(),
        repository: layout.images(),
        keep: remember::prune(wanted, generation, layout).keep,
        records: layout.image_records(),
    });
    let why = "removes images that no kept release uses";
    steps.add("prune-images", why, action).after(&["prune"]).within(Phase::Tidy).optional();
}

/// Adds a step that stops the containers of the `old` deployment, if the unit of the `new` one does not: it runs none, or
/// another kind of them. Returns its id.
pub fn stop_container(
    steps: &mut Steps,
    (old, new): (&Generation, &Generation),
    after: &[&str],
    layout: &Layout,
) -> Option<StepId> {
    let name = layout.container();
    let (docker, is_one) = containers_of(old, &name)?;
    if containers_of(new, &name).is_some_and(|(_, is_one_now)| is_one_now == is_one) {
        return None;
    }
    let why = "a container that ignores the signal would keep the service's port";
    let stop = StopContainer { docker: docker.clone(), unit: layout.unit(), name };
    steps.add("stop-container", why, Action::StopContainer(stop)).after(after).within(Phase::Start);
    Some(StepId::new("stop-container"))
}

/// Docker's client, and whether it runs the one container of this name: those of a compose file have longer names.
fn containers_of<'a>(generation: &'a Generation, container: &str) -> Option<(&'a PathBuf, bool)> {
    generation.gate.also.iter().find_map(|probe| match probe {
        Probe::Container { docker, name, .. } => Some((docker, name == container)),
        _ => None,
    })
}

/// A note on what a container sees of the machine.
pub fn note(recipe: &Recipe) -> Option<String> {
    let is_built = match &recipe.kind {
        Kind::Container(container) => matches!(container.image, Image::Built { .. }),
        Kind::Compose(project) => {
            project.members.values().any(|member| matches!(member.image, project::Image::Built(_)))
        }
        _ => false,
    };
    is_built.then(|| "RUN lines of the Dockerfile run as docker's builds do: as root of a container, with the network of this machine's containers".to_owned())
}
