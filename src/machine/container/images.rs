//! Gets the image of a release under a name of this machine: pulled from a registry, or built from the release's files.
//! A record says what each image was made from. A tag is resolved once for a release: if the image is lost, the recorded
//! digest is pulled again.

use std::path::Path;
use std::time::Duration;

use data_encoding::BASE64;
use serde::{Deserialize, Serialize};

use super::build_network;
use super::docker::{Docker, SHORT, explained};
use crate::error::{Code, Error, Result};
use crate::fault::{Fault, Phase};
use crate::machine::Check;
use crate::machine::aws::{Imds, ecr};
use crate::machine::disk::files;
use crate::plan::{ImageOrigin, Mode, Owner, PrepareImage, PruneImages, RegistryLogin};
use crate::secret::Secret;

/// How long docker's client has of a step's time. The rest is for what must follow: the credential is removed, and the rule
/// against IMDS, whether or not it succeeds.
fn most(phase: Phase) -> Duration {
    phase.seconds().duration().saturating_sub(Duration::from_secs(45))
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    schema: u32,
    /// The reference as the manifest has it; none for an image that was built.
    reference: Option<String>,
    /// `repository@sha256:...`
    digest: Option<String>,
    id: String,
}

pub async fn check(image: &PrepareImage) -> Result<Check> {
    Ok(match id(&Docker::new(&image.docker), &image.image).await {
        Some(_) if files::exists(&image.record)? => Check::AlreadySo,
        Some(_) => Check::WouldChange("no record of its digest".into()),
        None => Check::WouldChange("absent".into()),
    })
}

pub async fn prepare(image: &PrepareImage, imds: &Imds) -> Result<()> {
    let record = match &image.from {
        ImageOrigin::Registry { reference } => {
            let pulled = pull(image, reference, imds).await;
            files::remove_tree(&image.scratch)?;
            pulled?
        }
        ImageOrigin::Dockerfile { .. } => {
            build_network::close().await?;
            let built = build(image).await;
            build_network::open().await.and(built)?
        }
    };
    let text = serde_json::to_string_pretty(&record)
        .map_err(|error| Error::new(Code::Bug, "writing the record of an image", error))?;
    files::write(&image.record, format!("{text}\n").as_bytes(), &Owner::root(), Mode(0o600))
}

fn recorded(path: &Path) -> Result<Option<Record>> {
    Ok(files::read(path)?.and_then(|bytes| serde_json::from_slice(&bytes).ok()))
}

async fn pull(image: &PrepareImage, reference: &str, imds: &Imds) -> Result<Record> {
    let own = Docker::new(&image.docker);
    let former = recorded(&image.record)?.filter(|record| record.reference.as_deref() == Some(reference));
    let wanted = former.and_then(|record| record.digest).unwrap_or_else(|| by_digest(reference));
    if let Some(login) = &image.login {
        let credential = match login {
            RegistryLogin::Given { credential, .. } => Secret::new(credential.expose()),
            RegistryLogin::Role { registry, network } => ecr::token(imds, registry, network).await?,
        };
        log_in(&image.scratch, login.registry(), &credential)?;
    }
    let docker = Docker {
        config: image.login.is_some().then_some(image.scratch.as_path()),
        ..Docker::new(&image.docker)
    };
    let was_there = id(&own, &wanted).await.is_some();
    let output = docker.run(&["pull", &wanted], most(Phase::Install)).await?;
    if !output.ok() {
        return Err(explained(format!("pulling {wanted}"), &output, Fault::ImageUnreachable));
    }
    let lost =
        || Error::new(Code::Io, format!("pulling {wanted}"), "docker does not have the image afterwards");
    let id = id(&own, &wanted).await.ok_or_else(lost)?;
    let digest = digest(&own, &wanted).await;
    own.must(&["tag", &id, &image.image]).await?;
    // The name of the registry would keep the image when the release's is removed.
    if !was_there && !wanted.contains('@') {
        let _ = own.asked(&["image", "rm", "--no-prune", &wanted]).await;
    }
    Ok(Record { schema: 1, reference: Some(reference.to_owned()), digest, id })
}

/// A reference with a digest without its tag, which docker would ignore.
fn by_digest(reference: &str) -> String {
    match reference.split_once('@') {
        Some((name, digest)) => format!("{}@{digest}", without_tag(name)),
        None => reference.to_owned(),
    }
}

fn without_tag(name: &str) -> &str {
    match name.rsplit_once(':') {
        Some((path, tag)) if !tag.contains('/') => path,
        _ => name,
    }
}

async fn id(docker: &Docker<'_>, image: &str) -> Option<String> {
    let id = docker.asked(&["image", "inspect", "--format", "{{.Id}}", image]).await?;
    Some(id.trim().to_owned()).filter(|id| !id.is_empty())
}

/// The image's digest in the repository that it was pulled from.
async fn digest(docker: &Docker<'_>, reference: &str) -> Option<String> {
    if reference.contains('@') {
        return Some(reference.to_owned());
    }
    let text = docker.asked(&["image", "inspect", "--format", "{{json .RepoDigests}}", reference]).await?;
    let all: Vec<String> = serde_json::from_str(text.trim()).ok()?;
    let name = without_tag(reference);
    // Docker leaves its own registry's name out, where a reference may have it.
    let short = name.strip_prefix("docker.io/").unwrap_or(name);
    let short = short.strip_prefix("library/").unwrap_or(short);
    all.into_iter().find(|digest| digest.split_once('@').is_some_and(|(of, _)| of == name || of == short))
}

/// Writes docker's configuration with the credential. Not by `docker login`, which asks the registry once more.
fn log_in(scratch: &Path, registry: &str, credential: &Secret) -> Result<()> {
    let auth = BASE64.encode(credential.expose().as_bytes());
    let text =
        zeroize::Zeroizing::new(serde_json::json!({ "auths": { registry: { "auth": auth } } }).to_string());
    files::remove_tree(scratch)?;
    files::directory(scratch, &Owner::root(), Mode(0o700))?;
    files::write(&scratch.join("config.json"), text.as_bytes(), &Owner::root(), Mode(0o600))
}

async fn build(image: &PrepareImage) -> Result<Record> {
    let ImageOrigin::Dockerfile { context, dockerfile, target, needs_buildkit, arguments } = &image.from
    else {
        return Err(Error::new(Code::Bug, "building an image", "it is one of a registry"));
    };
    let variable = needs_buildkit.then_some("DOCKER_BUILDKIT=1");
    let docker = Docker { variable, ..Docker::new(&image.docker) };
    let (file, directory) = (context.join(dockerfile).display().to_string(), context.display().to_string());
    let mut words = vec!["build", "--tag", &image.image, "--file", &file];
    if let Some(target) = target {
        words.extend(["--target", target]);
    }
    let arguments: Vec<String> = arguments.iter().map(|(name, value)| format!("{name}={value}")).collect();
    for argument in &arguments {
        words.extend(["--build-arg", argument]);
    }
    words.push(&directory);
    let output = docker.run(&words, most(Phase::Build)).await?;
    let doing = || format!("building {dockerfile}");
    if !output.ok() {
        return Err(explained(doing(), &output, Fault::ImageBuildFailed));
    }
    let lost = || Error::new(Code::Io, doing(), "docker does not have the image afterwards");
    let id = id(&docker, &image.image).await.ok_or_else(lost)?;
    Ok(Record { schema: 1, reference: None, digest: None, id })
}

pub async fn check_prune(prune: &PruneImages) -> Result<Check> {
    let surplus = surplus(prune).await;
    Ok(match surplus.len() {
        0 => Check::AlreadySo,
        count => Check::WouldChange(format!("{count} to remove")),
    })
}

/// Removes the images of releases that are not kept. Docker keeps the layers that another image has.
pub async fn remove(prune: &PruneImages) -> Result<()> {
    /// Of a build, docker keeps what the next one may need.
    const CACHE: &str = "2GB";
    let docker = Docker::new(&prune.docker);
    for name in surplus(prune).await {
        let record = prune.records.join(&name);
        let tag = format!("{}:{name}", prune.repository);
        if id(&docker, &tag).await.is_some() {
            docker.must(&["image", "rm", &tag]).await?;
        }
        // The name by which docker knows a pulled image is left. It stays if a kept release has the same image.
        if let Some(Record { digest: Some(digest), id: image, .. }) = recorded(&record)?
            && !is_used(prune, &docker, &image).await
        {
            let _ = docker.asked(&["image", "rm", &digest]).await;
        }
        files::remove_file(&record)?;
    }
    let _ = docker
        .run(&["builder", "prune", "--force", "--keep-storage", CACHE], Duration::from_secs(SHORT))
        .await;
    Ok(())
}

async fn is_used(prune: &PruneImages, docker: &Docker<'_>, image: &str) -> bool {
    for name in listed(prune, docker).await.iter().filter(|name| is_kept(prune, name)) {
        if id(docker, &format!("{}:{name}", prune.repository)).await.as_deref() == Some(image) {
            return true;
        }
    }
    false
}

/// The tags of the service's images.
async fn listed(prune: &PruneImages, docker: &Docker<'_>) -> Vec<String> {
    let words = ["image", "ls", "--format", "{{.Tag}}", &prune.repository];
    let listed = docker.asked(&words).await.unwrap_or_default();
    listed.lines().map(|line| line.trim().to_owned()).collect()
}

/// An image of one container has the release's name, a dot, and the container's.
fn is_kept(prune: &PruneImages, name: &str) -> bool {
    let release = name.split('.').next().unwrap_or_default();
    prune.keep.iter().any(|kept| kept == release)
}

/// Names of releases that have an image or a record of one, and are not kept.
async fn surplus(prune: &PruneImages) -> Vec<String> {
    let docker = Docker::new(&prune.docker);
    let mut names = listed(prune, &docker).await;
    names.extend(files::names(&prune.records).unwrap_or_default());
    names.sort_unstable();
    names.dedup();
    names.retain(|name| !name.is_empty() && name != "<none>" && !is_kept(prune, name));
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reference_with_a_digest_is_pulled_by_it_alone() {
        for (reference, pulled) in [
            ("nginx:1.27", "nginx:1.27"),
            ("nginx:1.27@sha256:aa", "nginx@sha256:aa"),
            ("localhost:5000/x@sha256:aa", "localhost:5000/x@sha256:aa"),
            ("localhost:5000/x:1@sha256:aa", "localhost:5000/x@sha256:aa"),
        ] {
            assert_eq!(by_digest(reference), pulled);
        }
    }
}
