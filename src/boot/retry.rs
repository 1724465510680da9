//! The end of a run: while nothing serves it is tried again, by systemd; and not any more once something does.

use crate::apply;
use crate::error::{Code, Error};
use crate::machine::{self, Host};
use crate::observe::Flags;
use crate::planner::retry;
use crate::report::Report;

pub async fn settle(machine: &impl Host, flags: &Flags, failed: Option<&Error>, report: &Report) {
    let Some(error) = failed.filter(|_| !report.knows_what_serves()) else {
        apply::afterwards(machine, &retry::cancel()).await;
        return;
    };
    if !retry::is_due_after(error.code()) {
        return;
    }
    let is_arranged = match flags.at_boot {
        // Told to stop by a person, or by a machine that goes down.
        _ if error.code() == Code::Cancelled => false,
        // The agent's own unit starts itself again.
        true => true,
        false => apply::afterwards(machine, &retry::arrange()).await,
    };
    if is_arranged {
        report.is_tried_again(machine::now() + retry::AFTER.0);
    }
}
