//! What a release wants done before it is switched to: as the service, with its environment and walls.

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

/// Longer than the step's own deadline: this one holds if the agent dies.
const DEADLINE: Duration = Duration::from_secs(Phase::Migrate.seconds().0 + 60);

pub fn check(migration: &Migration) -> Result<Check> {
    let record = &migration.record;
    files::check_file(&record.path, record.text.as_bytes(), &Owner::root(), Mode(0o600))
}

pub async fn migrate(migration: &Migration) -> Result<()> {
    let rendered = Rendered::new(migration)?;
    for argv in &migration.commands {
        run(migration, argv).await?;
    }
    drop(rendered);
    let record = &migration.record;
    files::write(&record.path, record.text.as_bytes(), &Owner::root(), Mode(0o600))
}

async fn run(migration: &Migration, argv: &[String]) -> Result<()> {
    let wrapped = wrapper::command_line(argv, migration.may_use_imds)?;
    let began = now();
    let output = transient(migration).run(&wrapped, None, 256 << 10).await?;
    let unit_ended = match output.ok() {
        true => String::new(),
        false => journal::last_word(&migration.unit, began).await,
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
    let around: BTreeSet<&Path> = migration.files.iter().filter_map(|file| file.seen_as.parent()).collect();
    for directory in around {
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

/// The environment that the service will get, in files that go when the migration ends in whatever way.
struct Rendered<'a>(&'a Migration);

impl<'a> Rendered<'a> {
    fn new(migration: &'a Migration) -> Result<Self> {
        let rendered = Rendered(migration);
        files::directory(&migration.scratch, &Owner::root(), Mode(0o700))?;
        let variables = migration.variables.expose().as_bytes();
        files::write(&migration.variables_at, variables, &Owner::root(), Mode(0o600))?;
        for SeenFile { path, content, owner, mode, .. } in &migration.files {
            files::write(path, content.expose().as_bytes(), owner, *mode)?;
        }
        Ok(rendered)
    }
}

impl Drop for Rendered<'_> {
    /// What cannot be removed is in memory and root's, and the next run removes it.
    fn drop(&mut self) {
        let _ = files::remove_tree(&self.0.scratch);
    }
}
