//! Starts docker's daemon and enables it, bounds the logs of containers in `daemon.json` where nothing else does, and makes
//! the network of the services. What the file has stays; a file with which the daemon does not start is put back.

use std::path::Path;
use std::time::Duration;

use serde_json::{Map, Value};
use tokio::time::{Instant, sleep};

use super::docker::{Docker, SHORT};
use crate::error::{Error, Result};
use crate::fault::Fault;
use crate::machine::disk::files;
use crate::machine::process::program::{self, failed};
use crate::machine::process::{journal, units};
use crate::machine::{Check, progress};
use crate::plan::{ConfigureEngine, Mode, Owner};
use crate::secret::Message;

/// How long the daemon has to answer: it may find many containers at its start.
const ANSWERS: Duration = Duration::from_secs(60);
const PAUSE: Duration = Duration::from_millis(200);

pub async fn check(engine: &ConfigureEngine) -> Result<Check> {
    if merged(engine)?.is_some() {
        return Ok(Check::WouldChange(format!("{} bounds no logs", engine.file.display())));
    }
    let docker = Docker::new(&engine.docker);
    if version(&docker).await.is_none() {
        return Ok(Check::WouldChange("docker does not answer".into()));
    }
    if !is_enabled(&engine.unit).await {
        return Ok(Check::WouldChange("not enabled".into()));
    }
    Ok(match has_network(&docker, engine).await {
        true => Check::AlreadySo,
        false => Check::WouldChange(format!("no network {}", engine.network)),
    })
}

pub async fn configure(engine: &ConfigureEngine) -> Result<()> {
    let docker = Docker::new(&engine.docker);
    let former = files::read(&engine.file)?;
    let changed = merged(engine)?;
    if let Some(text) = &changed {
        validate(engine, text).await?;
        write(&engine.file, text.as_bytes())?;
    }
    let started = start(engine, &docker, changed.is_some()).await;
    if let (Err(error), true) = (&started, changed.is_some()) {
        // An option of the unit may contradict the file, which stops the daemon and every other container.
        put_back(&engine.file, former.as_deref())?;
        let _ = start(engine, &docker, true).await;
        let note = format!("{} is as it was before", engine.file.display());
        return Err(Fault::EngineFailed.error(doing(engine), error.cause()).with_note(&note));
    }
    started?;
    if !has_network(&docker, engine).await {
        let bridge = format!("com.docker.network.bridge.name={}", engine.bridge);
        docker.must(&["network", "create", "--driver", "bridge", "--opt", &bridge, &engine.network]).await?;
    }
    Ok(())
}

fn doing(engine: &ConfigureEngine) -> String {
    format!("starting {}", engine.unit)
}

fn write(path: &Path, bytes: &[u8]) -> Result<()> {
    if let Some(directory) = path.parent()
        && !files::exists(directory)?
    {
        files::directory(directory, &Owner::root(), Mode(0o755))?;
    }
    files::write(path, bytes, &Owner::root(), Mode(0o644))
}

fn put_back(path: &Path, former: Option<&[u8]>) -> Result<()> {
    match former {
        Some(bytes) => write(path, bytes),
        None => files::remove_file(path),
    }
}

/// The daemon restarts only if its file changed, and never under containers that run: those would end.
async fn start(engine: &ConfigureEngine, docker: &Docker<'_>, changed: bool) -> Result<()> {
    tool(engine, &["systemctl", "enable", "--quiet", "--", &engine.unit]).await?;
    let is_active = units::state(&engine.unit).await?.is_active();
    let has_containers =
        async || docker.asked(&["ps", "--quiet"]).await.is_some_and(|ids| !ids.trim().is_empty());
    match (is_active, changed) {
        (true, true) if has_containers().await => progress::note(format!(
            "{} has an effect on other containers once docker is restarted: containers run now",
            engine.file.display()
        )),
        (true, false) => {}
        (_, _) => {
            units::forget_failed(&engine.unit).await;
            tool(engine, &["systemctl", "restart", "--", &engine.unit]).await?;
        }
    }
    let until = Instant::now() + ANSWERS;
    while version(docker).await.is_none() {
        if Instant::now() >= until {
            let cause = format!("docker did not answer within {} s", ANSWERS.as_secs());
            return Err(Fault::EngineFailed.error(doing(engine), cause));
        }
        sleep(PAUSE).await;
    }
    Ok(())
}

async fn tool(engine: &ConfigureEngine, argv: &[&str]) -> Result<()> {
    let output = program::run(argv, None, Duration::from_secs(90), 64 << 10).await?;
    if output.ok() {
        return Ok(());
    }
    let invocation = units::state(&engine.unit).await.map(|state| state.invocation).unwrap_or_default();
    let lines = journal::last_lines(&[invocation]).await;
    let error = failed(Fault::EngineFailed.code(), doing(engine), &output);
    let cause = match lines.last() {
        Some(last) => Message::from(last.trimmed()),
        None => error.cause(),
    };
    Err(Fault::EngineFailed.error(doing(engine), cause).saying(lines))
}

async fn version(docker: &Docker<'_>) -> Option<String> {
    docker.asked(&["version", "--format", "{{.Server.Version}}"]).await.filter(|text| !text.trim().is_empty())
}

async fn is_enabled(unit: &str) -> bool {
    let line = ["systemctl", "is-enabled", "--quiet", "--", unit];
    program::run(&line, None, Duration::from_secs(SHORT), 1 << 10).await.is_ok_and(|output| output.ok())
}

async fn has_network(docker: &Docker<'_>, engine: &ConfigureEngine) -> bool {
    docker.asked(&["network", "inspect", "--format", "{{.Name}}", &engine.network]).await.is_some()
}

/// Newer daemons can check a file without starting.
async fn validate(engine: &ConfigureEngine, text: &str) -> Result<()> {
    let help = program::run(&["dockerd", "--help"], None, Duration::from_secs(SHORT), 64 << 10).await?;
    if !help.text().contains("--validate") {
        return Ok(());
    }
    let mut candidate = engine.file.clone();
    candidate.set_extension("json.bootagent");
    write(&candidate, text.as_bytes())?;
    let path = candidate.display().to_string();
    let line = ["dockerd", "--validate", "--config-file", &path];
    let output = program::run(&line, None, Duration::from_secs(SHORT), 64 << 10).await;
    files::remove_file(&candidate)?;
    let output = output?;
    match output.ok() {
        true => Ok(()),
        false => Err(invalid(engine, failed(Fault::EngineFailed.code(), doing(engine), &output).cause())),
    }
}

fn invalid(engine: &ConfigureEngine, cause: impl Into<Message>) -> Error {
    let path = engine.file.display();
    Fault::EngineFailed.error(format!("reading {path}"), cause).remedy(format!(
        "correct {path}, which bootagent does not replace: dockerd --validate --config-file {path} checks it; then: bootagent run"
    ))
}

/// The text of the file with bounded logs; `None` if it need not change.
fn merged(engine: &ConfigureEngine) -> Result<Option<String>> {
    let bytes = files::read(&engine.file)?.unwrap_or_default();
    let text = String::from_utf8_lossy(&bytes);
    let before: Map<String, Value> = match text.trim() {
        "" => Map::new(),
        text => serde_json::from_str(text).map_err(|error| {
            let at = format!("it is not a JSON object (line {}, column {})", error.line(), error.column());
            invalid(engine, at)
        })?,
    };
    let after = with_bounds(before.clone(), &engine.log_size, &engine.log_files);
    Ok((after != before).then(|| format!("{:#}\n", Value::Object(after))))
}

/// Adds what the file does not say. A log driver other than docker's default has its own bounds.
fn with_bounds(mut all: Map<String, Value>, size: &str, files: &str) -> Map<String, Value> {
    const DRIVER: &str = "log-driver";
    const OPTIONS: &str = "log-opts";
    const DEFAULT: &str = "json-file";
    if all.get(DRIVER).is_some_and(|driver| driver != DEFAULT) {
        return all;
    }
    let options = all.entry(OPTIONS).or_insert_with(|| Value::Object(Map::new()));
    let Some(options) = options.as_object_mut() else { return all };
    // The daemon wants strings, also for the number.
    for (name, value) in [("max-size", size), ("max-file", files)] {
        options.entry(name).or_insert_with(|| value.into());
    }
    all.entry(DRIVER).or_insert_with(|| DEFAULT.into());
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounded(before: &str) -> Value {
        let Value::Object(before) = serde_json::from_str(before).unwrap() else { panic!("{before}") };
        Value::Object(with_bounds(before, "100m", "3"))
    }

    #[test]
    fn what_a_file_has_stays_and_logs_are_bounded() {
        for (before, after) in [
            ("{}", r#"{"log-driver":"json-file","log-opts":{"max-size":"100m","max-file":"3"}}"#),
            (
                r#"{"mtu":1400,"log-opts":{"max-size":"1m","tag":"x"}}"#,
                r#"{"mtu":1400,"log-driver":"json-file","log-opts":{"max-size":"1m","tag":"x","max-file":"3"}}"#,
            ),
            (r#"{"log-driver":"journald"}"#, r#"{"log-driver":"journald"}"#),
            (r#"{"log-opts":7}"#, r#"{"log-opts":7}"#),
        ] {
            assert_eq!(bounded(before), serde_json::from_str::<Value>(after).unwrap(), "{before}");
        }
    }
}
