//! What AWS says. One configuration and one HTTP client for all of it.

mod imds;
mod secrets;

use aws_config::SdkConfig;
use aws_config::imds::credentials::ImdsCredentialsProvider;
use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_smithy_http_client::tls::{self, rustls_provider::CryptoMode};
use aws_smithy_runtime_api::client::http::SharedHttpClient;
use std::time::Duration;

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

pub use imds::Imds;
pub use secrets::secret;

const CONNECT: Duration = Duration::from_secs(3);
const ANSWER: Duration = Duration::from_secs(10);

fn http() -> SharedHttpClient {
    aws_smithy_http_client::Builder::new()
        .tls_provider(tls::Provider::Rustls(CryptoMode::AwsLc))
        .build_https()
}

fn timeouts() -> TimeoutConfig {
    TimeoutConfig::builder().connect_timeout(CONNECT).operation_attempt_timeout(ANSWER).build()
}

/// A root run takes nothing from its environment or from root's home: the region is the instance's,
/// the credentials are its role's.
fn instance_config(region: &str, imds: aws_config::imds::Client) -> SdkConfig {
    let credentials = ImdsCredentialsProvider::builder().imds_client(imds).build();
    SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new(region.to_owned()))
        .credentials_provider(aws_credential_types::provider::SharedCredentialsProvider::new(credentials))
        .http_client(http())
        .timeout_config(timeouts())
        // Trying again is `retry`'s business.
        .retry_config(RetryConfig::disabled())
        .build()
}

/// A laptop's dry run: profile and environment as everywhere.
async fn own_config() -> SdkConfig {
    aws_config::defaults(BehaviorVersion::latest())
        .http_client(http())
        .timeout_config(timeouts())
        .retry_config(RetryConfig::disabled())
        .load()
        .await
}
