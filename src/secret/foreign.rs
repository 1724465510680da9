//! What others wrote: a repository, a tool, a server. It is cleaned and bounded where it enters, and from then on it can
//! be judged, but it is shown only through a [`Redaction`]: the type has neither `Display` nor a way to its text.

use std::fmt;

use super::Redaction;

/// Stands where text was cut: at its end, at its beginning, or both.
pub const CUT: char = '…';
/// As much as is kept of one text, in bytes: more than any variable of a service can hold.
const LONGEST: usize = 64 << 10;
/// As much as is shown of one text, in characters. It is cut when nothing secret is left in it, never before.
pub const SHOWN: usize = 300;

/// One line of foreign text. `CUT` in front or at the end says that it goes on there.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct ForeignText(String);

impl ForeignText {
    /// One line of a program's output, as it is indented.
    pub fn line(line: &str) -> Self {
        ForeignText(bounded(&clean(line)))
    }

    /// A message of one or many lines, as one.
    pub fn message(text: &str) -> Self {
        let lines: Vec<String> = bounded(text).lines().map(|line| clean(line).trim().to_owned()).collect();
        let lines: Vec<&str> = lines.iter().map(String::as_str).filter(|line| !line.is_empty()).collect();
        ForeignText(lines.join(" "))
    }

    /// What the text means: an answer that cannot hold the text itself.
    pub fn judge<T: Copy + 'static>(&self, judge: impl FnOnce(&str) -> T) -> T {
        judge(&self.0)
    }

    pub fn says(&self, words: &str) -> bool {
        self.0.contains(words)
    }

    pub fn is_blank(&self) -> bool {
        self.0.trim().is_empty()
    }

    /// What stands behind a prefix, without the blanks around it.
    pub fn after(&self, prefix: &str) -> Option<Self> {
        self.0.strip_prefix(prefix).map(|rest| ForeignText(rest.trim().to_owned()))
    }

    pub fn trimmed(&self) -> Self {
        ForeignText(self.0.trim().to_owned())
    }

    /// Without the values that are known here. It stays foreign text, to be redacted again where more values are known.
    pub fn without(&self, redaction: &Redaction) -> Self {
        ForeignText(redaction.hide_values(&self.0))
    }

    /// The one way out: hidden first, then cut.
    pub fn shown(&self, redaction: &Redaction) -> String {
        cut(redaction.hide(&self.0), SHOWN)
    }

    /// For a parent process alone, which knows more of what must be hidden.
    pub(super) fn unredacted(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ForeignText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[foreign text]")
    }
}

/// No control characters, no terminal's sequences, nothing that breaks or turns around a line.
pub fn clean(line: &str) -> String {
    let mut clean = String::new();
    let mut characters = line.chars();
    while let Some(c) = characters.next() {
        match c {
            // A terminal's sequence: up to its letter, if it is one of the usual ones.
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

/// A word of the repository within a sentence of ours, in a plan or before there is one: a pusher wrote it, and
/// no secret of the service is in reach of it.
pub fn excerpt(text: &str) -> String {
    const SHORT: usize = 100;
    cut(ForeignText::line(text).shown(&Redaction::default()), SHORT)
}

/// At most so many characters, and a mark where there were more.
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

/// Cuts `user:password@` out of every address in the text. Only for text in which known values are hidden already: a
/// value that is an address, or a password with odd characters, would no longer be found.
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
            // Cut in the middle of `user:password`: the `@` would have come.
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
    fn what_others_say_can_do_nothing_to_a_terminal() {
        for (said, told) in [
            ("\u{1b}[1;31mred\u{1b}[0m", "red"),
            ("a\u{1b}]0;title\u{7}b", "a]0;titleb"),
            ("for\u{202e}ged\u{2028}line\r", "forgedline"),
            ("GET https://u:hunter2@registry.example/x", "GET https://registry.example/x"),
            ("\tindented", "\tindented"),
        ] {
            assert_eq!(shown(&ForeignText::line(said)), told);
        }
    }

    #[test]
    fn a_message_becomes_one_line() {
        let text = ForeignText::message(&format!("\u{1b}[31mno\r\n\n   such{}", "x".repeat(5000)));
        let told = shown(&text);
        assert!(told.starts_with("no such") && !told.contains(char::is_control), "{told}");
    }

    #[test]
    fn what_is_shown_is_short_and_says_so() {
        for text in [ForeignText::line(&"é".repeat(200_000)), ForeignText::message(&"é".repeat(200_000))] {
            assert!(text.0.len() < LONGEST + 10 && text.0.ends_with(CUT));
            let told = shown(&text);
            assert_eq!((told.chars().count(), told.chars().last()), (SHOWN + 1, Some(CUT)));
        }
        assert_eq!(shown(&ForeignText::line(&"x".repeat(SHOWN))), "x".repeat(SHOWN));
    }

    #[test]
    fn an_excerpt_is_short_and_says_so() {
        let long = excerpt(&"é".repeat(200_000));
        assert_eq!((long.chars().count(), long.chars().last()), (101, Some(CUT)));
        assert_eq!(excerpt(&"x".repeat(100)), "x".repeat(100));
    }

    #[test]
    fn userinfo_is_cut_wherever_it_stands() {
        for (text, told) in [
            ("https://bot:hunter2@git.example/a.git", "https://git.example/a.git"),
            ("no access to 'https://hunter2@h:8443' today", "no access to 'https://h:8443' today"),
            ("a http://x:p@q@h/ b https://y@i", "a http://h/ b https://i"),
            ("https://git.example/a@b", "https://git.example/a@b"),
            ("mail me@example.com", "mail me@example.com"),
            ("to https://u:hunt…", "to https://…"),
            ("to https://git.exa…", "to https://git.exa…"),
        ] {
            assert_eq!(without_userinfo(text), told);
        }
    }

    #[test]
    fn it_shows_nothing_by_itself() {
        assert_eq!(format!("{:?}", ForeignText::line("hunter2")), "[foreign text]");
    }
}
