//! What runs beside the steps of a plan: heartbeats, so that Auto Scaling does not give up an instance whose deployment
//! takes long. A heartbeat that fails is logged, and the run goes on.
//!
//! They end with the steps, in every way in which the steps end. No heartbeat comes from a run that hangs for ever: each
//! step has its time limit, and the budget of the run drops the steps together with the heartbeats.

use tokio::time::{sleep, timeout};

use crate::machine::Host;
use crate::plan::{Keepalive, Plan};
use crate::secret::Redaction;

/// Carries out `steps`, and meanwhile sends the plan's heartbeats.
pub async fn beside<T>(machine: &impl Host, plan: &Plan, steps: impl Future<Output = T>) -> T {
    let Some(keepalive) = &plan.keepalive else { return steps.await };
    tokio::select! {
        // First: when the steps are done, no further heartbeat is begun.
        biased;
        done = steps => done,
        never = send(machine, keepalive, &plan.redaction) => never,
    }
}

async fn send<T>(machine: &impl Host, keepalive: &Keepalive, redaction: &Redaction) -> T {
    let every = keepalive.every.duration();
    loop {
        match timeout(every, machine.keep_alive(keepalive)).await {
            Ok(Ok(())) => tracing::debug!("{}", keepalive.headline()),
            Ok(Err(error)) => {
                let error = error.redacted(redaction);
                tracing::warn!(code = error.code().name(), "{}: {error}", keepalive.headline());
            }
            Err(_) => tracing::warn!("{}: not sent within {}", keepalive.headline(), keepalive.every),
        }
        sleep(every).await;
    }
}
