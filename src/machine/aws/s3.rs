//! Reads, writes and lists objects of S3, and maps each failure to its fault. Knows nothing of what they contain.
//!
//! Four signed requests instead of S3's SDK: it would take minutes to compile and make the binary about a megabyte larger.

use std::time::Duration;

use aws_config::SdkConfig;
use aws_sigv4::http_request::{
    PayloadChecksumKind, PercentEncodingMode, SigningSettings, UriPathNormalizationMode,
};

use super::call::{self, Answer, Failure, Refusal, Request};
use super::payload::Payload;
use super::query;
use super::unreached::{Faults, unreached_or_late};
use super::xml::Node;
use super::{ANSWER, Imds, clock, config_of, endpoint};
use crate::error::{Error, Result};
use crate::facts::{Listed, Network, S3Object};
use crate::fault::Fault;
use crate::machine::SecretPatience;
use crate::machine::retry::{RetryLimit, with_retries};
use crate::machine::{date_time, http_date};
use crate::secret::{ForeignText, Message};

const SERVICE: &str = "s3";
/// Bytes of an object that is read: a report has at most half of it. A longer one was written by something else.
const LONGEST: usize = 256 << 10;
/// Keys of a listing, which is one answer of S3.
const MOST_KEYS: &str = "1000";

/// How objects are reached.
#[derive(Clone, Copy)]
pub struct Access<'a> {
    /// The instance's, with whose role they are read. Without one, the caller's own credentials are used, as on a laptop.
    pub region: Option<&'a str>,
    pub network: &'a Network,
    pub patience: SecretPatience,
}

/// An object's text, and what a later write needs to replace just this one.
pub struct Object {
    pub text: String,
    pub etag: String,
    /// Seconds since it was written, by S3's clock: those of two instances may differ.
    pub age: u64,
}

/// What must be so at the place of a new object.
#[derive(Clone, Copy)]
pub enum If<'a> {
    Anything,
    Absent,
    /// The object there has this tag.
    Is(&'a str),
}

/// The result of a write.
#[derive(Debug, PartialEq, Eq)]
pub enum Put {
    /// With its tag.
    Written(String),
    /// The condition is not met: another instance was faster.
    Refused,
}

/// The object; `None` if it is absent.
pub async fn get(imds: &Imds, at: &S3Object, access: Access<'_>) -> Result<Option<Object>> {
    let doing = || format!("reading {at}");
    let range = vec![("range", format!("bytes=0-{}", LONGEST - 1))];
    let asked = Asked { method: "GET", headers: range, ..Asked::of(at) };
    let answer = ask(imds, access, at, asked, doing).await?;
    match answer.status {
        404 => Ok(None),
        // The range of an empty object cannot be satisfied.
        416 => Ok(Some(object(&answer, String::new()))),
        _ if is_part(&answer) => {
            Err(Fault::FleetRefused.error(doing(), format!("it has over {LONGEST} bytes")))
        }
        _ => Ok(Some(object(&answer, answer.body.to_string()))),
    }
}

pub(super) fn object(answer: &Answer, text: String) -> Object {
    let time = |header: &Option<String>| header.as_deref().and_then(http_date);
    let age = time(&answer.date).unwrap_or(0).saturating_sub(time(&answer.last_modified).unwrap_or(0));
    Object { text, etag: answer.etag.clone().unwrap_or_default(), age }
}

/// How long the object is of which an answer has a part.
pub(super) fn whole(answer: &Answer) -> Option<u64> {
    answer.content_range.as_deref()?.rsplit_once('/')?.1.parse().ok()
}

/// Whether the object goes on after what was asked for.
fn is_part(answer: &Answer) -> bool {
    whole(answer).is_some_and(|whole| whole > LONGEST as u64)
}

pub async fn put(imds: &Imds, at: &S3Object, text: &str, only_if: If<'_>, access: Access<'_>) -> Result<Put> {
    let mut headers = vec![("content-type", "application/json".to_owned())];
    match only_if {
        If::Anything => {}
        If::Absent => headers.push(("if-none-match", "*".to_owned())),
        If::Is(etag) => headers.push(("if-match", etag.to_owned())),
    }
    let asked = Asked { method: "PUT", headers, body: Payload::Text(text.to_owned()), ..Asked::of(at) };
    let answer = ask(imds, access, at, asked, || format!("writing {at}")).await?;
    match answer.status {
        // 404: the object to replace is gone.
        412 | 404 => Ok(Put::Refused),
        _ => Ok(Put::Written(answer.etag.unwrap_or_default())),
    }
}

/// What of a listing is wanted.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Depth {
    All,
    /// Objects and folders of the first level; the key of a folder ends with a slash.
    One,
}

/// The objects whose keys begin with that of `below`: the first 1000.
pub async fn list(imds: &Imds, below: &S3Object, depth: Depth, access: Access<'_>) -> Result<Vec<Listed>> {
    let doing = || format!("listing {below}");
    let answer = ask(imds, access, below, Asked::listing(below, depth), doing).await?;
    if answer.status == 404 {
        let cause = format!("there is no bucket {}", below.bucket);
        return Err(Fault::FleetMissing.error(doing(), cause));
    }
    Ok(listed(&answer))
}

fn listed(answer: &Answer) -> Vec<Listed> {
    let now = answer.date.as_deref().and_then(http_date).unwrap_or(0);
    let root = Node::parse(&answer.body).unwrap_or_default();
    let object = |entry: &Node| {
        let written = date_time(&entry.text("LastModified"))?;
        Some(Listed { key: entry.text("Key"), age: now.saturating_sub(written) })
    };
    let folder = |entry: &Node| Listed { key: entry.text("Prefix"), age: 0 };
    root.all("Contents").filter_map(object).chain(root.all("CommonPrefixes").map(folder)).collect()
}

/// Whether S3 lists the object, if the role may list there. S3 refuses to read an absent object, too, if the role may list
/// only below a prefix.
async fn is_absent(config: &SdkConfig, at: &S3Object, region: &str) -> bool {
    match send(config, at, &Asked::listing(at, Depth::All), region).await {
        Ok(answer) if answer.status == 200 => !listed(&answer).iter().any(|listed| listed.key == at.key),
        _ => false,
    }
}

pub(super) struct Asked {
    pub method: &'static str,
    /// Below the bucket, with a slash before it. The characters of a key need no escape.
    pub path: String,
    pub query: String,
    pub headers: Vec<(&'static str, String)>,
    pub body: Payload,
    pub limit: Duration,
    pub is_binary: bool,
}

impl Asked {
    pub fn of(at: &S3Object) -> Self {
        Asked { path: at.key.clone(), ..Asked::bucket() }
    }

    fn bucket() -> Self {
        Asked {
            method: "GET",
            path: String::new(),
            query: String::new(),
            headers: Vec::new(),
            body: Payload::Text(String::new()),
            limit: ANSWER,
            is_binary: false,
        }
    }

    fn listing(below: &S3Object, depth: Depth) -> Self {
        let mut form = vec![("list-type", "2"), ("max-keys", MOST_KEYS), ("prefix", below.key.as_str())];
        if depth == Depth::One {
            form.insert(0, ("delimiter", "/"));
        }
        Asked { query: query::encoded(&form), ..Asked::bucket() }
    }

    fn reads_an_object(&self) -> bool {
        self.method == "GET" && !self.path.is_empty()
    }
}

/// The answer, if it is a success or says something about the object: it is absent, or a condition is not met.
pub(super) async fn ask(
    imds: &Imds,
    access: Access<'_>,
    at: &S3Object,
    asked: Asked,
    doing: impl Fn() -> String,
) -> Result<Answer> {
    with_retries(RetryLimit::lasting(access.patience.time.duration()), async || {
        let config = config_of(access.region, None, imds, access.network).await?;
        // Of a laptop without a region: S3 says where the bucket is.
        let mut region = config.region().map_or("us-east-1".to_owned(), |region| region.as_ref().to_owned());
        let mut sent = send(&config, at, &asked, &region).await;
        // The bucket is in another region, which the answer names. One of AWS's host names is made of it.
        if let Ok(answer) = &sent
            && let Some(home) = elsewhere(answer, &region)
        {
            region = home;
            sent = send(&config, at, &asked, &region).await;
        }
        let read = match judge(at, &config, sent, &doing).await {
            Err(error) if asked.reads_an_object() && Fault::of(&error) == Some(Fault::FleetDenied) => {
                match is_absent(&config, at, &region).await {
                    true => Ok(Answer { status: 404, ..Answer::default() }),
                    false => Err(error),
                }
            }
            read => read,
        };
        if read.as_ref().is_err_and(|error| Fault::of(error) == Some(Fault::CredentialsLate)) {
            // The credentials may be missing only because IMDS no longer accepts the token.
            imds.renew();
        }
        read.map_err(|error| match Fault::of(&error) {
            Some(Fault::FleetDenied) if access.patience.waits_for_permission => {
                Fault::FleetDeniedYet.is_behind(error)
            }
            _ => error,
        })
    })
    .await
}

async fn send(config: &SdkConfig, at: &S3Object, asked: &Asked, region: &str) -> Result<Answer, Failure> {
    let (host, bucket) = endpoint::bucket(config, &at.bucket, region);
    let query = if asked.query.is_empty() { String::new() } else { format!("?{}", asked.query) };
    let mut settings = SigningSettings::default();
    settings.payload_checksum_kind = PayloadChecksumKind::XAmzSha256;
    settings.percent_encoding_mode = PercentEncodingMode::Single;
    settings.uri_path_normalization_mode = UriPathNormalizationMode::Disabled;
    let request = Request {
        method: asked.method,
        service: SERVICE,
        region,
        host,
        target: format!("{bucket}/{}{query}", asked.path),
        headers: asked.headers.clone(),
        body: asked.body.clone(),
        limit: asked.limit,
        is_binary: asked.is_binary,
        settings,
    };
    call::send(config, request).await
}

/// The region that S3 names in an answer that refuses the present one: a redirect, or a refused signature.
fn elsewhere(answer: &Answer, region: &str) -> Option<String> {
    let is_refused = matches!(answer.status, 301 | 307 | 400 | 403);
    let is_region = |text: &str| {
        (4..=32).contains(&text.len())
            && text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
    };
    answer.bucket_region.clone().filter(|home| is_refused && home != region && is_region(home))
}

async fn judge(
    at: &S3Object,
    config: &SdkConfig,
    sent: Result<Answer, Failure>,
    doing: impl Fn() -> String,
) -> Result<Answer> {
    let answer = match sent {
        Ok(answer) => answer,
        Err(Failure::Refused(_)) => return Err(Fault::FleetRefused.error(doing(), "it is refused")),
        Err(Failure::Unreached(causes)) => {
            let region = config.region().map(|region| region.as_ref()).unwrap_or_default();
            let (host, _) = endpoint::bucket(config, &at.bucket, region);
            return Err(clock::judged(unreached_or_late(doing(), &host, &causes, &FAULTS), None).await);
        }
    };
    let refusal = match answer.status {
        200..=299 | 412 | 416 => return Ok(answer),
        status => query::refusal(status, &answer.body),
    };
    if answer.status == 404 && refusal.code != "NoSuchBucket" {
        return Ok(answer);
    }
    let error = refused(at, doing(), &refusal).retry_after(answer.retry_after);
    Err(clock::judged(error, answer.date.as_deref()).await)
}

fn refused(at: &S3Object, doing: String, answer: &Refusal) -> Error {
    let message = ForeignText::message(&answer.message);
    match fault_of(answer) {
        Fault::FleetMissing => Fault::FleetMissing.error(doing, format!("there is no bucket {}", at.bucket)),
        fault if answer.code.is_empty() => fault.error(doing, format!("it answers {}", answer.status)),
        fault => fault.error(doing, Message::from(ForeignText::message(&answer.code)).and(": ").and(message)),
    }
}

fn fault_of(answer: &Refusal) -> Fault {
    match answer.code.as_str() {
        "NoSuchBucket" => Fault::FleetMissing,
        "AccessDenied" | "AllAccessDisabled" | "AccountProblem" => Fault::FleetDenied,
        // A new role takes some seconds to reach every AWS service. A wrong clock gives the same codes.
        "InvalidAccessKeyId"
        | "InvalidToken"
        | "ExpiredToken"
        | "RequestTimeTooSkewed"
        | "SignatureDoesNotMatch" => Fault::RoleUnknown,
        "SlowDown" | "ServiceUnavailable" | "InternalError" | "RequestTimeout" | "OperationAborted"
        // Another write of the same object was under way.
        | "ConditionalRequestConflict" => {
            Fault::FleetUnreachable
        }
        _ => match answer.status {
            429 | 500.. => Fault::FleetUnreachable,
            // Without a body, as of a proxy's or of a bucket policy's.
            403 => Fault::FleetDenied,
            _ => Fault::FleetRefused,
        },
    }
}

const FAULTS: Faults = Faults { untrusted: Fault::FleetUntrusted, unreachable: Fault::FleetUnreachable };

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, code: &str) -> Refusal {
        Refusal { status, code: code.to_owned(), message: "no".to_owned(), ..Refusal::default() }
    }

    #[test]
    fn each_error_answer_has_its_fault() {
        for (status, code, fault) in [
            (404, "NoSuchBucket", Fault::FleetMissing),
            (403, "AccessDenied", Fault::FleetDenied),
            (403, "RequestTimeTooSkewed", Fault::RoleUnknown),
            (503, "SlowDown", Fault::FleetUnreachable),
            (500, "", Fault::FleetUnreachable),
            (403, "", Fault::FleetDenied),
            (301, "PermanentRedirect", Fault::FleetRefused),
            (400, "InvalidArgument", Fault::FleetRefused),
        ] {
            assert_eq!(fault_of(&answer(status, code)), fault, "{status} {code}");
        }
    }

    #[test]
    fn a_bucket_of_another_region_is_found_and_no_other_host() {
        let said = |status, region: &str| {
            let answer = Answer { status, bucket_region: Some(region.to_owned()), ..Answer::default() };
            elsewhere(&answer, "eu-west-1")
        };
        assert_eq!(said(301, "us-east-1").as_deref(), Some("us-east-1"));
        assert_eq!(said(400, "us-east-1").as_deref(), Some("us-east-1"));
        assert_eq!(said(200, "us-east-1"), None);
        assert_eq!(said(301, "eu-west-1"), None);
        for hostile in ["evil.test", "x/", "us-east-1.evil.test#", "", "US-EAST-1"] {
            assert_eq!(said(301, hostile), None, "{hostile}");
        }
    }

    #[test]
    fn an_object_that_goes_on_is_too_long() {
        let ranged = |range: &str| {
            is_part(&Answer { status: 206, content_range: Some(range.to_owned()), ..Answer::default() })
        };
        assert!(!ranged("bytes 0-9/10") && !ranged("bytes 0-262143/262144"));
        assert!(ranged("bytes 0-262143/262145"));
    }
}
