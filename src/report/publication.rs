//! The two status files: one for every user, and one that only root can read.
//!
//! The second one has the last lines of the service or program that failed: it may contain secrets that redaction does
//! not know, such as data of customers.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::status::{OUTPUT, PATH, Status};
use crate::error::{Code, Error, Result};
use crate::machine::{self, Observe};
use crate::plan::{Mode, Owner};

/// The last lines of the service or program that failed, and the run.
#[derive(Serialize, Deserialize)]
struct CapturedOutput {
    run_id: String,
    output: Vec<String>,
}

/// Writes both files. If the file system is full, it first removes the old ones (an old status would hide this run),
/// and then writes the status without steps and notes.
pub fn publish(status: &Status) -> Result<()> {
    let error = match write(status) {
        Err(error) if error.code() == Code::DiskFull => error,
        written => return written,
    };
    withdraw();
    write(status).or_else(|_| replace(PATH, &brief(status), Mode(0o644))).map_err(|_| error)
}

/// The public part as text, for the fleet memory. A status with endless notes is cut.
pub fn public_text(status: &Status) -> Option<String> {
    const LONGEST: usize = 128 << 10;
    let text = serde_json::to_string_pretty(&parted(status).0).ok()?;
    if text.len() <= LONGEST {
        return Some(text);
    }
    serde_json::to_string_pretty(&brief(status)).ok().filter(|text| text.len() <= LONGEST)
}

fn write(status: &Status) -> Result<()> {
    let (status, captured) = parted(status);
    match captured {
        Some(captured) => replace(OUTPUT, &captured, Mode(0o600))?,
        None => machine::remove_file(Path::new(OUTPUT))?,
    }
    replace(PATH, &status, Mode(0o644))
}

/// The status without steps and notes: it fits into one page, the smallest allocation of /run's tmpfs.
fn brief(status: &Status) -> Status {
    let (mut status, _) = parted(status);
    status.steps.clear();
    status.notes.clear();
    status.waiting.clear();
    status.timeline.spans.clear();
    status
}

/// The files of the last run, to restore them.
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

    /// Restores the files that this run has changed.
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

/// Removes both files.
pub fn withdraw() {
    for path in [OUTPUT, PATH] {
        let _ = machine::remove_file(Path::new(path));
    }
}

/// The status of the last run, for root with the captured output; `None` if there was no run in this boot.
pub async fn read(machine: &impl Observe) -> Result<Option<Status>> {
    let Some(text) = machine.text(Path::new(PATH)).await? else { return Ok(None) };
    let status = Status::parse(&text)?;
    let captured = if machine.is_root() { machine.text(Path::new(OUTPUT)).await? } else { None };
    // An unreadable file is ignored: the journal has these lines, too.
    Ok(Some(joined(status, captured.and_then(|text| serde_json::from_str(&text).ok()))))
}

/// The status without captured output, and the captured output.
fn parted(status: &Status) -> (Status, Option<CapturedOutput>) {
    let mut status = status.clone();
    let output = status.error.as_mut().map(|error| std::mem::take(&mut error.output)).unwrap_or_default();
    let captured = CapturedOutput { run_id: status.run_id.clone(), output };
    let captured = (!captured.output.is_empty()).then_some(captured);
    (status, captured)
}

/// The status with captured output of the same run.
fn joined(mut status: Status, captured: Option<CapturedOutput>) -> Status {
    if let (Some(error), Some(captured)) = (&mut status.error, captured)
        && captured.run_id == status.run_id
    {
        error.output = captured.output;
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
    fn only_root_reads_captured_output() {
        let status = failed("run", &["customer 4711 is unknown"]);
        let (public, captured) = parted(&status);
        assert!(!shown(&public).contains("4711") && shown(&public).contains("status 1"));
        assert_eq!(shown(&joined(public.clone(), captured)), shown(&status));
        assert_eq!(shown(&joined(public.clone(), None)), shown(&public));
    }

    #[test]
    fn the_brief_status_fits_into_a_page_and_has_the_error() {
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
    fn without_output_there_is_no_second_file() {
        assert!(parted(&failed("run", &[])).1.is_none());
        assert!(parted(&Status::booting(17, "boot".into(), "run".into())).1.is_none());
    }

    #[test]
    fn the_output_of_another_run_is_ignored() {
        let (_, captured) = parted(&failed("earlier", &["no database"]));
        assert!(!shown(&joined(failed("run", &[]), captured)).contains("no database"));
    }

    /// An earlier version wrote output into the public file: hiding it now would protect nothing.
    #[test]
    fn output_in_the_status_of_an_earlier_version_is_read() {
        let earlier: Status = serde_json::from_str(&shown(&failed("run", &["no database"]))).unwrap();
        assert!(shown(&joined(earlier, None)).contains("no database"));
    }
}
