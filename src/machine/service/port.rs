//! One probe of a port of the service: a connection that it must accept, or a request and the answer to it. Changes nothing.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::accept::accepts;
use super::observation::{Bad, Good, bad};
use super::own_port::{Own, own_address};
use crate::fault::Fault;
use crate::machine::install::site;
use crate::machine::process::units::UnitState;
use crate::plan::{Probe, Request};
use crate::secret::{ForeignText, Message};

/// Probes a port of the service: with a request, or else with a connection that it must accept.
pub async fn at(port: u16, request: Option<&Request>, state: &UnitState) -> Result<Good, Bad> {
    let seen = |answer: String| Good { answer, is_listening: true, processes: None };
    let Own { address, bound } = own_address(port, state)?;
    let Some(Request { path, statuses, host, answer, page }) = request else {
        accepts(address, &state.cgroup, Probe::answer().duration()).await?;
        return Ok(seen(format!("listening on {bound}")));
    };
    let url = format!("http://{address}{path}");
    let answer = ask(url.clone(), host.clone(), answer.duration(), page.clone()).await?;
    let good = match statuses.is_empty() {
        true => (200..300).contains(&answer.status),
        false => statuses.contains(&answer.status),
    };
    match good {
        true if !answer.is_page => {
            let page = page.as_deref().unwrap_or(Path::new("")).display();
            let cause = format!("{url} answered {}, and not with the bytes of {page}", answer.status);
            Err(bad(Fault::HealthBadAnswer, cause))
        }
        true => Ok(seen(format!("{url} answered {}", answer.status))),
        false => Err(refused(&url, answer)),
    }
}

struct Answer {
    status: u16,
    /// The target of a redirect, without query and fragment.
    location: Option<ForeignText>,
    /// Whether it has exactly the bytes of the page that was asked for, if one was.
    is_page: bool,
}

fn refused(url: &str, answer: Answer) -> Bad {
    let cause = Message::from(format!("{url} answered {}", answer.status));
    match answer.location {
        Some(location) => Bad {
            remedy: Some(
                "redirects are not followed: set health.path to the path of the final page, health.host if the redirect \
                 depends on the host name, or health.status if a redirect is healthy; then: bootagent update"
                    .to_owned(),
            ),
            ..bad(Fault::HealthBadAnswer, cause.and(", which leads to ").and(location))
        },
        None if answer.status == 400 => Bad {
            remedy: Some(
                "the service may accept only certain host names (Django's ALLOWED_HOSTS): set health.host in \
                 bootagent.toml to one of them; then: bootagent update"
                    .to_owned(),
            ),
            ..bad(Fault::HealthBadAnswer, cause)
        },
        None => bad(Fault::HealthBadAnswer, cause),
    }
}

/// The value of a `Location` header without query and fragment, which may contain a token.
fn target(location: &str) -> ForeignText {
    ForeignText::line(location.split(['?', '#']).next().unwrap_or_default())
}

/// Sends one GET. Redirects are not followed: a login page that answers 200 does not prove that the service is healthy.
async fn ask(
    url: String,
    host: Option<String>,
    most: Duration,
    page: Option<PathBuf>,
) -> Result<Answer, Bad> {
    let asked = tokio::task::spawn_blocking(move || {
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .timeout_global(Some(most))
            .max_redirects(0)
            .max_redirects_will_error(false)
            .http_status_as_error(false)
            .proxy(None)
            .user_agent("bootagent")
            .build()
            .into();
        let mut request = agent.get(&url);
        if let Some(host) = host {
            request = request.header("Host", host);
        }
        let mut answer = request.call().map_err(|error| unanswered(&url, most, &error))?;
        let status = answer.status();
        let location = answer.headers().get("Location").filter(|_| status.is_redirection());
        let location = location.map(|location| target(&String::from_utf8_lossy(location.as_bytes())));
        let is_page = match page {
            Some(page) => has_bytes_of(answer.body_mut(), &page)
                .map_err(|cause| bad(Fault::HealthBadAnswer, format!("{url}: {cause}")))?,
            None => true,
        };
        Ok(Answer { status: status.as_u16(), location, is_page })
    });
    match asked.await {
        Ok(answer) => answer,
        Err(error) => Err(bad(Fault::HealthBadAnswer, error.to_string())),
    }
}

fn unanswered(url: &str, most: Duration, error: &ureq::Error) -> Bad {
    match error {
        ureq::Error::Timeout(_) => Bad {
            remedy: Some(
                "the service got the request and did not answer in time: its log says what it waits for, such as a \
                 database; health.answer in bootagent.toml is the time that one answer may take; push a fix, then: \
                 bootagent update"
                    .to_owned(),
            ),
            ..bad(Fault::HealthBadAnswer, format!("{url}: no answer within {} s", most.as_secs()))
        },
        other => bad(Fault::HealthBadAnswer, format!("{url}: {other}")),
    }
}

/// Compares a body with the page of a release. Reads no more of it than shows a difference.
fn has_bytes_of(body: &mut ureq::Body, page: &Path) -> Result<bool, String> {
    let wanted = site::page(page).map_err(|error| error.in_public().report().causes.join(": "))?;
    let Some(wanted) = wanted else { return Err(format!("{} is not there", page.display())) };
    let mut got = Vec::new();
    let most = wanted.len() as u64 + 1;
    body.as_reader().take(most).read_to_end(&mut got).map_err(|error| error.to_string())?;
    Ok(got == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Redaction;

    #[test]
    fn the_target_of_a_redirect_is_shown_without_its_query() {
        for (location, told) in [
            ("https://login.example.com/start?token=hunter2", "https://login.example.com/start"),
            ("/login#hunter2", "/login"),
            ("\u{1b}[31m/red\r\nSet-Cookie: x", "/redSet-Cookie: x"),
            ("https://u:hunter2@h/", "https://h/"),
        ] {
            let bad = refused(
                "http://127.0.0.1:1/",
                Answer { status: 302, location: Some(target(location)), is_page: true },
            );
            let shown = bad.cause.shown(&Redaction::default());
            assert_eq!(shown, format!("http://127.0.0.1:1/ answered 302, which leads to {told}"));
        }
        let long = target(&format!("/{}", "x".repeat(5000)));
        assert!(long.shown(&Redaction::default()).chars().count() < 310);
    }

    #[test]
    fn the_remedy_for_400_names_the_host_header() {
        let remedy =
            |status| refused("http://127.0.0.1:1/", Answer { status, location: None, is_page: true }).remedy;
        assert!(remedy(400).unwrap().contains("health.host"));
        assert_eq!(remedy(500), None);
    }

    /// The request that a service gets, which answers 204.
    async fn sent(host: Option<&str>) -> String {
        use std::io::{Read, Write};
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/health", listener.local_addr().unwrap());
        let service = std::thread::spawn(move || {
            let (mut connection, _) = listener.accept().unwrap();
            let mut request = vec![0; 4096];
            let length = connection.read(&mut request).unwrap();
            connection.write_all(b"HTTP/1.1 204 x\r\nConnection: close\r\n\r\n").unwrap();
            String::from_utf8_lossy(&request[..length]).to_lowercase()
        });
        assert_eq!(
            ask(url, host.map(str::to_owned), Duration::from_secs(5), None).await.unwrap().status,
            204
        );
        service.join().unwrap()
    }

    #[tokio::test]
    async fn the_host_header_is_the_configured_one_or_the_address() {
        let request = sent(Some("api.example.com:8443")).await;
        assert!(request.contains("\r\nhost: api.example.com:8443\r\n"), "{request}");
        assert_eq!(request.matches("\r\nhost:").count(), 1, "{request}");
        assert!(sent(None).await.contains("\r\nhost: 127.0.0.1:"));
    }
}
