//! An operator's word that nothing may change this machine.

use crate::cli::HoldArgs;
use crate::error::{Code, Error, Result};
use crate::facts::Hold;
use crate::machine::{self, LocalHost, Lock, operator};
use crate::report::print;

const ROOT: &str = "run as root";

pub fn hold(args: &HoldArgs) -> u8 {
    ended(begin(args))
}

pub fn unhold() -> u8 {
    ended(end())
}

fn ended(said: Result<String>) -> u8 {
    match said.and_then(|said| print(&said)) {
        Ok(()) => 0,
        Err(error) => super::told(&error),
    }
}

fn begin(args: &HoldArgs) -> Result<String> {
    super::root_only(&LocalHost::observer(), "holding this machine", ROOT)?;
    let hold = operator::hold(args.reason.clone())?;
    let mut said = format!(
        "held since {}: no run changes this machine, not even at a boot\n\
         to end it: bootagent unhold\n",
        told_of(&hold)
    );
    // What has begun is not broken off: it may be in the middle of a switch.
    if Lock::take().is_err_and(|error| error.code() == Code::Busy) {
        said.push_str("a run is active and goes on to its end: bootagent status --wait\n");
    }
    Ok(said)
}

fn end() -> Result<String> {
    super::root_only(&LocalHost::observer(), "ending the hold of this machine", ROOT)?;
    Ok(match operator::unhold()? {
        Some(hold) => format!(
            "not held any more (it was since {})\n\
             next: bootagent run (the same commit), or bootagent update (the newest)\n",
            told_of(&hold)
        ),
        None => "this machine was not held\n".to_owned(),
    })
}

fn told_of(hold: &Hold) -> String {
    let since = machine::utc(hold.since);
    match hold.reason.lines().next() {
        Some(reason) => format!("{since}: {reason}"),
        None => since,
    }
}

/// Ends a run at once as long as the machine is held. A boot's is told on the console, too, since nothing serves then:
/// once, though it is tried again and again.
pub fn refuse(at_boot: bool) -> Result<()> {
    let Some(hold) = operator::held()? else { return Ok(()) };
    let error =
        Error::new(Code::Held, "starting a run", format!("this machine is held since {}", told_of(&hold)));
    if at_boot && operator::is_news() {
        let report = error.report();
        machine::console(&[
            format!("bootagent: {} while {}: {}", report.code, report.doing, report.causes.join(": ")),
            format!("bootagent: remedy: {}", report.remedy),
        ]);
    }
    Err(error)
}
