//! `bootagent logs`: replaces itself by journalctl for the service's unit, and for its proxy's if it has one.

use crate::cli::LogsArgs;
use crate::error::{Code, Error, Result};
use crate::machine::{self, LocalHost, Observe};
use crate::plan::Probe;
use crate::plan::layout::Layout;
use crate::report;

pub async fn logs(args: &LogsArgs) -> u8 {
    let shown = async {
        let units = units(&LocalHost::observer()).await?;
        let mut line = vec!["/usr/bin/journalctl".to_owned(), format!("--lines={}", args.lines)];
        line.extend(match &args.process {
            // One unit, or one for each instance.
            Some(name) => {
                let unit = format!("--unit={}.{}", service(&units), checked(name)?);
                vec![format!("{unit}.service"), format!("{unit}@*.service")]
            }
            None => {
                let processes = format!("--unit={}.*.service", service(&units));
                units.iter().map(|unit| format!("--unit={unit}")).chain([processes]).collect()
            }
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

/// The service of these units, the first of which is its own.
fn service(units: &[String]) -> &str {
    units.first().map_or("", |unit| unit.trim_end_matches(".service"))
}

/// The units of the last run's service, or of the only one that has a record on this machine.
async fn units(machine: &LocalHost) -> Result<Vec<String>> {
    let of_last_run = report::read(machine).await?.and_then(|status| Some((status.unit?, status.gate)));
    if let Some((unit, gate)) = of_last_run {
        let proxy = gate.as_ref().and_then(|gate| match gate.proxy()? {
            Probe::Through { unit, .. } => Some(unit.clone()),
            _ => None,
        });
        return Ok([unit].into_iter().chain(proxy).collect());
    }
    let facts = machine.facts(&[]).await?;
    let mut services = facts.claims.iter();
    match (services.next(), services.next()) {
        (Some(service), None) => {
            let good = facts.good.get(service).into_iter();
            let beside = good.flat_map(|good| &good.generation.runs_by.beside).map(|one| one.unit.clone());
            Ok([Layout::new(service).unit()].into_iter().chain(beside).collect())
        }
        _ => {
            let cause = "no run in this boot has recorded a service";
            let remedy = "use journalctl -u SERVICE; bootagent's own log: journalctl -t bootagent";
            Err(Error::new(Code::Usage, "choosing the unit", cause).remedy(remedy))
        }
    }
}
