//! What the health check would ask, as far as the manifest and the start command tell. The secret may have a `PORT`.

use super::Subject;
use crate::facts::Strength;
use crate::plan::Setting;

/// Where a port is said, before the secret is known.
pub struct Port {
    pub port: u16,
    pub origin: &'static str,
}

/// The variable PORT of the service: the start line's, else that of `env.values`, else the manifest's `port`, else the default of
/// a static site.
pub fn port(subject: &Subject) -> Option<Port> {
    let manifest = subject.manifest;
    let of_start = subject.recipe.start.environment.get("PORT");
    let of_values = manifest.env.values.get("PORT");
    let number = |text: &String| text.trim().parse().ok().filter(|port| *port != 0);
    let found = |port: Option<u16>, origin| port.map(|port| Port { port, origin });
    found(of_start.and_then(number), "PORT in the start command")
        .or_else(|| found(of_values.and_then(number), "env.values in bootagent.toml"))
        .or_else(|| found(manifest.port, "port in bootagent.toml"))
        .or_else(|| found(subject.recipe.defaults.get("PORT").and_then(number), "the default"))
}

const NO_PORT: &str = "no port is known";

pub fn shown(subject: &Subject) -> Setting {
    let health = &subject.manifest.health;
    let statuses = match health.status.as_slice() {
        [] => "any 2xx".to_owned(),
        codes => codes.iter().map(u16::to_string).collect::<Vec<_>>().join(" or "),
    };
    let (value, origin) = match (health.check, port(subject), &health.path) {
        (Some(Strength::Process), ..) => {
            ("whether a process stays alive; no request is sent".to_owned(), "health.check in bootagent.toml")
        }
        (_, Some(Port { port, origin }), Some(path)) => (
            format!("GET {path} on port {port}, answered with {statuses}"),
            match origin {
                "port in bootagent.toml" => "health and port in bootagent.toml",
                _ => "health in bootagent.toml, and PORT",
            },
        ),
        (_, Some(Port { port, origin }), None) if subject.recipe.site().is_some() => {
            (format!("GET / on port {port}, answered with the release's own page"), origin)
        }
        (_, Some(Port { port, origin }), None) if subject.recipe.data_host().is_some() => {
            (format!("an answer in the server's own protocol on port {port}"), origin)
        }
        (_, Some(Port { port, origin }), None) => (format!("a connection to port {port}"), origin),
        (_, None, Some(path)) => (
            format!("GET {path} on the port that the service is found to listen on"),
            "health in bootagent.toml; no port is known",
        ),
        (_, None, None) => {
            ("a connection to the port that the service is found to listen on, if any".to_owned(), NO_PORT)
        }
    };
    Setting { name: "health check".to_owned(), value: super::plain(&value), origin: origin.to_owned() }
}
