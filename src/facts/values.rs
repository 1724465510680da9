//! Where a service's values come from, besides its own secret, and which files are made of them. Plain data: the manifest
//! asks for it, and records keep it.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

/// One source of values.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValueSource {
    #[serde(flatten)]
    pub place: ValuePlace,
    /// The keys to take, besides the renamed ones; none: all keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<BTreeSet<String>>,
    /// New names by key.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub rename: BTreeMap<String, String>,
    /// In front of the names of all keys that are not renamed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub prefix: String,
    /// The name of the only variable, which has the whole text as its value.
    #[serde(default, rename = "as", skip_serializing_if = "Option::is_none")]
    pub whole: Option<String>,
    /// Whether the source, or one of its keys, may be missing.
    #[serde(default, skip_serializing_if = "is_false")]
    pub optional: bool,
}

/// What is read.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ValuePlace {
    /// A secret of Secrets Manager, by its name or ARN.
    Secret(String),
    /// A parameter of Parameter Store, by its name or ARN.
    Parameter(String),
    /// All parameters below a path, which begins with a slash and does not end with one.
    Parameters(String),
}

fn is_false(flag: &bool) -> bool {
    !flag
}

impl fmt::Display for ValuePlace {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            ValuePlace::Secret(name) => write!(f, "secret {name}"),
            ValuePlace::Parameter(name) => write!(f, "parameter {name}"),
            ValuePlace::Parameters(path) => write!(f, "parameters below {path}"),
        }
    }
}

impl ValueSource {
    /// All keys of this place, under their own names.
    pub fn whole(place: ValuePlace) -> Self {
        ValueSource {
            place,
            keys: None,
            rename: BTreeMap::new(),
            prefix: String::new(),
            whole: None,
            optional: false,
        }
    }
}

impl ValuePlace {
    pub fn name(&self) -> &str {
        match self {
            ValuePlace::Secret(name) | ValuePlace::Parameter(name) | ValuePlace::Parameters(name) => name,
        }
    }

    /// The same place under another name.
    pub fn renamed(&self, name: String) -> Self {
        match self {
            ValuePlace::Secret(_) => ValuePlace::Secret(name),
            ValuePlace::Parameter(_) => ValuePlace::Parameter(name),
            ValuePlace::Parameters(_) => ValuePlace::Parameters(name),
        }
    }

    /// Its region and account, if its name is an ARN.
    pub fn arn(&self) -> Option<Arn<'_>> {
        Arn::of(self.name())
    }
}

/// The parts of an ARN that say where a resource is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arn<'a> {
    pub region: &'a str,
    pub account: &'a str,
    /// With its type, such as `secret:auth-AbCdEf` or `parameter/auth/key`.
    pub resource: &'a str,
}

impl<'a> Arn<'a> {
    /// `arn:aws:secretsmanager:eu-west-1:123456789012:secret:auth-AbCdEf`.
    pub fn of(text: &'a str) -> Option<Arn<'a>> {
        let mut parts = text.splitn(6, ':');
        let is_arn = parts.next() == Some("arn") && parts.next()?.starts_with("aws");
        let _service = parts.next()?;
        let (region, account, resource) = (parts.next()?, parts.next()?, parts.next()?);
        let is_region = !region.is_empty()
            && region.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-');
        let is_account = account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit());
        (is_arn && is_region && is_account && !resource.is_empty()).then_some(Arn {
            region,
            account,
            resource,
        })
    }
}

/// A file that is made of the service's variables.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct ValueFile {
    /// Relative to the release.
    pub path: String,
    pub format: FileFormat,
    /// The variables in it; none: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<BTreeSet<String>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileFormat {
    /// One flat object of strings.
    Json,
    /// As the runtime's `.env`.
    Env,
}

impl FileFormat {
    pub const ALL: [FileFormat; 2] = [FileFormat::Json, FileFormat::Env];

    pub fn name(self) -> &'static str {
        match self {
            FileFormat::Json => "json",
            FileFormat::Env => "env",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_in_a_record_is_short() {
        let mut source = ValueSource::whole(ValuePlace::Secret("shared/db".to_owned()));
        assert_eq!(serde_json::to_string(&source).unwrap(), r#"{"secret":"shared/db"}"#);
        source.rename.insert("host".to_owned(), "DB_HOST".to_owned());
        source.optional = true;
        let text = serde_json::to_string(&source).unwrap();
        assert_eq!(serde_json::from_str::<ValueSource>(&text).unwrap(), source);
    }

    #[test]
    fn an_arn_says_where_a_secret_is() {
        let arn = Arn::of("arn:aws-cn:secretsmanager:cn-north-1:123456789012:secret:a/b-AbCdEf").unwrap();
        assert_eq!(
            (arn.region, arn.account, arn.resource),
            ("cn-north-1", "123456789012", "secret:a/b-AbCdEf")
        );
        for other in [
            "auth",
            "arn:aws:secretsmanager:eu-west-1:123456789012:",
            "arn:aws:secretsmanager::123456789012:secret:a",
            "arn:aws:secretsmanager:evil.test/:123456789012:secret:a",
            "arn:aws:secretsmanager:eu-west-1:1:secret:a",
            "urn:aws:secretsmanager:eu-west-1:123456789012:secret:a",
        ] {
            assert_eq!(Arn::of(other), None, "{other}");
        }
    }
}
