//! The end of a failed run as lines for CloudWatch Logs: the error as the console shows it, and the last lines of the program
//! that failed, redacted like root's own record.

use super::Report;
use super::status::Status;

/// The program's last lines that are sent, and the bytes of one line.
const MOST_LINES: usize = 200;
const LONGEST_LINE: usize = 4096;
/// In place of service and environment, while they are not known. No service's name begins like this.
const UNSELECTED: &str = "_unselected";

impl Report {
    /// The name of the stream and its lines; `None` if the run has no error or its instance is not known.
    pub fn evidence(&self) -> Option<(String, Vec<String>)> {
        of(&self.status())
    }
}

fn of(status: &Status) -> Option<(String, Vec<String>)> {
    let (error, instance) = (status.error.as_ref()?, status.instance.as_ref()?);
    let below = match (&status.service, &status.environment) {
        (Some(service), Some(environment)) => format!("{service}/{environment}"),
        _ => UNSELECTED.to_owned(),
    };
    let commit = status.commit.as_ref().map_or("no commit", |commit| commit.as_str());
    let head = [
        format!("{}: {below} at {commit}: FAILED", instance.id),
        format!("{}: {} [{}]", error.doing, error.causes.join(": "), error.code),
        format!("to do: {}", error.remedy),
    ];
    let tail = error.output.iter().skip(error.output.len().saturating_sub(MOST_LINES));
    let lines = head.into_iter().chain(tail.cloned()).map(bounded).collect();
    Some((format!("{below}/{}/{}", instance.id, status.run_id), lines))
}

fn bounded(mut line: String) -> String {
    let end = (0..=LONGEST_LINE.min(line.len())).rev().find(|end| line.is_char_boundary(*end));
    line.truncate(end.unwrap_or_default());
    line
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Code, Error};
    use crate::facts::{Instance, Service};

    fn failed(output: Vec<String>) -> Status {
        let mut status = Status::booting(17, "boot".into(), "65f-11".into());
        let error = Error::new(Code::InstallFailed, "running npm ci", "it ended with status 1");
        let mut report = error.remedy("push a fix").report();
        report.output = output;
        status.error = Some(report);
        status.instance = Some(Instance {
            id: "i-0abc".into(),
            region: "eu-west-1".into(),
            zone: "eu-west-1a".into(),
            kind: "t3.small".into(),
            address: None,
        });
        status
    }

    #[test]
    fn a_stream_is_named_after_service_instance_and_run() {
        let mut status = failed(vec!["npm error code E1".into()]);
        assert_eq!(of(&status).unwrap().0, "_unselected/i-0abc/65f-11");
        status.service = Some(Service::try_from("auth").unwrap());
        status.environment = Some("prod".try_into().unwrap());
        let (stream, lines) = of(&status).unwrap();
        assert_eq!(stream, "auth/prod/i-0abc/65f-11");
        assert_eq!(lines[1], "running npm ci: it ended with status 1 [E-INSTALL-FAILED]");
        assert_eq!(lines.last().unwrap(), "npm error code E1");
        status.error = None;
        assert_eq!(of(&status), None);
    }

    #[test]
    fn lines_are_few_and_short() {
        let output = (0..500).map(|number| format!("{number} {}", "ü".repeat(5000))).collect();
        let (_, lines) = of(&failed(output)).unwrap();
        assert_eq!(lines.len(), 3 + MOST_LINES);
        assert!(
            lines.last().unwrap().starts_with("499 ") && lines.iter().all(|line| line.len() <= LONGEST_LINE)
        );
    }
}
