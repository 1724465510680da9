//! Credentials and region of the person who calls, where no instance's are meant: environment variables, else what the AWS CLI
//! says, which knows profiles, SSO, roles and MFA, else the role of the instance that this is. A run as root does not come here.

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
use crate::fault::Fault;
use crate::machine::process::program::{Keep, Output, communicate, how_it_ended};
use crate::secret::{ForeignText, Message};

/// The AWS CLI asks AWS for the credentials of a role, or of SSO.
const DEADLINE: Duration = Duration::from_secs(30);
/// Credentials that expire so soon are asked for anew.
const MARGIN: Duration = Duration::from_secs(120);
const MOST: usize = 64 << 10;

/// Each start of the AWS CLI takes half a second, and a rollout asks AWS for minutes.
static TOLD: Mutex<Option<Own>> = Mutex::const_new(None);

#[derive(Clone)]
pub struct Own {
    pub credentials: SharedCredentialsProvider,
    pub region: Option<Region>,
    expires: Option<SystemTime>,
}

/// As `aws configure export-credentials` writes it: the format of a profile's `credential_process`.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Exported {
    access_key_id: String,
    secret_access_key: String,
    session_token: Option<String>,
    expiration: Option<String>,
}

/// What was found, for all calls until it expires.
pub async fn own(imds: &Client) -> Result<Own> {
    let mut told = TOLD.lock().await;
    let soon = SystemTime::now() + MARGIN;
    match &*told {
        Some(own) if own.expires.is_none_or(|expires| expires > soon) => Ok(own.clone()),
        _ => Ok(told.insert(found(imds).await?).clone()),
    }
}

async fn found(imds: &Client) -> Result<Own> {
    let environment = EnvironmentVariableCredentialsProvider::new().provide_credentials().await.ok();
    let (credentials, region) = tokio::join!(credentials(environment, imds), region(imds));
    let (credentials, expires) = credentials?;
    Ok(Own { credentials, region, expires })
}

async fn credentials(
    environment: Option<Credentials>,
    imds: &Client,
) -> Result<(SharedCredentialsProvider, Option<SystemTime>)> {
    let own = match environment {
        Some(own) => Some(own),
        None => exported().await?,
    };
    Ok(match own {
        Some(own) => (SharedCredentialsProvider::new(own.clone()), own.expiry()),
        None => {
            let role = ImdsCredentialsProvider::builder().imds_client(imds.clone()).build();
            role.provide_credentials().await.map_err(|error| nothing(&error))?;
            (SharedCredentialsProvider::new(role), None)
        }
    })
}

async fn region(imds: &Client) -> Option<Region> {
    let variable = |name| std::env::var(name).ok().filter(|region| !region.is_empty());
    let named = variable("AWS_REGION").or_else(|| variable("AWS_DEFAULT_REGION"));
    let named = match named {
        Some(region) => Some(region),
        None => cli(&["configure", "get", "region"]).await.ok().flatten().and_then(|output| {
            let region = output.text().trim().to_owned();
            (output.ok() && !region.is_empty()).then_some(region)
        }),
    };
    match named {
        Some(region) => Some(Region::new(region)),
        None => ImdsRegionProvider::builder().imds_client(imds.clone()).build().region().await,
    }
}

/// `None`: there is no AWS CLI.
async fn exported() -> Result<Option<Credentials>> {
    const ARGUMENTS: [&str; 4] = ["configure", "export-credentials", "--format", "process"];
    let Some(mut output) = cli(&ARGUMENTS).await? else { return Ok(None) };
    let text = Zeroizing::new(std::mem::take(&mut output.stdout));
    match output.ok() {
        true => parsed(&text).map(Some).ok_or_else(|| refused("its answer is not what version 2 writes")),
        false if is_version_1(&output) => {
            Err(refused("this AWS CLI is of version 1, which does not export credentials"))
        }
        false => {
            let last = output.lines().pop().unwrap_or_else(|| ForeignText::line(""));
            Err(refused(Message::from(format!("{}: ", how_it_ended(&output))).and(last.trimmed())))
        }
    }
}

fn is_version_1(output: &Output) -> bool {
    output.lines().iter().any(|line| line.judge(|line| line.to_lowercase().contains("invalid choice")))
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

/// The user's own program, so with the user's search path and environment: it reads `AWS_PROFILE` and files of the home directory.
async fn cli(arguments: &[&str]) -> Result<Option<Output>> {
    let doing = || format!("running aws {}", arguments.join(" "));
    let mut command = Command::new("aws");
    command.args(arguments);
    match communicate(command, None, DEADLINE, Keep::First(MOST)).await {
        Ok(Some(done)) => {
            Ok(Some(Output { status: done.status.code(), stdout: done.stdout, stderr: done.stderr }))
        }
        Ok(None) => Err(refused(format!("it is not done after {} s", DEADLINE.as_secs()))),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error).doing(doing),
    }
}

const ASKING: &str = "asking the AWS CLI for credentials";

fn refused(cause: impl Into<Message>) -> Error {
    Fault::OwnCredentials.error(ASKING, cause).remedy(
        "see that `aws sts get-caller-identity` (version 2) answers without a question, with the same AWS_PROFILE; or set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY",
    )
}

fn nothing(error: &dyn std::error::Error) -> Error {
    let why = ForeignText::message(&super::causes(error).join(": "));
    let cause = "AWS_ACCESS_KEY_ID is not set, there is no AWS CLI, and this is no instance with a role: ";
    Fault::OwnCredentials.error("looking for your credentials", Message::from(cause.to_owned()).and(why)).remedy(
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
    fn version_1_is_named() {
        let said = |stderr: &str| Output {
            status: Some(252),
            stdout: Vec::new(),
            stderr: stderr.as_bytes().to_vec(),
        };
        let old = "aws: error: argument subcommand: Invalid choice, valid choices are:\n\nInvalid choice: 'export-credentials', maybe you meant:\n";
        assert!(is_version_1(&said(old)));
        assert!(!is_version_1(&said(
            "Error loading SSO Token: Token for https://acme.awsapps.com/start does not exist"
        )));
    }
}
