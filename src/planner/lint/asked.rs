//! What the manifest asks for beside the service's own program: processes, timers, limits, sources of values, files, a volume.
//! Names only: no value of `env.values` and no template of `env.compose`.

use super::super::{runtime, values};
use super::{Subject, command, plain};
use crate::error::{Error, Result};
use crate::observe::manifest::{Manifest, Process, ProxyLimits, ProxyWish, Timer, VolumeWish};
use crate::plan::{Limits, Setting};

pub fn asked(subject: &Subject) -> Result<Vec<Setting>> {
    let manifest = subject.manifest;
    let mut lines = processes(manifest)?;
    lines.extend(timers(manifest)?);
    let limits = manifest.limits.shown();
    lines.extend((!limits.is_empty()).then(|| line("limits", &limits, "[limits] in bootagent.toml")));
    lines.extend(listed("waits for", &manifest.wait_for, "wait_for in bootagent.toml"));
    lines.extend(manifest.proxy.as_ref().map(proxy));
    lines.extend(manifest.volume.as_ref().map(volume));
    lines.extend(variables(manifest));
    Ok(lines)
}

fn line(name: &str, value: &str, origin: &str) -> Setting {
    Setting { name: name.to_owned(), value: plain(value), origin: plain(origin) }
}

fn listed<'a>(name: &str, all: impl IntoIterator<Item = &'a String>, origin: &str) -> Option<Setting> {
    let all = all.into_iter().map(String::as_str).collect::<Vec<_>>().join(", ");
    (!all.is_empty()).then(|| line(name, &all, origin))
}

fn processes(manifest: &Manifest) -> Result<Vec<Setting>> {
    let shown = |(name, process): (&String, &Process)| {
        let key = format!("processes.{name}");
        let instances = process.instances.map(|count| format!(", {count} instances")).unwrap_or_default();
        let value = format!("{}{instances}{}", typed(&process.start, &key)?, own(&process.limits));
        Ok(line(&format!("process {name}"), &value, &format!("{key} in bootagent.toml")))
    };
    manifest.processes.iter().map(shown).collect()
}

fn timers(manifest: &Manifest) -> Result<Vec<Setting>> {
    let shown = |(name, timer): (&String, &Timer)| {
        let key = format!("timers.{name}");
        let (command, most, own) = (typed(&timer.command, &key)?, timer.timeout.0, own(&timer.limits));
        let value = format!("{command}, at {}, for {most} s at most{own}", timer.schedule);
        Ok(line(&format!("timer {name}"), &value, &format!("{key} in bootagent.toml")))
    };
    manifest.timers.iter().map(shown).collect()
}

/// The limits of a process or timer.
fn own(limits: &Limits) -> String {
    let shown = limits.shown();
    if shown.is_empty() { shown } else { format!(", {shown}") }
}

/// The command of a process or timer. A boot refuses the same lines.
fn typed(command: &str, key: &str) -> Result<String> {
    let start = runtime::start_line(command)
        .map_err(|error: Error| error.because(format!("it is the command of {key} in bootagent.toml")))?;
    Ok(command::started(&start))
}

/// `nginx on port 8080, bodies up to 20M; /upload: bodies up to 50M`.
fn proxy(proxy: &ProxyWish) -> Setting {
    let gzip = proxy.gzip.then(|| "compresses text".to_owned());
    let own = limits(&proxy.limits).into_iter().chain(gzip).map(|limit| format!(", {limit}"));
    let paths = proxy.paths.iter().map(|(path, of)| format!("; {path}: {}", limits(of).join(", ")));
    let details: String = own.chain(paths).collect();
    line("proxy", &format!("nginx on port {}{details}", proxy.port), "[proxy] in bootagent.toml")
}

fn limits(limits: &ProxyLimits) -> Vec<String> {
    let body = limits.body.iter().map(|most| format!("bodies up to {most}"));
    let timeout = limits.timeout.iter().map(|most| format!("{} s without an answer", most.0));
    body.chain(timeout).collect()
}

fn volume(volume: &VolumeWish) -> Setting {
    let place = volume.mount.as_deref().unwrap_or("volume/ in the service's directory");
    let label = volume.label.as_ref().map(|label| format!(", label {label}")).unwrap_or_default();
    let (device, kind, wait) = (&volume.device, volume.filesystem.name(), volume.wait.0);
    let value = format!("{device} at {place}, {kind}{label}; a boot waits {wait} s for it");
    line("volume", &value, "[volume] in bootagent.toml")
}

/// Where variables come from and which files are made of them.
fn variables(manifest: &Manifest) -> Vec<Setting> {
    let env = &manifest.env;
    let secret = (!manifest.secret).then(|| line("secret", "none", "secret in bootagent.toml"));
    let described = env.from.iter().map(values::described);
    let sources = described
        .map(|source| line("values from", &source, "env.from in bootagent.toml; if the policy allows it"));
    let composed =
        values::composed(env).map(|composed| line("composed", &composed, "env.compose in bootagent.toml"));
    let set = listed("own values", env.values.keys(), "env.values in bootagent.toml");
    let required = listed("required", &env.required, "env.required in bootagent.toml");
    let made = env.files.iter().map(values::made);
    let made = made.map(|file| line("file", &file, "env.files in bootagent.toml"));
    let without = (!env.file).then(|| line(".env", "none", "env.file in bootagent.toml"));
    secret
        .into_iter()
        .chain(sources)
        .chain(composed)
        .chain(set)
        .chain(required)
        .chain(made)
        .chain(without)
        .collect()
}
