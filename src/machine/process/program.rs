//! Programs of the system, run without a shell, with a clean environment and a deadline.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use zeroize::Zeroizing;

use crate::error::{Code, Coded, Error, Result};
use crate::secret::{CUT, ForeignText, Message};

/// What is kept of a program's output: its end.
const KEPT: usize = 256 << 10;

#[derive(Debug)]
pub struct Output {
    pub status: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl Output {
    pub fn ok(&self) -> bool {
        self.status == Some(0)
    }

    /// What the system's own tools say, to be read by us. To show it to people: `lines`.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// The reason stands first (npm goes on with its usage) or last (most others).
    pub fn both_ends(&self) -> Vec<ForeignText> {
        const EACH: usize = 10;
        let mut lines = self.lines();
        if lines.len() > 2 * EACH {
            lines.splice(EACH..lines.len() - EACH, [ForeignText::line("...")]);
        }
        lines
    }

    pub fn lines(&self) -> Vec<ForeignText> {
        let text =
            format!("{}\n{}", String::from_utf8_lossy(&self.stdout), String::from_utf8_lossy(&self.stderr));
        lines(&text)
    }
}

pub fn lines(text: &str) -> Vec<ForeignText> {
    text.lines().map(ForeignText::line).filter(|line| !line.is_blank()).collect()
}

/// Runs `argv` to its end. At the deadline, or when the future is dropped, it is killed.
pub async fn run(
    argv: &[&str],
    input: Option<Zeroizing<Vec<u8>>>,
    deadline: Duration,
    most: usize,
) -> Result<Output> {
    let doing = || format!("running {}", argv.join(" "));
    let mut command = Command::new(argv[0]);
    command
        .args(&argv[1..])
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .env("LANG", "C.UTF-8")
        .current_dir("/")
        .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command.spawn().doing(doing)?;
    let stdin = child.stdin.take();
    let stdout = child.stdout.take();
    let stderr = child.stderr.take();
    let feed = async {
        if let (Some(mut stdin), Some(input)) = (stdin, input) {
            // A child that does not read its request tells so by its exit.
            let _ = stdin.write_all(&input).await;
        }
    };
    let all = async { tokio::join!(feed, drain(stdout, most), drain(stderr, KEPT), child.wait()) };
    match tokio::time::timeout(deadline, all).await {
        Ok((_, stdout, stderr, status)) => {
            let status = status.doing(doing)?;
            Ok(Output { status: status.code(), stdout, stderr })
        }
        Err(_) => {
            Err(Error::new(Code::Deadline, doing(), format!("not done after {} s", deadline.as_secs())))
        }
    }
}

/// Reads to the end; beyond `most` bytes only the last ones are kept. They begin in the middle of a line, perhaps of a
/// secret of which the rest would not be recognized: a mark stands in place of that line, or before it if it is the last.
async fn drain(from: Option<impl AsyncRead + Unpin>, most: usize) -> Vec<u8> {
    let mut kept = Vec::new();
    let Some(mut from) = from else { return kept };
    let mut chunk = vec![0; 16 << 10];
    let mut is_cut = false;
    while let Ok(count) = from.read(&mut chunk).await {
        if count == 0 {
            break;
        }
        kept.extend_from_slice(&chunk[..count]);
        if kept.len() > most {
            kept.drain(..kept.len() - most);
            is_cut = true;
        }
    }
    if is_cut { marked(kept) } else { kept }
}

fn marked(mut kept: Vec<u8>) -> Vec<u8> {
    let is_within_a_character = |byte: &&u8| **byte & 0xc0 == 0x80;
    let cut = match kept.iter().position(|byte| *byte == b'\n') {
        Some(end) if end + 1 < kept.len() => end,
        _ => kept.iter().take_while(is_within_a_character).count(),
    };
    kept.splice(..cut, CUT.to_string().into_bytes());
    kept
}

/// A short-lived tool of the system that must succeed.
pub async fn tool(argv: &[&str], deadline: u64) -> Result<Output> {
    let output = run(argv, None, Duration::from_secs(deadline), KEPT).await?;
    match output.ok() {
        true => Ok(output),
        false => Err(failed(Code::Io, format!("running {}", argv.join(" ")), &output)),
    }
}

/// How it ended and what it said last.
pub fn failed(code: Code, doing: impl Into<String>, output: &Output) -> Error {
    let how = Message::from(how_it_ended(output));
    let cause = match output.lines().pop() {
        Some(last) => how.and(": ").and(last.trimmed()),
        None => how,
    };
    Error::new(code, doing, cause).saying(output.both_ends())
}

pub fn how_it_ended(output: &Output) -> String {
    match output.status {
        Some(status) => format!("it ended with status {status}"),
        None => "it was killed".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::{Redaction, Secret};

    #[tokio::test]
    async fn a_tool_that_fails_says_why_in_the_cause() {
        let causes = async |script| {
            let error = tool(&["sh", "-c", script], 10).await.unwrap_err();
            error.redacted(&Redaction::default()).report().causes
        };
        assert_eq!(
            causes("echo Creating user x; echo Failed to take lock >&2; exit 1").await,
            ["it ended with status 1: Failed to take lock"]
        );
        assert_eq!(causes("exit 3").await, ["it ended with status 3"]);
    }

    #[test]
    fn of_much_output_both_ends_are_kept() {
        let stdout = (1..=100).map(|n| format!("line {n}\n")).collect::<String>().into_bytes();
        let lines = Output { status: Some(1), stdout, stderr: Vec::new() }.both_ends();
        let [first, last] = [0, 20].map(|at| lines[at].shown(&Redaction::default()));
        assert_eq!((lines.len(), first.as_str(), last.as_str()), (21, "line 1", "line 100"));
    }

    /// A pipe's tail may begin in the middle of a secret.
    #[tokio::test]
    async fn of_a_line_that_was_cut_nothing_is_shown_that_could_be_a_part_of_a_secret() {
        let token = Secret::new("hunter2-hunter2-hunter2");
        let known = Redaction::new([("TOKEN", &token)]);
        let said = async |text: &str, most: usize| {
            let stdout = drain(Some(text.as_bytes()), most).await;
            let output = Output { status: Some(1), stdout, stderr: Vec::new() };
            output.lines().iter().map(|line| line.shown(&known)).collect::<Vec<_>>()
        };
        let text = format!("{}\nlast\n", token.expose());
        assert_eq!(said(&text, text.len()).await, ["[TOKEN]", "last"]);
        for most in 5..text.len() {
            assert_eq!(said(&text, most).await.concat().replace('…', ""), "last", "{most}");
        }
        for most in 10..40 {
            let line = format!("{}{}", "é".repeat(30), token.expose());
            let shown = said(&line, most).await.concat();
            assert!(
                shown.starts_with('…') && shown.ends_with("[TOKEN]") && !shown.contains("nter"),
                "{shown}"
            );
        }
    }
}
