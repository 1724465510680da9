//! The lines of the steps that prepare a container.

use crate::plan::{ConfigureEngine, ImageOrigin, PrepareImage, RegistryLogin};

pub fn engine(engine: &ConfigureEngine) -> String {
    format!("start {} and enable it", engine.unit)
}

pub fn engine_lines(engine: &ConfigureEngine) -> Vec<String> {
    vec![
        format!(
            "adds to {}, where it says nothing of logs: json-file, {} files of {}",
            engine.file.display(),
            engine.log_files,
            engine.log_size
        ),
        "restarted only if that changed and no container runs".to_owned(),
        format!("with the network {} on the bridge {}", engine.network, engine.bridge),
    ]
}

pub fn image(image: &PrepareImage) -> String {
    match &image.from {
        ImageOrigin::Registry { reference } => format!("pull {reference} as {}", image.image),
        ImageOrigin::Dockerfile { dockerfile, target, .. } => {
            let stage = target.iter().map(|target| format!(", stage {target},")).collect::<String>();
            format!("build {dockerfile}{stage} as {}", image.image)
        }
    }
}

pub fn image_lines(image: &PrepareImage) -> Vec<String> {
    let mut lines = match &image.from {
        ImageOrigin::Registry { .. } => {
            vec![format!("a tag is resolved once for a release, to the digest in {}", image.record.display())]
        }
        ImageOrigin::Dockerfile { context, needs_buildkit, arguments, .. } => {
            let by = if *needs_buildkit { "with BuildKit, from" } else { "from" };
            let with: String = arguments.iter().map(|(name, value)| format!(", {name}={value}")).collect();
            vec![
                format!("{by} the files in {}{with}", context.display()),
                "its RUN lines are root in a container, without the secret; packets to IMDS are dropped meanwhile"
                    .to_owned(),
            ]
        }
    };
    let by = match &image.login {
        Some(RegistryLogin::Given { credential, .. }) => credential.keys().join(", "),
        Some(RegistryLogin::Role { .. }) => "a token for the instance's role".to_owned(),
        None => return lines,
    };
    let registry = image.login.as_ref().map(RegistryLogin::registry).unwrap_or_default();
    lines.push(format!("with {by} for {registry}, by {} while it pulls", image.scratch.display()));
    lines
}
