//! One signed request to an API of AWS, for APIs of which bootagent needs so few calls that their SDK is not worth its size.
//! Knows no service and no protocol: `query`, `json` and `s3` make the requests and read the answers.

use std::convert::Infallible;
use std::fmt;
use std::time::{Duration, SystemTime};

use aws_config::SdkConfig;
use aws_credential_types::provider::ProvideCredentials;
use aws_sigv4::http_request::{SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use bytes::Bytes;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::payload::Payload;
use super::{ANSWER, causes, endpoint, timeouts_of};

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

/// A request of any method. Its time limit is that of every call.
pub struct Request<'a> {
    pub method: &'static str,
    /// The service as it is named in signatures.
    pub service: &'a str,
    /// The region of the signature.
    pub region: &'a str,
    pub host: String,
    /// Path and query, escaped.
    pub target: String,
    /// Besides those of the signature. Their names are in small letters.
    pub headers: Vec<(&'static str, String)>,
    pub body: Payload,
    /// For the answer with its whole body.
    pub limit: Duration,
    /// Whether the answer is bytes, and not text.
    pub is_binary: bool,
    /// S3 wants the checksum of the body in a header, and signs the path as it is.
    pub settings: SigningSettings,
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
#[derive(Default)]
pub struct Answer {
    pub status: u16,
    pub body: Zeroizing<String>,
    /// The body of a part of an object, which is not text.
    pub part: Bytes,
    pub retry_after: Option<u64>,
    pub date: Option<String>,
    pub etag: Option<String>,
    pub last_modified: Option<String>,
    /// `bytes 0-9/10`: the part of the whole that an answer has.
    pub content_range: Option<String>,
    /// Where S3 says that a bucket is.
    pub bucket_region: Option<String>,
}

const USER_AGENT: &str = concat!("bootagent/", env!("CARGO_PKG_VERSION"));

impl fmt::Debug for Answer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Answer").field("status", &self.status).finish_non_exhaustive()
    }
}

/// Posts to a service in the configuration's region. One attempt, with a time limit.
pub async fn post(config: &SdkConfig, call: Call<'_>) -> Result<Answer, Failure> {
    let mut headers = vec![("content-type", call.content_type.to_owned())];
    headers.extend(call.target.map(|target| ("x-amz-target", target.to_owned())));
    let request = Request {
        method: "POST",
        service: call.service,
        region: config.region().map(|region| region.as_ref()).unwrap_or_default(),
        host: endpoint::of(config, call.service),
        target: "/".to_owned(),
        headers,
        body: Payload::Text(call.body),
        limit: ANSWER,
        is_binary: false,
        settings: SigningSettings::default(),
    };
    send(config, request).await
}

/// Sends a request with the configuration's credentials. One attempt, with a time limit.
pub async fn send(config: &SdkConfig, request: Request<'_>) -> Result<Answer, Failure> {
    let limit = request.limit;
    match timeout(limit, attempt(config, request)).await {
        Ok(result) => result,
        Err(_) => Err(unreached(format!("no answer within {} s", limit.as_secs()))),
    }
}

async fn attempt(config: &SdkConfig, request: Request<'_>) -> Result<Answer, Failure> {
    let address = format!("https://{}", request.host);
    let (service, limit, is_binary) = (request.service.to_owned(), request.limit, request.is_binary);
    let request = signed(config, request, &address).await.map_err(unreached)?;
    let client = config.http_client().ok_or_else(|| unreached("there is no HTTP client"))?;
    let operation = Operation::builder()
        .service_name(service)
        .operation_name("call")
        .http_client(client)
        .endpoint_url(&address)
        .no_auth()
        // `machine/retry.rs` retries.
        .no_retry()
        .timeout_config(timeouts_of(limit))
        .serializer(move |_: ()| request.try_clone().ok_or_else(|| BoxError::from("the request is used up")))
        .deserializer::<_, Infallible>(move |answer| {
            let header = |name: &str| answer.headers().get(name).map(str::to_owned);
            let bytes = answer.body().bytes().unwrap_or_default();
            let (body, part) = match is_binary && answer.status().is_success() {
                true => (String::new(), Bytes::copy_from_slice(bytes)),
                false => (String::from_utf8_lossy(bytes).into_owned(), Bytes::new()),
            };
            Ok(Answer {
                status: answer.status().as_u16(),
                body: Zeroizing::new(body),
                part,
                retry_after: header("retry-after").and_then(|after| after.parse().ok()),
                date: header("date"),
                etag: header("etag"),
                last_modified: header("last-modified"),
                content_range: header("content-range"),
                bucket_region: header("x-amz-bucket-region"),
            })
        })
        .build();
    operation.invoke(()).await.map_err(|error| Failure::Unreached(causes(&error)))
}

async fn signed(config: &SdkConfig, wanted: Request<'_>, address: &str) -> Result<HttpRequest, BoxError> {
    let provider = config.credentials_provider().ok_or("there are no credentials")?;
    let identity = provider.provide_credentials().await?.into();
    let how = v4::SigningParams::builder()
        .identity(&identity)
        .region(wanted.region)
        .name(wanted.service)
        .time(SystemTime::now())
        .settings(wanted.settings)
        .build()?
        .into();
    let mut headers = wanted.headers;
    headers.push(("user-agent", USER_AGENT.to_owned()));
    let lines = headers.iter().map(|(name, value)| (*name, value.as_str()));
    let signable = SignableRequest::new(
        wanted.method,
        format!("{address}{}", wanted.target),
        lines,
        wanted.body.signable(),
    )?;
    let (signature, _) = sign(signable, &how)?.into_parts();
    let mut request = HttpRequest::new(wanted.body.body());
    request.set_method(wanted.method)?;
    request.set_uri(wanted.target.as_str())?;
    let signature: Vec<(String, String)> =
        signature.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let headers = headers.into_iter().map(|(name, value)| (name.to_owned(), value));
    for (name, value) in headers.chain(signature) {
        request.headers_mut().try_insert(name, value)?;
    }
    Ok(request)
}

fn unreached(cause: impl Into<BoxError>) -> Failure {
    Failure::Unreached(causes(cause.into().as_ref()))
}
