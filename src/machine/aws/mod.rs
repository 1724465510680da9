//! AWS: instance metadata (IMDS), secrets, parameters, AWS's time, lifecycle hooks of Auto Scaling, tokens of ECR, and whether this machine is an
//! EC2 instance. One configuration and one HTTP client for all AWS APIs. Changes nothing but those hooks.

pub mod autoscaling;
mod call;
mod caller;
pub mod clock;
pub mod ecr;
mod endpoint;
pub mod evidence;
mod firmware;
pub mod groups;
mod http;
mod imds;
mod json;
mod notices;
mod parameters;
mod payload;
mod query;
pub mod s3;
mod secrets;
pub mod transfer;
mod unreached;
mod xml;

use aws_config::SdkConfig;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::provider::SharedCredentialsProvider;
use std::time::Duration;

use crate::error::Result;
use crate::facts::{Arn, Network};

/// The messages of an error and of its sources, without consecutive duplicates.
fn causes(error: &dyn std::error::Error) -> Vec<String> {
    let mut causes = vec![error.to_string()];
    let mut next = error.source();
    while let Some(cause) = next {
        causes.push(cause.to_string());
        next = cause.source();
    }
    causes.dedup();
    causes
}

pub use crate::machine::web::trust::remember as remember_certificates;
pub use firmware::{Firmware, Maker};
pub use imds::Imds;
pub use parameters::parameters;
pub use secrets::{secret, version as secret_version};

/// Time limits of one attempt; `machine/retry.rs` makes further ones.
const CONNECT: Duration = Duration::from_secs(3);
const ANSWER: Duration = Duration::from_secs(10);

fn timeouts() -> TimeoutConfig {
    timeouts_of(ANSWER)
}

fn timeouts_of(answer: Duration) -> TimeoutConfig {
    TimeoutConfig::builder().connect_timeout(CONNECT).operation_attempt_timeout(answer).build()
}

/// With `region` the instance's configuration, else the caller's own. An ARN's region replaces both.
async fn config_for(
    region: Option<&str>,
    arn: Option<Arn<'_>>,
    imds: &Imds,
    network: &Network,
) -> Result<SdkConfig> {
    let config = config_of(region, arn, imds, network).await?;
    match config.region() {
        Some(_) => Ok(config),
        None => Err(caller::without_region()),
    }
}

/// The same. The region may be missing: S3 says where a bucket is.
async fn config_of(
    region: Option<&str>,
    arn: Option<Arn<'_>>,
    imds: &Imds,
    network: &Network,
) -> Result<SdkConfig> {
    match region {
        Some(region) => instance_config(arn.map_or(region, |arn| arn.region), imds.client(), network),
        None => own_config(arn.map(|arn| arn.region), imds.client(), network).await,
    }
}

/// For a run as root: region and credentials are those of the instance and its role, and nothing comes from environment
/// variables or root's home, which could redirect the run to another account.
fn instance_config(region: &str, imds: aws_config::imds::Client, network: &Network) -> Result<SdkConfig> {
    let credentials = ImdsCredentialsProvider::builder().imds_client(imds).build();
    config(Some(Region::new(region.to_owned())), SharedCredentialsProvider::new(credentials), network)
}

/// For a laptop: the caller's own.
async fn own_config(
    region: Option<&str>,
    imds: aws_config::imds::Client,
    network: &Network,
) -> Result<SdkConfig> {
    let credentials = caller::credentials(&imds, network).await?;
    let region = match region {
        Some(region) => Some(Region::new(region.to_owned())),
        None => caller::region(&imds, network).await,
    };
    config(region, credentials, network)
}

/// Not `aws_config::defaults`, whose chain of credentials is 0.4 MiB of the program: the AWS CLI knows more of them (`caller`).
fn config(
    region: Option<Region>,
    credentials: SharedCredentialsProvider,
    network: &Network,
) -> Result<SdkConfig> {
    let mut config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(region)
        .credentials_provider(credentials)
        .http_client(http::client(network)?)
        .timeout_config(timeouts())
        // `machine/retry.rs` retries: the SDK's retries would not respect the time limit of the step.
        .retry_config(RetryConfig::disabled());
    // Set only if wanted: a service without such endpoints would otherwise be an error.
    if network.fips {
        config = config.use_fips(true);
    }
    if network.dual_stack {
        config = config.use_dual_stack(true);
    }
    Ok(config.build())
}
