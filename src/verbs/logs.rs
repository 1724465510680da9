//! `bootagent logs`: the journal of the service, of what runs beside it, and of bootagent itself, in one view. Values of the
//! service's environment are hidden in it, as everywhere.

use crate::cli::LogsArgs;
use crate::error::{Code, Error, Result};
use crate::facts::Service;
use crate::machine::{self, LocalHost, LogLine, LogRequest, Observe};
use crate::observe::secrets::Variables;
use crate::plan::Probe;
use crate::plan::environment::{self, EnvCopy};
use crate::plan::layout::Layout;
use crate::planner::env::systemd;
use crate::report::{self, tell};
use crate::secret::{CUT, Redaction};

pub async fn logs(args: &LogsArgs) -> u8 {
    show(args).await.map_or_else(|error| super::print_error(&error), |()| 0)
}

async fn show(args: &LogsArgs) -> Result<()> {
    let machine = LocalHost::observer();
    let units = units(&machine).await?;
    let service = units.first().map_or("", |unit| unit.trim_end_matches(".service"));
    let (units, agent) = match &args.process {
        Some(name) => (of_process(&units, service, checked(name)?), false),
        None => (units.clone(), true),
    };
    let mut hidden = Hidden::new(&machine, service).await;
    let request = LogRequest { units, agent, lines: args.lines, follow: args.follow };
    machine::read_log(&request, async |line| {
        if args.follow {
            hidden.renew(&machine).await;
        }
        report::print_line(&text(&line, &hidden.redaction))
    })
    .await
}

/// The unit of a process or timer, or one for each instance of a process. One that is gone may have lines in the journal.
fn of_process(units: &[String], service: &str, name: &str) -> Vec<String> {
    let instance = format!("{service}.{name}@");
    let instances = units.iter().filter(|unit| unit.starts_with(&instance)).cloned();
    instances.chain([format!("{service}.{name}.service")]).collect()
}

fn text(line: &LogLine, redaction: &Redaction) -> String {
    let text = line.text.whole(redaction);
    // It marks that a value may have begun before; there it need not be seen.
    let text = if line.is_first { text.strip_prefix(CUT).unwrap_or(&text) } else { &text };
    format!("{} {}: {text}", machine::utc(line.at), line.from.shown(redaction))
}

/// The values of the service's environment, and of the one that was healthy before. Only root can read them.
#[derive(Default)]
struct Hidden {
    layout: Option<Layout>,
    /// What was read last.
    values: Vec<Variables>,
    redaction: Redaction,
}

impl Hidden {
    async fn new(machine: &LocalHost, service: &str) -> Hidden {
        let layout = Service::try_from(service).ok().map(|service| Layout::new(&service));
        let mut hidden = Hidden { layout, ..Hidden::default() };
        hidden.renew(machine).await;
        if hidden.values.is_empty() && hidden.layout.is_some() {
            tell(
                "note: the service's environment is not there or cannot be read, so its values are not hidden in these lines",
            );
        }
        hidden
    }

    /// A run may have written new values since: they are hidden besides the former ones. The service has them only after
    /// their file.
    async fn renew(&mut self, machine: &LocalHost) {
        let Some(layout) = &self.layout else { return };
        let mut values: Vec<Variables> = Vec::new();
        for copy in [EnvCopy::Serving, EnvCopy::Good] {
            let file = machine.text(&layout.env_file(copy, &environment::SERVICE)).await;
            values.extend(file.ok().flatten().and_then(|text| (systemd::SYSTEMD.read)(&text)));
        }
        if values != self.values {
            let new = Redaction::new(values.iter().flat_map(Variables::iter));
            self.redaction = self.redaction.and(&new);
            self.values = values;
        }
    }
}

/// A name of the manifest: another one would choose another unit.
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

/// The units of the last run's service, or of the only one that has a record on this machine: first its own.
async fn units(machine: &LocalHost) -> Result<Vec<String>> {
    let of_last_run = report::read(machine).await?.and_then(|status| Some((status.unit?, status.gate)));
    let facts = match of_last_run {
        // Other users than root cannot read all records.
        Some(_) => machine.facts(&[]).await.unwrap_or_default(),
        None => machine.facts(&[]).await?,
    };
    let (unit, beside) = match (of_last_run, facts.claims.first(), facts.claims.len()) {
        (Some((unit, gate)), ..) => {
            let proxy = gate.as_ref().and_then(|gate| match gate.proxy()? {
                Probe::Through { unit, .. } => Some(unit.clone()),
                _ => None,
            });
            (unit, proxy.into_iter().collect::<Vec<_>>())
        }
        (None, Some(service), 1) => {
            let good = facts.good.get(service).into_iter();
            let beside = good.flat_map(|good| &good.generation.runs_by.beside).map(|one| one.unit.clone());
            (Layout::new(service).unit(), beside.collect())
        }
        _ => {
            let cause = "no run in this boot has recorded a service";
            let remedy = "use journalctl -u SERVICE; bootagent's own log: journalctl -t bootagent";
            return Err(Error::new(Code::Usage, "choosing the unit", cause).remedy(remedy));
        }
    };
    let service = Service::try_from(unit.trim_end_matches(".service")).ok();
    let processes = service.and_then(|service| facts.process_units.get(&service)).into_iter().flatten();
    let processes = processes.filter(|unit| unit.ends_with(".service")).cloned();
    let mut all: Vec<String> = vec![unit];
    for other in beside.into_iter().chain(processes) {
        if !all.contains(&other) {
            all.push(other);
        }
    }
    Ok(all)
}
