//! The health check of a deployment, as plain data. The records of earlier runs contain it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use super::Seconds;

/// When a service is healthy. Each deployment has its own, because another commit may listen on another port.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gate {
    pub unit: String,
    pub probe: Probe,
    /// Further probes that must succeed each time that `probe` does.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<Probe>,
    /// The time limit for the first good answer.
    pub within: Seconds,
    /// The minimum healthy time after it: the same main process, no restart, every answer good.
    pub soak: Seconds,
    /// The longest pause between two probes.
    pub interval_ms: u64,
}

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Probe {
    /// A request that must be answered well, by a socket of the unit.
    Http {
        port: u16,
        #[serde(flatten)]
        request: Request,
    },
    /// A process of the unit must listen on the port.
    Tcp { port: u16 },
    /// A question in a database server's own protocol, which it must answer as one that is ready.
    Server { port: u16, protocol: Protocol },
    /// For a service whose port is not known. The unit's processes are observed: if they listen on one TCP port, or on
    /// the one that their variable PORT names, it must accept connections. If nothing listens, the unit's process must
    /// stay alive without a restart.
    Observed {
        /// Whether the service has a web framework: then it is given longer to listen.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        web: bool,
        /// A request to that port, without which the service is not healthy.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        request: Option<Request>,
    },
    /// A container of the service must run, and listen on this port in it. The other probes' sockets are then those of docker,
    /// which publishes it.
    Container {
        /// The path of docker's client.
        docker: PathBuf,
        name: String,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        port: Option<u16>,
        /// Whether docker's own health check of it must be good.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        must_be_healthy: bool,
    },
    /// The unit's process must stay alive without a restart: for a service that listens on no port.
    Alive,
    /// A proxy in front of the service, in a unit of its own, must listen on the port, and answer the request with the
    /// service's answer.
    Through {
        unit: String,
        port: u16,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        request: Option<Request>,
    },
    /// A program of the machine that must end with status 0. Its output identifies the processes that it checked:
    /// different output means that they were restarted.
    Command {
        /// What the probe proves, in a few words, for messages.
        what: String,
        argv: Vec<String>,
        user: String,
        environment: BTreeMap<String, String>,
    },
    /// Another unit of the deployment, whose process must stay alive without a restart.
    Unit { unit: String },
}

/// The protocols of database servers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    Mongodb,
    Postgresql,
    Redis,
}

impl Protocol {
    pub fn name(self) -> &'static str {
        match self {
            Protocol::Mongodb => "MongoDB",
            Protocol::Postgresql => "PostgreSQL",
            Protocol::Redis => "Redis",
        }
    }
}

/// A GET request, and which answers to it are good.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Request {
    pub path: String,
    /// The good statuses; empty: any 2xx.
    pub statuses: Vec<u16>,
    /// The `Host` header; none: the address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub host: Option<String>,
    /// How long one answer may take.
    #[serde(default = "Probe::answer", skip_serializing_if = "Probe::is_default_answer")]
    pub answer: Seconds,
    /// The page of a site that must be the answer, byte for byte: that of an earlier release is not good. In the directory
    /// that the release's link to its site leads to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub page: Option<PathBuf>,
}

impl Gate {
    /// The port on which other machines are to reach the service: a proxy's, if one is in front.
    pub fn outer_port(&self) -> Option<u16> {
        self.proxy().or(Some(&self.probe)).and_then(Probe::port)
    }

    /// The probe of the proxy in front of the service.
    pub fn proxy(&self) -> Option<&Probe> {
        self.also.iter().find(|probe| matches!(probe, Probe::Through { .. }))
    }

    /// How long the service must be healthy without a break, if it listens all that time, or if it does not. A web
    /// service may listen late: it connects to its database first.
    pub fn good_for(&self, is_listening: bool) -> Seconds {
        const UNTIL_IT_LISTENS: Seconds = Seconds(30);
        match self.probe {
            Probe::Observed { web: true, .. } if !is_listening => {
                self.soak.max(UNTIL_IT_LISTENS.min(self.within))
            }
            _ => self.soak,
        }
    }
}

impl Probe {
    /// As long as a load balancer's target group waits for an answer by default.
    pub fn answer() -> Seconds {
        Seconds(5)
    }

    fn is_default_answer(answer: &Seconds) -> bool {
        *answer == Self::answer()
    }

    pub fn request(&self) -> Option<&Request> {
        match self {
            Probe::Http { request, .. } => Some(request),
            Probe::Observed { request, .. } | Probe::Through { request, .. } => request.as_ref(),
            Probe::Tcp { .. }
            | Probe::Server { .. }
            | Probe::Container { .. }
            | Probe::Alive
            | Probe::Command { .. }
            | Probe::Unit { .. } => None,
        }
    }

    /// The configured port.
    pub fn port(&self) -> Option<u16> {
        match self {
            Probe::Http { port, .. }
            | Probe::Tcp { port }
            | Probe::Server { port, .. }
            | Probe::Through { port, .. } => Some(*port),
            Probe::Observed { .. }
            | Probe::Container { .. }
            | Probe::Alive
            | Probe::Command { .. }
            | Probe::Unit { .. } => None,
        }
    }

    /// How much a good answer proves about what clients get; a living process proves nothing.
    pub fn strength(&self) -> Strength {
        match self {
            Probe::Http { .. } | Probe::Through { request: Some(_), .. } => Strength::Http,
            Probe::Tcp { .. } | Probe::Server { .. } | Probe::Through { request: None, .. } => Strength::Port,
            Probe::Observed { .. } => Strength::Observed,
            Probe::Container { .. } | Probe::Alive | Probe::Command { .. } | Probe::Unit { .. } => {
                Strength::Process
            }
        }
    }
}

/// The kinds of health check, the weakest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Strength {
    Process,
    /// A port that was found by observation. Weaker than a configured one: a service that listens on another port than
    /// before passes, too.
    Observed,
    Port,
    Http,
}

impl Strength {
    /// The values of `health.check` in the manifest.
    pub const ALL: [Strength; 3] = [Strength::Http, Strength::Port, Strength::Process];

    pub fn name(self) -> &'static str {
        match self {
            Strength::Http => "http",
            Strength::Port => "port",
            Strength::Observed => "observed",
            Strength::Process => "process",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn gate(probe: Probe, within: u64, soak: u64) -> Gate {
        let (unit, also) = ("x.service".to_owned(), Vec::new());
        Gate { unit, probe, also, within: Seconds(within), soak: Seconds(soak), interval_ms: 500 }
    }

    fn observed(web: bool) -> Probe {
        Probe::Observed { web, request: None }
    }

    #[test]
    fn only_a_web_service_that_does_not_listen_is_observed_longer() {
        for (probe, is_listening, seconds) in [
            (observed(true), false, 30),
            (observed(true), true, 5),
            (observed(false), false, 5),
            (observed(false), true, 5),
            (Probe::Alive, false, 5),
            (Probe::Tcp { port: 3000 }, true, 5),
        ] {
            assert_eq!(gate(probe.clone(), 120, 5).good_for(is_listening), Seconds(seconds), "{probe:?}");
        }
        // Its own time limit is a limit, and a longer soak stays.
        assert_eq!(gate(observed(true), 10, 5).good_for(false), Seconds(10));
        assert_eq!(gate(observed(true), 120, 60).good_for(false), Seconds(60));
    }

    #[test]
    fn an_observed_port_proves_more_than_a_process_and_less_than_a_configured_one() {
        let strength = |probe: Probe| probe.strength();
        assert!(strength(Probe::Alive) < strength(observed(false)));
        assert!(strength(observed(true)) < strength(Probe::Tcp { port: 3000 }));
    }

    #[test]
    fn records_of_earlier_versions_are_read_and_written_unchanged() {
        for text in [
            r#"{"kind":"http","port":3000,"path":"/health","statuses":[]}"#,
            r#"{"kind":"http","port":3000,"path":"/","statuses":[200],"host":"h","answer":9}"#,
            r#"{"kind":"tcp","port":3000}"#,
            r#"{"kind":"alive"}"#,
        ] {
            let probe: Probe = serde_json::from_str(text).unwrap();
            assert_eq!(serde_json::to_string(&probe).unwrap(), text);
        }
    }

    #[test]
    fn an_observed_probe_is_recorded_as_it_is() {
        let request = Request {
            path: "/health".to_owned(),
            statuses: Vec::new(),
            host: None,
            answer: Probe::answer(),
            page: None,
        };
        for probe in [observed(false), observed(true), Probe::Observed { web: true, request: Some(request) }]
        {
            let text = serde_json::to_string(&probe).unwrap();
            assert_eq!(serde_json::from_str::<Probe>(&text).unwrap(), probe, "{text}");
        }
        assert_eq!(serde_json::to_string(&observed(false)).unwrap(), r#"{"kind":"observed"}"#);
    }
}
