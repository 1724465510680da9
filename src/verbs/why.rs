//! `bootagent why`: shows the report of an instance's last run, also of one that is terminated.

use crate::cli::{Output, WhyArgs};
use crate::error::{Code, Error, Result};
use crate::facts::{Environment, FleetMemory, Service, is_instance};
use crate::machine::{self, LocalHost};
use crate::observe::{self, FleetReader};
use crate::report::print;
use crate::report::status::Status;
use crate::report::view;

pub async fn why(args: &WhyArgs) -> u8 {
    let shown = read(args).await.and_then(|status| match args.output {
        Output::Text => print(&view::report(&status, machine::now())),
        Output::Json => {
            let text = serde_json::to_string_pretty(&status);
            print(&(text.map_err(|error| Error::new(Code::Bug, "printing the report", error))? + "\n"))
        }
    });
    match shown {
        Ok(()) => 0,
        Err(error) => super::print_error(&error),
    }
}

async fn read(args: &WhyArgs) -> Result<Status> {
    let id = &args.instance;
    let doing = || format!("looking for the report of {}", id.escape_default());
    if !is_instance(id) {
        return Err(Error::new(Code::Usage, doing(), "it is not an instance's id, like i-0123456789abcdef0"));
    }
    let machine = LocalHost::observer();
    let policy = observe::policy(&machine, &args.at.flags()).await?;
    let reader = FleetReader::new(&machine, &policy).await?;
    let memories = memories(args, &reader).await?;
    let mut reports = Vec::new();
    for memory in &memories {
        let text = reader.text(&memory.report(id)).await?;
        reports.extend(text.map(|text| Status::of_another_machine(&text)).transpose()?);
    }
    // Of a run that did not find out its service. Instances of all services may write there: it counts only if there is none
    // of a service.
    if reports.is_empty() {
        let unselected = reader.text(&reader.unselected(id)).await?;
        reports.extend(unselected.map(|text| Status::of_another_machine(&text)).transpose()?);
    }
    let none = || {
        let count = memories.len();
        let cause = format!("none of {count} services and environments below {} has one", reader.prefix);
        Error::new(Code::FleetNoReport, doing(), cause)
    };
    // An instance that was switched to another service has several.
    reports.into_iter().max_by_key(|report| report.started).ok_or_else(none)
}

/// Those of the flags, or else all that have objects below the prefix.
async fn memories(args: &WhyArgs, reader: &FleetReader<'_, LocalHost>) -> Result<Vec<FleetMemory>> {
    let (Some(service), Some(environment)) = (&args.at.service, &args.at.environment) else {
        return reader.memories().await;
    };
    let wrong = |error: crate::facts::NameError| Error::new(Code::Usage, "reading the flags", error);
    Ok(vec![FleetMemory {
        prefix: reader.prefix.clone(),
        service: Service::try_from(service.as_str()).map_err(wrong)?,
        environment: Environment::try_from(environment.as_str()).map_err(wrong)?,
    }])
}
