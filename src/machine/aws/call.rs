//! One signed POST to an API of AWS, for APIs of which bootagent needs so few calls that their SDK is not worth its size.
//! Knows no service and no protocol: `query` and `json` make the bodies and read the answers.

use std::convert::Infallible;
use std::fmt;
use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_credential_types::provider::ProvideCredentials;
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_types::body::SdkBody;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::{ANSWER, causes, endpoint, timeouts};

/// Why a call has no result.
#[derive(Debug)]
pub enum Failure {
    /// There are no credentials, or no answer.
    Unreached(Vec<String>),
    Refused(Refusal),
}

/// An error answer.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Refusal {
    pub status: u16,
    /// AWS's error code, such as `AccessDenied`.
    pub code: String,
    pub message: String,
    /// Seconds, from `Retry-After`.
    pub retry_after: Option<u64>,
    /// The `Date` header.
    pub date: Option<String>,
}

/// What is posted. The path is always `/`.
pub struct Call<'a> {
    /// The service as it is named in signatures and host names.
    pub service: &'a str,
    pub content_type: &'static str,
    /// Of the JSON protocol: the API and the action.
    pub target: Option<&'a str>,
    pub body: String,
}

/// An answer of any status. The body may have secret values.
pub struct Answer {
    pub status: u16,
    pub body: Zeroizing<String>,
    pub retry_after: Option<u64>,
    pub date: Option<String>,
}

const USER_AGENT: &str = concat!("bootagent/", env!("CARGO_PKG_VERSION"));

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("status", &self.status).finish_non_exhaustive()
    }
}

/// Posts to a service in the configuration's region. One attempt, with a time limit.
pub async fn post(config: &SdkConfig, call: Call<'_>) -> Result<Answer, Failure> {
    match timeout(ANSWER, attempt(config, call)).await {
        Ok(result) => result,
        Err(_) => Err(unreached(format!("no answer within {} s", Duration::as_secs(&ANSWER)))),
    }
}

async fn attempt(config: &SdkConfig, call: Call<'_>) -> Result<Answer, Failure> {
    let address = format!("https://{}", endpoint::of(config, call.service));
    let request = signed(config, &call, &address).await.map_err(unreached)?;
    let client = config.http_client().ok_or_else(|| unreached("there is no HTTP client"))?;
    let operation = Operation::builder()
        .service_name(call.service.to_owned())
        .operation_name("post")
        .http_client(client)
        .endpoint_url(&address)
        .no_auth()
        // `machine/retry.rs` retries.
        .no_retry()
        .timeout_config(timeouts())
        .serializer(move |_: ()| request.try_clone().ok_or_else(|| BoxError::from("the request is used up")))
        .deserializer::<_, Infallible>(|answer| {
            let header = |name: &str| answer.headers().get(name).map(str::to_owned);
            let body = String::from_utf8_lossy(answer.body().bytes().unwrap_or_default()).into_owned();
            Ok(Answer {
                status: answer.status().as_u16(),
                body: Zeroizing::new(body),
                retry_after: header("retry-after").and_then(|after| after.parse().ok()),
                date: header("date"),
            })
        })
        .build();
    operation.invoke(()).await.map_err(|error| Failure::Unreached(causes(&error)))
}

async fn signed(config: &SdkConfig, call: &Call<'_>, address: &str) -> Result<HttpRequest, BoxError> {
    let provider = config.credentials_provider().ok_or("there are no credentials")?;
    let identity = provider.provide_credentials().await?.into();
    let region = config.region().map(|region| region.as_ref()).unwrap_or_default();
    let how = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(call.service)
        .time(SystemTime::now())
        .settings(SigningSettings::default())
        .build()?
        .into();
    let mut headers = vec![("content-type", call.content_type), ("user-agent", USER_AGENT)];
    headers.extend(call.target.map(|target| ("x-amz-target", target)));
    let bytes = SignableBody::Bytes(call.body.as_bytes());
    let signable = SignableRequest::new("POST", format!("{address}/"), headers.iter().copied(), bytes)?;
    let (signature, _) = sign(signable, &how)?.into_parts();
    let mut request = HttpRequest::new(SdkBody::from(call.body.as_str()));
    request.set_method("POST")?;
    request.set_uri("/")?;
    let signature: Vec<(String, String)> =
        signature.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value.to_owned()));
    for (name, value) in headers.chain(signature) {
        request.headers_mut().try_insert(name, value)?;
    }
    Ok(request)
}

fn unreached(cause: impl Into<BoxError>) -> Failure {
    Failure::Unreached(causes(cause.into().as_ref()))
}
