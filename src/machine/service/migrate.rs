//! Runs a release's `migrate` commands before the switch: as the service's user, with the service's environment and
//! hardening. A record of the release, instance and environment prevents a second run.

use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;

use crate::error::Result;
use crate::fault::{Fault, Phase};
use crate::machine::disk::files;
use crate::machine::install::diagnose;
use crate::machine::jail::unit::{TransientUnit, User};
use crate::machine::jail::wrapper;
use crate::machine::process::journal;
use crate::machine::{Check, now};
use crate::plan::{Migration, Mode, Owner, SeenFile};

/// systemd enforces it if bootagent was killed: longer than the time limit of the step, which bootagent enforces.
const DEADLINE: Duration = Duration::from_secs(Phase::Migrate.seconds().0 + 60);

pub fn check(migration: &Migration) -> Result<Check> {
    let record = &migration.record;
    files::check_file(&record.path, record.text.as_bytes(), &Owner::root(), Mode(0o600))
}

pub async fn migrate(migration: &Migration) -> Result<()> {
    let environment = EnvironmentFiles::new(migration)?;
    for argv in &migration.commands {
        run(migration, argv).await?;
    }
    drop(environment);
    record(migration)
}

/// Records that it is done, here or by another instance of the group.
pub fn record(migration: &Migration) -> Result<()> {
    let record = &migration.record;
    files::write(&record.path, record.text.as_bytes(), &Owner::root(), Mode(0o600))
}

async fn run(migration: &Migration, argv: &[String]) -> Result<()> {
    let wrapped = wrapper::command_line(argv, migration.may_use_imds)?;
    let began = now();
    let output = transient(migration).run(&wrapped, None, 256 << 10).await?;
    let unit_ended = match output.ok() {
        true => String::new(),
        false => journal::systemd_messages(&migration.unit, began).await,
    };
    let ran = diagnose::Ran {
        line: argv.join(" "),
        user: &migration.user,
        writable: &migration.writable,
        fault: Fault::MigrateFailed,
    };
    diagnose::judge(&ran, &output, &unit_ended)
}

fn transient(migration: &Migration) -> TransientUnit {
    let user = User::Named { user: migration.user.clone(), group: migration.user.clone() };
    let mut transient = TransientUnit::new(&migration.unit, user, DEADLINE)
        .as_the_service()
        .directory(&migration.directory)
        .environment(&migration.environment)
        .property(format!("EnvironmentFile={}", migration.variables_at.display()));
    // The directories of the mounted files need not exist yet, so the unit gets its own, empty ones.
    let directories: BTreeSet<&Path> =
        migration.files.iter().filter_map(|file| file.seen_as.parent()).collect();
    for directory in directories {
        transient = transient.property(format!("TemporaryFileSystem={}:mode=0755", directory.display()));
    }
    for SeenFile { path, seen_as, .. } in &migration.files {
        transient = transient.property(format!("BindReadOnlyPaths={}:{}", path.display(), seen_as.display()));
    }
    if migration.may_use_imds {
        transient = transient.with_imds();
    }
    for path in &migration.writable {
        transient = transient.writable(path);
    }
    transient
}

/// Files with the environment that the service will get. They contain secrets: dropping the value removes them.
struct EnvironmentFiles<'a>(&'a Migration);

impl<'a> EnvironmentFiles<'a> {
    fn new(migration: &'a Migration) -> Result<Self> {
        let written = EnvironmentFiles(migration);
        files::directory(&migration.scratch, &Owner::root(), Mode(0o700))?;
        let variables = migration.variables.expose().as_bytes();
        files::write(&migration.variables_at, variables, &Owner::root(), Mode(0o600))?;
        for SeenFile { path, content, owner, mode, .. } in &migration.files {
            files::write(path, content.expose().as_bytes(), owner, *mode)?;
        }
        Ok(written)
    }
}

impl Drop for EnvironmentFiles<'_> {
    /// An error is ignored: the files are on tmpfs and readable by root only, and the next run removes them.
    fn drop(&mut self) {
        let _ = files::remove_tree(&self.0.scratch);
    }
}
