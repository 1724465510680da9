//! Reads parameters from Parameter Store, and maps each failure to its fault. Shows no value of a parameter.

use aws_config::SdkConfig;
use serde::Deserialize;
use serde_json::{Value, json as object};

use super::call::{Failure, Refusal};
use super::unreached::{Faults, unreached_or_late};
use super::{Imds, clock, config_for, endpoint, json};
use crate::error::{Code, Error, Result};
use crate::facts::{Network, ValuePlace};
use crate::fault::Fault;
use crate::machine::SecretPatience;
use crate::machine::retry::{RetryLimit, with_retries};
use crate::secret::{ForeignText, Message, Secret};

const SERVICE: &str = "ssm";
const ONE: &str = "GetParameter";
const BELOW: &str = "GetParametersByPath";
/// The most that AWS puts into one answer.
const PAGE: usize = 10;
/// Parameters below one path. Each page costs a request in every boot, and AWS allows few of them at once.
const MOST: usize = 500;

/// One parameter, or all below a path; each with its name without the path. With `region` they are read with the
/// instance's role, as a run does; without, with the caller's own credentials. Retries until `wait` is over.
pub async fn parameters(
    imds: &Imds,
    place: &ValuePlace,
    region: Option<&str>,
    network: &Network,
    wait: SecretPatience,
) -> Result<Vec<(String, Secret)>> {
    with_retries(RetryLimit::lasting(wait.time.duration()), async || {
        let config = config_for(region, place.arn(), imds, network).await?;
        let read = match place {
            ValuePlace::Parameters(path) => below(&config, place, path).await,
            place => one(&config, place).await.map(|value| vec![(place.name().to_owned(), value)]),
        };
        if read.as_ref().is_err_and(|error| Fault::of(error) == Some(Fault::CredentialsLate)) {
            // The credentials may be missing only because IMDS no longer accepts the token.
            imds.renew();
        }
        read.map_err(|error| match Fault::of(&error) {
            Some(Fault::ParameterDenied) if wait.waits_for_permission => {
                Fault::ParameterDeniedYet.is_behind(error)
            }
            _ => error,
        })
    })
    .await
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Parameter {
    name: String,
    value: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Single {
    parameter: Parameter,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
struct Page {
    parameters: Vec<Parameter>,
    next_token: Option<String>,
}

async fn one(config: &SdkConfig, place: &ValuePlace) -> Result<Secret> {
    let arguments = object!({ "Name": place.name(), "WithDecryption": true });
    let answer = call(config, place, ONE, arguments).await?;
    let single: Single = serde_json::from_str(&answer).map_err(|_| unreadable(place))?;
    Ok(Secret::new(single.parameter.value))
}

async fn below(config: &SdkConfig, place: &ValuePlace, path: &str) -> Result<Vec<(String, Secret)>> {
    let mut all = Vec::new();
    let mut next: Option<String> = None;
    for _ in 0..=MOST {
        let mut arguments =
            object!({ "Path": path, "Recursive": true, "WithDecryption": true, "MaxResults": PAGE });
        if let (Some(token), Some(arguments)) = (next.take(), arguments.as_object_mut()) {
            arguments.insert("NextToken".to_owned(), Value::String(token));
        }
        let answer = call(config, place, BELOW, arguments).await?;
        let page: Page = serde_json::from_str(&answer).map_err(|_| unreadable(place))?;
        for Parameter { name, value } in page.parameters {
            let inside = name.strip_prefix(path).and_then(|rest| rest.strip_prefix('/'));
            let inside = inside.ok_or_else(|| unreadable(place))?;
            all.push((inside.to_owned(), Secret::new(value)));
        }
        if all.len() > MOST {
            let cause =
                format!("there are more than {MOST} parameters, which is the limit: name a longer path");
            return Err(Error::new(Code::SecretInvalid, doing(place), cause));
        }
        next = page.next_token.filter(|token| !token.is_empty());
        if next.is_none() {
            return match all.is_empty() {
                true => Err(missing(config, place)),
                false => Ok(all),
            };
        }
    }
    Err(unreadable(place))
}

async fn call(
    config: &SdkConfig,
    place: &ValuePlace,
    action: &str,
    arguments: Value,
) -> Result<zeroize::Zeroizing<String>> {
    let Value::Object(arguments) = arguments else { return Err(unreadable(place)) };
    let target = format!("AmazonSSM.{action}");
    match json::post(config, (SERVICE, &target), arguments).await {
        Ok(answer) => Ok(answer),
        Err(Failure::Refused(answer)) => {
            let error = refused(config, place, action, &answer);
            Err(clock::judged(error, answer.date.as_deref()).await)
        }
        Err(Failure::Unreached(causes)) => Err(clock::judged(
            unreached_or_late(doing(place), &endpoint::of(config, SERVICE), &causes, &FAULTS),
            None,
        )
        .await),
    }
}

fn doing(place: &ValuePlace) -> String {
    format!("reading the {place}")
}

fn unreadable(place: &ValuePlace) -> Error {
    Fault::ParameterUnreachable.error(doing(place), "the answer is not one of Parameter Store")
}

fn missing(config: &SdkConfig, place: &ValuePlace) -> Error {
    let region = config.region().map_or("no region", |region| region.as_ref());
    let what = match place {
        ValuePlace::Parameters(_) => "parameter below this path",
        _ => "parameter of this name",
    };
    Fault::ParameterMissing.error(doing(place), format!("there is no {what} in {region}"))
}

fn refused(config: &SdkConfig, place: &ValuePlace, action: &str, answer: &Refusal) -> Error {
    let message = ForeignText::message(&answer.message);
    let error = match fault_of(answer) {
        Fault::ParameterMissing => return missing(config, place),
        Fault::ParameterDenied => {
            let cause = Message::from(format!("the role may not call {SERVICE}:{action}: ")).and(message);
            Fault::ParameterDenied.error(doing(place), cause).remedy(allow(place, action))
        }
        fault if answer.code.is_empty() => fault.error(doing(place), format!("it answers {}", answer.status)),
        fault => {
            let cause = Message::from(ForeignText::message(&answer.code)).and(": ").and(message);
            fault.error(doing(place), cause)
        }
    };
    error.retry_after(answer.retry_after)
}

/// The missing permission. A SecureString needs its key, too.
fn allow(place: &ValuePlace, action: &str) -> String {
    let resource = match place {
        ValuePlace::Parameters(path) => format!("parameter{path} and parameter{path}/*"),
        place => match place.arn() {
            Some(_) => place.name().to_owned(),
            None => format!("parameter{}", place.name()),
        },
    };
    let elsewhere = match place.arn() {
        Some(arn) => {
            format!("; if account {} is another one, it must share the parameter (AWS RAM)", arn.account)
        }
        None => String::new(),
    };
    format!(
        "allow {SERVICE}:{action} on {resource} in the instance's role, and kms:Decrypt on the key of each SecureString{elsewhere}"
    )
}

fn fault_of(answer: &Refusal) -> Fault {
    match answer.code.as_str() {
        "ParameterNotFound" | "ParameterVersionNotFound" => Fault::ParameterMissing,
        "AccessDeniedException" | "AccessDenied" | "InvalidKeyId" => Fault::ParameterDenied,
        // A new role takes some seconds to reach every AWS service. A wrong clock gives the same codes.
        "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "RequestExpired"
        | "ExpiredTokenException" => Fault::RoleUnknown,
        "ThrottlingException" | "Throttling" | "RequestLimitExceeded" | "InternalServerError" => {
            Fault::ParameterUnreachable
        }
        _ => match answer.status {
            429 | 500.. => Fault::ParameterUnreachable,
            _ => Fault::ParameterDenied,
        },
    }
}

const FAULTS: Faults =
    Faults { untrusted: Fault::ParameterUntrusted, unreachable: Fault::ParameterUnreachable };

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, code: &str) -> Refusal {
        Refusal {
            status,
            code: code.to_owned(),
            message: "User: arn:x is not".to_owned(),
            ..Refusal::default()
        }
    }

    #[test]
    fn each_error_answer_has_its_fault() {
        for (status, code, fault) in [
            (400, "ParameterNotFound", Fault::ParameterMissing),
            (400, "AccessDeniedException", Fault::ParameterDenied),
            (400, "InvalidKeyId", Fault::ParameterDenied),
            (400, "UnrecognizedClientException", Fault::RoleUnknown),
            (400, "ThrottlingException", Fault::ParameterUnreachable),
            (500, "InternalServerError", Fault::ParameterUnreachable),
            (503, "", Fault::ParameterUnreachable),
            (400, "ValidationException", Fault::ParameterDenied),
        ] {
            assert_eq!(fault_of(&answer(status, code)), fault, "{status} {code}");
        }
        assert!(Fault::ParameterUnreachable.is_retried() && !Fault::ParameterDenied.is_retried());
    }

    #[test]
    fn a_denied_call_names_the_permissions_and_the_resource() {
        let config = SdkConfig::builder().build();
        let path = ValuePlace::Parameters("/auth/prod".to_owned());
        let denied =
            refused(&config, &path, BELOW, &answer(400, "AccessDeniedException")).in_public().to_string();
        for says in ["may not call ssm:GetParametersByPath", "arn:x"] {
            assert!(denied.contains(says), "{denied}");
        }
        let remedy = allow(&path, BELOW);
        for says in
            ["ssm:GetParametersByPath on parameter/auth/prod and parameter/auth/prod/*", "kms:Decrypt"]
        {
            assert!(remedy.contains(says), "{remedy}");
        }
        let arn = "arn:aws:ssm:eu-central-1:210987654321:parameter/shared/KEY";
        let remedy = allow(&ValuePlace::Parameter(arn.to_owned()), ONE);
        assert!(
            remedy.contains(&format!("ssm:GetParameter on {arn}")) && remedy.contains("210987654321"),
            "{remedy}"
        );
    }

    #[test]
    fn each_reason_for_no_answer_has_its_fault() {
        let place = ValuePlace::Parameter("/a".to_owned());
        let fault = |cause: &str| {
            Fault::of(&unreached_or_late(doing(&place), "ssm.eu-west-1", &[cause.to_owned()], &FAULTS))
                .unwrap()
        };
        assert_eq!(fault("the credential provider was not enabled"), Fault::CredentialsLate);
        assert_eq!(fault("dns error: failed to lookup address"), Fault::ParameterUnreachable);
        assert_eq!(fault("invalid peer certificate: UnknownIssuer"), Fault::ParameterUntrusted);
    }
}
