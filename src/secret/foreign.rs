//! Foreign text: what a repository, a tool or a server wrote.
//!
//! It may quote a secret or contain terminal sequences. The constructors clean and bound it. After that, code can test
//! it with `judge`, but only a [`Redaction`] makes it visible.

use std::fmt;

use super::Redaction;

/// Marks the beginning or the end of a text where a part was cut off.
pub const CUT: char = '…';
/// Bytes that are kept of one text: no value of a service is longer, so that redaction finds each one whole.
const LONGEST: usize = 64 << 10;
/// Characters that are shown of one text. Redaction comes before this cut, or a part of a value could remain.
pub const SHOWN: usize = 300;

/// One line of foreign text. It begins or ends with `CUT` where a part is missing.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ForeignText(String);

impl ForeignText {
    /// One line of a program's output, with its indentation.
    pub fn line(line: &str) -> Self {
        ForeignText(bounded(&clean(line)))
    }

    /// A message of one or more lines, joined to one line.
    pub fn message(text: &str) -> Self {
        let lines: Vec<String> = bounded(text).lines().map(|line| clean(line).trim().to_owned()).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).filter(|line| !line.is_empty()).collect();
        ForeignText(lines.join(" "))
    }

    /// Tests the text. The answer is `'static`, so it cannot borrow from the text.
    pub fn judge<T: Copy + 'static>(&self, judge: impl FnOnce(&str) -> T) -> T {
        judge(&self.0)
    }

    pub fn says(&self, words: &str) -> bool {
        self.0.contains(words)
    }

    pub fn is_blank(&self) -> bool {
        self.0.trim().is_empty()
    }

    /// The rest after a prefix, without surrounding blanks; `None` if the text does not begin with the prefix.
    pub fn after(&self, prefix: &str) -> Option<Self> {
        self.0.strip_prefix(prefix).map(|rest| ForeignText(rest.trim().to_owned()))
    }

    /// A text that is made of these lines. It is foreign text like they are.
    pub fn derived(lines: &[Self], derive: impl FnOnce(&[&str]) -> Option<String>) -> Option<Self> {
        let lines: Vec<&str> = lines.iter().map(|line| line.0.as_str()).collect();
        derive(&lines).map(|text| ForeignText::line(&text))
    }

    pub fn trimmed(&self) -> Self {
        ForeignText(self.0.trim().to_owned())
    }

    /// Replaces the values of `redaction`. The result is still foreign text: other code knows further values.
    pub fn without(&self, redaction: &Redaction) -> Self {
        ForeignText(redaction.hide_values(&self.0))
    }

    /// The text for people: redacted, then cut to `SHOWN` characters.
    pub fn shown(&self, redaction: &Redaction) -> String {
        cut(redaction.hide(&self.0), SHOWN)
    }

    /// The same without the cut: for a reader who asked for the whole text.
    pub fn whole(&self, redaction: &Redaction) -> String {
        redaction.hide(&self.0)
    }

    /// For the parent process, which knows more values to hide.
    pub(super) fn unredacted(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ForeignText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[foreign text]")
    }
}

/// Removes control characters, terminal sequences, line separators and characters that change the writing direction:
/// with them a repository could forge lines of the journal or the console.
pub fn clean(line: &str) -> String {
    let mut clean = String::new();
    let mut characters = line.chars();
    while let Some(c) = characters.next() {
        match c {
            // A CSI sequence ends with its first byte from @ to ~.
            '\u{1b}' => {
                if characters.as_str().starts_with('[') {
                    characters.by_ref().skip(1).find(|c| ('@'..='~').contains(c));
                }
            }
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}' => {}
            c if c.is_control() && c != '\t' => {}
            c => clean.push(c),
        }
    }
    clean
}

/// A short text of the repository for a message or a plan, cut to 100 characters. It is shown without redaction: the
/// repository does not contain the service's secret.
pub fn excerpt(text: &str) -> String {
    const SHORT: usize = 100;
    cut(ForeignText::line(text).shown(&Redaction::default()), SHORT)
}

/// The text, cut to `most` characters; `CUT` follows if there were more.
pub fn cut(mut text: String, most: usize) -> String {
    if let Some((end, _)) = text.char_indices().nth(most) {
        text.truncate(end);
        text.push(CUT);
    }
    text
}

fn bounded(text: &str) -> String {
    match text.len() > LONGEST {
        true => format!("{}{CUT}", &text[..text.floor_char_boundary(LONGEST)]),
        false => text.to_owned(),
    }
}

/// Removes `user:password@` from every address in the text. Hide known values first: this changes a value that is an
/// address, so that redaction would not find it any more.
pub fn without_userinfo(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, address) = rest.split_at(at + 3);
        out.push_str(before);
        let end =
            address.find(|c: char| c.is_whitespace() || "/?#'\"<>".contains(c)).unwrap_or(address.len());
        let (authority, after) = address.split_at(end);
        match authority.rsplit_once('@') {
            Some((_, host)) => out.push_str(host),
            // The text was cut within `user:password`, before the `@`.
            None if authority.contains(':') && authority.ends_with(CUT) => out.push(CUT),
            None => out.push_str(authority),
        }
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &ForeignText) -> String {
        text.shown(&Redaction::default())
    }

    #[test]
    fn foreign_text_cannot_control_a_terminal() {
        for (line, wanted) in [
            ("\u{1b}[1;31mred\u{1b}[0m", "red"),
            ("a\u{1b}]0;title\u{7}b", "a]0;titleb"),
            ("for\u{202e}ged\u{2028}line\r", "forgedline"),
            ("GET https://u:hunter2@registry.example/x", "GET https://registry.example/x"),
            ("\tindented", "\tindented"),
        ] {
            assert_eq!(shown(&ForeignText::line(line)), wanted);
        }
    }

    #[test]
    fn a_message_becomes_one_line() {
        let text = ForeignText::message(&format!("\u{1b}[31mno\r\n\n   such{}", "x".repeat(5000)));
        let shown = shown(&text);
        assert!(shown.starts_with("no such") && !shown.contains(char::is_control), "{shown}");
    }

    #[test]
    fn long_text_is_shown_cut_and_marked() {
        for text in [ForeignText::line(&"é".repeat(200_000)), ForeignText::message(&"é".repeat(200_000))] {
            assert!(text.0.len() < LONGEST + 10 && text.0.ends_with(CUT));
            let shown = shown(&text);
            assert_eq!((shown.chars().count(), shown.chars().last()), (SHOWN + 1, Some(CUT)));
        }
        assert_eq!(shown(&ForeignText::line(&"x".repeat(SHOWN))), "x".repeat(SHOWN));
    }

    #[test]
    fn a_long_excerpt_is_cut_and_marked() {
        let long = excerpt(&"é".repeat(200_000));
        assert_eq!((long.chars().count(), long.chars().last()), (101, Some(CUT)));
        assert_eq!(excerpt(&"x".repeat(100)), "x".repeat(100));
    }

    #[test]
    fn userinfo_is_removed_from_every_address() {
        for (text, wanted) in [
            ("https://bot:hunter2@git.example/a.git", "https://git.example/a.git"),
            ("no access to 'https://hunter2@h:8443' today", "no access to 'https://h:8443' today"),
            ("a http://x:p@q@h/ b https://y@i", "a http://h/ b https://i"),
            ("https://git.example/a@b", "https://git.example/a@b"),
            ("mail me@example.com", "mail me@example.com"),
            ("to https://u:hunt…", "to https://…"),
            ("to https://git.exa…", "to https://git.exa…"),
        ] {
            assert_eq!(without_userinfo(text), wanted);
        }
    }

    #[test]
    fn debug_does_not_show_the_text() {
        assert_eq!(format!("{:?}", ForeignText::line("hunter2")), "[foreign text]");
    }
}
