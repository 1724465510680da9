//! Calls of AWS's JSON protocol, version 1.1. Knows no service.

use aws_config::SdkConfig;
use serde_json::{Map, Value};
use zeroize::Zeroizing;

use super::call::{self, Call, Failure, Refusal};

/// Posts an action's arguments to a service in the configuration's region. One attempt, with a time limit. The answer may
/// have secret values.
pub async fn post(
    config: &SdkConfig,
    (service, target): (&str, &str),
    arguments: Map<String, Value>,
) -> Result<Zeroizing<String>, Failure> {
    let call = Call {
        service,
        content_type: "application/x-amz-json-1.1",
        target: Some(target),
        body: Value::Object(arguments).to_string(),
    };
    let answer = call::post(config, call).await?;
    match answer.status {
        200..=299 => Ok(answer.body),
        status => {
            let (retry_after, date) = (answer.retry_after, answer.date);
            Err(Failure::Refused(Refusal { retry_after, date, ..refusal(status, &answer.body) }))
        }
    }
}

/// Reads `__type` and `message` of an error answer. A proxy answers with something else: then both are empty.
fn refusal(status: u16, body: &str) -> Refusal {
    let answer: Map<String, Value> = serde_json::from_str(body).unwrap_or_default();
    let text = |name: &str| answer.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let kind = text("__type");
    let code = kind.rsplit('#').next().unwrap_or_default().to_owned();
    let message = Some(text("message")).filter(|text| !text.is_empty()).unwrap_or_else(|| text("Message"));
    Refusal { status, code, message, ..Refusal::default() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn code_and_message_of_an_error_answer_are_read() {
        for body in [
            r#"{"__type":"ParameterNotFound","message":"none"}"#,
            r#"{"__type":"com.amazonaws.ssm#ParameterNotFound","Message":"none"}"#,
        ] {
            let read = refusal(400, body);
            assert_eq!(
                (read.status, read.code.as_str(), read.message.as_str()),
                (400, "ParameterNotFound", "none")
            );
        }
    }

    #[test]
    fn an_answer_that_is_not_of_aws_has_neither() {
        for body in ["", "<html>Bad gateway</html>", "[]", "{\"__type\": 1}", "null"] {
            assert_eq!(refusal(502, body), Refusal { status: 502, ..Refusal::default() }, "{body}");
        }
    }
}
