//! Calls of AWS's Query protocol: a signed form, answered with XML. Knows no service.

use aws_config::SdkConfig;
use zeroize::Zeroizing;

use super::call::{self, Call, Failure, Refusal};

/// Posts a form to a service in the configuration's region. One attempt, with a time limit.
pub async fn post(config: &SdkConfig, service: &str, form: &[(&str, &str)]) -> Result<(), Failure> {
    ask(config, service, form).await.map(drop)
}

/// The same, with the answer.
pub async fn ask(
    config: &SdkConfig,
    service: &str,
    form: &[(&str, &str)],
) -> Result<Zeroizing<String>, Failure> {
    let content_type = "application/x-www-form-urlencoded; charset=utf-8";
    let answer =
        call::post(config, Call { service, content_type, target: None, body: encoded(form) }).await?;
    match answer.status {
        200..=299 => Ok(answer.body),
        status => {
            let (retry_after, date) = (answer.retry_after, answer.date);
            Err(Failure::Refused(Refusal { retry_after, date, ..refusal(status, &answer.body) }))
        }
    }
}

/// All bytes but letters, digits and `-._~` are escaped.
fn escaped(text: &str) -> String {
    let escape = |byte: u8| match byte {
        b'-' | b'.' | b'_' | b'~' => char::from(byte).to_string(),
        byte if byte.is_ascii_alphanumeric() => char::from(byte).to_string(),
        byte => format!("%{byte:02X}"),
    };
    text.bytes().map(escape).collect()
}

/// The text of a form, or of an address's query.
pub fn encoded(form: &[(&str, &str)]) -> String {
    form.iter()
        .map(|(name, value)| format!("{}={}", escaped(name), escaped(value)))
        .collect::<Vec<_>>()
        .join("&")
}

/// Reads `<Code>` and `<Message>` of an error answer. A proxy answers with something else: then both are empty.
pub fn refusal(status: u16, body: &str) -> Refusal {
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
        ..Refusal::default()
    }
}

pub fn unescaped(text: &str) -> String {
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
