//! AWS: instance metadata (IMDS), secrets, AWS's time, lifecycle hooks of Auto Scaling, and whether this machine is an
//! EC2 instance. One configuration and one HTTP client for all AWS APIs. Changes nothing but those hooks.

pub mod autoscaling;
pub mod clock;
mod firmware;
mod http;
mod imds;
mod query;
mod secrets;

use aws_config::SdkConfig;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use std::time::Duration;

use crate::error::Result;
use crate::facts::Network;

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

pub use firmware::{Firmware, Maker};
pub use imds::Imds;
pub use secrets::secret;

/// Time limits of one attempt; `machine/retry.rs` makes further ones.
const CONNECT: Duration = Duration::from_secs(3);
const ANSWER: Duration = Duration::from_secs(10);

fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder().connect_timeout(CONNECT).operation_attempt_timeout(ANSWER).build()
}

/// For a run as root: region and credentials are those of the instance and its role, and nothing comes from environment
/// variables or root's home, which could redirect the run to another account.
fn instance_config(region: &str, imds: aws_config::imds::Client, network: &Network) -> Result<SdkConfig> {
    let credentials = ImdsCredentialsProvider::builder().imds_client(imds).build();
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region.to_owned()))
        .credentials_provider(aws_credential_types::provider::SharedCredentialsProvider::new(credentials))
        .http_client(http::client(network)?)
        .timeout_config(timeouts())
        // `machine/retry.rs` retries: the SDK's retries would not respect the time limit of the step.
        .retry_config(RetryConfig::disabled())
        .build();
    Ok(config)
}

/// For a dry run on a laptop: the caller's profile and environment variables, as for the AWS CLI.
async fn own_config(network: &Network) -> Result<SdkConfig> {
    let config = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http::client(network)?)
        .timeout_config(timeouts())
        .retry_config(RetryConfig::disabled())
        .load()
        .await;
    Ok(config)
}
