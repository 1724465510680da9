//! Where others read of a run: the status for everybody, and for root alone what those who failed said
//! last, which may hold more than the secrets that are known.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::status::{OUTPUT, PATH, Status};
use crate::error::{Code, Error, Result};
use crate::machine::{self, Observe};
use crate::plan::{Mode, Owner};

/// The last lines of the service or program that failed, and in which run.
#[derive(Serialize, Deserialize)]
struct CapturedOutput {
    run_id: String,
    output: Vec<String>,
}

/// Where there is no room for it beside the former one, that one goes first: no record at all is better than one that
/// hides a newer run. And if that is not enough, what matters most is written.
pub fn publish(status: &Status) -> Result<()> {
    let error = match write(status) {
        Err(error) if error.code() == Code::DiskFull => error,
        written => return written,
    };
    withdraw();
    write(status).or_else(|_| replace(PATH, &brief(status), Mode(0o644))).map_err(|_| error)
}

fn write(status: &Status) -> Result<()> {
    let (status, said) = parted(status);
    match said {
        Some(said) => replace(OUTPUT, &said, Mode(0o600))?,
        None => machine::remove_file(Path::new(OUTPUT))?,
    }
    replace(PATH, &status, Mode(0o644))
}

/// How it goes, and the error: one page of memory holds it.
fn brief(status: &Status) -> Status {
    let (mut status, _) = parted(status);
    status.steps.clear();
    status.notes.clear();
    status.waiting.clear();
    status
}

/// What stood there before this run.
#[derive(Default)]
pub struct Kept {
    status: Option<Vec<u8>>,
    output: Option<Vec<u8>>,
}

impl Kept {
    pub fn now() -> Kept {
        let read = |path: &str| machine::read_file(Path::new(path)).ok().flatten();
        Kept { status: read(PATH), output: read(OUTPUT) }
    }

    pub fn is_there(&self) -> bool {
        self.status.is_some()
    }

    /// Only what is another one by now is written.
    pub fn put_back(&self) {
        for (path, kept, mode) in [(OUTPUT, &self.output, Mode(0o600)), (PATH, &self.status, Mode(0o644))] {
            let path = Path::new(path);
            if machine::read_file(path).ok().flatten() == *kept {
                continue;
            }
            let done = match kept {
                Some(bytes) => machine::replace_file(path, bytes, &Owner::root(), mode),
                None => machine::remove_file(path),
            };
            if let Err(error) = done {
                tracing::error!(%error, "the previous status file cannot be restored");
            }
        }
    }
}

pub fn withdraw() {
    for path in [OUTPUT, PATH] {
        let _ = machine::remove_file(Path::new(path));
    }
}

/// The last run's, as far as the asking user may see it; `None` if there was no run in this boot.
pub async fn read(machine: &impl Observe) -> Result<Option<Status>> {
    let Some(text) = machine.text(Path::new(PATH)).await? else { return Ok(None) };
    let status = Status::parse(&text)?;
    let said = if machine.is_root() { machine.text(Path::new(OUTPUT)).await? } else { None };
    // Without it the status is whole but for these lines, which the journal has, too.
    Ok(Some(joined(status, said.and_then(|text| serde_json::from_str(&text).ok()))))
}

fn parted(status: &Status) -> (Status, Option<CapturedOutput>) {
    let mut status = status.clone();
    let output = status.error.as_mut().map(|error| std::mem::take(&mut error.output)).unwrap_or_default();
    let said = CapturedOutput { run_id: status.run_id.clone(), output };
    let said = (!said.output.is_empty()).then_some(said);
    (status, said)
}

fn joined(mut status: Status, said: Option<CapturedOutput>) -> Status {
    if let (Some(error), Some(said)) = (&mut status.error, said)
        && said.run_id == status.run_id
    {
        error.output = said.output;
    }
    status
}

fn replace(path: &str, content: &impl Serialize, mode: Mode) -> Result<()> {
    let text = serde_json::to_vec_pretty(content)
        .map_err(|error| Error::new(Code::Bug, format!("writing {path}"), error))?;
    machine::replace_file(Path::new(path), &text, &Owner::root(), mode)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::report::status::StepReport;

    fn failed(run_id: &str, output: &[&str]) -> Status {
        let mut status = Status::booting(17, "boot".into(), run_id.into());
        let output = output.iter().copied();
        status.error = Some(Error::new(Code::ServiceExited, "waiting", "status 1").saying(output).report());
        status
    }

    fn shown(status: &Status) -> String {
        serde_json::to_string(status).unwrap()
    }

    #[test]
    fn what_was_said_is_no_part_of_what_everybody_reads_and_root_gets_it_back() {
        let status = failed("run", &["customer 4711 is unknown"]);
        let (public, said) = parted(&status);
        assert!(!shown(&public).contains("4711") && shown(&public).contains("status 1"));
        assert_eq!(shown(&joined(public.clone(), said)), shown(&status));
        assert_eq!(shown(&joined(public.clone(), None)), shown(&public));
    }

    #[test]
    fn in_brief_it_fits_into_a_page_and_names_the_error() {
        let mut status = failed("run", &["customer 4711 is unknown"]);
        for step in 0..60 {
            status.steps.push(StepReport::started(&format!("step-{step}"), "why", None, 1));
        }
        let shown = serde_json::to_string_pretty(&brief(&status)).unwrap();
        assert!(
            shown.len() < 4096 && shown.contains("E-SERVICE-EXITED") && !shown.contains("4711"),
            "{shown}"
        );
    }

    #[test]
    fn where_nobody_said_anything_there_is_nothing_to_keep() {
        assert!(parted(&failed("run", &[])).1.is_none());
        assert!(parted(&Status::booting(17, "boot".into(), "run".into())).1.is_none());
    }

    #[test]
    fn what_another_run_said_is_not_this_ones() {
        let (_, said) = parted(&failed("earlier", &["no database"]));
        assert!(!shown(&joined(failed("run", &[]), said)).contains("no database"));
    }

    /// As long as it stands there, everybody has read it already.
    #[test]
    fn what_an_earlier_version_wrote_into_the_status_is_still_read() {
        let earlier: Status = serde_json::from_str(&shown(&failed("run", &["no database"]))).unwrap();
        assert!(shown(&joined(earlier, None)).contains("no database"));
    }
}
