//! Finds out whether the machine's clock is the cause of an error: AWS refuses the signature, or a certificate seems to
//! be expired or not yet valid. Changes no clock.
//!
//! bootagent does not sign requests with a corrected time: the service would start on a machine where its own tokens
//! and certificates fail for the same reason.

use std::time::Duration;

use crate::error::{Error, Result};
use crate::fault::Fault;
use crate::machine::web::tls;
use crate::machine::{http_date, now};
use crate::secret::Message;

/// Seconds. AWS refuses a signature whose time is five minutes off.
const MOST: u64 = 240;

/// A child's result, with its error judged by `judged`: the child itself cannot ask IMDS for the time.
pub async fn checked<T>(result: Result<T>) -> Result<T> {
    match result {
        Ok(value) => Ok(value),
        Err(error) => Err(judged(error, None).await),
    }
}

/// Returns `E-CLOCK-WRONG` instead of `error` if a wrong clock explains it. `date` is the `Date` header of the server's
/// answer; without one, IMDS is asked for the time.
pub async fn judged(error: Error, date: Option<&str>) -> Error {
    if !may_be_the_clock(&error) {
        return error;
    }
    let theirs = match date {
        Some(date) => http_date(date),
        None => tokio::task::spawn_blocking(ask_imds).await.ok().flatten(),
    };
    match theirs.filter(|theirs| theirs.abs_diff(now()) > MOST) {
        Some(theirs) => wrong(&error, now(), theirs),
        None => error,
    }
}

fn may_be_the_clock(error: &Error) -> bool {
    match Fault::of(error) {
        Some(Fault::RoleUnknown) => true,
        Some(Fault::SecretUntrusted | Fault::GitUntrusted | Fault::RegistryUntrusted) => {
            error.cause().judge(tls::is_expired_or_not_yet_valid)
        }
        _ => false,
    }
}

fn wrong(error: &Error, ours: u64, theirs: u64) -> Error {
    let side = if ours < theirs { "behind" } else { "ahead of" };
    let cause = Message::from(format!("the clock is {} s {side} AWS's: ", ours.abs_diff(theirs)));
    Fault::ClockWrong.error(error.report().doing, cause.and(error.cause()))
}

/// IMDS's time, in seconds since 1970. The request has no token: IMDS puts a `Date` header into its refusal, too.
fn ask_imds() -> Option<u64> {
    let agent: ureq::Agent = ureq::Agent::config_builder()
        .timeout_global(Some(Duration::from_secs(2)))
        .http_status_as_error(false)
        .proxy(None)
        .build()
        .into();
    super::imds::ADDRESSES.iter().find_map(|address| {
        let answer = agent.get(format!("{address}/latest/meta-data/")).call().ok()?;
        http_date(answer.headers().get("date")?.to_str().ok()?)
    })
}

#[cfg(test)]
mod tests {
    use aws_smithy_types::date_time::{DateTime, Format};

    use super::*;

    fn dated(at: u64) -> String {
        DateTime::from_secs(at as i64).fmt(Format::HttpDate).unwrap()
    }

    fn refused() -> Error {
        Fault::RoleUnknown.error("reading the secret s", "InvalidSignatureException: Signature expired")
    }

    #[tokio::test]
    async fn a_wrong_clock_is_named_with_its_offset_and_side() {
        for (date, said) in [(now() + 3600, "s behind AWS's"), (now() - 3600, "s ahead of AWS's")] {
            let error = judged(refused(), Some(&dated(date))).await;
            assert_eq!(Fault::of(&error), Some(Fault::ClockWrong));
            let cause = error.report().causes.join(": ");
            assert!(cause.contains(said) && cause.contains("Signature expired"), "{cause}");
            assert!(
                ["the clock is 3599", "the clock is 3600", "the clock is 3601"]
                    .iter()
                    .any(|at| cause.starts_with(at)),
                "{cause}"
            );
        }
    }

    #[tokio::test]
    async fn a_small_offset_or_an_invalid_date_changes_no_error() {
        for date in [dated(now()), dated(now() + 200), dated(now() - 200), "soon".to_owned()] {
            assert_eq!(Fault::of(&judged(refused(), Some(&date)).await), Some(Fault::RoleUnknown), "{date}");
        }
    }

    #[tokio::test]
    async fn errors_that_a_clock_cannot_explain_are_kept() {
        let date = dated(now() + 3600);
        let foreign = "invalid peer certificate: UnknownIssuer";
        for error in [Fault::SecretDenied.error("a", "b"), Fault::GitUntrusted.error("a", foreign)] {
            let before = Fault::of(&error);
            assert_eq!(Fault::of(&judged(error, Some(&date)).await), before);
        }
        let early = "invalid peer certificate: certificate not valid yet: verification time 1 (UNIX)";
        let error = judged(Fault::GitUntrusted.error("a", early), Some(&date)).await;
        assert_eq!(Fault::of(&error), Some(Fault::ClockWrong));
    }
}
