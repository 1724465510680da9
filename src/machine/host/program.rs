//! Programs of the system, run without a shell, with a clean environment and a deadline.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use zeroize::Zeroizing;

use crate::error::{Code, Coded, Error, Result};
use crate::secret::{CUT, excerpt, plain, without_userinfo};

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

    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// The reason stands first (npm goes on with its usage) or last (most others).
    pub fn both_ends(&self) -> Vec<String> {
        const EACH: usize = 10;
        let mut lines = self.lines();
        if lines.len() > 2 * EACH {
            lines.splice(EACH..lines.len() - EACH, ["...".to_owned()]);
        }
        lines
    }

    pub fn lines(&self) -> Vec<String> {
        let text =
            format!("{}\n{}", String::from_utf8_lossy(&self.stdout), String::from_utf8_lossy(&self.stderr));
        text.lines().map(clean).filter(|line| !line.trim().is_empty()).collect()
    }
}

/// Output of others goes to logs and terminals: no control characters, no line that breaks or turns
/// around there, no endless ones, and no password in an address.
pub fn clean(line: &str) -> String {
    /// Longer than what is shown: a secret can be found in it only as a whole.
    const LONGEST: usize = 4000;
    let plain = without_userinfo(&plain(line));
    match plain.char_indices().nth(LONGEST) {
        Some((end, _)) => format!("{}{CUT}", &plain[..end]),
        None => plain,
    }
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

/// Reads to the end; beyond `most` bytes only the last ones are kept.
async fn drain(from: Option<impl AsyncRead + Unpin>, most: usize) -> Vec<u8> {
    let mut kept = Vec::new();
    let Some(mut from) = from else { return kept };
    let mut chunk = vec![0; 16 << 10];
    while let Ok(count) = from.read(&mut chunk).await {
        if count == 0 {
            break;
        }
        kept.extend_from_slice(&chunk[..count]);
        if kept.len() > most {
            kept.drain(..kept.len() - most);
        }
    }
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
    let lines = output.lines();
    let last = lines.last().map(|line| format!(": {}", excerpt(line.trim()))).unwrap_or_default();
    Error::new(code, doing, how_it_ended(output) + &last).saying(output.both_ends())
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

    #[test]
    fn what_others_say_can_do_nothing_to_a_terminal() {
        for (said, shown) in [
            ("\u{1b}[1;31mred\u{1b}[0m", "red"),
            ("a\u{1b}]0;title\u{7}b", "a]0;titleb"),
            ("for\u{202e}ged\u{2028}line\r", "forgedline"),
            ("GET https://u:hunter2@registry.example/x", "GET https://registry.example/x"),
            ("\tindented", "\tindented"),
        ] {
            assert_eq!(clean(said), shown);
        }
        let long = clean(&"x".repeat(5000));
        assert!(long.len() < 4100 && long.ends_with(CUT));
    }

    #[tokio::test]
    async fn a_tool_that_fails_says_why_in_the_cause() {
        let causes = async |script| tool(&["sh", "-c", script], 10).await.unwrap_err().report().causes;
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
        assert_eq!((lines.len(), lines[0].as_str(), lines[20].as_str()), (21, "line 1", "line 100"));
    }
}
