//! What runs a database server: its program in the service's unit, as the service's user, with a configuration of its own.
//! The distribution's unit is not used.

use super::service_unit::Main;
use super::systemd;
use super::{App, Service, Supervisor};
use crate::error::{Code, Error, Result};
use crate::facts::{PackageManager, ServiceFile, Supervised, Takes};
use crate::observe::manifest::SupervisorName;
use crate::plan::environment::{EnvCopy, SERVICE};
use crate::plan::{InitializeData, ServerProgram};
use crate::planner::env;
use crate::planner::runtime::data_host::server::{self, DataHost, Described};
use crate::planner::volume::place;
use crate::secret::Secret;

/// Chosen for each data host, by no name.
pub const DATA_HOST: Supervisor = Supervisor {
    name: SupervisorName::Systemd,
    evidence: &[],
    starts: |_, _| false,
    refuse: |_, _, _| Ok(()),
    supervise,
};

/// A server writes what it has in memory before it ends.
const STOP_SECONDS: u32 = 300;

fn supervise(app: &App) -> Result<Service> {
    let Some(host) = app.recipe.data_host() else {
        return Err(Error::new(Code::Bug, "planning the database server", "it is not one"));
    };
    // An image has no value, and the machine of which it is made starts nothing.
    if !app.wanted.selection.bakes {
        refuse_values(app, host)?;
    }
    let server = host.server;
    let (home, state) = (app.layout.home(), app.layout.data());
    let volume = place::path(app.wanted.manifest, app.layout);
    let data = volume.as_ref().unwrap_or(&state).join(server.name);
    let machine = &app.wanted.facts.machine;
    let described = Described { host, machine, port: port(app)?, home: &home, state: &state, data: &data };
    let why = format!("how {} runs", server.name);
    let file = |(name, text): (&str, String)| ServiceFile {
        name: name.to_owned(),
        why: why.clone(),
        path: home.join(name),
        text,
    };
    let files: Vec<ServiceFile> = (server.files)(&described).into_iter().map(file).collect();
    let before_start = (server.before_start)(&described);
    let reads_variables = before_start.is_some();
    let main = Main {
        argv: (server.argv)(&described),
        tree: home.clone(),
        check: before_start,
        needs_no_variables: !reads_variables,
        stop_signal: server.stop_signal,
        stop_seconds: Some(STOP_SECONDS),
        ..Main::default()
    };
    let environment = reads_variables.then(|| app.layout.environment());
    let reads = environment.into_iter().chain(volume.clone()).collect();
    let unit = systemd::unit(app, &main)?;
    let runs_by = Supervised { unit, files, reads, takes: Takes::RestartOfFiles, beside: Vec::new() };
    let first_data = InitializeData {
        unit: app.layout.transient("first-data"),
        service: app.layout.service().to_string(),
        server: server.name.to_owned(),
        directory: data.clone(),
        user: app.layout.user().to_owned(),
        program: server.versions.as_ref().map(|versions| ServerProgram {
            directories: (versions.directories.iter().copied())
                .chain(
                    (machine.package_manager() == Some(PackageManager::Dnf)).then_some(server::RPM_DIRECTORY),
                )
                .map(str::to_owned)
                .collect(),
            program: versions.program.to_owned(),
            link: server::link(&home, server.name),
            version: host.settings.get("version").cloned(),
        }),
        script: server.script.to_owned(),
        variables: env::render(app.variables, None, "the first user")?.0.service().clone(),
        variables_at: app.layout.env_file(EnvCopy::Migration, &SERVICE),
    };
    let place = match volume {
        Some(_) => "on its own volume",
        None => "on the instance's root volume: it ends with the instance",
    };
    let notes = vec![format!("the data is in {}, {place}", data.display())];
    Ok(Service { runs_by, first_data: Some(first_data), notes, ..Service::default() })
}

fn port(app: &App) -> Result<u16> {
    let port = app.variables.get("PORT").and_then(|port| port.expose().trim().parse().ok());
    port.filter(|port| *port != 0).ok_or_else(|| {
        Error::new(
            Code::ManifestInvalid,
            "planning the database server",
            "PORT is not a number from 1 to 65535",
        )
        .remedy("correct PORT in the secret, or port in the manifest")
    })
}

/// Fails without a password, and for names that would need to be quoted. Never shows a value.
fn refuse_values(app: &App, host: &DataHost) -> Result<()> {
    let server = host.server;
    let doing = || format!("reading the first user of {}", server.name);
    let value = |name: &str| app.variables.get(name).map(Secret::expose);
    match value(server.password) {
        None | Some("") => {
            let cause = format!("{} has no {}", app.wanted.selection.secret, server.password);
            return Err(Error::new(Code::SecretKeyMissing, doing(), cause)
                .remedy(format!("add {} to the secret", server.password)));
        }
        Some(password) if password.contains(['\n', '\r']) => {
            let cause = format!("{} contains a line break", server.password);
            return Err(Error::new(Code::SecretInvalid, doing(), cause).remedy("choose another password"));
        }
        Some(_) => {}
    }
    for name in server.user.into_iter().chain(server.database) {
        if value(name).is_some_and(|value| !is_name(value)) {
            let cause = format!("{name} is not a name of a-z, A-Z, 0-9 and _, of at most 63 characters");
            return Err(Error::new(Code::SecretInvalid, doing(), cause)
                .remedy(format!("correct {name} in the secret")));
        }
    }
    Ok(())
}

fn is_name(text: &str) -> bool {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let starts = |c: char| c.is_ascii_alphabetic() || c == '_';
    // `pg_` is reserved, and the templates are there already.
    let is_reserved = text.starts_with("pg_") || text.starts_with("template");
    !is_reserved && text.len() <= 63 && text.starts_with(starts) && text.chars().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_would_need_quotes_are_refused() {
        for good in ["orders", "Orders_2", "_x"] {
            assert!(is_name(good), "{good}");
        }
        for bad in ["", "a b", "a\"b", "a;b", "1a", "pg_x", "template1", "é", "a-b", &"x".repeat(64)] {
            assert!(!is_name(bad), "{bad}");
        }
    }
}
