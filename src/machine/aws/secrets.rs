//! Reads one secret from Secrets Manager, and maps each failure to its fault. Shows no value of a secret.

use aws_config::SdkConfig;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_secretsmanager::operation::get_secret_value::{GetSecretValueError, GetSecretValueOutput};

use super::unreached::{Faults, unreached_or_late};
use super::{Imds, causes, clock, config_for, endpoint};
use crate::error::{Code, Error, Result};
use crate::facts::{Arn, Network};
use crate::fault::Fault;
use crate::machine::SecretPatience;
use crate::machine::retry::{RetryLimit, with_retries};
use crate::secret::{ForeignText, Message, Secret};

/// The text of the secret's current version. With `region` it is read with the instance's role, as a run does; without,
/// with the caller's own credentials, as on a laptop. Retries until `wait` is over.
pub async fn secret(
    imds: &Imds,
    name: &str,
    region: Option<&str>,
    network: &Network,
    wait: SecretPatience,
) -> Result<Secret> {
    with_retries(RetryLimit::lasting(wait.time.duration()), async || {
        let config = config_for(region, Arn::of(name), imds, network).await?;
        let answer = read(&config, name).await;
        if answer.as_ref().is_err_and(|error| Fault::of(error) == Some(Fault::CredentialsLate)) {
            // The credentials may be missing only because IMDS no longer accepts the token.
            imds.renew();
        }
        answer.map_err(|error| match Fault::of(&error) {
            Some(Fault::SecretDenied) if wait.waits_for_permission => Fault::SecretDeniedYet.is_behind(error),
            _ => error,
        })
    })
    .await
}

/// The id of the secret's current version. One attempt. Read with the permission that a run has, too; the value is dropped.
pub async fn version(imds: &Imds, name: &str, region: &str, network: &Network) -> Result<String> {
    let config = config_for(Some(region), Arn::of(name), imds, network).await?;
    let value = value(&config, name).await;
    if value.as_ref().is_err_and(|error| Fault::of(error) == Some(Fault::CredentialsLate)) {
        imds.renew();
    }
    Ok(value?.version_id().unwrap_or_default().to_owned())
}

async fn read(config: &SdkConfig, name: &str) -> Result<Secret> {
    let value = value(config, name).await?;
    let invalid = |cause: &str| Error::new(Code::SecretInvalid, doing(name), cause);
    match (value.secret_string(), value.secret_binary()) {
        (Some(text), _) => Ok(Secret::new(text)),
        (None, Some(bytes)) => std::str::from_utf8(bytes.as_ref())
            .map(Secret::new)
            .map_err(|_| invalid("its binary value is not UTF-8")),
        (None, None) => Err(invalid("it has neither a text nor a binary value")),
    }
}

async fn value(config: &SdkConfig, name: &str) -> Result<GetSecretValueOutput> {
    let region = config.region().map_or("no region", |region| region.as_ref());
    let answer = Client::new(config).get_secret_value().secret_id(name).send().await;
    match answer {
        Ok(value) => Ok(value),
        Err(error) => {
            let date = error.raw_response().and_then(|answer| answer.headers().get("date"));
            // Its usual endpoint is dual-stack already.
            let server = endpoint::host("secretsmanager", region, config.use_fips() == Some(true), false);
            Err(clock::judged(failed(name, (region, &server), &error), date).await)
        }
    }
}

fn doing(name: &str) -> String {
    format!("reading the secret {name}")
}

fn failed(name: &str, (region, server): (&str, &str), error: &SdkError<GetSecretValueError>) -> Error {
    let Some(service) = error.as_service_error() else {
        return unreached_or_late(doing(name), server, &causes(error), &FAULTS);
    };
    let code = service.code().unwrap_or("unknown");
    // AWS's messages name the action, the role and the secret, never its value.
    let message = ForeignText::message(service.message().unwrap_or("no message"));
    let answer = error.raw_response();
    let fault = refusal(code, answer.map_or(0, |answer| answer.status().as_u16()));
    let cause = match fault {
        Fault::SecretMissing if code == "ResourceNotFoundException" => {
            Message::from(format!("there is no secret of this name in {region} (")).and(message).and(")")
        }
        Fault::SecretMissing | Fault::SecretDenied => message.into(),
        _ => Message::from(ForeignText::message(code)).and(": ").and(message),
    };
    let asked = answer.and_then(|answer| answer.headers().get("retry-after")?.parse().ok());
    let error = fault.error(doing(name), cause).retry_after(asked);
    match (fault, Arn::of(name)) {
        (Fault::SecretDenied, Some(arn)) => error.remedy(elsewhere(name, arn)),
        _ => error,
    }
}

/// What reading a secret by its ARN needs, which may be in another account.
fn elsewhere(name: &str, arn: Arn<'_>) -> String {
    format!(
        "allow secretsmanager:GetSecretValue on {name} and kms:Decrypt on its key in the instance's role; if account {} is \
         another one, the secret's resource policy and the policy of its key must allow the role, too, and the key may not \
         be aws/secretsmanager",
        arn.account
    )
}

/// The fault for an error answer of Secrets Manager: AWS's error code and the HTTP status.
fn refusal(code: &str, status: u16) -> Fault {
    match code {
        // InvalidRequestException: the secret is scheduled for deletion.
        "ResourceNotFoundException" | "InvalidRequestException" => Fault::SecretMissing,
        "AccessDeniedException" | "DecryptionFailure" | "AccessDenied" => Fault::SecretDenied,
        // A new role takes some seconds to reach every AWS service. A wrong clock gives the same codes.
        "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "SignatureDoesNotMatch"
        | "RequestExpired"
        | "RequestTimeTooSkewed"
        | "ExpiredTokenException" => Fault::RoleUnknown,
        "ThrottlingException" | "Throttling" | "RequestLimitExceeded" => Fault::SecretThrottled,
        "InternalServiceError" | "ServiceUnavailable" => Fault::SecretFailing,
        _ => match status {
            429 => Fault::SecretThrottled,
            500.. => Fault::SecretFailing,
            _ => Fault::SecretDenied,
        },
    }
}

const FAULTS: Faults = Faults { untrusted: Fault::SecretUntrusted, unreachable: Fault::SecretUnreachable };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_answer_has_its_fault() {
        for (code, status, fault) in [
            ("ResourceNotFoundException", 400, Fault::SecretMissing),
            ("InvalidRequestException", 400, Fault::SecretMissing),
            ("AccessDeniedException", 400, Fault::SecretDenied),
            ("UnrecognizedClientException", 400, Fault::RoleUnknown),
            ("ThrottlingException", 400, Fault::SecretThrottled),
            ("unknown", 429, Fault::SecretThrottled),
            ("unknown", 503, Fault::SecretFailing),
            ("unknown", 400, Fault::SecretDenied),
        ] {
            assert_eq!(refusal(code, status), fault, "{code} {status}");
        }
    }

    #[test]
    fn each_reason_for_no_answer_has_its_fault() {
        let fault = |cause: &str| {
            let error = unreached_or_late(
                doing("s"),
                "eu-west-1",
                &["dispatch failure".to_owned(), cause.to_owned()],
                &FAULTS,
            );
            Fault::of(&error).unwrap()
        };
        assert_eq!(fault("the credential provider was not enabled"), Fault::CredentialsLate);
        assert_eq!(fault("dns error: failed to lookup address"), Fault::SecretUnreachable);
        assert_eq!(fault("invalid peer certificate: UnknownIssuer"), Fault::SecretUntrusted);
        assert!(!Fault::SecretUntrusted.is_retried());
    }
}
