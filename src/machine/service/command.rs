//! A health check by a command, run in a transient unit as the service's user. It may also list the service's
//! processes, which systemd does not see as such (PM2's).
//!
//! The command exits with 0 (healthy), 3 (unhealthy for good) or another status (unhealthy now). The last line of its
//! standard error is the cause. Standard output, if any: the number of restarts, then a line for each process.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use super::observation::{Bad, Good, Processes, bad};
use crate::error::Code;
use crate::fault::Fault;
use crate::machine;
use crate::machine::jail::unit::{TransientUnit, User};
use crate::machine::process::program::{Output, lines};
use crate::plan::layout;
use crate::secret::{ForeignText, Message};

/// The time limit of one check. Longer than for an HTTP request: on a busy machine a program is slow to start.
const ANSWER: Duration = Duration::from_secs(10);
/// So many bytes of the output are read.
const LONGEST: usize = 64 << 10;
/// The exit status by which the command says that waiting does not help.
const FINAL: i32 = 3;

pub async fn ask(
    what: &str,
    argv: &[String],
    user: &str,
    environment: &BTreeMap<String, String>,
) -> Result<Good, Bad> {
    // The pid in the name lets a run and `bootagent status` check at the same time.
    let unit = format!("bootagent.probe-{}.service", machine::pid());
    let user = User::Named { user: user.to_owned(), group: user.to_owned() };
    let transient =
        TransientUnit::new(&unit, user, ANSWER).environment(environment).hidden(Path::new(layout::RUN));
    match transient.run(argv, None, LONGEST).await {
        Ok(output) => judged(what, &output),
        Err(error) if error.code() == Code::Deadline => {
            let cause = format!("{what}: no answer within {} s", ANSWER.as_secs());
            Err(bad(Fault::HealthBadAnswer, cause))
        }
        Err(error) => Err(bad(Fault::HealthBadAnswer, error.cause())),
    }
}

fn judged(what: &str, output: &Output) -> Result<Good, Bad> {
    let processes = processes(&output.text());
    if output.ok() {
        return Ok(Good { answer: what.to_owned(), is_listening: false, processes });
    }
    let last_line = lines(&String::from_utf8_lossy(&output.stderr)).pop();
    let why =
        last_line.map_or_else(|| Message::from("no reason given"), |line: ForeignText| line.trimmed().into());
    let cause = Message::from(format!("the check that {what} failed: ")).and(why);
    Err(Bad { is_final: output.status == Some(FINAL), processes, ..bad(Fault::ServiceExited, cause) })
}

/// Parses standard output: the number of restarts in the first line, the processes in the others.
fn processes(text: &str) -> Option<Processes> {
    let (restarts, which) = text.split_once('\n')?;
    Some(Processes { restarts: restarts.trim().parse().ok()?, which: which.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::Redaction;

    fn ended(status: i32, stdout: &str, stderr: &str) -> Result<Good, Bad> {
        judged(
            "all are online",
            &Output { status: Some(status), stdout: stdout.into(), stderr: stderr.into() },
        )
    }

    #[test]
    fn a_good_answer_names_the_processes() {
        let good = ended(0, "2\nx 0 pid 17\nx 1 pid 18\n", "noise\n").unwrap();
        let which = "x 0 pid 17\nx 1 pid 18\n".to_owned();
        assert_eq!(
            good,
            Good {
                answer: "all are online".into(),
                is_listening: false,
                processes: Some(Processes { restarts: 2, which })
            }
        );
        assert_eq!(ended(0, "", "").unwrap().processes, None);
    }

    #[test]
    fn a_bad_answer_has_a_cause_and_may_be_final() {
        let bad = ended(1, "4\nx 0 pid 0\n", "first\nx 0 is waiting restart\n").unwrap_err();
        assert_eq!((bad.fault, bad.is_final), (Fault::ServiceExited, false));
        assert_eq!(bad.processes.unwrap().restarts, 4);
        assert_eq!(
            bad.cause.shown(&Redaction::default()),
            "the check that all are online failed: x 0 is waiting restart"
        );
        assert!(ended(3, "16\n", "x 0 is errored\n").unwrap_err().is_final);
        assert_eq!(ended(1, "no number\n", "").unwrap_err().processes, None);
    }
}
