//! Credentials and region of the person who calls: environment variables, else what the AWS CLI says, which knows profiles, SSO,
//! roles and MFA, else the role of this instance. For commands on a laptop and dry runs off EC2; a run never comes here.

use std::io::ErrorKind;
use std::time::{Duration, SystemTime};

use aws_config::Region;
use aws_config::environment::EnvironmentVariableCredentialsProvider;
use aws_config::imds::Client;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::imds::region::ImdsRegionProvider;
use aws_credential_types::Credentials;
use aws_credential_types::provider::{ProvideCredentials, SharedCredentialsProvider};
use aws_smithy_types::date_time::{DateTime, Format};
use serde::Deserialize;
use tokio::process::Command;
use tokio::sync::Mutex;
use zeroize::Zeroizing;

use crate::error::{Code, Coded, Error, Result};
use crate::facts::Network;
use crate::fault::Fault;
use crate::machine::process::program::{Keep, Output, SEARCH_PATH, communicate, how_it_ended};
use crate::secret::{ForeignText, Message};

/// The AWS CLI asks AWS for the credentials of a role, or of SSO.
const DEADLINE: Duration = Duration::from_secs(30);
/// Credentials that expire so soon are asked for anew.
const MARGIN: Duration = Duration::from_secs(120);
/// Those that do not say when they expire, after this: a new login may have replaced them.
const UNDATED: Duration = Duration::from_secs(60);
const MOST: usize = 64 << 10;
/// Who has set one of these means the credentials behind it, and not those of the machine.
const ELSEWHERE: [&str; 4] = [
    "AWS_PROFILE",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
];

/// What the AWS CLI exported, and when it is asked again. Each start of it takes half a second, and a rollout asks AWS for minutes.
static EXPORTED: Mutex<Option<(Credentials, SystemTime)>> = Mutex::const_new(None);
static REGION: Mutex<Option<Region>> = Mutex::const_new(None);

/// As `aws configure export-credentials` writes it: the format of a profile's `credential_process`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Exported {
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
    expiration: Option<String>,
}

/// Errors are those of `own-credentials`; after the AWS CLI has answered once, of `credentials-late`, which is tried again.
pub async fn credentials(imds: &Client, network: &Network) -> Result<SharedCredentialsProvider> {
    match EnvironmentVariableCredentialsProvider::new().provide_credentials().await {
        Ok(own) => return Ok(SharedCredentialsProvider::new(own)),
        Err(error) if is_set("AWS_ACCESS_KEY_ID") => return Err(half_set(&error)),
        Err(_) => {}
    }
    if let Some(own) = exported(network).await? {
        return Ok(SharedCredentialsProvider::new(own));
    }
    if let Some(name) = ELSEWHERE.iter().find(|name| is_set(name)) {
        return Err(refused(format!(
            "{name} is set, and there is no AWS CLI (version 2) that could follow it"
        )));
    }
    let role = ImdsCredentialsProvider::builder().imds_client(imds.clone()).build();
    role.provide_credentials().await.map_err(|error| nothing(&error))?;
    Ok(SharedCredentialsProvider::new(role))
}

/// `None`: nothing names one.
pub async fn region(imds: &Client, network: &Network) -> Option<Region> {
    let mut known = REGION.lock().await;
    if known.is_none() {
        *known = match named_region(network).await {
            Some(region) => Some(Region::new(region)),
            None => ImdsRegionProvider::builder().imds_client(imds.clone()).build().region().await,
        };
    }
    known.clone()
}

async fn named_region(network: &Network) -> Option<String> {
    let variables = ["AWS_REGION", "AWS_DEFAULT_REGION"];
    let variable = variables.iter().find_map(|name| std::env::var(name).ok().filter(|text| !text.is_empty()));
    if variable.is_some() {
        return variable;
    }
    let output = cli(&["configure", "get", "region"], network).await.ok().flatten()?;
    let region = output.text().trim().to_owned();
    (output.ok() && !region.is_empty()).then_some(region)
}

fn is_set(name: &str) -> bool {
    std::env::var_os(name).is_some_and(|value| !value.is_empty())
}

/// Those of the AWS CLI; `None` if there is none. While the last ones are valid, a CLI that fails does not take them away; after
/// that it is asked again, as somebody may log in meanwhile.
async fn exported(network: &Network) -> Result<Option<Credentials>> {
    let mut kept = EXPORTED.lock().await;
    let now = SystemTime::now();
    if let Some((own, until)) = &*kept
        && *until > now
    {
        return Ok(Some(own.clone()));
    }
    match (export(network).await, &*kept) {
        (Ok(Some(own)), _) => {
            let until = own.expiry().and_then(|expires| expires.checked_sub(MARGIN)).unwrap_or(now + UNDATED);
            *kept = Some((own.clone(), until));
            Ok(Some(own))
        }
        (Err(_), Some((own, _))) if own.expiry().is_none_or(|expires| expires > now) => Ok(Some(own.clone())),
        (Err(error), Some(_)) => Err(Fault::CredentialsLate.is_behind(error)),
        (other, _) => other,
    }
}

async fn export(network: &Network) -> Result<Option<Credentials>> {
    const ARGUMENTS: [&str; 4] = ["configure", "export-credentials", "--format", "process"];
    let Some(mut output) = cli(&ARGUMENTS, network).await? else { return Ok(None) };
    let text = Zeroizing::new(std::mem::take(&mut output.stdout));
    match output.ok() {
        true => parsed(&text).map(Some).ok_or_else(|| refused("its answer is not what version 2 writes")),
        // As good as none, unless a profile is meant.
        false if cannot_export(&output) && !is_set("AWS_PROFILE") => Ok(None),
        false if cannot_export(&output) => {
            Err(refused("it has no `configure export-credentials`: it is version 1, or an early version 2"))
        }
        false => {
            let last = output.lines().pop().unwrap_or_else(|| ForeignText::line(""));
            Err(refused(Message::from(format!("{}: ", how_it_ended(&output))).and(last.trimmed())))
        }
    }
}

fn cannot_export(output: &Output) -> bool {
    let text = ForeignText::message(&String::from_utf8_lossy(&output.stderr));
    text.judge(|text| text.to_lowercase().contains("invalid choice") && text.contains("argument subcommand"))
}

fn parsed(text: &[u8]) -> Option<Credentials> {
    let exported: Exported = serde_json::from_slice(text).ok()?;
    let expires = match exported.expiration {
        Some(text) => {
            Some(SystemTime::try_from(DateTime::from_str(&text, Format::DateTimeWithOffset).ok()?).ok()?)
        }
        None => None,
    };
    let (key, secret, token) = (exported.access_key_id, exported.secret_access_key, exported.session_token);
    Some(Credentials::new(key, secret, token, expires, "AWS CLI"))
}

/// The caller's own program, with the caller's environment: it reads `AWS_PROFILE` and files of the home directory. As root only from
/// where root's programs are.
async fn cli(arguments: &[&str], network: &Network) -> Result<Option<Output>> {
    let doing = || format!("running aws {}", arguments.join(" "));
    let mut command = Command::new("aws");
    command.args(arguments);
    if nix::unistd::geteuid().is_root() {
        command.env("PATH", SEARCH_PATH);
    }
    if let Some(proxy) = network.proxy.as_ref().filter(|_| !is_set("HTTPS_PROXY")) {
        command.env("HTTPS_PROXY", proxy.as_str()).env("NO_PROXY", network.direct().join(","));
    }
    if let Some(file) = network.ca_file.as_ref().filter(|_| !is_set("AWS_CA_BUNDLE")) {
        command.env("AWS_CA_BUNDLE", file.path());
    }
    match communicate(command, None, DEADLINE, Keep::First(MOST)).await {
        Ok(Some(done)) => Ok(Some(done.into())),
        Ok(None) => Err(refused(format!("it is not done after {} s", DEADLINE.as_secs()))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).doing(doing),
    }
}

const ASKING: &str = "asking the AWS CLI for credentials";

fn refused(cause: impl Into<Message>) -> Error {
    let first = match nix::unistd::geteuid().is_root() {
        true => "call bootagent without sudo, which hides your profile; ",
        false => "",
    };
    Fault::OwnCredentials.error(ASKING, cause).remedy(format!(
        "{first}see that `aws sts get-caller-identity` (version 2) answers without a question, with the same AWS_PROFILE; or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"
    ))
}

fn half_set(error: &dyn std::error::Error) -> Error {
    let cause = Message::from("AWS_ACCESS_KEY_ID is set, and it cannot be used: ")
        .and(ForeignText::message(&super::causes(error).join(": ")));
    Fault::OwnCredentials.error("reading credentials of the environment", cause).remedy(
        "set AWS_SECRET_ACCESS_KEY, too, and AWS_SESSION_TOKEN for a session; or unset AWS_ACCESS_KEY_ID",
    )
}

fn nothing(error: &dyn std::error::Error) -> Error {
    let why = ForeignText::message(&super::causes(error).join(": "));
    let cause =
        "AWS_ACCESS_KEY_ID is not set, there is no AWS CLI of version 2, and no role of an instance: ";
    Fault::OwnCredentials.error("looking for your credentials", Message::from(cause).and(why)).remedy(
        "set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or install the AWS CLI (version 2), which reads profiles and SSO; or give --env-file .env",
    )
}

pub fn without_region() -> Error {
    let cause = "AWS_REGION is not set, and neither a profile nor this machine has one";
    Error::new(Code::Usage, "looking for your region", cause)
        .remedy("set AWS_REGION, or the profile's: aws configure set region REGION")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_cli_exports_becomes_credentials() {
        let text = br#"{"Version": 1, "AccessKeyId": "AKIA1", "SecretAccessKey": "s", "SessionToken": "t", "Expiration": "2026-11-30T03:00:00+00:00"}"#;
        let found = parsed(text).unwrap();
        assert_eq!((found.access_key_id(), found.session_token()), ("AKIA1", Some("t")));
        let expires = found.expiry().unwrap().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        assert_eq!(expires.as_secs(), 1_796_007_600);
        let found = parsed(br#"{"Version": 1, "AccessKeyId": "AKIA1", "SecretAccessKey": "s"}"#).unwrap();
        assert_eq!((found.session_token(), found.expiry()), (None, None));
    }

    #[test]
    fn anything_else_is_refused() {
        let bad = r#"{"AccessKeyId": "a", "SecretAccessKey": "s", "Expiration": "soon"}"#;
        for text in ["", "export AWS_ACCESS_KEY_ID=a", "{}", r#"{"AccessKeyId": "a"}"#, bad] {
            assert!(parsed(text.as_bytes()).is_none(), "{text}");
        }
    }

    #[test]
    fn a_cli_that_cannot_export_is_known() {
        let said = |stderr: &str| Output {
            status: Some(252),
            stdout: Vec::new(),
            stderr: stderr.as_bytes().to_vec(),
        };
        let old = "aws: error: argument subcommand: Invalid choice, valid choices are:\n\nInvalid choice: 'export-credentials', maybe you meant:\n";
        assert!(cannot_export(&said(old)));
        assert!(!cannot_export(&said(
            "Error loading SSO Token: Token for https://acme.awsapps.com/start does not exist"
        )));
    }
}
