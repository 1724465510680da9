//! `bootagent fleet`: lists the instances of a service and environment, from the reports of their last runs.

use serde::Serialize;

use crate::cli::{FleetArgs, Output};
use crate::error::{Code, Error, Result};
use crate::facts::{Commit, Facts, FleetKnown};
use crate::machine::LocalHost;
use crate::observe::{self, FleetReader};
use crate::report::print;
use crate::report::status::{State, Status};
use crate::report::view;

/// The newest reports that are shown: groups are smaller, and reports of terminated instances stay.
const MOST: usize = 100;

pub async fn fleet(args: &FleetArgs) -> u8 {
    let shown = read(args).await.and_then(|fleet| match args.output {
        Output::Text => print(&text(&fleet)),
        Output::Json => {
            let text = serde_json::to_string_pretty(&fleet);
            print(&(text.map_err(|error| Error::new(Code::Bug, "printing the fleet", error))? + "\n"))
        }
    });
    match shown {
        Ok(()) => 0,
        Err(error) => super::print_error(&error),
    }
}

#[derive(Serialize)]
struct Fleet {
    schema: u32,
    #[serde(flatten)]
    known: FleetKnown,
    /// The newest first.
    instances: Vec<Member>,
}

#[derive(Serialize)]
struct Member {
    instance: String,
    state: State,
    /// The commit that serves, or that the last run wanted.
    commit: Option<Commit>,
    /// Seconds since the report was written.
    age: u64,
    /// The code of the last run's error.
    #[serde(skip_serializing_if = "Option::is_none")]
    error: Option<String>,
}

async fn read(args: &FleetArgs) -> Result<Fleet> {
    let machine = LocalHost::observer();
    let flags = args.at.flags();
    let policy = observe::policy(&machine, &flags).await?;
    let reader = FleetReader::new(&machine, &policy).await?;
    let memory = reader.memory(&Facts::default(), &policy)?;
    let known = reader.known(&memory).await?;
    let mut reports = reader.list(&memory.reports()).await?;
    reports.sort_by_key(|report| report.age);
    let mut instances = Vec::new();
    for report in reports.iter().take(MOST) {
        let Some(instance) = report.instance() else { continue };
        // A report that cannot be read, of another version for example, hides no other one.
        let Some(text) = reader.text(&memory.report(instance)).await? else { continue };
        let Ok(status) = Status::of_another_machine(&text) else { continue };
        instances.push(member(instance, report.age, status));
    }
    Ok(Fleet { schema: 1, known, instances })
}

fn member(instance: &str, age: u64, status: Status) -> Member {
    Member {
        instance: instance.to_owned(),
        state: status.state,
        commit: status.serving.or(status.commit),
        age,
        error: status.error.map(|error| error.code),
    }
}

fn text(fleet: &Fleet) -> String {
    let commit = |commit: Option<&Commit>| commit.map_or("none", |commit| commit.short()).to_owned();
    let pin = fleet.known.pin.as_ref().map(|pin| &pin.commit);
    let good = fleet.known.good.as_ref();
    let mut lines = vec![format!(
        "pinned: {}, last good: {} (before it: {})",
        commit(pin),
        commit(good.map(|good| &good.commit)),
        commit(good.and_then(|good| good.before.as_ref()))
    )];
    lines.push(format!("{:20} {:13} {:23} {:12} {}", "INSTANCE", "COMMIT", "LAST RUN", "REPORTED", "ERROR"));
    for member in &fleet.instances {
        lines.push(format!(
            "{:20} {:13} {:23} {:12} {}",
            member.instance,
            commit(member.commit.as_ref()),
            member.state.name(),
            view::age(member.age) + " ago",
            member.error.as_deref().unwrap_or_default()
        ));
    }
    if fleet.instances.is_empty() {
        lines.push("no instance has reported yet".to_owned());
    }
    lines.into_iter().map(|line| line.trim_end().to_owned() + "\n").collect()
}
