//! The instance metadata service, version 2 only.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_config::imds::client::error::ImdsError;
use aws_config::imds::{Client, client::Client as ImdsClient};
use aws_config::provider_config::ProviderConfig;
use tokio::time::Instant;

use crate::error::{Code, Error, Result};
use crate::facts::Instance;
use crate::machine::retry::{Attempt, patiently};
use crate::plan::Seconds;

/// More than any instance may have.
const MOST_TAGS: usize = 100;

pub struct Imds {
    client: Client,
}

impl Imds {
    #[allow(clippy::new_without_default)] // It is not a value like any other: it opens a client.
    pub fn new() -> Self {
        // The endpoint is written down: no variable of the environment may move it.
        let setting = ProviderConfig::without_region().with_http_client(super::http());
        let client = ImdsClient::builder()
            .configure(&setting)
            .connect_timeout(Duration::from_secs(1))
            .read_timeout(Duration::from_secs(2))
            .max_attempts(1)
            .endpoint("http://169.254.169.254");
        let client = match client {
            Ok(client) => client.build(),
            // The literal above is a valid URI.
            Err(_) => ImdsClient::builder().configure(&setting).build(),
        };
        Imds { client }
    }

    pub fn client(&self) -> Client {
        self.client.clone()
    }

    /// One path; `None` where IMDS says 404.
    async fn get(&self, path: &str) -> Attempt<Option<String>> {
        let doing =
            || format!("asking instance metadata for {}", path.trim_start_matches("/latest/meta-data/"));
        match self.client.get(path).await {
            Ok(text) => Attempt::Done(Some(text.as_ref().to_owned())),
            Err(ImdsError::ErrorResponse(answer)) => match answer.response().status().as_u16() {
                404 => Attempt::Done(None),
                status => {
                    Attempt::Again(Error::new(Code::ImdsUnreachable, doing(), format!("it answers {status}")))
                }
            },
            Err(error) => {
                Attempt::Again(Error::new(Code::ImdsUnreachable, doing(), super::causes(&error).join(": ")))
            }
        }
    }

    /// Who the instance is, waiting for IMDS itself.
    pub async fn instance(&self, wait: Seconds) -> Result<Instance> {
        let until = Instant::now() + wait.duration();
        let ask = async |path: &'static str| {
            let whole = format!("/latest/meta-data/{path}");
            let answer = patiently(until, async || self.get(&whole).await).await?;
            answer.filter(|text| !text.is_empty()).ok_or_else(|| {
                Error::new(
                    Code::ImdsUnreachable,
                    format!("asking instance metadata for {path}"),
                    "it has no such entry",
                )
            })
        };
        Ok(Instance {
            id: instance_id(ask("instance-id").await?)?,
            region: ask("placement/region").await?,
            zone: ask("placement/availability-zone").await?,
            kind: ask("instance-type").await?,
        })
    }

    /// All tags. Waits until those that are needed are there: a group's tags can arrive late.
    pub async fn tags(&self, needed: &[String], wait: Seconds) -> Result<BTreeMap<String, String>> {
        let until = Instant::now() + wait.duration();
        patiently(until, async || {
            let tags = match self.all_tags(needed.is_empty()).await {
                Attempt::Done(tags) => tags,
                Attempt::Again(error) => return Attempt::Again(error),
                Attempt::Stop(error) => return Attempt::Stop(error),
            };
            match needed.iter().find(|key| !tags.contains_key(*key)) {
                None => Attempt::Done(tags),
                Some(key) => Attempt::Again(missing(key, &tags, wait)),
            }
        })
        .await
    }

    async fn all_tags(&self, may_be_none: bool) -> Attempt<BTreeMap<String, String>> {
        let list = match self.get("/latest/meta-data/tags/instance").await {
            Attempt::Done(Some(list)) => list,
            Attempt::Done(None) if may_be_none => return Attempt::Done(BTreeMap::new()),
            Attempt::Done(None) => {
                let cause = "it has no tags/instance: the instance has no tags, or InstanceMetadataTags is not enabled";
                return Attempt::Again(Error::new(Code::ImdsTagsOff, "reading the instance's tags", cause));
            }
            Attempt::Again(error) | Attempt::Stop(error) => return Attempt::Again(error),
        };
        let mut tags = BTreeMap::new();
        for key in list.lines().map(str::trim).filter(|key| is_key(key)).take(MOST_TAGS) {
            match self.get(&format!("/latest/meta-data/tags/instance/{key}")).await {
                Attempt::Done(Some(value)) => tags.insert(key.to_owned(), value),
                // Taken away between the two questions.
                Attempt::Done(None) => None,
                Attempt::Again(error) | Attempt::Stop(error) => return Attempt::Again(error),
            };
        }
        Attempt::Done(tags)
    }
}

fn missing(key: &str, tags: &BTreeMap<String, String>, wait: Seconds) -> Error {
    let cause = match tags.is_empty() {
        true => format!("the instance has no tag {key}, and no other that metadata shows (waited {wait})"),
        false => format!(
            "the instance has no tag {key}, only {} (waited {wait})",
            tags.keys().cloned().collect::<Vec<_>>().join(", ")
        ),
    };
    Error::new(Code::TagMissing, "reading the instance's tags", cause)
}

/// The characters that IMDS itself allows in a key; anything else never reaches a URL.
fn is_key(key: &str) -> bool {
    !key.is_empty()
        && key.len() <= 255
        && key.chars().all(|c| c.is_ascii_alphanumeric() || "-_+=,.@:".contains(c))
}

/// It becomes the name of a directory.
fn instance_id(id: String) -> Result<String> {
    let fits = id.starts_with("i-") && id.len() <= 64 && id[2..].chars().all(|c| c.is_ascii_alphanumeric());
    match fits {
        true => Ok(id),
        false => Err(Error::new(
            Code::ImdsUnreachable,
            "asking instance metadata for instance-id",
            "what it says is no instance id",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_and_ids_cannot_leave_their_path() {
        assert!(is_key("bootagent:service") && is_key("aws:autoscaling:groupName"));
        for bad in ["", "a/b", "../x", "a b", "a\r\nHost: x"] {
            assert!(!is_key(bad), "{bad:?} was taken for a key");
        }
        assert!(instance_id("i-0abc123".into()).is_ok());
        for bad in ["", "i-../../etc", "x-1", "i-a/b"] {
            assert!(instance_id(bad.into()).is_err(), "{bad:?} was taken for an id");
        }
    }
}
