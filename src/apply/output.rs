//! What is kept of the last words of what failed: few lines, and no secret in them. This is where what a step's
//! failure quotes becomes what everybody may read.

use super::read_only;
use crate::error::{Code, Error};
use crate::secret::Redaction;

const MOST_LINES: usize = 21;
const MOST_BYTES: usize = 4 << 10;
/// Of a reason that stands before much else, and of what came last.
const LINES_OF_REASON: usize = 10;
const ENDED_BY_ITSELF: [Code; 3] = [Code::ServiceExited, Code::HealthFlapping, Code::HealthForeign];

/// Without a redaction it is not known what must not be seen, and of what others said nothing is shown.
pub fn fit_to_be_seen(error: Error, redaction: Option<&Redaction>) -> Error {
    let Some(redaction) = redaction else { return error };
    let error = error.redacted(redaction);
    let lines = error.report().output;
    let reason = reason(&lines).filter(|_| ENDED_BY_ITSELF.contains(&error.code()));
    let error = match reason {
        Some(at) => error.because(lines[at].trim()),
        None => error,
    };
    let error = match lines.iter().rev().find_map(|line| read_only::complaint(line)) {
        Some(remedy) if error.code() == Code::ServiceExited => error.remedy(remedy),
        _ => error,
    };
    error.saying(told(lines, reason))
}

/// Why a service ended it says itself, by the last error that it names; or what could not start it
/// does. No other line: causes are everybody's to read. (A command's cause has a line of its own already.)
fn reason(lines: &[String]) -> Option<usize> {
    const STARTERS: [&str; 2] = ["/usr/bin/env: ", "/bin/sh: "];
    let starter = |line: &str| STARTERS.iter().any(|name| line.starts_with(name));
    lines.iter().map(|line| line.trim()).rposition(|line| names_an_error(line) || starter(line))
}

/// `Error: ...`, `TypeError [CODE]: ...`, `[cause]: Error: ...`
fn names_an_error(line: &str) -> bool {
    line.split(": ").take(2).any(|part| part.split(" [").next().is_some_and(is_error))
}

fn is_error(name: &str) -> bool {
    name.ends_with("Error") && name.chars().all(|c| c.is_ascii_alphanumeric() || "._ ".contains(c))
}

/// The last ones, unless the reason stands before them: then the reason and what follows it, and fewer last ones.
fn told(mut lines: Vec<String>, reason: Option<usize>) -> Vec<String> {
    match reason {
        Some(at) if at + MOST_LINES < lines.len() => {
            let end = lines.split_off(lines.len() - (MOST_LINES - LINES_OF_REASON - 1));
            let begin = lines.drain(at..at + LINES_OF_REASON).chain(["...".to_owned()]);
            last(begin.chain(end).collect())
        }
        _ => last(lines),
    }
}

/// What ends a program is said at its end.
fn last(lines: Vec<String>) -> Vec<String> {
    let mut left = MOST_BYTES;
    let fits = |line: &&String| {
        let fits = line.len() <= left;
        left = left.saturating_sub(line.len());
        fits
    };
    let mut kept: Vec<String> = lines.iter().rev().take(MOST_LINES).take_while(fits).cloned().collect();
    kept.reverse();
    kept
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::{ForeignText, SHOWN, Secret};

    fn lines<'a>(lines: impl IntoIterator<Item = &'a str>) -> Vec<ForeignText> {
        lines.into_iter().map(ForeignText::line).collect()
    }

    fn seen(lines: &[&str]) -> Vec<String> {
        let token = Secret::new("hunter2-hunter2");
        let redaction = Redaction::new([("TOKEN", &token)]);
        let lines = self::lines(lines.iter().copied());
        let error = Error::new(Code::HealthBadAnswer, "waiting", "it said hunter2-hunter2").saying(lines);
        let error = fit_to_be_seen(error, Some(&redaction));
        assert_eq!(error.report().causes, ["it said [TOKEN]"]);
        error.report().output
    }

    fn ended_saying(text: &str) -> Error {
        Error::new(Code::ServiceExited, "waiting", "it ended").saying(lines(text.lines()))
    }

    #[track_caller]
    fn ends_with(text: &str, cause: &str) {
        let token = Secret::new("hunter2-hunter2");
        let redaction = Redaction::new([("TOKEN", &token)]);
        let told = fit_to_be_seen(ended_saying(text), Some(&redaction)).report().causes.join(": ");
        assert_eq!(told, cause, "{text}");
    }

    #[test]
    fn a_service_that_ends_says_why() {
        let listen = "up\nnode:events:497\n      throw er; // Unhandled 'error' event\n      ^\n\n\
            Error: listen EACCES: permission denied 0.0.0.0:80\n    at Server.setupListenHandle (node:net:1915:21)\n\
            Emitted 'error' event on Server instance at:\n    at emitErrorNT (node:net:1)\n  code: 'EACCES',\n  port: 80\n}\n\n\
            Node.js v22.20.0";
        ends_with(listen, "it ended: Error: listen EACCES: permission denied 0.0.0.0:80");
        ends_with(
            "/usr/bin/env: 'nodemon': No such file or directory\n",
            "it ended: /usr/bin/env: 'nodemon': No such file or directory",
        );
        ends_with("TypeError [ERR_X]: no\n    at x:1\nbye\n}", "it ended: TypeError [ERR_X]: no");
        ends_with("/bin/sh: 1: nodemon: not found", "it ended: /bin/sh: 1: nodemon: not found");
        ends_with("session of Jane Doe\nan Error of sorts: x\nsent to jane@example.com\n", "it ended");
    }

    #[test]
    fn its_words_are_a_cause_without_secrets_and_within_bounds() {
        ends_with("Error: no user hunter2-hunter2 here", "it ended: Error: no user [TOKEN] here");
        let cut = format!("Error: {}hunter2-hunter2", "x".repeat(SHOWN - 9));
        ends_with(&cut, &format!("it ended: Error: {}[T…", "x".repeat(SHOWN - 9)));
        ends_with("", "it ended");
        ends_with("x.service: Main process exited, code=exited, status=3", "it ended");
        let unknown = fit_to_be_seen(ended_saying("Error: hunter2-hunter2"), None);
        assert_eq!(unknown.report().causes, ["it ended"]);
    }

    #[test]
    fn secrets_are_taken_out_before_lines_are_shortened() {
        let around = format!("{}hunter2-hunter2", "x".repeat(SHOWN - 5));
        assert_eq!(seen(&["token hunter2-hunter2"]), ["token [TOKEN]"]);
        let cut = &seen(&[&around])[0];
        assert!(!cut.contains("hunt") && cut.len() < SHOWN + 10, "{cut}");
    }

    #[test]
    fn the_last_lines_are_kept_within_bounds() {
        let many: Vec<String> = (0..100).map(|n| format!("line {n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let kept = seen(&many);
        assert_eq!((kept.len(), kept.last().map(String::as_str)), (MOST_LINES, Some("line 99")));
        let long = "y".repeat(390);
        assert!(seen(&[long.as_str(); 30]).iter().map(String::len).sum::<usize>() <= MOST_BYTES);
    }

    #[test]
    fn a_reason_before_much_else_is_kept_with_what_follows_it() {
        let mut said = vec!["up".to_owned(), "TypeError: no".to_owned(), "    at x:1".to_owned()];
        said.extend((0..300).map(|n| format!("state {n}")));
        let token = Secret::new("hunter2-hunter2");
        let error = ended_saying(&said.join("\n"));
        let report = fit_to_be_seen(error, Some(&Redaction::new([("TOKEN", &token)]))).report();
        assert_eq!(report.causes.join(": "), "it ended: TypeError: no");
        let (first, last) = (&report.output[..2], report.output.last().unwrap());
        assert_eq!(
            (first, last.as_str()),
            (&["TypeError: no".to_owned(), "    at x:1".into()][..], "state 299")
        );
        assert!(report.output.len() <= MOST_LINES && report.output.contains(&"...".to_owned()), "{report:?}");
    }

    #[test]
    fn a_service_that_writes_below_its_release_is_told_how_it_may() {
        let line = "Error: EROFS: read-only file system, mkdir '/opt/x/current/logs'";
        let remedy = |error: Error| fit_to_be_seen(error, Some(&Redaction::default())).report().remedy;
        assert!(remedy(ended_saying(line)).contains("persist = [\"logs\"]"));
        assert!(!remedy(ended_saying("Error: no database")).contains("persist"));
    }

    #[test]
    fn what_cannot_be_judged_is_not_shown() {
        let error = Error::new(Code::ServiceExited, "waiting", "it ended").saying(lines(["old secret"]));
        let error = error.because(ForeignText::line("old secret"));
        let report = fit_to_be_seen(error, None).report();
        assert!(report.output.is_empty() && !report.causes.concat().contains("old"), "{report:?}");
    }
}
