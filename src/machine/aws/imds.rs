//! The client of IMDS, version 2 only: reads the instance's id, region, zone, type and tags, and waits for them.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use aws_config::imds::client::error::ImdsError;
use aws_config::imds::{Client, client::Client as ImdsClient};
use aws_config::provider_config::ProviderConfig;
use futures_util::stream::{self, StreamExt, TryStreamExt};
use tokio::try_join;

use super::notices;
use crate::error::{Code, Error, Result};
use crate::facts::{Instance, Lifecycle, Notices};
use crate::fault::Fault;
use crate::machine::retry::{RetryLimit, with_retries};
use crate::plan::Seconds;
use crate::secret::{ForeignText, Message};

/// Parallel requests for tags: if IMDS answers slowly, their waits overlap. Not more, because IMDS throttles.
const AT_ONCE: usize = 10;
/// Twice the number that EC2 allows. Each tag costs one request.
const MOST_TAGS: usize = 100;

/// Fixed: an environment variable must not redirect the client to another server. The second one answers on instances with
/// `HttpProtocolIpv6=enabled`, also in networks without IPv4.
pub const ADDRESSES: [&str; 2] = ["http://169.254.169.254", "http://[fd00:ec2::254]"];

pub struct Imds {
    addresses: [String; 2],
    session: Mutex<Session>,
}

/// A client, and which of the addresses it asks.
#[derive(Clone)]
struct Session {
    client: Client,
    at: usize,
}

fn client(address: &str) -> Client {
    let setting = ProviderConfig::without_region().with_http_client(super::http::direct());
    let client = ImdsClient::builder()
        .configure(&setting)
        .connect_timeout(Duration::from_secs(1))
        .read_timeout(Duration::from_secs(2))
        .max_attempts(1)
        .endpoint(address);
    match client {
        Ok(client) => client.build(),
        // The constants above are valid URIs.
        Err(_) => ImdsClient::builder().configure(&setting).build(),
    }
}

impl Imds {
    #[allow(clippy::new_without_default)] // A default value should not open an HTTP client.
    pub fn new() -> Self {
        Self::at(ADDRESSES.map(str::to_owned))
    }

    fn at(addresses: [String; 2]) -> Self {
        let session = Session { client: client(&addresses[0]), at: 0 };
        Imds { addresses, session: Mutex::new(session) }
    }

    pub fn client(&self) -> Client {
        self.session().client
    }

    fn session(&self) -> Session {
        self.session.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn replace(&self, session: Session) {
        *self.session.lock().unwrap_or_else(PoisonError::into_inner) = session;
    }

    /// Starts a new session. The client reuses its token until the TTL is over, even if IMDS rejects the token earlier.
    pub fn renew(&self) {
        let at = self.session().at;
        self.replace(Session { client: client(&self.addresses[at]), at });
    }

    /// Asks the present address, and the other one if there is no answer. The one that answers is asked from then on.
    async fn ask(&self, path: &str) -> std::result::Result<String, ImdsError> {
        let session = self.session();
        let silence = match session.client.get(path).await {
            Ok(text) => return Ok(text.as_ref().to_owned()),
            Err(error @ ImdsError::ErrorResponse(_)) => return Err(error),
            Err(error) => error,
        };
        let at = 1 - session.at;
        let other = Session { client: client(&self.addresses[at]), at };
        match other.client.get(path).await {
            Ok(text) => {
                self.replace(other);
                Ok(text.as_ref().to_owned())
            }
            Err(error @ ImdsError::ErrorResponse(_)) => {
                self.replace(other);
                Err(error)
            }
            Err(_) => Err(silence),
        }
    }

    /// The text at a path; `None` if IMDS answers 404.
    async fn get(&self, path: &str) -> Result<Option<String>> {
        let fault = |fault: Fault, cause: Message| {
            let entry = path.trim_start_matches("/latest/meta-data/");
            Err(fault.error(format!("reading {entry} from IMDS"), cause))
        };
        match self.ask(path).await {
            Ok(text) => Ok(Some(text)),
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

    /// What IMDS announces of the instance's end. One attempt.
    pub async fn notices(&self) -> Result<Notices> {
        let (state, spot, rebalance) = try_join!(
            self.get("/latest/meta-data/autoscaling/target-lifecycle-state"),
            self.get("/latest/meta-data/spot/instance-action"),
            self.get("/latest/meta-data/events/recommendations/rebalance"),
        )?;
        Ok(Notices {
            state: state.map(|state| state.trim().to_owned()).filter(|state| Lifecycle::is_state(state)),
            spot: spot.as_deref().and_then(notices::spot),
            rebalance: rebalance.is_some(),
        })
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

    /// A server that answers like IMDS, for the requests of one test: its address.
    async fn server(listener: tokio::net::TcpListener) -> String {
        use tokio::io::{AsyncReadExt, AsyncWriteExt};
        let address = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(async move {
            while let Ok((mut connection, _)) = listener.accept().await {
                tokio::spawn(async move {
                    let mut request = vec![0; 4096];
                    while let Ok(1..) = connection.read(&mut request).await {
                        let answer = "HTTP/1.1 200 OK\r\nx-aws-ec2-metadata-token-ttl-seconds: 60\r\ncontent-length: 4\r\n\r\ni-01";
                        if connection.write_all(answer.as_bytes()).await.is_err() {
                            return;
                        }
                    }
                });
            }
        });
        address
    }

    #[tokio::test]
    async fn the_other_address_is_asked_if_the_first_does_not_answer() {
        let first = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let closed = format!("http://{}", first.local_addr().unwrap());
        drop(first);
        let second = server(tokio::net::TcpListener::bind("[::1]:0").await.unwrap()).await;
        let imds = Imds::at([closed.clone(), second]);
        assert_eq!(imds.get("/latest/meta-data/instance-id").await.unwrap().as_deref(), Some("i-01"));
        assert_eq!(imds.session().at, 1);
        imds.renew();
        assert_eq!(imds.session().at, 1, "a new session asks the address that answered");
        let nothing = Imds::at([closed.clone(), closed]);
        let error = nothing.get("/latest/meta-data/instance-id").await.unwrap_err();
        assert_eq!(Fault::of(&error), Some(Fault::ImdsSilent));
        assert_eq!(nothing.session().at, 0);
    }

    #[tokio::test]
    async fn the_first_address_is_kept_while_it_answers() {
        let first = server(tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap()).await;
        let imds = Imds::at([first, "http://127.0.0.1:9".to_owned()]);
        assert!(imds.get("/latest/meta-data/instance-id").await.unwrap().is_some());
        assert_eq!(imds.session().at, 0);
    }

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
