//! The journal of some units as people read it, line by line, also of what is still to come. Reads only.

use std::collections::BTreeSet;
use std::process::Stdio;

use serde::Deserialize;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::process::Command;

use super::program::SEARCH_PATH;
use crate::error::{Code, Coded, Error, Result};
use crate::secret::{CUT, ForeignText};

/// Bytes of one entry as JSON. journald cuts lines at 48 KiB, and JSON needs up to six bytes for one; a longer entry was not
/// written to standard output, and is left out.
const LONGEST: u64 = 1 << 20;
/// Streams that are remembered, of which a line may be continued.
const MOST_STREAMS: usize = 4096;
const FIELDS: &str = "--output-fields=MESSAGE,SYSLOG_IDENTIFIER,_PID,_STREAM_ID,_LINE_BREAK";

/// What is read of the journal.
pub struct LogRequest {
    pub units: Vec<String>,
    /// bootagent's own messages as well.
    pub agent: bool,
    pub lines: u32,
    /// Goes on with what is logged from now on, and never ends by itself.
    pub follow: bool,
}

/// One line of the journal.
pub struct LogLine {
    /// Seconds since 1970.
    pub at: u64,
    /// The program and its pid: `node[812]`.
    pub from: ForeignText,
    pub text: ForeignText,
    /// What came before it of the same stream was not read, so that it may begin within a value; `text` begins with `CUT` then.
    pub is_first: bool,
}

impl LogRequest {
    fn arguments(&self) -> Vec<String> {
        let mut all =
            vec!["--quiet", "--no-pager", "--all", "--output=json", FIELDS].into_iter().map(str::to_owned);
        let mut line: Vec<String> = all.by_ref().collect();
        line.push(format!("--lines={}", self.lines));
        line.extend(self.follow.then(|| "--follow".to_owned()));
        // Every process can set UNIT= and SYSLOG_IDENTIFIER=, but not fields with an underscore.
        let of_units = self.units.iter().flat_map(|unit| {
            [vec![format!("_SYSTEMD_UNIT={unit}")], vec![format!("UNIT={unit}"), "_PID=1".to_owned()]]
        });
        let of_agent =
            self.agent.then(|| vec!["SYSLOG_IDENTIFIER=bootagent".to_owned(), "_UID=0".to_owned()]);
        let groups: Vec<Vec<String>> = of_units.chain(of_agent).collect();
        line.extend(groups.join(&"+".to_owned()));
        line
    }
}

/// Gives each line to `show`, oldest first, until it returns false or there are no more.
pub async fn read(request: &LogRequest, mut show: impl AsyncFnMut(LogLine) -> bool) -> Result<()> {
    let doing = || "reading the journal".to_owned();
    if request.units.is_empty() && !request.agent {
        return Err(Error::new(Code::Bug, doing(), "no unit is asked for: it would be the whole journal"));
    }
    let mut journal = Command::new("journalctl")
        .args(request.arguments())
        .env_clear()
        .env("PATH", SEARCH_PATH)
        .env("LANG", "C.UTF-8")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .doing(doing)?;
    let Some(output) = journal.stdout.take() else {
        return Err(Error::new(Code::Bug, doing(), "journalctl has no output"));
    };
    let mut reader = BufReader::new(output);
    let (mut entry, mut streams) = (Vec::new(), Streams::default());
    loop {
        entry.clear();
        if (&mut reader).take(LONGEST).read_until(b'\n', &mut entry).await.doing(doing)? == 0 {
            break;
        }
        // The rest of an entry that is too long is read as an entry, too, and is not JSON either.
        let lines =
            serde_json::from_slice::<Entry>(&entry).map(|entry| streams.lines(entry)).unwrap_or_default();
        for line in lines {
            if !show(line).await {
                return Ok(());
            }
        }
    }
    let status = journal.wait().await.doing(doing)?;
    match status.success() {
        true => Ok(()),
        false => Err(Error::new(Code::Io, doing(), format!("journalctl ended with {status}"))),
    }
}

#[derive(Default, Deserialize)]
#[serde(default)]
struct Entry {
    #[serde(rename = "MESSAGE")]
    message: Option<Text>,
    #[serde(rename = "SYSLOG_IDENTIFIER")]
    from: Option<Text>,
    #[serde(rename = "_PID")]
    pid: String,
    #[serde(rename = "_STREAM_ID")]
    stream: String,
    #[serde(rename = "_LINE_BREAK")]
    line_break: String,
    /// Microseconds since 1970.
    #[serde(rename = "__REALTIME_TIMESTAMP")]
    at: String,
}

/// A string, or an array of bytes if it is not printable UTF-8. A field that a process sent twice is a list.
#[derive(Deserialize)]
#[serde(untagged)]
enum Text {
    Plain(String),
    Bytes(Vec<u8>),
    Several(Vec<Text>),
}

impl Text {
    fn whole(self) -> String {
        match self {
            Text::Plain(text) => text,
            Text::Bytes(bytes) => String::from_utf8_lossy(&bytes).into_owned(),
            Text::Several(texts) => texts.into_iter().map(Text::whole).collect::<Vec<_>>().join("\n"),
        }
    }
}

/// Which streams were seen, and of which journald has cut the last line in the middle.
#[derive(Default)]
struct Streams {
    seen: BTreeSet<String>,
    continued: BTreeSet<String>,
}

impl Streams {
    /// The lines of an entry. A value may have been cut with a line: `CUT` stands at such an end, where redaction looks for
    /// the beginning or the end of a value.
    fn lines(&mut self, entry: Entry) -> Vec<LogLine> {
        if self.seen.len() > MOST_STREAMS {
            *self = Streams::default();
        }
        let begins_cut = self.continued.remove(&entry.stream);
        let is_first = !entry.stream.is_empty() && self.seen.insert(entry.stream.clone()) && !begins_cut;
        let ends_cut = entry.line_break == "line-max";
        if ends_cut {
            self.continued.insert(entry.stream);
        }
        let at = entry.at.parse::<u64>().unwrap_or(0) / 1_000_000;
        let name = entry.from.map(Text::whole).unwrap_or_default();
        let from = if entry.pid.is_empty() { name } else { format!("{name}[{}]", entry.pid) };
        let mark = |is_cut: bool| if is_cut { CUT.to_string() } else { String::new() };
        let message = entry.message.map(Text::whole).unwrap_or_default();
        let text = format!("{}{message}{}", mark(begins_cut || is_first), mark(ends_cut));
        let mut first = is_first;
        text.lines()
            .map(|line| LogLine {
                at,
                from: ForeignText::message(&from),
                text: ForeignText::line(line),
                is_first: std::mem::take(&mut first),
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::{Redaction, Secret};

    fn shown(entries: &[&str]) -> Vec<String> {
        let token = Secret::new("hunter2-hunter2");
        let known = Redaction::new([("TOKEN", &token)]);
        let mut streams = Streams::default();
        let entries = entries.iter().filter_map(|entry| serde_json::from_str(entry).ok());
        let lines = entries.flat_map(|entry| streams.lines(entry)).collect::<Vec<_>>();
        lines.iter().map(|line| format!("{} {}", line.from.shown(&known), line.text.whole(&known))).collect()
    }

    #[test]
    fn a_value_that_journald_cut_is_hidden_in_both_lines() {
        let first = r#"{"MESSAGE":"up","SYSLOG_IDENTIFIER":"node","_PID":"7","_STREAM_ID":"a"}"#;
        let cut = r#"{"MESSAGE":"no user hunter2-","_STREAM_ID":"a","_LINE_BREAK":"line-max"}"#;
        let other = r#"{"MESSAGE":"hunter2-hunter2","_STREAM_ID":"b"}"#;
        let rest = r#"{"MESSAGE":"hunter2 here","_STREAM_ID":"a"}"#;
        let lines = ["node[7] …up", " no user [TOKEN]…", " …[TOKEN]", " …[TOKEN] here"];
        assert_eq!(shown(&[first, cut, other, rest]), lines);
    }

    #[test]
    fn messages_are_text_bytes_or_several() {
        let entries = [
            r#"{"MESSAGE":[110,111,27,91,48,109,255]}"#,
            r#"{"MESSAGE":["one","hunter2-hunter2"]}"#,
            r#"{"MESSAGE":"two\nlines"}"#,
            r#"{"MESSAGE":null}"#,
            "not JSON",
        ];
        assert_eq!(shown(&entries), [" no\u{fffd}", " one", " [TOKEN]", " two", " lines"]);
    }

    #[test]
    fn only_fields_that_a_service_cannot_forge_choose() {
        let units = vec!["a.service".to_owned(), "a.proxy.service".to_owned()];
        let line = LogRequest { units, agent: true, lines: 5, follow: true }.arguments().join(" ");
        assert!(
            line.ends_with(
                "--lines=5 --follow _SYSTEMD_UNIT=a.service + UNIT=a.service _PID=1 + _SYSTEMD_UNIT=a.proxy.service + \
                 UNIT=a.proxy.service _PID=1 + SYSLOG_IDENTIFIER=bootagent _UID=0"
            ),
            "{line}"
        );
    }
}
