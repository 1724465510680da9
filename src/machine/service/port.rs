//! One probe of a port of the service: a connection that it must accept, or a request and the answer to it. Changes nothing.

use std::path::{Path, PathBuf};

use super::accept::accepts;
use super::observation::{Bad, Good, bad};
use super::own_port::{Own, own_address};
use super::request::{self, Failed, Wanted};
use crate::fault::Fault;
use crate::machine::blocking;
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
    let wanted = Wanted { address, path, host: host.as_deref(), most: answer.duration() };
    let answer = ask(&url, &wanted, page.clone()).await?;
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
async fn ask(url: &str, wanted: &Wanted<'_>, page: Option<PathBuf>) -> Result<Answer, Bad> {
    let expected = match &page {
        Some(page) => Some(bytes_of(page.clone()).await.map_err(|cause| failed(url, &cause))?),
        None => None,
    };
    // One byte more than the page has shows a difference.
    let most = expected.as_ref().map_or(0, |bytes| bytes.len() + 1);
    let answer = request::get(wanted, most).await.map_err(|error| unanswered(url, wanted, error))?;
    let location = answer.location.as_deref().filter(|_| answer.status.is_redirection());
    Ok(Answer {
        status: answer.status.as_u16(),
        location: location.map(|location| target(&String::from_utf8_lossy(location))),
        is_page: expected.is_none_or(|bytes| bytes == answer.body),
    })
}

fn unanswered(url: &str, wanted: &Wanted<'_>, error: Failed) -> Bad {
    match error {
        Failed::Late => Bad {
            remedy: Some(
                "the service got the request and did not answer in time: its log says what it waits for, such as a \
                 database; health.answer in bootagent.toml is the time that one answer may take; push a fix, then: \
                 bootagent update"
                    .to_owned(),
            ),
            ..failed(url, &format!("no answer within {} s", wanted.most.as_secs()))
        },
        Failed::Otherwise(cause) => failed(url, &cause),
    }
}

fn failed(url: &str, cause: &str) -> Bad {
    bad(Fault::HealthBadAnswer, format!("{url}: {cause}"))
}

/// The page of a release.
async fn bytes_of(page: PathBuf) -> Result<Vec<u8>, String> {
    let name = page.display().to_string();
    match blocking(move || site::page(&page)).await {
        Ok(Some(bytes)) => Ok(bytes),
        Ok(None) => Err(format!("{name} is not there")),
        Err(error) => Err(error.in_public().report().causes.join(": ")),
    }
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
}
