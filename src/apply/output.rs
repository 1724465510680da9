//! Makes a failed step's error safe to show: secrets are redacted, and of the program's output only a few lines are
//! kept. The service's own reason for its exit becomes a cause.

use std::borrow::Cow;

use super::read_only;
use crate::error::{Code, Error};
use crate::fault::words::missing::{self, Of};
use crate::fault::words::reason;
use crate::fault::words::unreachable;
use crate::secret::{Redaction, SHOWN, cut};

/// The status file and the console have little room for output. `LINES_OF_REASON` twice, and `...` between them.
const MOST_LINES: usize = 21;
const MOST_BYTES: usize = 4 << 10;
/// Lines kept from the reason on, if it is far from the end; as many are kept at the end.
const LINES_OF_REASON: usize = 10;
/// The codes of errors about a service that exited, the reason of which is in its own output. One that tells systemd when it is
/// ready may exit before, so that its unit fails.
const EXITED: [Code; 4] = [Code::ServiceExited, Code::HealthFlapping, Code::HealthForeign, Code::UnitFailed];

/// The error to show. Without a redaction the secret values are unknown: then no foreign text is shown.
pub fn for_display(error: Error, redaction: Option<&Redaction>) -> Error {
    let Some(redaction) = redaction else { return error };
    let error = error.redacted(redaction);
    let lines = error.report().output;
    let (reason, remedy) = why_it_exited(&error, &lines);
    let (error, begin) = match reason {
        Some((begin, text)) => (error.because(cut(text, SHOWN)), Some(begin)),
        None => (error, None),
    };
    let error = match remedy {
        Some(remedy) => error.remedy(remedy),
        None => error,
    };
    error.saying(shortened(lines, begin))
}

type FirstLineAndText = (usize, String);

/// The service's own reason for its exit, or for not listening, and a remedy if there is a better one than the code's: also
/// for a migration, which cannot write to the release either.
fn why_it_exited(error: &Error, lines: &[String]) -> (Option<FirstLineAndText>, Option<String>) {
    let read_only = || lines.iter().rev().find_map(|line| read_only::complaint(&plain(line)));
    let is_exit = EXITED.contains(&error.code());
    if !is_exit && error.code() != Code::HealthNoListener {
        return (None, read_only().filter(|_| error.code() == Code::MigrateFailed));
    }
    let plain: Vec<Cow<str>> = lines.iter().map(|line| plain(line)).collect();
    let texts: Vec<&str> = plain.iter().map(AsRef::as_ref).collect();
    let found = reason::of_service(&texts);
    let reason = found.map(|found| (found.begin, reason::text(&texts, found)));
    let whole = found.map(|found| reason::whole(&texts, found)).unwrap_or_default();
    let missing = || unreachable::remedy(&whole).or_else(|| missing::remedy(&whole, Of::Service));
    let remedy = read_only().or_else(missing);
    if is_exit {
        return (reason, remedy.filter(|_| error.code() != Code::HealthForeign));
    }
    // A service that lives may log any error: it explains that nothing listens only if it names what is missing.
    match remedy.is_some() {
        true => (reason.map(|(begin, text)| (begin, format!("the service says: {text}"))), remedy),
        false => (None, None),
    }
}

/// The error in a line of JSON, else the line.
fn plain(line: &str) -> Cow<'_, str> {
    reason::structured::error_of(line).map_or(Cow::Borrowed(line), Cow::Owned)
}

/// The last lines. If the reason is before them: the reason and some lines after it, `...`, and fewer last lines.
fn shortened(mut lines: Vec<String>, reason: Option<usize>) -> Vec<String> {
    match reason {
        Some(at) if at + MOST_LINES < lines.len() => {
            let end = lines.split_off(lines.len() - (MOST_LINES - LINES_OF_REASON - 1));
            let begin = lines.drain(at..at + LINES_OF_REASON).chain(["...".to_owned()]);
            last(begin.chain(end).collect())
        }
        _ => last(lines),
    }
}

/// The last lines, within both limits.
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

    fn shown(lines: &[&str]) -> Vec<String> {
        let token = Secret::new("hunter2-hunter2");
        let redaction = Redaction::new([("TOKEN", &token)]);
        let lines = self::lines(lines.iter().copied());
        let error = Error::new(Code::HealthBadAnswer, "waiting", "it said hunter2-hunter2").saying(lines);
        let error = for_display(error, Some(&redaction));
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
        let causes = for_display(ended_saying(text), Some(&redaction)).report().causes.join(": ");
        assert_eq!(causes, cause, "{text}");
    }

    #[test]
    fn a_unit_that_fails_before_its_service_is_ready_has_the_service_s_cause() {
        let said = "Traceback (most recent call last):\n  File \"x.py\", line 5, in <module>\n    import a\n\
            ModuleNotFoundError: No module named 'a'";
        let error = Error::new(Code::UnitFailed, "starting", "systemd says: Failed to start")
            .saying(lines(said.lines()));
        let shown = for_display(error, Some(&Redaction::default())).report();
        let causes = shown.causes.join(": ");
        assert_eq!(causes, "systemd says: Failed to start: ModuleNotFoundError: No module named 'a'");
        assert!(shown.remedy.starts_with("a is not installed"), "{}", shown.remedy);
    }

    #[test]
    fn the_cause_is_the_error_that_the_service_named_last() {
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
    fn the_cause_from_the_service_is_redacted_and_bounded() {
        ends_with("Error: no user hunter2-hunter2 here", "it ended: Error: no user [TOKEN] here");
        let cut = format!("Error: {}hunter2-hunter2", "x".repeat(SHOWN - 9));
        ends_with(&cut, &format!("it ended: Error: {}[T…", "x".repeat(SHOWN - 9)));
        ends_with("", "it ended");
        ends_with("x.service: Main process exited, code=exited, status=3", "it ended");
        let unknown = for_display(ended_saying("Error: hunter2-hunter2"), None);
        assert_eq!(unknown.report().causes, ["it ended"]);
    }

    #[test]
    fn secrets_are_taken_out_before_lines_are_shortened() {
        let around = format!("{}hunter2-hunter2", "x".repeat(SHOWN - 5));
        assert_eq!(shown(&["token hunter2-hunter2"]), ["token [TOKEN]"]);
        let cut = &shown(&[&around])[0];
        assert!(!cut.contains("hunt") && cut.len() < SHOWN + 10, "{cut}");
    }

    #[test]
    fn the_last_lines_are_kept_within_bounds() {
        let many: Vec<String> = (0..100).map(|n| format!("line {n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        let kept = shown(&many);
        assert_eq!((kept.len(), kept.last().map(String::as_str)), (MOST_LINES, Some("line 99")));
        let long = "y".repeat(390);
        assert!(shown(&[long.as_str(); 30]).iter().map(String::len).sum::<usize>() <= MOST_BYTES);
    }

    #[test]
    fn a_reason_before_much_else_is_kept_with_what_follows_it() {
        let mut said = vec!["up".to_owned(), "TypeError: no".to_owned(), "    at x:1".to_owned()];
        said.extend((0..300).map(|n| format!("state {n}")));
        let token = Secret::new("hunter2-hunter2");
        let error = ended_saying(&said.join("\n"));
        let report = for_display(error, Some(&Redaction::new([("TOKEN", &token)]))).report();
        assert_eq!(report.causes.join(": "), "it ended: TypeError: no");
        let (first, last) = (&report.output[..2], report.output.last().unwrap());
        assert_eq!(
            (first, last.as_str()),
            (&["TypeError: no".to_owned(), "    at x:1".into()][..], "state 299")
        );
        assert!(report.output.len() <= MOST_LINES && report.output.contains(&"...".to_owned()), "{report:?}");
    }

    #[test]
    fn an_error_over_many_lines_becomes_one_cause_with_its_names() {
        let issue = |name: &str| {
            format!(
                "  {{\n    \"expected\": \"string\",\n    \"path\": [\n      \"{name}\"\n    ],\n    \"message\": \"Required\"\n  }}"
            )
        };
        let issues =
            ["A_TABLE", "B_TABLE", "BASE_URL", "ADMINS_LIST", "C_TABLE", "D_TABLE"].map(issue).join(",\n");
        let frames = "    at Object.<anonymous> (/opt/x/server.js:5:9)\n".repeat(12);
        let text = format!("ConfigError: [\n{issues}\n]\n{frames}Node.js v22.20.0");
        ends_with(&text, "it ended: ConfigError: A_TABLE, B_TABLE, BASE_URL, ADMINS_LIST, C_TABLE, D_TABLE");
        let report = for_display(ended_saying(&text), Some(&Redaction::default())).report();
        assert_eq!(report.output[0], "ConfigError: [");
        assert!(report.remedy.contains("add A_TABLE, B_TABLE"), "{}", report.remedy);
    }

    #[test]
    fn the_cause_of_a_service_that_logs_json_is_its_error() {
        let json = r#"{"level":30,"msg":"up"}
{"level":60,"err":{"type":"Error","message":"connect ECONNREFUSED 10.0.0.7:27017"},"msg":"no database"}"#;
        ends_with(json, "it ended: Error: connect ECONNREFUSED 10.0.0.7:27017");
        ends_with(r#"{"level":30,"msg":"Error: session of Jane Doe"}"#, "it ended");
    }

    #[test]
    fn the_remedy_names_the_missing_module() {
        let text = "Error: Cannot find module 'dotenv/config'\nRequire stack:\n- /opt/x\n    at x (node:1:1)";
        let report = for_display(ended_saying(text), Some(&Redaction::default())).report();
        assert!(
            report.remedy.contains("devDependencies") && report.remedy.contains("dotenv"),
            "{}",
            report.remedy
        );
    }

    #[test]
    fn a_service_that_waits_for_its_database_says_so() {
        let waits = |code, text: &str| {
            let error =
                Error::new(code, "waiting", "nothing listens on port 3000").saying(lines(text.lines()));
            for_display(error, Some(&Redaction::default())).report()
        };
        let redis = "up\n[ioredis] Unhandled error event: Error: connect ECONNREFUSED 127.0.0.1:6379\n    at x (node:net:1)";
        let report = waits(Code::HealthNoListener, redis);
        assert!(report.causes.join(": ").ends_with("the service says: [ioredis] Unhandled error event: Error: connect ECONNREFUSED 127.0.0.1:6379"), "{report:?}");
        assert!(report.remedy.contains("127.0.0.1:6379 (Redis?)"), "{report:?}");
        // An error that does not explain it stays in the log.
        for text in ["TypeError: no user Jane", "up", ""] {
            let report = waits(Code::HealthNoListener, text);
            assert_eq!(report.causes, ["nothing listens on port 3000"], "{text}");
        }
        assert_eq!(waits(Code::HealthBadAnswer, redis).causes.len(), 1);
    }

    #[test]
    fn the_remedy_for_a_write_below_the_release_is_persist() {
        let line = "Error: EROFS: read-only file system, mkdir '/opt/x/current/logs'";
        let remedy = |error: Error| for_display(error, Some(&Redaction::default())).report().remedy;
        assert!(remedy(ended_saying(line)).contains("persist = [\"logs\"]"));
        assert!(!remedy(ended_saying("Error: no database")).contains("persist"));
        let migration = |code| Error::new(code, "running", "status 1").saying(lines([line]));
        assert!(remedy(migration(Code::MigrateFailed)).contains("persist = [\"logs\"]"));
        assert!(!remedy(migration(Code::InstallFailed)).contains("persist"));
    }

    #[test]
    fn without_a_redaction_no_foreign_text_is_shown() {
        let error = Error::new(Code::ServiceExited, "waiting", "it ended").saying(lines(["old secret"]));
        let error = error.because(ForeignText::line("old secret"));
        let report = for_display(error, None).report();
        assert!(report.output.is_empty() && !report.causes.concat().contains("old"), "{report:?}");
    }
}
