//! Runs a program to its end: without a shell, with a clean environment and a deadline. Every program that bootagent
//! waits for is started here, except by the child roles `run` and `prove-and-run` (`jail/wrapper.rs`).

use std::io;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use nix::sys::signal::{Signal, killpg};
use nix::unistd::Pid;
use tokio::io::{AsyncBufReadExt, AsyncRead, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::process::{Child, Command};
use zeroize::Zeroizing;

use crate::error::{Code, Coded, Error, Result};
use crate::secret::{CUT, ForeignText, Message};

/// Where root's programs are.
pub const SEARCH_PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// So many bytes of a tool's output are kept, the last ones: enough for an error message.
const KEPT: usize = 256 << 10;

#[derive(Debug)]
pub struct Output {
    /// `None` if a signal ended the program.
    pub status: Option<i32>,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl Output {
    pub fn ok(&self) -> bool {
        self.status == Some(0)
    }

    /// Standard output of a system tool, to be parsed. Do not show it to people: `lines` is redacted, this is not.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.stdout).into_owned()
    }

    /// The first and the last lines: npm prints the reason first and then its usage, most programs print the reason
    /// last.
    pub fn both_ends(&self) -> Vec<ForeignText> {
        const EACH: usize = 10;
        let mut lines = self.lines();
        if lines.len() > 2 * EACH {
            lines.splice(EACH..lines.len() - EACH, [ForeignText::line("...")]);
        }
        lines
    }

    /// Standard output and standard error, without blank lines.
    pub fn lines(&self) -> Vec<ForeignText> {
        let text =
            format!("{}\n{}", String::from_utf8_lossy(&self.stdout), String::from_utf8_lossy(&self.stderr));
        lines(&text)
    }
}

pub fn lines(text: &str) -> Vec<ForeignText> {
    text.lines().map(ForeignText::line).filter(|line| !line.is_blank()).collect()
}

/// Runs `argv` to its end, with `input` on standard input; keeps the last `most` bytes of standard output. At the
/// deadline (`E-DEADLINE`), or when the future is dropped, the program is killed. Its exit status is not judged.
pub async fn run(
    argv: &[&str],
    input: Option<Zeroizing<Vec<u8>>>,
    deadline: Duration,
    most: usize,
) -> Result<Output> {
    let doing = || format!("running {}", argv.join(" "));
    let mut command = Command::new(argv[0]);
    command.args(&argv[1..]).env_clear().env("PATH", SEARCH_PATH).env("LANG", "C.UTF-8").current_dir("/");
    let input = input.as_ref().map(|input| input.as_slice());
    match communicate(command, input, deadline, Keep::Last(most)).await.doing(doing)? {
        Some(done) => Ok(done.into()),
        None => Err(Error::new(Code::Deadline, doing(), format!("not done after {} s", deadline.as_secs()))),
    }
}

/// Starts a program that goes on, writes `input` to it, and returns the first line of its output, of at most `most`
/// bytes. The program is killed when the returned value is dropped. `None`: it ended or printed no line in time.
pub async fn serve(
    argv: &[&str],
    input: &[u8],
    deadline: Duration,
    most: u64,
) -> io::Result<Option<(Vec<u8>, Child)>> {
    let mut child = Command::new(argv[0])
        .args(&argv[1..])
        .env_clear()
        .env("PATH", SEARCH_PATH)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    let (Some(mut stdin), Some(stdout)) = (child.stdin.take(), child.stdout.take()) else { return Ok(None) };
    let mut line = Vec::new();
    let all = async {
        let feed = async move { stdin.write_all(input).await };
        let mut stdout = BufReader::new(stdout.take(most));
        let (_, read) = tokio::join!(feed, stdout.read_until(b'\n', &mut line));
        read
    };
    let read = tokio::time::timeout(deadline, all).await;
    let is_whole = matches!(read, Ok(Ok(_))) && line.ends_with(b"\n");
    Ok(is_whole.then_some((line, child)))
}

/// What a process wrote until it ended, and its exit status.
pub struct ChildOutput {
    pub status: ExitStatus,
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
}

impl From<ChildOutput> for Output {
    fn from(done: ChildOutput) -> Output {
        Output { status: done.status.code(), stdout: done.stdout, stderr: done.stderr }
    }
}

/// How much of a process's standard output is kept.
#[derive(Clone, Copy)]
pub enum Keep {
    /// The last so many bytes: output to show to people.
    Last(usize),
    /// The first so many bytes: a reply of a protocol. More is not read, and the process's next write fails.
    First(usize),
}

/// Starts a process, writes `input` to it and reads its output until it ends. At the deadline (`None`), or when the
/// future is dropped, the process is killed with everything that it started.
pub async fn communicate(
    mut command: Command,
    input: Option<&[u8]>,
    deadline: Duration,
    keep: Keep,
) -> io::Result<Option<ChildOutput>> {
    /// How long to wait for a killed process to end: one in uninterruptible sleep (a hung disk) may never end.
    const REAPED: Duration = Duration::from_secs(1);
    let mut child = command
        .stdin(if input.is_some() { Stdio::piped() } else { Stdio::null() })
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        // Ctrl+C in the terminal does not reach it, and one signal kills it with its children.
        .process_group(0)
        .kill_on_drop(true)
        .spawn()?;
    let group = Group(child.id());
    let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        if let (Some(mut stdin), Some(input)) = (stdin, input) {
            // A process that does not read its input may still succeed: its exit status decides.
            let _ = stdin.write_all(input).await;
        }
    };
    let all = async {
        let ((), stdout, stderr) = tokio::join!(feed, read(stdout, keep), read(stderr, Keep::Last(KEPT)));
        // Reaped last: until then the kernel does not reuse its pid, and `Group` kills no other process group.
        child.wait().await.map(|status| ChildOutput { status, stdout, stderr })
    };
    let output = tokio::time::timeout(deadline, all).await;
    if output.is_err() {
        group.kill();
        let _ = tokio::time::timeout(REAPED, child.wait()).await;
    }
    std::mem::forget(group);
    output.ok().transpose()
}

/// A process group, killed on drop. Must be forgotten once its leader is reaped.
struct Group(Option<u32>);

impl Group {
    fn kill(&self) {
        if let Some(id) = self.0.and_then(|id| i32::try_from(id).ok()) {
            // Fails if the group has ended already.
            let _ = killpg(Pid::from_raw(id), Signal::SIGKILL);
        }
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.kill();
    }
}

async fn read(from: Option<impl AsyncRead + Unpin>, keep: Keep) -> Vec<u8> {
    match keep {
        Keep::Last(most) => read_tail(from, most).await,
        Keep::First(most) => {
            let mut kept = Vec::new();
            if let Some(from) = from {
                // After a read error the caller judges what was read before it.
                let _ = from.take(most as u64).read_to_end(&mut kept).await;
            }
            kept
        }
    }
}

/// Reads to the end and keeps the last `most` bytes. If bytes were dropped, the rest may begin in the middle of a
/// secret, which redaction would not recognize: see `mark_cut`.
async fn read_tail(from: Option<impl AsyncRead + Unpin>, most: usize) -> Vec<u8> {
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
    if is_cut { mark_cut(kept) } else { kept }
}

/// Replaces the first line, of which the beginning is missing, by `CUT`; a line that is the only one is kept after
/// `CUT`.
fn mark_cut(mut kept: Vec<u8>) -> Vec<u8> {
    let is_within_a_character = |byte: &&u8| **byte & 0xc0 == 0x80;
    let cut = match kept.iter().position(|byte| *byte == b'\n') {
        Some(end) if end + 1 < kept.len() => end,
        _ => kept.iter().take_while(is_within_a_character).count(),
    };
    kept.splice(..cut, CUT.to_string().into_bytes());
    kept
}

/// Runs a system tool that must succeed within `deadline` seconds.
pub async fn tool(argv: &[&str], deadline: u64) -> Result<Output> {
    let output = run(argv, None, Duration::from_secs(deadline), KEPT).await?;
    match output.ok() {
        true => Ok(output),
        false => Err(failed(Code::Io, format!("running {}", argv.join(" ")), &output)),
    }
}

/// An error whose cause is how the program ended and the last line of its output.
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
    fn of_long_output_the_first_and_last_lines_are_kept() {
        let stdout = (1..=100).map(|n| format!("line {n}\n")).collect::<String>().into_bytes();
        let lines = Output { status: Some(1), stdout, stderr: Vec::new() }.both_ends();
        let [first, last] = [0, 20].map(|at| lines[at].shown(&Redaction::default()));
        assert_eq!((lines.len(), first.as_str(), last.as_str()), (21, "line 1", "line 100"));
    }

    #[tokio::test]
    async fn of_a_line_that_was_cut_no_part_of_a_secret_is_shown() {
        let token = Secret::new("hunter2-hunter2-hunter2");
        let known = Redaction::new([("TOKEN", &token)]);
        let said = async |text: &str, most: usize| {
            let stdout = read_tail(Some(text.as_bytes()), most).await;
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
