//! Stops a service's containers for good. docker's client ends with the unit, but a container that ignores the signal goes on
//! in the daemon, and keeps the service's port: the unit of another runtime has no command that removes it. Volumes stay.

use std::time::Duration;

use super::docker::{Docker, SHORT};
use crate::error::{Code, Error, Result};
use crate::machine::Check;
use crate::machine::process::program::failed;
use crate::machine::process::units;
use crate::plan::StopContainer;

/// The ids of what is left.
#[derive(Debug, Default, PartialEq, Eq)]
struct Left {
    containers: Vec<String>,
    networks: Vec<String>,
}

pub async fn check(stop: &StopContainer) -> Result<Check> {
    Ok(match left(stop).await {
        Ok(left) if left == Left::default() => Check::AlreadySo,
        Ok(left) => Check::WouldChange(format!("{} exist", left.containers.len())),
        Err(_) => Check::WouldChange("docker does not answer".to_owned()),
    })
}

/// The unit first: its program may end properly, and systemd would start it again.
pub async fn remove(stop: &StopContainer) -> Result<()> {
    units::stop(&stop.unit).await?;
    let docker = Docker::new(&stop.docker);
    let left = left(stop).await?;
    let each =
        [(&["rm", "--force", "--volumes"][..], &left.containers), (&["network", "rm"][..], &left.networks)];
    for (command, ids) in each.into_iter().filter(|(_, ids)| !ids.is_empty()) {
        let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
        docker.must(&[command, ids.as_slice()].concat()).await?;
    }
    match self::left(stop).await?.containers.is_empty() {
        true => Ok(()),
        false => Err(Error::new(
            Code::Io,
            doing(stop),
            "docker still has them, and they may hold the service's port",
        )
        .remedy(REMEDY)),
    }
}

const REMEDY: &str =
    "see docker ps --all and journalctl -u docker; remove them by docker rm --force; then: bootagent run";

fn doing(stop: &StopContainer) -> String {
    format!("removing the containers of {}", stop.name)
}

/// Fails if docker does not answer: what it has may still run.
async fn left(stop: &StopContainer) -> Result<Left> {
    // Without the client, the machine has no docker any more.
    if !stop.docker.exists() {
        return Ok(Left::default());
    }
    let docker = Docker::new(&stop.docker);
    let asked = async |words: &[&str]| -> Result<Vec<String>> {
        let output = docker.run(words, Duration::from_secs(SHORT)).await?;
        match output.ok() {
            true => Ok(of(&output.text(), &stop.name)),
            false => Err(failed(Code::Io, doing(stop), &output).remedy(REMEDY)),
        }
    };
    Ok(Left {
        containers: asked(&["ps", "--all", "--no-trunc", "--format", CONTAINERS]).await?,
        networks: asked(&["network", "ls", "--no-trunc", "--format", NETWORKS]).await?,
    })
}

/// The id, and what must be the service's name: the container's own, or that of its project.
const CONTAINERS: &str = r#"{{.ID}} {{.Names}} {{.Label "com.docker.compose.project"}}"#;
const NETWORKS: &str = r#"{{.ID}} {{.Label "com.docker.compose.project"}}"#;

/// The first word of each line that has the name among the others.
fn of(lines: &str, name: &str) -> Vec<String> {
    let all = lines.lines().filter_map(|line| line.trim_end().split_once(' '));
    let own = all.filter(|(_, names)| names.split(' ').any(|other| other == name));
    own.map(|(id, _)| id.to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn only_what_has_the_service_s_name_is_removed() {
        let listed = "1 bootagent-auth \n2 bootagent-auth-web-1 bootagent-auth\n3 bootagent-auth-2 \n4 db \n5 x bootagent-auth-2\n";
        assert_eq!(of(listed, "bootagent-auth"), ["1", "2"]);
        assert_eq!(of("1 \n2 bootagent-auth\n3 other\n", "bootagent-auth"), ["2"]);
        assert!(of("", "bootagent-auth").is_empty());
    }
}
