//! What docker says of the service's container: whether it runs, and what listens in it. Reads only.

use std::net::IpAddr;
use std::path::Path;

use serde_json::Value;

use super::docker::Docker;
use crate::secret::ForeignText;

/// A running container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Running {
    /// Its id and when it was started: another value is another process.
    pub which: String,
    /// The process id of its first process, on the machine.
    pub pid: u32,
    /// Its address in one of its networks.
    pub address: Option<IpAddr>,
    /// What docker's health check of it found: `starting`, `healthy` or `unhealthy`; none without a check.
    pub health: Option<String>,
    /// The last output of that check.
    pub said: ForeignText,
}

/// `None` if there is no such container, or if it does not run.
pub async fn running(docker: &Path, name: &str) -> Option<Running> {
    let text = Docker::new(docker).asked(&["container", "inspect", name]).await?;
    parse(&text)
}

fn parse(text: &str) -> Option<Running> {
    let all: Value = serde_json::from_str(text).ok()?;
    let one = all.get(0)?;
    let state = one.get("State")?;
    state.get("Running")?.as_bool().filter(|runs| *runs)?;
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or_default().to_owned();
    let networks = one.get("NetworkSettings")?.get("Networks")?.as_object()?;
    let addresses = networks.values().filter_map(|network| network.get("IPAddress")?.as_str()?.parse().ok());
    let health = state.get("Health");
    let last = health.and_then(|health| health.get("Log")?.as_array()?.last()?.get("Output")?.as_str());
    let said = last
        .and_then(|text| text.lines().rfind(|line| !line.trim().is_empty()))
        .unwrap_or_default()
        .to_owned();
    Some(Running {
        which: format!("{} {}", text(one.get("Id")), text(state.get("StartedAt"))),
        pid: u32::try_from(state.get("Pid")?.as_u64()?).ok().filter(|pid| *pid != 0)?,
        address: addresses.into_iter().next(),
        health: health.and_then(|health| health.get("Status")?.as_str()).map(str::to_owned),
        said: ForeignText::line(&said),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_container_that_runs_has_a_process() {
        let text = |runs: bool, pid: u32| {
            format!(
                r#"[{{"Id":"ab","State":{{"Running":{runs},"Pid":{pid},"StartedAt":"t"}},
                    "NetworkSettings":{{"Networks":{{"bootagent":{{"IPAddress":"172.18.0.2"}}}}}}}}]"#
            )
        };
        let running = Running {
            which: "ab t".into(),
            pid: 17,
            address: "172.18.0.2".parse().ok(),
            health: None,
            said: ForeignText::line(""),
        };
        assert_eq!(parse(&text(true, 17)), Some(running));
        assert_eq!(parse(&text(false, 17)), None);
        assert_eq!(parse(&text(true, 0)), None);
        for other in ["[]", "", "{}", "[{}]"] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
