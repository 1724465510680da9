//! Exchanges a GitHub App's private key for a token that can read this one repository, for an hour.

use data_encoding::BASE64URL_NOPAD;
use serde::Deserialize;
use ureq::http::header::{ACCEPT, AUTHORIZATION, CONTENT_TYPE, DATE, HeaderValue, RETRY_AFTER};
use ureq::http::{Response, StatusCode};
use ureq::{Agent, Body};
use zeroize::Zeroizing;

use super::address::Address;
use super::credential::{App, unusable};
use super::route::Route;
use super::rsa::{Hash, RsaKey};
use crate::error::{Code, Error, Result};
use crate::fault::Fault;
use crate::machine::web::tls;
use crate::machine::{http_date, now};
use crate::secret::{ForeignText, Redaction, Secret};

/// The signed token's validity before and after now, in seconds. GitHub accepts ten minutes at most, and the clock may
/// be a little off either way.
const BEHIND: u64 = 60;
const AHEAD: u64 = 540;
/// A difference to GitHub's clock, in seconds, that may be why GitHub refuses the signature.
const CLOCK_OFF: u64 = 30;
const REPLY_BYTES: u64 = 64 << 10;

/// Requests a token, which is used for one fetch and not stored.
pub(super) fn token(agent: &Agent, address: &Address, route: &Route, app: &App) -> Result<Secret> {
    let (_, name) = address.owner_and_name().ok_or_else(|| {
        unusable("a GitHub App needs an address of the form https://HOST/OWNER/REPOSITORY.git")
    })?;
    let signed = signed_token(app)?;
    let api = Api { base: api(address), route, signed: Redaction::new([("signature", &signed)]) };
    let url = format!("{}/app/installations/{}/access_tokens", api.base, app.installation_id);
    let body = serde_json::json!({ "repositories": [name], "permissions": { "contents": "read" } });
    let response = agent
        .post(&url)
        .header(AUTHORIZATION, bearer(&signed)?)
        .header(ACCEPT, "application/vnd.github+json")
        .header("X-GitHub-Api-Version", "2022-11-28")
        .header(CONTENT_TYPE, "application/json")
        .send(body.to_string().as_bytes())
        .map_err(|error| api.unreachable(&error))?;
    let (status, date) = (response.status(), date(&response));
    let retry_after = response.headers().get(RETRY_AFTER).and_then(|value| value.to_str().ok()?.parse().ok());
    let text = api.text(response)?;
    match status {
        StatusCode::CREATED => api.granted(&text),
        _ => Err(api.refused(status, &text, date, app).retry_after(retry_after)),
    }
}

/// The API of github.com, of GitHub Enterprise Cloud (ghe.com), or of a GitHub Enterprise Server.
fn api(address: &Address) -> String {
    let host = address.host();
    match host {
        "github.com" => "https://api.github.com".to_owned(),
        _ if host.ends_with(".ghe.com") => format!("https://api.{host}"),
        _ => format!("{}/api/v3", address.origin()),
    }
}

/// The JSON Web Token by which GitHub identifies the app.
fn signed_token(app: &App) -> Result<Secret> {
    let key = RsaKey::from_pem(app.private_key.expose().trim())?.ok_or_else(|| {
        unusable("the app's private_key is not an RSA key in PEM form")
            .remedy("store the .pem file that GitHub gave for the app, as one JSON string")
    })?;
    let now = now();
    let claims = serde_json::json!({ "iat": now - BEHIND.min(now), "exp": now + AHEAD, "iss": app.app_id });
    let claimed = format!(
        "{}.{}",
        url_safe(br#"{"alg":"RS256","typ":"JWT"}"#),
        url_safe(claims.to_string().as_bytes())
    );
    let signature = key.sign(Hash::Sha256, claimed.as_bytes())?;
    Ok(Secret::new(format!("{claimed}.{}", url_safe(&signature))))
}

fn bearer(signed: &Secret) -> Result<HeaderValue> {
    let header = Zeroizing::new(format!("Bearer {}", signed.expose()));
    let mut value = HeaderValue::from_str(&header)
        .map_err(|error| Error::new(Code::Bug, "encoding the app's signature", error))?;
    value.set_sensitive(true);
    Ok(value)
}

fn url_safe(bytes: &[u8]) -> String {
    BASE64URL_NOPAD.encode(bytes)
}

/// The server's time, from its `Date` header, in seconds since 1970.
fn date(response: &Response<Body>) -> Option<u64> {
    http_date(response.headers().get(DATE)?.to_str().ok()?)
}

#[derive(Deserialize)]
struct Granted {
    token: String,
}

#[derive(Deserialize)]
struct Refusal {
    message: String,
}

struct Api<'a> {
    base: String,
    route: &'a Route,
    /// Hides the signed token, which the server's answer could repeat.
    signed: Redaction,
}

impl Api<'_> {
    fn doing(&self) -> String {
        format!("requesting the app's token from {}", self.base)
    }

    fn fault(&self, fault: Fault, cause: impl AsRef<str>) -> Error {
        fault.error(self.doing(), ForeignText::message(cause.as_ref()).without(&self.signed))
    }

    fn unreachable(&self, error: &ureq::Error) -> Error {
        let (fault, cause) = self.route.unreachable(error);
        match tls::is_untrusted(&cause) {
            true => self.fault(Fault::GitUntrusted, cause).remedy(tls::REMEDY),
            false => self.fault(fault, cause),
        }
    }

    fn text(&self, response: Response<Body>) -> Result<Zeroizing<String>> {
        let read = response.into_body().into_with_config().limit(REPLY_BYTES).read_to_string();
        read.map(Zeroizing::new).map_err(|error| self.unreachable(&error))
    }

    fn granted(&self, text: &str) -> Result<Secret> {
        // serde's message could quote the token.
        let granted: Granted = serde_json::from_str(text)
            .map_err(|_| self.fault(Fault::GitBrokenOff, "the answer is not in GitHub's format"))?;
        Ok(Secret::new(granted.token))
    }

    fn refused(&self, status: StatusCode, text: &str, date: Option<u64>, app: &App) -> Error {
        let message =
            serde_json::from_str::<Refusal>(text).map(|refusal| refusal.message).unwrap_or_default();
        let with_answer = |what: &str| format!("{what} ({}): {message}", status.as_u16());
        match status.as_u16() {
            401 => self.signature_refused(&with_answer("GitHub does not accept the app's signature"), date, app),
            403 if message.to_lowercase().contains("rate limit") => {
                self.fault(Fault::GitBusy, with_answer("GitHub's rate limit is reached"))
            }
            403 => self
                .fault(Fault::GitRefused, with_answer("the installation may not do this; it may be suspended"))
                .remedy("check in GitHub's settings that the installation is not suspended and has contents: read"),
            404 => self
                .fault(
                    Fault::GitRefused,
                    with_answer(&format!("this app has no installation {}", app.installation_id)),
                )
                .remedy(
                    "installation_id is the number at the end of the installation's URL in GitHub's settings",
                ),
            422 => self
                .fault(
                    Fault::GitRefused,
                    with_answer("the app is not installed on this repository, or may not read it"),
                )
                .remedy("add the repository to the installation, with contents: read"),
            408 | 425 | 429 | 500.. => self.fault(Fault::GitBusy, with_answer("GitHub answers")),
            _ => self.fault(Fault::GitRefused, with_answer("GitHub answers")),
        }
    }

    /// With a wrong clock GitHub refuses a good signature, too.
    fn signature_refused(&self, cause: &str, date: Option<u64>, app: &App) -> Error {
        let off = date.map_or(0, |theirs| theirs.abs_diff(now()));
        if off > CLOCK_OFF {
            let side = if date > Some(now()) { "behind" } else { "ahead of" };
            return self.fault(
                Fault::ClockWrong,
                format!("{cause}; this machine's clock is {off} s {side} GitHub's"),
            );
        }
        self.fault(Fault::GitRefused, cause).remedy(format!(
            "check that {} is the app's id, and that the key belongs to this app and is not revoked",
            app.app_id
        ))
    }
}
