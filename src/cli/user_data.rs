//! The arguments of `user-data`. The `///` of a field is its text in the help.

use std::fmt;
use std::str::FromStr;

use clap::Args;

use super::policy_flags::PolicyArgs;
use crate::observe::Fragment;
use crate::plan::Seconds;

/// What an address may be made of besides letters and digits: nothing that a shell or a reader could take for something
/// else. So there is no query, in which a signature would be a secret, and no user or password.
const IN_ADDRESSES: &str = "-._~/+%";
const LONGEST_ADDRESS: usize = 1024;

#[derive(Debug, Args)]
pub struct UserDataArgs {
    /// Where the program is: https://HOST/PATH or s3://BUCKET/KEY; without it, the AMI has bootagent
    #[arg(long, value_name = "ADDRESS")]
    pub download: Option<Download>,
    /// The program's SHA-256 [default with --download: that of the program that prints this]
    #[arg(long, value_name = "HEX", requires = "download", value_parser = sha256)]
    pub sha256: Option<String>,
    /// How long a download that fails is repeated
    #[arg(long, value_name = "TIME", default_value = "5m", requires = "download", value_parser = within)]
    pub within: Seconds,
    #[command(flatten)]
    policy: PolicyArgs,
}

impl UserDataArgs {
    pub fn policy(&self) -> Fragment {
        self.policy.fragment()
    }

    /// The flags for `bootagent run`.
    pub fn words(&self) -> Vec<String> {
        self.policy.words()
    }
}

/// An address of the program, of plain characters only.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Download {
    Https(String),
    S3(String),
}

impl fmt::Display for Download {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (Download::Https(address) | Download::S3(address)) = self;
        f.write_str(address)
    }
}

impl FromStr for Download {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (rest, make): (_, fn(String) -> Download) =
            match (text.strip_prefix("https://"), text.strip_prefix("s3://")) {
                (Some(rest), _) => (rest, Download::Https),
                (None, Some(rest)) => (rest, Download::S3),
                (None, None) => return Err("it begins with neither https:// nor s3://".to_owned()),
            };
        let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
        let is_plain = |c: char| c.is_ascii_alphanumeric() || IN_ADDRESSES.contains(c);
        if let Some(odd) = path.chars().find(|c| !is_plain(*c)) {
            let odd = odd.escape_default();
            return Err(format!(
                "its path has {odd}: letters, digits and {IN_ADDRESSES} are allowed, and no query"
            ));
        }
        let host_is_plain = host.chars().all(|c| c.is_ascii_alphanumeric() || "-._:".contains(c));
        if host.is_empty()
            || host.starts_with('-')
            || !host_is_plain
            || path.is_empty()
            || text.len() > LONGEST_ADDRESS
        {
            return Err(
                "expected https://HOST/PATH or s3://BUCKET/KEY, without a user or password".to_owned()
            );
        }
        Ok(make(text.to_owned()))
    }
}

fn sha256(text: &str) -> Result<String, String> {
    match text.len() == 64 && text.chars().all(|c| c.is_ascii_hexdigit()) {
        true => Ok(text.to_ascii_lowercase()),
        false => Err("expected 64 hexadecimal digits, as sha256sum prints them".to_owned()),
    }
}

fn within(text: &str) -> Result<Seconds, String> {
    match text.parse()? {
        Seconds(seconds @ 1..=3600) => Ok(Seconds(seconds)),
        _ => Err("expected a time between 1s and 1h".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_are_plain() {
        for good in
            ["https://a.example/x/bootagent-0.1.0-x86_64", "https://a.example:8443/b", "s3://acme-tools/b/1"]
        {
            assert_eq!(good.parse::<Download>().unwrap().to_string(), good);
        }
        for bad in [
            "http://a.example/b",
            "https://a.example",
            "https://a.example/",
            "https:///b",
            "https://u:p@a.example/b",
            "https://u@a.example/b",
            "https://a.example/b?X-Amz-Signature=00",
            "https://a.example/b#x",
            "https://-a/b",
            "https://a.example/b'; reboot; '",
            "https://a.example/b c",
            "https://a.example/b\nreboot",
            "s3://b",
            "ftp://a/b",
            "https://a.example/$(reboot)",
            "https://a.example/b\\",
            "https://a.example/ü",
            "/usr/bin/bootagent",
        ] {
            assert!(bad.parse::<Download>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn digests_and_times_have_one_form() {
        assert_eq!(sha256(&"AB".repeat(32)).unwrap(), "ab".repeat(32));
        assert!(sha256(&"ab".repeat(31)).is_err() && sha256(&"xy".repeat(32)).is_err());
        assert_eq!(within("90").unwrap(), Seconds(90));
        assert!(within("0").is_err() && within("2h").is_err());
    }
}
