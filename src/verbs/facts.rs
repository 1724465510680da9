//! `bootagent facts`: prints what bootagent reads of this machine, as JSON for `--facts`.

use crate::cli::FactsArgs;
use crate::error::{Code, Error, Result};
use crate::facts::Lifecycle;
use crate::machine::{LocalHost, Observe};
use crate::observe;
use crate::plan::Seconds;
use crate::planner::runtime;
use crate::report::{print, tell};

/// Short, because the command also runs on machines that are not instances, where IMDS never answers.
const WAIT: Seconds = Seconds(3);

pub async fn facts(args: &FactsArgs) -> u8 {
    match record(args).await.and_then(|text| print(&(text + "\n"))) {
        Ok(()) => 0,
        Err(error) => super::print_error(&error),
    }
}

async fn record(args: &FactsArgs) -> Result<String> {
    let machine = LocalHost::observer();
    let mut facts = machine.facts(&runtime::programs()).await?;
    if !args.local {
        match machine.instance(WAIT).await {
            Ok(instance) => {
                facts.tags = machine.tags(&[], WAIT).await.map(Some).unwrap_or_else(|error| {
                    tell(error.in_public());
                    None
                });
                facts.lifecycle =
                    observe::lifecycle(&machine, &instance, WAIT).await.unwrap_or_else(|error| {
                        tell(error.in_public());
                        Lifecycle::default()
                    });
                facts.instance = Some(instance);
            }
            Err(error) => tell(error.in_public()),
        }
    }
    serde_json::to_string_pretty(&facts).map_err(|error| Error::new(Code::Bug, "printing the facts", error))
}
