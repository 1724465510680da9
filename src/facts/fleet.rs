//! The fleet memory: objects below one S3 prefix, which the instances of a service and environment share. Their places
//! and their content, as plain data.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Commit, Environment, FleetPin, Service, newtype::newtype, records};
use crate::error::ErrorReport;

/// Bytes. S3 allows 1024 for a key; the rest of the key is ours.
const LONGEST_PREFIX: usize = 512;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PrefixError(&'static str);

impl fmt::Display for PrefixError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

newtype! {
    /// `s3://BUCKET/PATH`, without a slash at its end. The characters are those that need no escape in an address.
    FleetPrefix, PrefixError, |text| {
        let rest = text.strip_prefix("s3://").ok_or(PrefixError("it is not s3://BUCKET/PATH"))?;
        let (bucket, path) = rest.split_once('/').unwrap_or((rest, ""));
        let path = path.trim_end_matches('/');
        if !is_bucket(bucket) {
            return Err(PrefixError("a bucket's name has 3 to 63 small letters, digits, - and ."));
        }
        if text.len() > LONGEST_PREFIX || !(path.is_empty() || path.split('/').all(is_segment)) {
            return Err(PrefixError("its path has letters, digits, - _ and . between slashes, at most 512 in all"));
        }
        Ok(if path.is_empty() { format!("s3://{bucket}") } else { format!("s3://{bucket}/{path}") })
    }
}

fn is_bucket(name: &str) -> bool {
    (3..=63).contains(&name.len())
        && name.starts_with(|c: char| c.is_ascii_alphanumeric())
        && name.ends_with(|c: char| c.is_ascii_alphanumeric())
        && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c))
        && !name.contains("..")
}

fn is_segment(segment: &str) -> bool {
    !matches!(segment, "" | "." | "..")
        && segment.chars().all(|c| c.is_ascii_alphanumeric() || "-_.".contains(c))
}

impl FleetPrefix {
    /// The bucket, and the path without slashes at its ends; the path may be empty.
    pub fn parts(&self) -> (&str, &str) {
        let rest = self.as_str().strip_prefix("s3://").unwrap_or_default();
        rest.split_once('/').unwrap_or((rest, ""))
    }

    /// An object below the prefix. For a listing, `name` may end with a slash or be empty.
    pub fn object(&self, name: &str) -> S3Object {
        let (bucket, path) = self.parts();
        let key = if path.is_empty() { name.to_owned() } else { format!("{path}/{name}") };
        S3Object { bucket: bucket.to_owned(), key }
    }

    /// Where the report of a run goes that did not find out its service. No service's name begins like this.
    pub fn unselected_report(&self, instance: &str) -> S3Object {
        self.object(&format!("_unselected/reports/{instance}.json"))
    }
}

/// The place of one object, or of all whose keys begin with `key`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct S3Object {
    pub bucket: String,
    pub key: String,
}

impl fmt::Display for S3Object {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

/// The places of what the instances of one service and environment share.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FleetMemory {
    pub prefix: FleetPrefix,
    pub service: Service,
    pub environment: Environment,
}

impl FleetMemory {
    pub fn object(&self, name: &str) -> S3Object {
        self.prefix.object(&format!("{}/{}/{name}", self.service, self.environment))
    }

    /// The commit that a rollout pinned.
    pub fn pin(&self) -> S3Object {
        self.object("pin.json")
    }

    /// The last commit that was healthy in service.
    pub fn good(&self) -> S3Object {
        self.object("good.json")
    }

    /// The report of an instance's last run.
    pub fn report(&self, instance: &str) -> S3Object {
        self.object(&format!("reports/{instance}.json"))
    }

    pub fn reports(&self) -> S3Object {
        self.object("reports/")
    }

    /// The failure of a commit on an instance. One object for each: counting needs no lock.
    pub fn failure(&self, commit: &Commit, instance: &str) -> S3Object {
        self.object(&format!("failures/{commit}/{instance}.json"))
    }

    pub fn failures(&self, commit: &Commit) -> S3Object {
        self.object(&format!("failures/{commit}/"))
    }

    /// The git bundle of a commit, which any instance may write: git names a commit by its content.
    pub fn bundle(&self, commit: &Commit) -> S3Object {
        self.object(&format!("bundles/{commit}.bundle"))
    }

    /// The git bundle of the branch, which only operators write: it says which commit is the newest.
    pub fn branch_bundle(&self) -> S3Object {
        self.object("branch.bundle")
    }

    /// A release of the release cache.
    pub fn release(&self, key: &str) -> S3Object {
        self.object(&format!("releases/{key}.release"))
    }

    /// The folder of the release cache. Its objects are found by keys.
    pub fn cache(&self) -> S3Object {
        self.object("releases/")
    }

    /// The lock of a commit's migration, and the record that it is done.
    pub fn migration(&self, commit: &Commit) -> S3Object {
        self.object(&format!("migrations/{commit}.json"))
    }
}

/// The last commit that was healthy in service, and the one before it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetGood {
    #[serde(default = "records::first_schema")]
    pub schema: u32,
    pub commit: Commit,
    /// The instance that was first healthy with it.
    pub instance: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Commit>,
}

impl FleetGood {
    /// Whether the commit is one of both.
    pub fn knows(&self, commit: &Commit) -> bool {
        self.commit == *commit || self.before.as_ref() == Some(commit)
    }
}

/// A failure of a commit on an instance.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetFailure {
    #[serde(default = "records::first_schema")]
    pub schema: u32,
    pub commit: Commit,
    pub instance: String,
    /// Without captured output, which may have secrets that redaction does not know.
    pub error: ErrorReport,
}

/// What a run has read of the fleet memory.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct FleetKnown {
    /// The place of the pin.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<FleetPin>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub good: Option<FleetGood>,
}

impl FleetKnown {
    pub fn is_empty(&self) -> bool {
        *self == FleetKnown::default()
    }

    /// The commit that is pinned, or else the last good one.
    pub fn present(&self) -> Option<&Commit> {
        self.pin.as_ref().map(|pin| &pin.commit).or(self.good.as_ref().map(|good| &good.commit))
    }

    /// The commit before the present one that no rollout went back from.
    pub fn before(&self) -> Option<&Commit> {
        let (pin, good) = (self.pin.as_ref(), self.good.as_ref());
        let of_pin = pin.and_then(|pin| pin.before.as_ref());
        let candidates = [good.map(|good| &good.commit), of_pin, good.and_then(|good| good.before.as_ref())];
        let failed = |commit: &Commit| pin.is_some_and(|pin| pin.failed.contains(commit));
        candidates.into_iter().flatten().find(|commit| Some(*commit) != self.present() && !failed(commit))
    }
}

/// An object of a listing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Listed {
    pub key: String,
    /// Seconds since it was written, by S3's clock.
    pub age: u64,
}

impl Listed {
    /// The instance whose report or failure it is. An instance may write other names; they are left out.
    pub fn instance(&self) -> Option<&str> {
        let name = self.key.rsplit('/').next()?.strip_suffix(".json")?;
        is_instance(name).then_some(name)
    }
}

/// Whether a text is an instance's id.
pub fn is_instance(text: &str) -> bool {
    let digits = text.strip_prefix("i-").unwrap_or_default();
    (1..=30).contains(&digits.len()) && digits.chars().all(|c| c.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_prefix_is_a_bucket_and_a_path() {
        for (text, parts) in [
            ("s3://acme-fleet", ("acme-fleet", "")),
            ("s3://acme-fleet/", ("acme-fleet", "")),
            ("s3://acme.fleet/boot/agents/", ("acme.fleet", "boot/agents")),
        ] {
            assert_eq!(FleetPrefix::try_from(text).unwrap().parts(), parts, "{text}");
        }
        for bad in [
            "",
            "acme-fleet/x",
            "https://acme.s3.amazonaws.com/",
            "s3://Acme",
            "s3://ab",
            "s3://a..b",
            "s3://acme/../x",
            "s3://acme//x",
            "s3://acme/a b",
            "s3://acme/x?y",
            "s3://acme@evil.test/x",
            &format!("s3://acme/{}", "x".repeat(600)),
        ] {
            assert!(FleetPrefix::try_from(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn only_instances_are_listed() {
        let listed = |key: &str| Listed { key: key.to_owned(), age: 0 };
        assert_eq!(listed("boot/auth/prod/reports/i-0abc.json").instance(), Some("i-0abc"));
        for other in
            ["boot/reports/i-0abc", "reports/\u{1b}[31m.json", "reports/i-.json", "reports/i-x.json", ""]
        {
            assert_eq!(listed(other).instance(), None, "{other}");
        }
    }

    #[test]
    fn each_service_and_environment_has_its_own_objects() {
        let memory = FleetMemory {
            prefix: FleetPrefix::try_from("s3://acme-fleet/boot").unwrap(),
            service: Service::try_from("auth").unwrap(),
            environment: Environment::try_from("prod").unwrap(),
        };
        let commit = Commit::try_from("a".repeat(40)).unwrap();
        assert_eq!(memory.pin().to_string(), "s3://acme-fleet/boot/auth/prod/pin.json");
        assert_eq!(memory.report("i-1").key, "boot/auth/prod/reports/i-1.json");
        assert!(memory.failure(&commit, "i-1").key.starts_with(&memory.failures(&commit).key));
        let bare = FleetMemory { prefix: FleetPrefix::try_from("s3://acme-fleet").unwrap(), ..memory };
        assert_eq!(bare.good().key, "auth/prod/good.json");
    }
}
