//! What AWS says. One configuration and one HTTP client for all of it.

pub mod clock;
mod firmware;
mod http;
mod imds;
mod secrets;

use aws_config::SdkConfig;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use std::time::Duration;

use crate::error::Result;
use crate::facts::Network;

/// An error and everything behind it, each said once.
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

const CONNECT: Duration = Duration::from_secs(3);
const ANSWER: Duration = Duration::from_secs(10);

fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder().connect_timeout(CONNECT).operation_attempt_timeout(ANSWER).build()
}

/// A root run takes nothing from its environment or from root's home: the region is the instance's,
/// the credentials are its role's.
fn instance_config(region: &str, imds: aws_config::imds::Client, network: &Network) -> Result<SdkConfig> {
    let credentials = ImdsCredentialsProvider::builder().imds_client(imds).build();
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region.to_owned()))
        .credentials_provider(aws_credential_types::provider::SharedCredentialsProvider::new(credentials))
        .http_client(http::client(network)?)
        .timeout_config(timeouts())
        // Trying again is `retry`'s business.
        .retry_config(RetryConfig::disabled())
        .build();
    Ok(config)
}

/// A laptop's dry run: profile and environment as everywhere.
async fn own_config(network: &Network) -> Result<SdkConfig> {
    let config = aws_config::defaults(BehaviorVersion::latest())
        .http_client(http::client(network)?)
        .timeout_config(timeouts())
        .retry_config(RetryConfig::disabled())
        .load()
        .await;
    Ok(config)
}
