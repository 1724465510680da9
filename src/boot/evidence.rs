//! Tells CloudWatch Logs how a run failed, if the policy names a log group. Once in a run, if that succeeds, and never in the way of what follows.

use std::time::Duration;

use super::fallback::Known;
use super::fleet::within;
use crate::apply;
use crate::machine::Host;
use crate::plan::{Action, PutEvidence};
use crate::report::Report;

/// Writes the error of the run and the last lines of the program that failed, within this time.
pub async fn tell(machine: &impl Host, known: &Known, report: &Report, time: Duration) {
    let (Some(group), Some(instance)) = (&known.log_group, &known.instance) else { return };
    let Some((stream, lines)) = report.evidence().filter(|_| !known.is_told.get()) else { return };
    let (region, network) = (instance.region.clone(), known.network.clone());
    let put = PutEvidence { group: group.clone(), stream, lines, region, network };
    known.is_told.set(within(time, apply::after_run(machine, &Action::PutEvidence(put))).await);
}
