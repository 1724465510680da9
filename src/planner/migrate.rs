//! The migration step: runs the manifest's `migrate` commands once for each release, before it serves. Meanwhile the
//! previous deployment serves.

use serde::Serialize;

use super::accounts::persistent;
use super::before_serving;
use super::draft::{Draft, Wanted};
use super::fleet;
use super::records::{instance, name, text};
use super::steps::Steps;
use super::volume::place;
use crate::error::Result;
use crate::facts::Environment;
use crate::fault::Phase;
use crate::plan::environment::{EnvCopy, EnvFile, SERVICE};
use crate::plan::layout::Layout;
use crate::plan::{Action, Mark, Migration, Mode, Record, Seconds, SeenFile, StepId};
use crate::secret::Sealed;

/// Content of the record that a migration is done. Another environment has another database; and an instance of an AMI
/// that was made from this disk must run the migration itself.
#[derive(Serialize)]
struct Migrated<'a> {
    instance: Option<String>,
    environment: &'a Environment,
}

/// Adds the step, if the manifest has migration commands.
pub fn migrate(steps: &mut Steps, draft: &Draft) -> Result<()> {
    let Draft { wanted, recipe, rendering, layout, .. } = draft;
    let release = draft.release();
    if recipe.migrate.is_empty() {
        return Ok(());
    }
    let done = Migrated { instance: instance(wanted.facts), environment: &wanted.selection.environment };
    let mut environment = recipe.migrate_environment.clone();
    environment.insert("HOME".to_owned(), layout.data().display().to_string());
    environment.insert("PATH".to_owned(), recipe.search_path(release));
    let migration = Migration {
        unit: layout.transient("migrate"),
        commands: recipe.migrate.clone(),
        user: layout.user().to_owned(),
        directory: recipe.tree(release),
        environment,
        variables: rendering.service().clone(),
        variables_at: layout.env_file(EnvCopy::Migration, &SERVICE),
        files: rendering.others().iter().map(|(file, text)| seen(file, text, layout)).collect(),
        scratch: layout.migration(),
        writable: [layout.data()]
            .into_iter()
            .chain(place::path(wanted.manifest, layout))
            .chain(recipe.writable_in(release))
            .collect(),
        may_use_imds: wanted.selection.service_may_use_imds,
        lock: fleet::migration_lock(wanted),
        record: Record { path: layout.migrated().join(name(release)), text: text(&done)? },
    };
    let ready = before_serving(steps);
    let persistent = persistent(wanted.manifest, &draft.recipe).map(|(id, _)| StepId::new(id)).collect();
    steps
        .add(
            "migrate",
            "once for this release; the previous one serves meanwhile",
            Action::Migrate(migration),
        )
        .after(&[ready, "run", "data"])
        .needing(persistent)
        .within(Phase::Migrate)
        .lasting(limit(wanted))
        .marks(Mark::Migrated);
    Ok(())
}

/// An instance may wait for another one's migration before its own.
fn limit(wanted: &Wanted) -> Seconds {
    let once = Phase::Migrate.seconds().0;
    Seconds(if fleet::migration_lock(wanted).is_some() { 2 * once } else { once })
}

/// Whether the former commit works with the migrated data; `None` if there is no migration.
pub fn is_reversible(draft: &Draft) -> Option<bool> {
    (!draft.recipe.migrate.is_empty()).then_some(draft.wanted.manifest.migrate_reversible)
}

/// A file such as `.env`, bind-mounted to the path where the service will read it. That path itself still has the
/// previous deployment's file, or none.
fn seen(file: &EnvFile, text: &Sealed, layout: &Layout) -> SeenFile {
    SeenFile {
        path: layout.env_file(EnvCopy::Migration, file),
        seen_as: layout.env_file(EnvCopy::Serving, file),
        content: text.clone(),
        owner: file.owner(layout.service()),
        mode: Mode(file.mode),
    }
}
