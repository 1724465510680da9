//! `bootagent logs`: replaces itself by journalctl for the service's unit.

use crate::cli::LogsArgs;
use crate::error::{Code, Error, Result};
use crate::machine::{self, LocalHost, Observe};
use crate::plan::layout::Layout;
use crate::report;

pub async fn logs(args: &LogsArgs) -> u8 {
    let shown = async {
        let unit = unit(&LocalHost::observer()).await?;
        let mut line = vec!["/usr/bin/journalctl".to_owned(), format!("--lines={}", args.lines)];
        let service = unit.trim_end_matches(".service");
        line.extend(match &args.process {
            Some(name) => vec![format!("--unit={service}.{}.service", checked(name)?)],
            None => vec![format!("--unit={unit}"), format!("--unit={service}.*.service")],
        });
        line.extend(args.follow.then(|| "--follow".to_owned()));
        Err::<(), Error>(machine::become_program(&line))
    };
    shown.await.map_or_else(|error| super::print_error(&error), |()| 0)
}

/// A name of the manifest: another one would be a pattern of journalctl's.
fn checked(name: &str) -> Result<&str> {
    match name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-') {
        true => Ok(name),
        false => Err(Error::new(
            Code::Usage,
            "choosing the unit",
            "--process has characters that no process's name has",
        )),
    }
}

/// The unit of the last run, or of the only service that has a record on this machine.
async fn unit(machine: &LocalHost) -> Result<String> {
    if let Some(unit) = report::read(machine).await?.and_then(|status| status.unit) {
        return Ok(unit);
    }
    let claims = machine.facts(&[]).await?.claims;
    let mut units = claims.iter().map(|service| Layout::new(service).unit());
    match (units.next(), units.next()) {
        (Some(unit), None) => Ok(unit),
        _ => {
            let cause = "no run in this boot has recorded a service";
            let remedy = "use journalctl -u SERVICE; bootagent's own log: journalctl -t bootagent";
            Err(Error::new(Code::Usage, "choosing the unit", cause).remedy(remedy))
        }
    }
}
