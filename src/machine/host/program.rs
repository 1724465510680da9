//! Programs of the system, run without a shell, with a clean environment and a deadline.

use std::process::Stdio;
use std::time::Duration;

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use zeroize::Zeroizing;

use crate::error::{Code, Coded, Error, Result};

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

    /// The last lines of what it said, for an error.
    pub fn last_lines(&self, count: usize) -> String {
        let lines = self.lines();
        lines[lines.len().saturating_sub(count)..].join("\n    ")
    }

    /// The reason stands first (npm goes on with its usage) or last (most others).
    fn first_and_last_lines(&self, count: usize) -> String {
        let mut lines = self.lines();
        if lines.len() > 2 * count {
            lines.splice(count..lines.len() - count, ["...".to_owned()]);
        }
        lines.join("\n    ")
    }

    fn lines(&self) -> Vec<String> {
        let text =
            format!("{}\n{}", String::from_utf8_lossy(&self.stdout), String::from_utf8_lossy(&self.stderr));
        text.lines().map(clean).filter(|line| !line.trim().is_empty()).collect()
    }
}

/// Output of others goes to logs and terminals: no control characters, no endless lines.
fn clean(line: &str) -> String {
    line.chars().filter(|c| !c.is_control() || *c == '\t').take(400).collect()
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
        false => Err(Error::new(Code::Io, format!("running {}", argv.join(" ")), ended(&output))),
    }
}

pub fn ended(output: &Output) -> String {
    let how = match output.status {
        Some(status) => format!("it ended with status {status}"),
        None => "it was killed".to_owned(),
    };
    match output.first_and_last_lines(10) {
        lines if lines.is_empty() => how,
        lines => format!("{how}\n    {lines}"),
    }
}
