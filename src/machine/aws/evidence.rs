//! Tells AWS how a run ended: a signal to the CloudFormation stack, and a stream of CloudWatch Logs. With the instance's role.

use serde_json::{Map, Value, json as object};

use super::call::{Failure, Refusal};
use super::unreached::{Faults, unreached};
use super::{Imds, endpoint, instance_config, json, query};
use crate::error::{Error, Result};
use crate::facts::Network;
use crate::fault::{Fault, Phase};
use crate::machine::disk::files;
use crate::machine::retry::{RetryLimit, with_retries};
use crate::machine::{self, Change, Check, progress};
use crate::plan::{Mode, Owner, PutEvidence, StackSignal};
use crate::secret::{ForeignText, Message};

const STACKS: &str = "cloudformation";
const STACKS_VERSION: &str = "2010-05-15";
const SIGNAL: &str = "SignalResource";
const LOGS: &str = "logs";
const LOGS_API: &str = "Logs_20140328";
const CREATE: &str = "CreateLogStream";
const PUT: &str = "PutLogEvents";

/// Whether the record says that the stack is signalled.
pub fn check(signal: &StackSignal) -> Result<Check> {
    let record = &signal.record;
    match files::check_file(&record.path, record.text.as_bytes(), &Owner::root(), Mode(0o600))? {
        Check::AlreadySo => Ok(Check::AlreadySo),
        Check::WouldChange(_) => Ok(Check::WouldChange("not signalled by an earlier run".to_owned())),
    }
}

/// Signals the stack, and records that. A stack that waits for no signal refuses it: that is normal for an instance that the
/// group launches later, and is noted.
pub async fn signal(imds: &Imds, signal: &StackSignal) -> Result<Change> {
    let form = [
        ("Action", SIGNAL),
        ("Version", STACKS_VERSION),
        ("StackName", signal.stack.as_str()),
        ("LogicalResourceId", signal.resource.as_str()),
        ("UniqueId", signal.instance.as_str()),
        ("Status", signal.status.name()),
    ];
    let doing = || format!("signalling {} to the stack {}", signal.status.name(), signal.stack);
    let posting = with_retries(patience(), async || {
        let config = instance_config(&signal.region, imds.client(), &signal.network)?;
        let posted = query::post(&config, STACKS, &form).await;
        posted.map_err(|failure| failed(imds, doing(), (&config, STACKS, SIGNAL), failure))
    });
    let said = match posting.await {
        Ok(()) => format!("CloudFormation accepted {}", signal.status.name()),
        Err(error) if Fault::of(&error) == Some(Fault::EvidenceNotWanted) => {
            progress::note(format!("the stack {} does not wait for a signal", signal.stack));
            "the stack does not wait for it".to_owned()
        }
        Err(error) => return Err(error),
    };
    let record = &signal.record;
    files::write(&record.path, record.text.as_bytes(), &Owner::root(), Mode(0o600))?;
    Ok(Change::Changed(said))
}

/// Creates the stream, and writes its lines. The log group must exist.
pub async fn put(imds: &Imds, put: &PutEvidence) -> Result<()> {
    let named = object!({ "logGroupName": put.group, "logStreamName": put.stream });
    call(imds, put, CREATE, &named).await?;
    let at = machine::now() * 1000;
    // An event without a character is refused.
    let event = |line: &String| {
        let message = if line.is_empty() { " " } else { line };
        object!({ "timestamp": at, "message": message })
    };
    let events: Vec<Value> = put.lines.iter().map(event).collect();
    let lines = object!({ "logGroupName": put.group, "logStreamName": put.stream, "logEvents": events });
    call(imds, put, PUT, &lines).await
}

async fn call(imds: &Imds, put: &PutEvidence, action: &str, arguments: &Value) -> Result<()> {
    let PutEvidence { group, region, network, .. } = put;
    let arguments: Map<String, Value> = arguments.as_object().cloned().unwrap_or_default();
    let doing = || format!("writing the end of the run to the log group {group}");
    with_retries(patience(), async || {
        one_call(imds, (region, network), action, arguments.clone(), doing()).await
    })
    .await
}

async fn one_call(
    imds: &Imds,
    (region, network): (&str, &Network),
    action: &str,
    arguments: Map<String, Value>,
    doing: String,
) -> Result<()> {
    let config = instance_config(region, imds.client(), network)?;
    match json::post(&config, (LOGS, &format!("{LOGS_API}.{action}")), arguments).await {
        Ok(_) => Ok(()),
        // An attempt whose answer was lost.
        Err(Failure::Refused(answer)) if answer.code == "ResourceAlreadyExistsException" => Ok(()),
        Err(failure) => Err(failed(imds, doing, (&config, LOGS, action), failure)),
    }
}

fn patience() -> RetryLimit {
    RetryLimit::lasting(Phase::Evidence.seconds().duration())
}

fn failed(
    imds: &Imds,
    doing: String,
    (config, service, action): (&aws_config::SdkConfig, &str, &str),
    failure: Failure,
) -> Error {
    match failure {
        Failure::Refused(answer) => refused(doing, (service, action), &answer),
        Failure::Unreached(causes) => {
            // The credentials may be missing only because IMDS no longer accepts the token.
            imds.renew();
            unreached(doing, &endpoint::of(config, service), &causes, &FAULTS)
        }
    }
}

fn refused(doing: String, (service, action): (&str, &str), answer: &Refusal) -> Error {
    let fault = fault_of(answer);
    let message = ForeignText::message(&answer.message);
    let cause = match fault {
        Fault::EvidenceDenied => {
            Message::from(format!("the instance's role may not call {service}:{action}: ")).and(message)
        }
        _ if answer.code.is_empty() => Message::from(format!("it answers {}", answer.status)),
        _ => Message::from(ForeignText::message(&answer.code)).and(": ").and(message),
    };
    fault.error(doing, cause).retry_after(answer.retry_after)
}

fn fault_of(answer: &Refusal) -> Fault {
    match answer.code.as_str() {
        "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation" => Fault::EvidenceDenied,
        // `Stack:ARN is in CREATE_COMPLETE state and can not be signaled`.
        "ValidationError" if answer.message.contains("state and can not be signaled") => {
            Fault::EvidenceNotWanted
        }
        "Throttling"
        | "ThrottlingException"
        | "RequestLimitExceeded"
        | "ServiceUnavailableException"
        | "OperationAbortedException" => Fault::EvidenceUnreachable,
        // A new role takes some seconds to reach every AWS service.
        "InvalidClientTokenId" | "UnrecognizedClientException" | "ExpiredToken" | "ExpiredTokenException" => {
            Fault::EvidenceUnreachable
        }
        _ if matches!(answer.status, 429 | 500..) => Fault::EvidenceUnreachable,
        _ => Fault::EvidenceRefused,
    }
}

const FAULTS: Faults =
    Faults { untrusted: Fault::EvidenceUntrusted, unreachable: Fault::EvidenceUnreachable };

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_error_answer_has_its_fault() {
        let ended = "Stack:arn:aws:cloudformation:x is in CREATE_COMPLETE state and can not be signaled";
        for (status, code, message, fault) in [
            (403, "AccessDenied", "User: x is not authorized", Fault::EvidenceDenied),
            (400, "AccessDeniedException", "User: x is not authorized", Fault::EvidenceDenied),
            (400, "ValidationError", ended, Fault::EvidenceNotWanted),
            (400, "ValidationError", "Stack x does not exist", Fault::EvidenceRefused),
            (
                400,
                "ResourceNotFoundException",
                "The specified log group does not exist.",
                Fault::EvidenceRefused,
            ),
            (400, "ThrottlingException", "Rate exceeded", Fault::EvidenceUnreachable),
            (400, "UnrecognizedClientException", "", Fault::EvidenceUnreachable),
            (503, "", "", Fault::EvidenceUnreachable),
            (404, "", "", Fault::EvidenceRefused),
        ] {
            let answer =
                Refusal { status, code: code.to_owned(), message: message.to_owned(), ..Refusal::default() };
            assert_eq!(fault_of(&answer), fault, "{status} {code} {message}");
        }
        assert!(Fault::EvidenceUnreachable.is_retried() && !Fault::EvidenceNotWanted.is_retried());
    }

    #[test]
    fn a_denied_call_names_the_missing_permission() {
        let answer = Refusal {
            status: 400,
            code: "AccessDeniedException".into(),
            message: "no".into(),
            ..Refusal::default()
        };
        let shown = refused("writing".into(), (LOGS, PUT), &answer).in_public().to_string();
        assert!(shown.contains("may not call logs:PutLogEvents: no"), "{shown}");
    }
}
