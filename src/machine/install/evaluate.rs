//! Runs a program that evaluates a file of the release (PM2's ecosystem file is JavaScript), and writes its output to a
//! file of root's. The program runs as an unprivileged user, without secrets and unable to write, for a limited time.
//! If it fails, its output chooses which fault is reported, and has no other effect.

use std::path::Path;
use std::time::Duration;

use super::diagnose;
use crate::error::{Error, Result};
use crate::fault::{Fault, Phase};
use crate::machine::disk::files;
use crate::machine::jail::unit::{TransientUnit, User};
use crate::machine::jail::wrapper;
use crate::machine::process::exit::IMDS_ANSWERS;
use crate::machine::process::program::Output;
use crate::machine::process::{journal, reason};
use crate::machine::{Check, now};
use crate::plan::{Evaluation, Mode, Owner};
use crate::secret::Message;

/// Less than the step's time limit, because this error says more than the step's.
const DEADLINE: Duration = Duration::from_secs(Phase::Evaluate.seconds().0 - 10);
/// Of the output, in bytes.
const LONGEST: usize = 256 << 10;
/// EX_NOPERM of sysexits.h: the evaluated file asks for something that is not allowed.
const REFUSED: i32 = 77;

pub fn check(evaluation: &Evaluation) -> Result<Check> {
    Ok(match files::exists(&evaluation.path)? {
        true => Check::AlreadySo,
        false => Check::WouldChange("absent".into()),
    })
}

/// Writes the program's output to `evaluation.path`, which the user can read and only root can change.
pub async fn evaluate(evaluation: &Evaluation) -> Result<()> {
    let user = User::Named { user: evaluation.user.clone(), group: evaluation.user.clone() };
    let mut transient = TransientUnit::new(&evaluation.unit, user, DEADLINE)
        .directory(&evaluation.directory)
        .environment(&evaluation.environment);
    for path in &evaluation.hidden {
        transient = transient.hidden(path);
    }
    let argv = wrapper::command_line(&evaluation.argv, false)?;
    let began = now();
    let output = transient.run(&argv, None, LONGEST).await?;
    if !output.ok() {
        let unit_ended = journal::systemd_messages(&evaluation.unit, began).await;
        return Err(failure(evaluation, &output, &unit_ended));
    }
    let owner = Owner::new("root", &evaluation.user);
    files::write(Path::new(&evaluation.path), &output.stdout, &owner, Mode(0o640))
}

fn failure(evaluation: &Evaluation, output: &Output, unit_ended: &str) -> Error {
    let doing = format!("evaluating {} as {}", evaluation.file, evaluation.user);
    if let Some(cause) = reason::of_the_unit(output.status, unit_ended) {
        return Fault::UnitFailed.error(doing, cause).remedy(reason::REMEDY);
    }
    if let Some(cause) = diagnose::out_of_memory(output.status, &[], unit_ended) {
        return Fault::OutOfMemory.error(doing, cause);
    }
    let lines = output.lines();
    let cause =
        lines.last().map_or_else(|| Message::from("it printed nothing"), |line| line.trimmed().into());
    let fault = match output.status {
        Some(IMDS_ANSWERS) => Fault::ImdsAnswers,
        Some(REFUSED) => Fault::EvaluationRefused,
        _ => Fault::EvaluationFailed,
    };
    fault.error(doing, cause).saying(output.both_ends())
}
