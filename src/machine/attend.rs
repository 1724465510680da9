//! What the watcher reads and does on this machine. Only dispatches to the modules that do the work.

use std::path::PathBuf;

use super::aws;
use super::aws::autoscaling;
use super::disk::room;
use super::local::LocalHost;
use super::process::lock;
use super::service::{operator, refresh};
use super::survey;
use super::{Attend, Refreshed};
use crate::error::Result;
use crate::facts::{Agent, Network, Notices, Resources};
use crate::machine::process::program::tool;

/// In seconds. The unit's own `TimeoutStopSec=` ends it sooner.
const STOP: u64 = 3600;

impl Attend for LocalHost {
    async fn notices(&self) -> Result<Notices> {
        self.imds().notices().await
    }

    async fn secret_version(&self, name: &str, region: &str, network: &Network) -> Result<String> {
        aws::secret_version(self.imds(), name, region, network).await
    }

    async fn report_unhealthy(&self, region: &str, instance: &str, network: &Network) -> Result<()> {
        autoscaling::report_unhealthy(self.imds(), region, instance, network).await
    }

    async fn stop_service(&self, unit: &str) -> Result<()> {
        tool(&["systemctl", "stop", "--", unit], STOP).await.map(drop)
    }

    async fn refresh(&self) -> Result<Refreshed> {
        refresh::refresh().await
    }

    fn resources(&self, room: &[PathBuf]) -> Resources {
        let (memory, available) = survey::memory();
        Resources { disks: room::file_systems(room), memory, available }
    }
}

/// Whether an operator holds the machine. A hold that cannot be read counts.
pub fn is_held() -> bool {
    operator::held().map_or(true, |hold| hold.is_some())
}

/// Whether a run works on the machine.
pub fn is_run_active() -> bool {
    matches!(lock::agent(), Agent::Lives(_))
}
