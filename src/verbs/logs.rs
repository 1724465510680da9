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
        let mut line = vec!["/usr/bin/journalctl".to_owned()];
        line.extend(units.iter().map(|unit| format!("--unit={unit}")));
        line.push(format!("--lines={}", args.lines));
        line.extend(args.follow.then(|| "--follow".to_owned()));
        Err::<(), Error>(machine::become_program(&line))
    };
    shown.await.map_or_else(|error| super::print_error(&error), |()| 0)
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
