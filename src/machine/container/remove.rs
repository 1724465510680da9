//! Stops a service's container for good. docker's client ends with the unit, but a container that ignores the signal goes on
//! in the daemon, and keeps the service's port: the unit of another runtime has no command that removes it.

use super::docker::Docker;
use crate::error::{Code, Error, Result};
use crate::machine::Check;
use crate::machine::process::units;
use crate::plan::StopContainer;

pub async fn check(stop: &StopContainer) -> Result<Check> {
    Ok(match is_there(stop).await {
        true => Check::WouldChange("it exists".to_owned()),
        false => Check::AlreadySo,
    })
}

/// The unit first: its program may end properly, and systemd would start it again.
pub async fn remove(stop: &StopContainer) -> Result<()> {
    units::stop(&stop.unit).await?;
    if is_there(stop).await {
        Docker::new(&stop.docker).must(&["rm", "--force", &stop.name]).await?;
    }
    match is_there(stop).await {
        false => Ok(()),
        true => Err(Error::new(
            Code::Io,
            format!("removing the container {}", stop.name),
            "docker still has it, and it may hold the service's port",
        )
        .remedy(format!(
            "see docker ps and journalctl -u docker; docker rm --force {}; then: bootagent run",
            stop.name
        ))),
    }
}

async fn is_there(stop: &StopContainer) -> bool {
    Docker::new(&stop.docker)
        .asked(&["container", "inspect", "--format", "{{.Id}}", &stop.name])
        .await
        .is_some()
}
