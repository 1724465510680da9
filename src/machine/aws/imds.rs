//! The client of IMDS, version 2 only: reads the instance's id, region, zone, type and tags, and waits for them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_config::imds::client::error::ImdsError;
use aws_config::imds::{Client, client::Client as ImdsClient};
use aws_config::provider_config::ProviderConfig;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio::try_join;

use crate::error::{Code, Error, Result};
use crate::facts::{Instance, Lifecycle};
use crate::fault::Fault;
use crate::machine::retry::{RetryLimit, with_retries};
use crate::plan::Seconds;
use crate::secret::{ForeignText, Message};

/// Parallel requests for tags: if IMDS answers slowly, their waits overlap. Not more, because IMDS throttles.
const AT_ONCE: usize = 10;
/// Twice the number that EC2 allows. Each tag costs one request.
const MOST_TAGS: usize = 100;

pub struct Imds {
    client: Mutex<Client>,
}

fn session() -> Client {
    // A fixed endpoint: an environment variable must not redirect the client to another server.
    let setting = ProviderConfig::without_region().with_http_client(super::http::direct());
    let client = ImdsClient::builder()
        .configure(&setting)
        .connect_timeout(Duration::from_secs(1))
        .read_timeout(Duration::from_secs(2))
        .max_attempts(1)
        .endpoint("http://169.254.169.254");
    match client {
        Ok(client) => client.build(),
        // The literal above is a valid URI.
        Err(_) => ImdsClient::builder().configure(&setting).build(),
    }
}

impl Imds {
    #[allow(clippy::new_without_default)] // A default value should not open an HTTP client.
    pub fn new() -> Self {
        Imds { client: Mutex::new(session()) }
    }

    pub fn client(&self) -> Client {
        self.client.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Starts a new session. The client reuses its token until the TTL is over, even if IMDS rejects the token earlier.
    pub fn renew(&self) {
        *self.client.lock().unwrap_or_else(PoisonError::into_inner) = session();
    }

    /// The text at a path; `None` if IMDS answers 404.
    async fn get(&self, path: &str) -> Result<Option<String>> {
        let fault = |fault: Fault, cause: Message| {
            let entry = path.trim_start_matches("/latest/meta-data/");
            Err(fault.error(format!("reading {entry} from IMDS"), cause))
        };
        match self.client().get(path).await {
            Ok(text) => Ok(Some(text.as_ref().to_owned())),
            Err(ImdsError::ErrorResponse(answer)) => match answer.response().status().as_u16() {
                404 => Ok(None),
                401 => {
                    self.renew();
                    fault(Fault::ImdsToken, "it answers 401".into())
                }
                status => fault(Fault::ImdsSilent, format!("it answers {status}").into()),
            },
            Err(error) => {
                fault(Fault::ImdsSilent, ForeignText::message(&super::causes(&error).join(": ")).into())
            }
        }
    }

    /// The instance's id, region, zone and type. Waits up to `wait` until IMDS answers and has all of them.
    pub async fn instance(&self, wait: Seconds) -> Result<Instance> {
        let patience = RetryLimit::lasting(wait.duration());
        let ask = async |path: &str, fits: fn(&str) -> bool| {
            with_retries(patience, async || match self.get(&format!("/latest/meta-data/{path}")).await? {
                Some(text) if fits(&text) => Ok(text),
                Some(_) => Err(incomplete(path, "the value is empty or malformed")),
                None => Err(incomplete(path, "IMDS has no such entry")),
            })
            .await
        };
        let some = |text: &str| !text.is_empty();
        // In parallel: the client gets its token once for all five.
        let (id, region, zone, kind, address) = try_join!(
            ask("instance-id", is_instance_id),
            ask("placement/region", some),
            ask("placement/availability-zone", some),
            ask("instance-type", some),
            self.address(patience),
        )?;
        Ok(Instance { id, region, zone, kind, address })
    }

    /// The first private IPv4 address. `None` if the instance has IPv6 alone.
    async fn address(&self, patience: RetryLimit) -> Result<Option<String>> {
        let path = "/latest/meta-data/local-ipv4";
        let text = with_retries(patience, async || self.get(path).await).await?;
        Ok(text.map(|text| text.trim().to_owned()).filter(|text| text.parse::<std::net::Ipv4Addr>().is_ok()))
    }

    /// The Auto Scaling state that the instance goes to or has. `None` outside of a group, where IMDS has no such entry.
    pub async fn lifecycle_state(&self, wait: Seconds) -> Result<Option<String>> {
        let path = "/latest/meta-data/autoscaling/target-lifecycle-state";
        let state = with_retries(RetryLimit::lasting(wait.duration()), async || self.get(path).await).await?;
        Ok(state.map(|state| state.trim().to_owned()).filter(|state| Lifecycle::is_state(state)))
    }

    /// All tags of the instance. Waits up to `wait` for the needed ones: tags of an Auto Scaling group can arrive late.
    pub async fn tags(&self, needed: &[String], wait: Seconds) -> Result<BTreeMap<String, String>> {
        with_retries(RetryLimit::lasting(wait.duration()), async || {
            let tags = self.all_tags(needed.is_empty()).await?;
            match needed.iter().find(|key| !tags.contains_key(*key)) {
                None => Ok(tags),
                Some(key) => Err(missing(key, &tags)),
            }
        })
        .await
    }

    async fn all_tags(&self, may_be_none: bool) -> Result<BTreeMap<String, String>> {
        let Some(list) = self.get("/latest/meta-data/tags/instance").await? else {
            if may_be_none {
                return Ok(BTreeMap::new());
            }
            let cause =
                "IMDS has no tags/instance: the instance has no tags, or InstanceMetadataTags is not enabled";
            return Err(Fault::TagsOff.error("reading the instance's tags", cause));
        };
        let asking = keys(&list)?.into_iter().map(|key| async move {
            let value = self.get(&format!("/latest/meta-data/tags/instance/{key}")).await?;
            // `None` if the tag was removed since the list was read.
            Ok(value.map(|value| (key.to_owned(), value)))
        });
        let tags: Vec<Option<(String, String)>> =
            stream::iter(asking).buffered(AT_ONCE).try_collect().await?;
        Ok(tags.into_iter().flatten().collect())
    }
}

/// The keys in the list, one per line. Keys that do not pass `is_key` are left out.
fn keys(list: &str) -> Result<Vec<&str>> {
    let count = list.lines().count();
    if count > MOST_TAGS {
        let cause = format!("tags/instance has {count} entries; the limit is {MOST_TAGS}");
        return Err(Error::new(Code::TagInvalid, "reading the instance's tags", cause).remedy(
            "EC2 allows 50 tags per instance: find out what answers at 169.254.169.254 instead of IMDS",
        ));
    }
    Ok(list.lines().map(str::trim).filter(|key| is_key(key)).collect())
}

fn incomplete(path: &str, cause: &str) -> Error {
    Fault::ImdsIncomplete.error(format!("reading {path} from IMDS"), cause)
}

fn missing(key: &str, tags: &BTreeMap<String, String>) -> Error {
    let others = tags.keys().cloned().collect::<Vec<_>>().join(", ");
    let cause = match tags.is_empty() {
        true => format!("the instance has no tag {key}, and IMDS shows no other tag"),
        false => format!("the instance has no tag {key}, only {others}"),
    };
    Fault::TagLate.error("reading the instance's tags", cause)
}

/// Whether a key has only characters that IMDS allows. A key becomes part of a URL: `/`, `..` or a line break could
/// make the request another one.
fn is_key(key: &str) -> bool {
    !key.is_empty()
        && key.len() <= 255
        && key.chars().all(|c| c.is_ascii_alphanumeric() || "-_+=,.@:".contains(c))
}

/// Whether the id is `i-` and letters or digits: it becomes a directory's name, so it must not have `/` or `..` in it.
fn is_instance_id(id: &str) -> bool {
    let Some(number) = id.strip_prefix("i-") else { return false };
    id.len() <= 64 && number.chars().all(|c| c.is_ascii_alphanumeric())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn more_tags_than_an_instance_can_have_are_refused() {
        let list = |count: usize| (0..count).map(|number| format!("key-{number}\n")).collect::<String>();
        assert_eq!(keys(&list(100)).unwrap().len(), 100);
        assert_eq!(keys("bootagent:service\na/b\n\n").unwrap(), ["bootagent:service"]);
        let error = keys(&list(101)).unwrap_err();
        assert_eq!(error.code(), Code::TagInvalid);
        assert!(error.to_string().contains("tags/instance has 101 entries; the limit is 100"), "{error}");
    }

    #[test]
    fn keys_and_ids_that_could_change_a_path_are_refused() {
        assert!(is_key("bootagent:service") && is_key("aws:autoscaling:groupName"));
        for bad in ["", "a/b", "../x", "a b", "a\r\nHost: x"] {
            assert!(!is_key(bad), "{bad:?} was taken for a key");
        }
        assert!(is_instance_id("i-0abc123"));
        for bad in ["", "i-../../etc", "x-1", "i-a/b"] {
            assert!(!is_instance_id(bad), "{bad:?} was taken for an id");
        }
    }
}
