//! `bootagent hold` and `unhold`: an operator's order that no run may change this machine; and the check for it that
//! each run makes.

use crate::cli::HoldArgs;
use crate::error::{Code, Error, Result};
use crate::facts::Hold;
use crate::machine::{self, LocalHost, Lock, operator};
use crate::report::print;

const ROOT: &str = "run as root";

pub fn hold(args: &HoldArgs) -> u8 {
    printed(begin(args))
}

pub fn unhold() -> u8 {
    printed(end())
}

fn printed(result: Result<String>) -> u8 {
    match result.and_then(|text| print(&text)) {
        Ok(()) => 0,
        Err(error) => super::print_error(&error),
    }
}

fn begin(args: &HoldArgs) -> Result<String> {
    super::root_only(&LocalHost::observer(), "holding this machine", ROOT)?;
    let hold = operator::hold(args.reason.clone())?;
    let mut text = format!(
        "held since {}: no run changes this machine, not even at a boot\n\
         to end it: bootagent unhold\n",
        describe(&hold)
    );
    // An active run is not cancelled: it may be in the middle of a switch.
    if Lock::take().is_err_and(|error| error.code() == Code::Busy) {
        text.push_str("a run is active and continues to its end: bootagent status --wait\n");
    }
    Ok(text)
}

fn end() -> Result<String> {
    super::root_only(&LocalHost::observer(), "ending the hold of this machine", ROOT)?;
    Ok(match operator::unhold()? {
        Some(hold) => format!(
            "no longer held (held since {})\n\
             next: bootagent run (the same commit), or bootagent update (the newest)\n",
            describe(&hold)
        ),
        None => "this machine was not held\n".to_owned(),
    })
}

/// Since when, and the first line of the reason.
fn describe(hold: &Hold) -> String {
    let since = machine::utc(hold.since);
    match hold.reason.lines().next() {
        Some(reason) => format!("{since}: {reason}"),
        None => since,
    }
}

/// `E-HELD` if the machine is held. At a boot the console shows it, too, because nothing serves then; only once per
/// boot, although systemd starts the run again and again.
pub fn refuse(at_boot: bool) -> Result<()> {
    let Some(hold) = operator::held()? else { return Ok(()) };
    let error =
        Error::new(Code::Held, "starting a run", format!("this machine is held since {}", describe(&hold)));
    if at_boot && operator::is_news() {
        let report = error.report();
        machine::console(&[
            format!("bootagent: {} while {}: {}", report.code, report.doing, report.causes.join(": ")),
            format!("bootagent: remedy: {}", report.remedy),
        ]);
    }
    Err(error)
}
