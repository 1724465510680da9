//! Calls of AWS's Query protocol (a signed form, answered with XML), for APIs of which bootagent needs so few calls that
//! their SDK is not worth its size. Knows no service.

use std::convert::Infallible;
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

use super::{ANSWER, causes, timeouts};

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
}

const USER_AGENT: &str = concat!("bootagent/", env!("CARGO_PKG_VERSION"));

/// Posts a form to a service in the configuration's region. One attempt, with a time limit.
pub async fn post(config: &SdkConfig, service: &str, form: &[(&str, &str)]) -> Result<(), Failure> {
    match timeout(ANSWER, attempt(config, service, form)).await {
        Ok(result) => result,
        Err(_) => Err(unreached(format!("no answer within {} s", Duration::as_secs(&ANSWER)))),
    }
}

async fn attempt(config: &SdkConfig, service: &str, form: &[(&str, &str)]) -> Result<(), Failure> {
    let region = config.region().map(|region| region.as_ref()).unwrap_or_default();
    let address = format!("https://{}", host(service, region));
    let request = signed(config, service, &address, encoded(form)).await.map_err(unreached)?;
    let client = config.http_client().ok_or_else(|| unreached("there is no HTTP client"))?;
    let call = Operation::builder()
        .service_name(service.to_owned())
        .operation_name("query")
        .http_client(client)
        .endpoint_url(&address)
        .no_auth()
        // `machine/retry.rs` retries.
        .no_retry()
        .timeout_config(timeouts())
        .serializer(move |_: ()| request.try_clone().ok_or_else(|| BoxError::from("the request is used up")))
        .deserializer::<_, Infallible>(|answer| {
            let body = String::from_utf8_lossy(answer.body().bytes().unwrap_or_default()).into_owned();
            let retry_after = answer.headers().get("retry-after").and_then(|after| after.parse().ok());
            Ok((answer.status().as_u16(), body, retry_after))
        })
        .build();
    match call.invoke(()).await {
        Ok((200..=299, ..)) => Ok(()),
        Ok((status, body, retry_after)) => {
            Err(Failure::Refused(Refusal { retry_after, ..refusal(status, &body) }))
        }
        Err(error) => Err(Failure::Unreached(causes(&error))),
    }
}

async fn signed(
    config: &SdkConfig,
    service: &str,
    address: &str,
    body: String,
) -> Result<HttpRequest, BoxError> {
    let provider = config.credentials_provider().ok_or("there are no credentials")?;
    let identity = provider.provide_credentials().await?.into();
    let region = config.region().map(|region| region.as_ref()).unwrap_or_default();
    let how = v4::SigningParams::builder()
        .identity(&identity)
        .region(region)
        .name(service)
        .time(SystemTime::now())
        .settings(SigningSettings::default())
        .build()?
        .into();
    let headers =
        [("content-type", "application/x-www-form-urlencoded; charset=utf-8"), ("user-agent", USER_AGENT)];
    let bytes = SignableBody::Bytes(body.as_bytes());
    let signable = SignableRequest::new("POST", format!("{address}/"), headers.into_iter(), bytes)?;
    let (signature, _) = sign(signable, &how)?.into_parts();
    let mut request = HttpRequest::new(SdkBody::from(body.as_str()));
    request.set_method("POST")?;
    request.set_uri("/")?;
    let signature: Vec<(String, String)> =
        signature.headers().map(|(name, value)| (name.to_owned(), value.to_owned())).collect();
    let headers = headers.map(|(name, value)| (name.to_owned(), value.to_owned())).into_iter();
    for (name, value) in headers.chain(signature) {
        request.headers_mut().try_insert(name, value)?;
    }
    Ok(request)
}

fn unreached(cause: impl Into<BoxError>) -> Failure {
    Failure::Unreached(causes(cause.into().as_ref()))
}

/// The API's host name. Regions of China have a domain of their own.
fn host(service: &str, region: &str) -> String {
    let domain = if region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
    format!("{service}.{region}.{domain}")
}

/// The form's text. All bytes but letters, digits and `-._~` are escaped.
fn encoded(form: &[(&str, &str)]) -> String {
    let escaped = |text: &str| -> String {
        let escape = |byte: u8| match byte {
            b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
            byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        };
        text.bytes().map(escape).collect()
    };
    form.iter()
        .map(|(name, value)| format!("{}={}", escaped(name), escaped(value)))
        .collect::<Vec<_>>()
        .join("&")
}

/// Reads `<Code>` and `<Message>` of an error answer. A proxy answers with something else: then both are empty.
fn refusal(status: u16, body: &str) -> Refusal {
    let element = |name: &str| {
        let (_, rest) = body.split_once(&format!("<{name}>"))?;
        let (text, _) = rest.split_once(&format!("</{name}>"))?;
        Some(unescaped(text.trim()))
    };
    let (code, message) = (element("Code"), element("Message").or_else(|| element("message")));
    Refusal {
        status,
        code: code.unwrap_or_default(),
        message: message.unwrap_or_default(),
        retry_after: None,
    }
}

fn unescaped(text: &str) -> String {
    let entities =
        [("&lt;", "<"), ("&gt;", ">"), ("&quot;", "\""), ("&apos;", "'"), ("&#39;", "'"), ("&amp;", "&")];
    entities.into_iter().fold(text.to_owned(), |text, (entity, stands_for)| text.replace(entity, stands_for))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_cannot_get_another_parameter_by_a_value() {
        let form =
            encoded(&[("AutoScalingGroupName", "main & co=1/ü"), ("LifecycleHookName", "a-b_c/d.e~f")]);
        assert_eq!(form, "AutoScalingGroupName=main%20%26%20co%3D1%2F%C3%BC&LifecycleHookName=a-b_c%2Fd.e~f");
    }

    #[test]
    fn regions_of_china_have_their_own_domain() {
        assert_eq!(host("autoscaling", "eu-west-1"), "autoscaling.eu-west-1.amazonaws.com");
        assert_eq!(host("autoscaling", "us-gov-west-1"), "autoscaling.us-gov-west-1.amazonaws.com");
        assert_eq!(host("autoscaling", "cn-north-1"), "autoscaling.cn-north-1.amazonaws.com.cn");
    }

    #[test]
    fn code_and_message_of_an_error_answer_are_read() {
        let body = "<ErrorResponse xmlns=\"http://autoscaling.amazonaws.com/doc/2011-01-01/\">\n  <Error>\n    \
                    <Type>Sender</Type>\n    <Code>ValidationError</Code>\n    \
                    <Message>No active Lifecycle Action found with instance ID i-1 &amp; &apos;x&apos;</Message>\n  \
                    </Error>\n</ErrorResponse>";
        let read = refusal(400, body);
        assert_eq!((read.status, read.code.as_str()), (400, "ValidationError"));
        assert_eq!(read.message, "No active Lifecycle Action found with instance ID i-1 & 'x'");
    }

    #[test]
    fn an_answer_that_is_not_of_aws_has_neither() {
        for body in ["", "<html>Bad gateway</html>", "<Code>", "</Code><Code>"] {
            assert_eq!(refusal(502, body), Refusal { status: 502, ..Refusal::default() }, "{body}");
        }
    }
}
