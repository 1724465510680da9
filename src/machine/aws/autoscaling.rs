//! Lifecycle hooks of Auto Scaling: sends heartbeats and completes a hook. Only the instance's own hook, with its role.

use super::call::{Failure, Refusal};
use super::unreached::{Faults, unreached};
use super::{Imds, endpoint, instance_config, query};
use crate::error::{Error, Result};
use crate::facts::Network;
use crate::fault::{Fault, Phase};
use crate::machine::disk::files;
use crate::machine::retry::{RetryLimit, with_retries};
use crate::machine::{Change, Check, progress};
use crate::plan::{Keepalive, LifecycleHook, LifecycleResult, Mode, Owner, Signal};
use crate::secret::{ForeignText, Message};

const SERVICE: &str = "autoscaling";
const VERSION: &str = "2011-01-01";
const COMPLETE: &str = "CompleteLifecycleAction";
const UNHEALTHY: &str = "SetInstanceHealth";
const HEARTBEAT: &str = "RecordLifecycleActionHeartbeat";

/// Whether the record says that the hook is completed.
pub fn check(at: &LifecycleHook) -> Result<Check> {
    match files::check_file(&at.record.path, at.record.text.as_bytes(), &Owner::root(), Mode(0o600))? {
        Check::AlreadySo => Ok(Check::AlreadySo),
        Check::WouldChange(_) => Ok(Check::WouldChange("not completed by an earlier run".to_owned())),
    }
}

/// Sends one heartbeat, unless the hook is completed.
pub async fn heartbeat(imds: &Imds, keepalive: &Keepalive) -> Result<()> {
    match check(&keepalive.at)? {
        Check::AlreadySo => Ok(()),
        Check::WouldChange(_) => call(imds, &keepalive.at, HEARTBEAT, None).await,
    }
}

/// Completes the hook, and records that. Auto Scaling refuses the call until the instance has reached the hook, so it is
/// repeated. If the hook is never reached, nothing waits for this run (another program completed the hook, or the
/// instance was in service before the hook existed): that is noted, and recorded, too.
pub async fn complete(imds: &Imds, signal: &Signal) -> Result<Change> {
    let at = &signal.at;
    let patience = RetryLimit::lasting(Phase::Hook.seconds().duration());
    let completing = with_retries(patience, async || call(imds, at, COMPLETE, Some(signal.result)).await);
    let said = match completing.await {
        Ok(()) => format!("Auto Scaling accepted {}", signal.result.name()),
        Err(error) if Fault::of(&error) == Some(Fault::HookNotWaiting) => {
            progress::note(format!(
                "this instance does not wait at the lifecycle hook {} of {}: nothing was completed; if the instance is \
                 terminated later, compare lifecycle.hook in the policy with the group's hooks",
                at.hook, at.group
            ));
            "no lifecycle action waits".to_owned()
        }
        Err(error) => return Err(error),
    };
    let record = &at.record;
    files::write(&record.path, record.text.as_bytes(), &Owner::root(), Mode(0o600))?;
    Ok(Change::Changed(said))
}

/// Tells the group that this instance is unhealthy: it is replaced. Not within the group's grace period.
pub async fn report_unhealthy(imds: &Imds, region: &str, instance: &str, network: &Network) -> Result<()> {
    let form = [
        ("Action", UNHEALTHY),
        ("Version", VERSION),
        ("InstanceId", instance),
        ("HealthStatus", "Unhealthy"),
        ("ShouldRespectGracePeriod", "true"),
    ];
    let doing = format!("reporting the instance {instance} as unhealthy");
    let posted = post(imds, (region, network), UNHEALTHY, &form, doing).await;
    posted.map_err(|error| match Fault::of(&error) {
        Some(Fault::HookDenied) => error.remedy(
            "allow autoscaling:SetInstanceHealth on the Auto Scaling group in the instance's role, or remove \
             watch.unhealthy_after and watch.replace from the policy",
        ),
        _ => error,
    })
}

async fn call(imds: &Imds, at: &LifecycleHook, action: &str, result: Option<LifecycleResult>) -> Result<()> {
    let mut form = vec![
        ("Action", action),
        ("Version", VERSION),
        ("AutoScalingGroupName", at.group.as_str()),
        ("LifecycleHookName", at.hook.as_str()),
        ("InstanceId", at.instance.as_str()),
    ];
    form.extend(result.map(|result| ("LifecycleActionResult", result.name())));
    let doing = match result {
        Some(result) => format!("completing the lifecycle hook {} with {}", at.hook, result.name()),
        None => format!("sending a heartbeat to the lifecycle hook {}", at.hook),
    };
    post(imds, (&at.region, &at.network), action, &form, doing).await
}

async fn post(
    imds: &Imds,
    (region, network): (&str, &Network),
    action: &str,
    form: &[(&str, &str)],
    doing: String,
) -> Result<()> {
    let config = instance_config(region, imds.client(), network)?;
    match query::post(&config, SERVICE, form).await {
        Ok(()) => Ok(()),
        Err(Failure::Refused(answer)) => Err(refused(doing, action, &answer)),
        Err(Failure::Unreached(causes)) => {
            // The credentials may be missing only because IMDS no longer accepts the token.
            imds.renew();
            Err(unreached(doing, &endpoint::of(&config, SERVICE), &causes, &FAULTS))
        }
    }
}

fn refused(doing: String, action: &str, answer: &Refusal) -> Error {
    let fault = fault_of(answer);
    let message = ForeignText::message(&answer.message);
    let cause = match fault {
        Fault::HookDenied => {
            Message::from(format!("the instance's role may not call {SERVICE}:{action}: ")).and(message)
        }
        _ if answer.code.is_empty() => Message::from(format!("it answers {}", answer.status)),
        _ => Message::from(ForeignText::message(&answer.code)).and(": ").and(message),
    };
    fault.error(doing, cause).retry_after(answer.retry_after)
}

fn fault_of(answer: &Refusal) -> Fault {
    match answer.code.as_str() {
        "AccessDenied" | "AccessDeniedException" | "UnauthorizedOperation" => Fault::HookDenied,
        "ValidationError" if answer.message.contains("No active Lifecycle Action found") => {
            Fault::HookNotWaiting
        }
        "Throttling" | "ThrottlingException" | "RequestLimitExceeded" | "ResourceContention" => {
            Fault::HookUnreachable
        }
        // A new role takes some seconds to reach every AWS service. A wrong clock gives the same codes.
        "InvalidClientTokenId" | "SignatureDoesNotMatch" | "RequestExpired" | "ExpiredToken" => {
            Fault::HookUnreachable
        }
        _ => match answer.status {
            429 | 500.. => Fault::HookUnreachable,
            _ => Fault::HookRefused,
        },
    }
}

const FAULTS: Faults = Faults { untrusted: Fault::HookUntrusted, unreachable: Fault::HookUnreachable };

#[cfg(test)]
mod tests {
    use super::*;

    fn answer(status: u16, code: &str, message: &str) -> Refusal {
        Refusal { status, code: code.to_owned(), message: message.to_owned(), ..Refusal::default() }
    }

    #[test]
    fn each_error_answer_has_its_fault() {
        let not_waiting = "No active Lifecycle Action found with instance ID i-0";
        for (status, code, message, fault) in [
            (403, "AccessDenied", "User: x is not authorized", Fault::HookDenied),
            (400, "ValidationError", not_waiting, Fault::HookNotWaiting),
            (400, "ValidationError", "AutoScalingGroup name not found", Fault::HookRefused),
            (400, "Throttling", "Rate exceeded", Fault::HookUnreachable),
            (403, "SignatureDoesNotMatch", "Signature expired", Fault::HookUnreachable),
            (503, "", "", Fault::HookUnreachable),
            (404, "", "", Fault::HookRefused),
        ] {
            assert_eq!(fault_of(&answer(status, code, message)), fault, "{status} {code} {message}");
        }
        assert!(Fault::HookNotWaiting.is_retried() && !Fault::HookDenied.is_retried());
    }

    #[test]
    fn a_denied_call_names_the_missing_permission() {
        let denied = refused("sending".into(), HEARTBEAT, &answer(403, "AccessDenied", "User: arn:x is not"));
        let shown = denied.in_public().to_string();
        assert!(
            shown.contains("may not call autoscaling:RecordLifecycleActionHeartbeat: User: arn:x is not"),
            "{shown}"
        );
        let refused = refused("sending".into(), HEARTBEAT, &answer(404, "", "")).in_public().to_string();
        assert!(refused.contains("it answers 404") && !refused.contains("may not call"), "{refused}");
    }

    #[test]
    fn each_reason_for_no_answer_has_its_fault() {
        let fault = |cause: &str| {
            Fault::of(&unreached(
                "sending".into(),
                "autoscaling",
                &["x".to_owned(), cause.to_owned()],
                &FAULTS,
            ))
            .unwrap()
        };
        assert_eq!(fault("dns error: failed to lookup address"), Fault::HookUnreachable);
        assert_eq!(fault("invalid peer certificate: UnknownIssuer"), Fault::HookUntrusted);
        assert!(!Fault::HookUntrusted.is_retried());
    }
}
