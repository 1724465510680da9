//! One secret by its name, with the failures that operators meet told apart.

use aws_config::SdkConfig;
use aws_sdk_secretsmanager::Client;
use aws_sdk_secretsmanager::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_secretsmanager::operation::get_secret_value::GetSecretValueError;
use tokio::time::Instant;

use super::{Imds, instance_config, own_config};
use crate::error::{Code, Error, Result};
use crate::machine::retry::{Attempt, patiently};
use crate::plan::Seconds;
use crate::secret::Secret;

/// The current version's text. With a region the instance's role reads it, else the caller's own
/// identity.
pub async fn secret(imds: &Imds, name: &str, region: Option<&str>, wait: Seconds) -> Result<Secret> {
    let config = match region {
        Some(region) => instance_config(region, imds.client()),
        None => own_config().await,
    };
    let until = Instant::now() + wait.duration();
    patiently(until, async || read(&config, name).await).await
}

async fn read(config: &SdkConfig, name: &str) -> Attempt<Secret> {
    let answer = Client::new(config).get_secret_value().secret_id(name).send().await;
    let value = match answer {
        Ok(value) => value,
        Err(error) => return classify(name, config, &error),
    };
    let text = match (value.secret_string(), value.secret_binary()) {
        (Some(text), _) => Ok(text.to_owned()),
        (None, Some(bytes)) => std::str::from_utf8(bytes.as_ref())
            .map(str::to_owned)
            .map_err(|_| Error::new(Code::SecretInvalid, doing(name), "its binary value is not UTF-8")),
        (None, None) => Err(Error::new(Code::SecretInvalid, doing(name), "it has neither text nor bytes")),
    };
    match text {
        Ok(text) => Attempt::Done(Secret::new(text)),
        Err(error) => Attempt::Stop(error),
    }
}

fn doing(name: &str) -> String {
    format!("reading the secret {name}")
}

fn classify(name: &str, config: &SdkConfig, error: &SdkError<GetSecretValueError>) -> Attempt<Secret> {
    let region = config.region().map_or("no region", |region| region.as_ref());
    let Some(service) = error.as_service_error() else {
        return Attempt::Again(unreached(name, region, error));
    };
    let code = service.code().unwrap_or("unknown");
    // AWS's messages name the action, the role and the secret, never its value.
    let message = service.message().unwrap_or("no message");
    let told = |code, cause: String| Error::new(code, doing(name), cause);
    match code {
        "ResourceNotFoundException" => Attempt::Stop(told(
            Code::SecretMissing,
            format!("there is none of this name in {region} ({message})"),
        )),
        "InvalidRequestException" => Attempt::Stop(told(Code::SecretMissing, message.to_owned())),
        "AccessDeniedException" | "DecryptionFailure" | "AccessDenied" => {
            Attempt::Stop(told(Code::SecretDenied, message.to_owned()))
        }
        // A new role can take a while until every service knows it; a wrong clock looks alike.
        "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidSignatureException"
        | "ExpiredTokenException" => {
            Attempt::Again(told(Code::SecretUnreachable, format!("{code}: {message}")))
        }
        "ThrottlingException" | "InternalServiceError" | "ServiceUnavailable" | "RequestLimitExceeded" => {
            Attempt::Again(told(Code::SecretUnreachable, format!("{code}: {message}")))
        }
        _ => match error.raw_response().map(|response| response.status().as_u16()) {
            Some(500..) | Some(429) => {
                Attempt::Again(told(Code::SecretUnreachable, format!("{code}: {message}")))
            }
            _ => Attempt::Stop(told(Code::SecretDenied, format!("{code}: {message}"))),
        },
    }
}

/// No answer of the service: no credentials, no route, no TLS.
fn unreached(name: &str, region: &str, error: &SdkError<GetSecretValueError>) -> Error {
    let causes = super::causes(error);
    let has_no_credentials = causes.iter().any(|cause| cause.to_lowercase().contains("credential"));
    match has_no_credentials {
        true => Error::caused(Code::CredentialsMissing, doing(name), causes),
        false => {
            let mut told = vec![format!("secretsmanager.{region}.amazonaws.com does not answer")];
            told.extend(causes);
            Error::caused(Code::SecretUnreachable, doing(name), told)
        }
    }
}
