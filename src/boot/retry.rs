//! Lets systemd run bootagent again after a failed run while nothing serves, and cancels that once something serves.

use crate::apply;
use crate::error::{Code, Error};
use crate::machine::{self, Host};
use crate::observe::Flags;
use crate::planner::retry;
use crate::report::Report;

pub async fn settle(machine: &impl Host, flags: &Flags, failed: Option<&Error>, report: &Report) {
    let Some(error) = failed.filter(|_| !report.knows_what_serves()) else {
        apply::after_run(machine, &retry::cancel()).await;
        return;
    };
    if !retry::is_due_after(error.code()) {
        return;
    }
    let is_scheduled = match flags.at_boot {
        // An operator stopped the run, or the machine shuts down.
        _ if error.code() == Code::Cancelled => false,
        // bootagent.service has Restart=on-failure.
        true => true,
        false => apply::after_run(machine, &retry::arrange()).await,
    };
    if is_scheduled {
        report.set_retry(machine::now() + retry::AFTER.0);
    }
}
