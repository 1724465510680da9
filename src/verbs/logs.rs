//! The service's journal: journalctl's own, with the unit that is meant.

use crate::cli::LogsArgs;
use crate::error::{Code, Error, Result};
use crate::machine::{self, LocalHost, Observe};
use crate::plan::layout::Layout;
use crate::report;

pub async fn logs(args: &LogsArgs) -> u8 {
    let shown = async {
        let unit = unit(&LocalHost::observer()).await?;
        let mut line = vec![
            "/usr/bin/journalctl".to_owned(),
            format!("--unit={unit}"),
            format!("--lines={}", args.lines),
        ];
        line.extend(args.follow.then(|| "--follow".to_owned()));
        Err::<(), Error>(machine::become_program(&line))
    };
    shown.await.map_or_else(|error| super::told(&error), |()| 0)
}

/// The last run's unit, or that of the only service that was ever here.
async fn unit(machine: &LocalHost) -> Result<String> {
    if let Some(unit) = report::read(machine).await?.and_then(|status| status.unit) {
        return Ok(unit);
    }
    let claims = machine.facts(&[]).await?.claims;
    let mut units = claims.iter().map(|service| Layout::new(service).unit());
    match (units.next(), units.next()) {
        (Some(unit), None) => Ok(unit),
        _ => {
            let cause = "no run in this boot knows the service";
            let remedy = "journalctl -u with the service's name; bootagent's own: journalctl -t bootagent";
            Err(Error::new(Code::Usage, "choosing the unit", cause).remedy(remedy))
        }
    }
}
