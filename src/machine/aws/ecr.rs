//! A token for the images of ECR, as the instance's role: `AWS:password`, valid for twelve hours.

use data_encoding::BASE64;
use serde::Deserialize;
use serde_json::{Map, Value};

use super::call::{Failure, Refusal};
use super::unreached::{Faults, unreached_or_late};
use super::{Imds, clock, endpoint, instance_config, json};
use crate::error::{Error, Result};
use crate::facts::Network;
use crate::fault::Fault;
use crate::plan::EcrRegistry;
use crate::secret::{ForeignText, Message, Secret};

const SERVICE: &str = "ecr";
const ACTION: &str = "GetAuthorizationToken";
const TARGET: &str = "AmazonEC2ContainerRegistry_V20150921.GetAuthorizationToken";

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Answer {
    authorization_data: Vec<Authorization>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Authorization {
    authorization_token: String,
}

pub async fn token(imds: &Imds, registry: &EcrRegistry, network: &Network) -> Result<Secret> {
    let config = instance_config(&registry.region, imds.client(), network)?;
    let doing = format!("getting a token for {}", registry.host);
    let ids = Value::Array(vec![Value::String(registry.account.clone())]);
    let arguments = Map::from_iter([("registryIds".to_owned(), ids)]);
    match json::post(&config, (SERVICE, TARGET), arguments).await {
        Ok(answer) => {
            read(&answer).ok_or_else(|| Fault::ImageUnreachable.error(doing, "the answer is not one of ECR"))
        }
        Err(Failure::Refused(answer)) => {
            let error = refused(doing, &answer);
            Err(clock::judged(error, answer.date.as_deref()).await)
        }
        Err(Failure::Unreached(causes)) => {
            // The credentials may be missing only because IMDS no longer accepts the token.
            imds.renew();
            let error = unreached_or_late(doing, &endpoint::of(&config, SERVICE), &causes, &FAULTS);
            Err(clock::judged(error, None).await)
        }
    }
}

/// The token is `user:password` in base64, as docker's configuration has it.
fn read(answer: &str) -> Option<Secret> {
    let answer: Answer = serde_json::from_str(answer).ok()?;
    let token = &answer.authorization_data.first()?.authorization_token;
    let text = zeroize::Zeroizing::new(String::from_utf8(BASE64.decode(token.as_bytes()).ok()?).ok()?);
    text.contains(':').then(|| Secret::new(text.as_str()))
}

fn refused(doing: String, answer: &Refusal) -> Error {
    let message = ForeignText::message(&answer.message);
    let error = match answer.code.as_str() {
        "AccessDeniedException" | "AccessDenied" => {
            let cause =
                Message::from(format!("the instance's role may not call {SERVICE}:{ACTION}: ")).and(message);
            Fault::ImageRefused.error(doing, cause).remedy(format!(
                "allow {SERVICE}:{ACTION} on * in the instance's role, and ecr:BatchGetImage and ecr:GetDownloadUrlForLayer on the repository"
            ))
        }
        // A new role takes some seconds to reach every AWS service. A wrong clock gives the same codes.
        "UnrecognizedClientException" | "InvalidSignatureException" | "ExpiredTokenException" => {
            Fault::RoleUnknown.error(doing, message)
        }
        "" => Fault::ImageUnreachable.error(doing, format!("it answers {}", answer.status)),
        _ => {
            let cause = Message::from(ForeignText::message(&answer.code)).and(": ").and(message);
            Fault::ImageUnreachable.error(doing, cause)
        }
    };
    error.retry_after(answer.retry_after)
}

const FAULTS: Faults = Faults { untrusted: Fault::ImageUntrusted, unreachable: Fault::ImageUnreachable };

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Code;

    #[test]
    fn a_token_is_a_user_and_a_password() {
        let answer = |token: &str| {
            format!(
                r#"{{"authorizationData":[{{"authorizationToken":"{token}","proxyEndpoint":"https://x"}}]}}"#
            )
        };
        let token = read(&answer(&BASE64.encode(b"AWS:eyJ.x:y"))).unwrap();
        assert_eq!(token.expose(), "AWS:eyJ.x:y");
        for broken in
            ["", "{}", &answer("!"), &answer(&BASE64.encode(b"no colon")), r#"{"authorizationData":[]}"#]
        {
            assert!(read(broken).is_none(), "{broken}");
        }
    }

    #[test]
    fn a_role_that_may_not_is_told_what_it_lacks() {
        let answer = Refusal { status: 400, code: "AccessDeniedException".to_owned(), ..Refusal::default() };
        let error = refused("getting a token".to_owned(), &answer);
        assert_eq!(error.code(), Code::ImageRefused);
        assert!(error.report().remedy.contains("ecr:GetAuthorizationToken on *"));
    }
}
