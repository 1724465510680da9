//! `bootagent env check`: shows which keys of a secret reach the service, in the process environment and in .env, and
//! why others do not. Never shows a value.

use std::path::Path;

use serde::Serialize;

use crate::boot;
use crate::cli::{EnvArgs, EnvCheckArgs, EnvVerb, Output};
use crate::error::{Code, Error, Result};
use crate::facts::{ValuePlace, ValueSource};
use crate::machine::{LocalHost, Observe, SecretPatience, run_id};
use crate::observe;
use crate::observe::manifest::Manifest;
use crate::observe::secrets::{Content, Merged, PlaceValues, merge};
use crate::plan::Seconds;
use crate::planner::env::check::{Reaches, Verdict, check_all};
use crate::planner::runtime;
use crate::report::{Progress, Report, print};
use crate::secret::Secret;

/// The exit status if a run would refuse a key: the same as the run's.
const INVALID: u8 = 78;

pub async fn env(args: &EnvArgs) -> u8 {
    let EnvVerb::Check(args) = &args.verb;
    let judged = judge(args).await;
    let printed = judged.and_then(|checked| {
        let text = match args.output {
            Output::Text => text(&checked),
            Output::Json => json(&checked)?,
        };
        print(&text).map(|()| checked)
    });
    match printed {
        Ok(checked) if checked.keys.iter().any(Verdict::fails_a_run) => INVALID,
        Ok(_) => 0,
        Err(error) => super::print_error(&error),
    }
}

#[derive(Serialize)]
struct Checked {
    secret: String,
    /// Where the manifest comes from; `None` if no manifest is known.
    manifest: Option<String>,
    /// Whether the service gets a `.env`.
    dotenv: bool,
    keys: Vec<Verdict>,
}

async fn judge(args: &EnvCheckArgs) -> Result<Checked> {
    let found = find(args).await?;
    let manifest = found.manifest.unwrap_or_default();
    let dotenv = manifest.env.file.then(|| runtime::dialect(&manifest));
    Ok(Checked {
        secret: found.places.join(", "),
        manifest: found.manifest_at,
        dotenv: dotenv.is_some(),
        keys: check_all(&found.values, &manifest, dotenv),
    })
}

struct Found {
    /// What was read.
    places: Vec<String>,
    values: Merged,
    manifest: Option<Manifest>,
    manifest_at: Option<String>,
}

/// Reads the file `--env-file`, the secret `--secret`, or else the secret of this instance's service.
async fn find(args: &EnvCheckArgs) -> Result<Found> {
    let machine = LocalHost::observer();
    let flags = args.flags();
    let (name, text) = match (&args.env_file, &args.secret) {
        (Some(file), _) => {
            (file.display().to_string(), Secret::new(observe::flag_file(&machine, file, "--env-file").await?))
        }
        (None, Some(name)) => (name.clone(), named(&machine, name, &flags).await?),
        (None, None) => return own(&machine, &flags).await,
    };
    let manifest = match &args.manifest {
        Some(path) => Some(parsed(path, &observe::flag_file(&machine, path, "--manifest").await?)?),
        None => None,
    };
    let place = ValuePlace::Secret(name.clone());
    let read = [PlaceValues { place: place.clone(), content: Content::Text(text) }];
    Ok(Found {
        places: vec![name],
        values: merge(&[ValueSource::whole(place)], &read, None)?,
        manifest,
        manifest_at: args.manifest.as_ref().map(|path| path.display().to_string()),
    })
}

fn parsed(path: &Path, text: &str) -> Result<Manifest> {
    Manifest::parse(&path.display().to_string(), text, None, &runtime::tables())
}

/// Reads a secret: as root on an instance with the instance's role, else with the caller's credentials.
async fn named(machine: &LocalHost, name: &str, flags: &observe::Flags) -> Result<Secret> {
    let policy = observe::policy(machine, flags).await?;
    let instance = match machine.is_root() {
        true => machine.instance(Seconds(1)).await.ok(),
        false => None,
    };
    let region = instance.as_ref().map(|instance| instance.region.as_str());
    let patience = SecretPatience { time: Seconds(10), waits_for_permission: false };
    machine.secret(name, region, &policy.network(), patience).await
}

async fn own(machine: &LocalHost, flags: &observe::Flags) -> Result<Found> {
    if !machine.is_root() {
        let cause = "only root on an instance can find out which secret the service has";
        return Err(Error::new(Code::Usage, "choosing the secret", cause)
            .remedy("name it with --secret, or check a file with --env-file"));
    }
    let report = Report::new(Progress::Silent, run_id());
    let environment = boot::environment(machine, flags, &report).await?;
    Ok(Found {
        places: environment.places,
        values: environment.values,
        manifest_at: environment
            .manifest
            .as_ref()
            .map(|_| "of the commit to which this instance is pinned".to_owned()),
        manifest: environment.manifest,
    })
}

fn json(checked: &Checked) -> Result<String> {
    serde_json::to_string_pretty(checked)
        .map(|text| text + "\n")
        .map_err(|error| Error::new(Code::Bug, "printing the result", error))
}

fn text(checked: &Checked) -> String {
    let everywhere = match checked.dotenv {
        true => "arrives unchanged, in the process environment and in .env",
        false => "arrives unchanged, in the process environment (there is no .env)",
    };
    let mut lines = vec![format!("{}: {} keys", checked.secret, checked.keys.len())];
    if checked.manifest.is_none() {
        lines.push("no manifest is known: env.allow and env.file in it may change this result".to_owned());
    }
    for Verdict { key, from, arrives } in &checked.keys {
        let from = from.as_ref().map(|from| format!(" ({from})")).unwrap_or_default();
        match arrives {
            Reaches::Everywhere => lines.push(format!("= {key}{from}: {everywhere}")),
            Reaches::EnvironmentOnly { why, remedy } => lines.extend([
                format!("~ {key}{from}: only in the process environment, not in .env: {why}"),
                format!("    to do: {remedy}"),
            ]),
            Reaches::Nowhere { why, remedy } => lines
                .extend([format!("! {key}{from}: does not arrive: {why}"), format!("    to do: {remedy}")]),
        }
    }
    lines.join("\n") + "\n"
}
