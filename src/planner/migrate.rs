//! What a release wants done once before it serves: a migration of its database, mostly. The former
//! generation serves meanwhile.

use std::path::Path;

use serde::Serialize;

use super::Wanted;
use super::own::persistent;
use super::records::{instance, name, text};
use super::runtime::Recipe;
use super::steps::Steps;
use crate::error::Result;
use crate::facts::Environment;
use crate::fault::Slice;
use crate::observe::Rendering;
use crate::plan::layout::Layout;
use crate::plan::{Action, Migration, Record, StepId};

/// Where it was done: another instance, baked from this one's disk, or another environment has another
/// database.
#[derive(Serialize)]
struct Migrated<'a> {
    instance: Option<String>,
    environment: &'a Environment,
}

pub fn migrate(
    steps: &mut Steps,
    wanted: &Wanted,
    recipe: &Recipe,
    release: &Path,
    rendering: &Rendering,
    layout: &Layout,
) -> Result<()> {
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
        directory: release.to_owned(),
        environment,
        variables: rendering.service.clone(),
        dotenv: rendering.dotenv.clone(),
        dotenv_at: layout.dotenv(),
        scratch: layout.migration(),
        writable: vec![layout.data()],
        may_use_imds: wanted.selection.service_may_use_imds,
        record: Record { path: layout.migrated().join(name(release)), text: text(&done)? },
    };
    let persistent = persistent(wanted.manifest).map(|(id, _)| StepId::new(id)).collect();
    steps
        .add("migrate", "once for this release; the former one serves meanwhile", Action::Migrate(migration))
        .after(&["finish", "run", "data"])
        .needing(persistent)
        .within(Slice::Migrate);
    Ok(())
}
