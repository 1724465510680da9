//! What a boot would do, line by line: each with the convention or the key of the manifest that chose it.

use super::super::supervisor;
use super::{Subject, asked, command, health, plain, start};
use crate::error::Result;
use crate::observe::manifest::SupervisorName;
use crate::plan::Setting;
use crate::planner::runtime::Work;
use crate::planner::runtime::container::Container;

/// The error is one with which a boot would end, too.
pub fn plan(subject: &Subject) -> Result<Vec<Setting>> {
    let asked = asked::asked(subject)?;
    let installed = [runtime(subject)].into_iter().chain(image(subject)).chain(manager(subject));
    let installed = installed.chain(os_packages(subject));
    let first = subject.recipe.first.iter().flat_map(|part| &part.work);
    let first = first.map(|work| line(&work.name.replace('-', " "), &command::typed(&work.argv), &work.why));
    let commands = subject.recipe.work.iter().map(|work| {
        line(&work.name.replace('-', " "), &command::typed(&work.argv), &origin_of_work(subject, work))
    });
    let migrate = subject.recipe.migrate.iter();
    let migrate = migrate.map(|argv| line("migrate", &command::typed(argv), "migrate in bootagent.toml"));
    let lines = installed
        .chain(first)
        .chain(commands)
        .chain(migrate)
        .chain(candidate(subject))
        .chain(supervisor(subject))
        .chain([start::shown(subject)])
        .chain(asked)
        .chain([variables(subject), health::shown(subject), writable(subject)])
        .collect();
    Ok(lines)
}

fn line(name: &str, value: &str, origin: &str) -> Setting {
    Setting { name: name.to_owned(), value: plain(value), origin: plain(origin) }
}

/// `chosen_by` is `engines in package.json: >=20`.
fn runtime(subject: &Subject) -> Setting {
    let recipe = subject.recipe;
    let (by, range) = recipe.chosen_by.split_once(": ").unwrap_or((&recipe.chosen_by, "*"));
    let wanted = match range {
        "*" if recipe.container().is_some() => "docker".to_owned(),
        "*" if recipe.project().is_some() => "docker compose".to_owned(),
        "*" if recipe.data_host().is_some() => format!("{}, a database server", recipe.runtime),
        "*" if recipe.runtime == recipe.of.name => "static site".to_owned(),
        "*" => format!("{}, any version", recipe.of.name),
        range => format!("{} {range}", recipe.of.name),
    };
    line("runtime", &wanted, by)
}

fn image(subject: &Subject) -> Option<Setting> {
    let image = subject.recipe.settings.iter().find(|setting| setting.name == "image")?;
    Some(line("image", &image.value, &image.origin))
}

/// The package manager, if it installs anything.
fn manager(subject: &Subject) -> Option<Setting> {
    let chosen = subject.recipe.settings.iter().find(|setting| setting.name == "packages")?;
    let installs = subject.recipe.work.iter().any(|work| work.name.starts_with("install"));
    let value = match chosen.value.as_str() {
        "npm" => "npm, the one that comes with Node",
        other => other,
    };
    installs.then(|| line("package manager", value, &chosen.origin))
}

fn os_packages(subject: &Subject) -> Option<Setting> {
    let names = &subject.manifest.packages;
    let origin = "packages in bootagent.toml; if the policy allows them";
    (!names.is_empty()).then(|| line("OS packages", &names.join(", "), origin))
}

/// Where the manifest says nothing: the script that a command runs, else why the command is there.
fn origin_of_work(subject: &Subject, work: &Work) -> String {
    let is_of = |name: &str| work.name == name || work.name.strip_prefix(name).is_some_and(is_number);
    if subject.manifest.install.is_some() && is_of("install") {
        return "install in bootagent.toml".to_owned();
    }
    if subject.manifest.build.is_some() && is_of("build") {
        return "build in bootagent.toml".to_owned();
    }
    let words: Vec<&str> = work.line.split_whitespace().collect();
    match words.as_slice() {
        [_, "run", script] if is_of("build") => format!("scripts.{script} in package.json"),
        _ if is_of("build") => "the start command needs it".to_owned(),
        _ => work.why.clone(),
    }
}

/// `-2` of `build-2`.
fn is_number(rest: &str) -> bool {
    rest.strip_prefix('-').is_some_and(|digits| digits.parse::<u32>().is_ok())
}

fn candidate(subject: &Subject) -> Option<Setting> {
    let port = subject.manifest.candidate_port?;
    Some(line(
        "candidate",
        &format!("an update is started on port {port} first"),
        "rehearsal.port in bootagent.toml",
    ))
}

fn supervisor(subject: &Subject) -> Option<Setting> {
    let name = supervisor::of(subject.manifest, subject.recipe).name;
    let origin = match subject.manifest.supervisor {
        Some(_) => "supervisor in bootagent.toml",
        None => "[pm2] in bootagent.toml",
    };
    (name != SupervisorName::Systemd).then(|| line("supervisor", name.name(), origin))
}

/// What the service gets besides the secret and `env.values`.
fn variables(subject: &Subject) -> Setting {
    let defaults = subject.recipe.defaults.iter();
    let defaults = defaults.filter(|(name, _)| !subject.manifest.env.values.contains_key(*name));
    let shown: Vec<String> = defaults.map(|(name, value)| format!("{name}={value}")).collect();
    line("variables", &shown.join(" "), "defaults: the secret and env.values override them")
}

fn writable(subject: &Subject) -> Setting {
    let manifest = subject.manifest;
    if let Some(container) = subject.recipe.container() {
        return in_container(container);
    }
    if subject.recipe.project().is_some() {
        return line(
            "may write",
            "everything in the containers",
            "read_only in the compose file changes that",
        );
    }
    let own = ["its HOME".to_owned(), "/tmp".to_owned()];
    let all: Vec<String> = own
        .into_iter()
        .chain(manifest.persist.iter().cloned())
        .chain(manifest.writable.iter().cloned())
        .chain(subject.recipe.writes.clone())
        .collect();
    let origins = [
        ("persist in bootagent.toml", manifest.persist.is_empty()),
        ("writable in bootagent.toml", manifest.writable.is_empty()),
        ("what its framework writes", subject.recipe.writes.is_empty()),
    ];
    let named: Vec<&str> =
        origins.into_iter().filter(|(_, is_empty)| !is_empty).map(|(origin, _)| origin).collect();
    let origin = match named.is_empty() {
        true => "everything else is read-only".to_owned(),
        false => format!("{}; everything else is read-only", named.join(", and ")),
    };
    line("may write", &all.join(", "), &origin)
}

/// Where the program in a container may write.
fn in_container(container: &Container) -> Setting {
    if !container.is_read_only {
        return line("may write", "everything in the container", "docker.read_only in bootagent.toml");
    }
    let usual = ["/tmp".to_owned(), "/run".to_owned()].into_iter();
    let volumes = container.volumes.iter().map(|volume| volume.path.clone());
    let all: Vec<String> = usual.chain(container.writable.iter().cloned()).chain(volumes).collect();
    line("may write", &all.join(", "), "the rest of the image is read-only")
}
