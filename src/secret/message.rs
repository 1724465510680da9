//! A sentence of bootagent that may quote foreign text: the cause of an error, or the reason of a wait.
//!
//! It has no `Display`: only a [`Redaction`] makes the quoted text visible.

use std::fmt::{self, Display};

use serde::{Deserialize, Serialize};

use super::Redaction;
use super::foreign::{ForeignText, clean};

/// Replaces foreign text that is not redacted.
pub const NOT_SHOWN: &str = "[not shown]";

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Own(String),
    Foreign(ForeignText),
}

/// Text of bootagent or a library. [`ForeignText`] has no `Display`, so it cannot become such a part by mistake.
impl<T: Display> From<T> for Message {
    fn from(words: T) -> Self {
        Message(vec![Part::Own(words.to_string())])
    }
}

impl From<ForeignText> for Message {
    fn from(text: ForeignText) -> Self {
        Message(vec![Part::Foreign(text)])
    }
}

impl Message {
    /// Appends a text or a message.
    pub fn and(mut self, more: impl Into<Message>) -> Self {
        self.0.extend(more.into().0);
        self
    }

    pub fn joined(messages: impl IntoIterator<Item = Message>, between: &str) -> Self {
        let mut all = messages.into_iter();
        let first = all.next().unwrap_or_default();
        all.fold(first, |joined, next| joined.and(between).and(next))
    }

    /// Tests the whole text, foreign parts included; see [`ForeignText::judge`].
    pub fn judge<T: Copy + 'static>(&self, judge: impl FnOnce(&str) -> T) -> T {
        let text: String = self.0.iter().map(Part::unredacted).collect();
        judge(&text)
    }

    /// The message for people, with the values of `redaction` replaced.
    pub fn shown(&self, redaction: &Redaction) -> String {
        let each = self.0.iter().map(|part| match part {
            // A library's message is an own part, and may quote a secret as well.
            Part::Own(words) => redaction.hide(words),
            Part::Foreign(text) => text.shown(redaction),
        });
        each.collect()
    }

    /// The message with `[not shown]` in place of foreign text.
    pub fn own(&self) -> String {
        let each = self.0.iter().map(|part| match part {
            Part::Own(words) => words.as_str(),
            Part::Foreign(_) => NOT_SHOWN,
        });
        each.collect()
    }

    pub fn is_own(&self) -> bool {
        self.0.iter().all(|part| matches!(part, Part::Own(_)))
    }

    /// Replaces the values of `redaction` in all parts. Foreign parts stay foreign text, see [`ForeignText::without`].
    pub fn without(self, redaction: &Redaction) -> Self {
        let each = self.0.into_iter().map(|part| match part {
            Part::Own(words) => Part::Own(redaction.hide_values(&words)),
            Part::Foreign(text) => Part::Foreign(text.without(redaction)),
        });
        Message(each.collect())
    }
}

impl Part {
    fn unredacted(&self) -> &str {
        match self {
            Part::Own(words) => words,
            Part::Foreign(text) => text.unredacted(),
        }
    }
}

/// A message that a child process sends to its parent, with foreign text that is not redacted: only the parent knows
/// the values to hide. No other type serializes such text.
#[derive(Debug, Serialize, Deserialize)]
pub struct Unredacted(Vec<Sent>);

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Sent {
    Own(String),
    Foreign(String),
}

impl fmt::Debug for Sent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("[unredacted]")
    }
}

impl From<&Message> for Unredacted {
    fn from(message: &Message) -> Self {
        let each = message.0.iter().map(|part| match part {
            Part::Own(words) => Sent::Own(words.clone()),
            Part::Foreign(text) => Sent::Foreign(text.unredacted().to_owned()),
        });
        Unredacted(each.collect())
    }
}

impl Unredacted {
    /// The parent cleans the text again: foreign input may have taken over the child.
    pub fn received(self) -> Message {
        let each = self.0.into_iter().map(|part| match part {
            Sent::Own(words) => Part::Own(words.lines().map(clean).collect::<Vec<_>>().join("\n")),
            Sent::Foreign(text) => Part::Foreign(ForeignText::message(&text)),
        });
        Message(each.collect())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Secret;
    use super::*;

    fn quoting(text: &str) -> Message {
        Message::from("it says ").and(ForeignText::line(text)).and(" (tried twice)")
    }

    #[test]
    fn only_a_redaction_shows_foreign_text() {
        let token = Secret::new("hunter2-hunter2");
        let message = quoting("no user hunter2-hunter2 at https://u:p@h/");
        let known = Redaction::new([("TOKEN", &token)]);
        assert_eq!(message.shown(&known), "it says no user [TOKEN] at https://h/ (tried twice)");
        assert_eq!(message.own(), "it says [not shown] (tried twice)");
        let debugged = format!("{message:?}{:?}", Unredacted::from(&message));
        assert!(!debugged.contains("hunter2"), "{debugged}");
        assert!(message.judge(|text| text.contains("no user")));
    }

    #[test]
    fn a_long_quotation_is_cut_and_the_words_after_it_stay() {
        let shown = quoting(&"x".repeat(5000)).shown(&Redaction::default());
        assert!(shown.ends_with("x… (tried twice)") && shown.len() < 400, "{shown}");
    }

    #[test]
    fn a_parent_gets_the_whole_message_and_cleans_it() {
        let token = Secret::new("redis://:p@ss/word-hunter2@db");
        let sent = serde_json::to_string(&Unredacted::from(&quoting(token.expose()))).unwrap();
        let back: Unredacted = serde_json::from_str(&sent).unwrap();
        let known = Redaction::new([("URL", &token)]);
        assert_eq!(back.received().shown(&known), "it says [URL] (tried twice)");
        let hostile: Unredacted =
            serde_json::from_str(r#"[{"own":"a\u001b[2J"},{"foreign":"b\u202e\u0007"}]"#).unwrap();
        assert_eq!(hostile.received().shown(&known), "ab");
    }

    #[test]
    fn messages_are_joined() {
        let joined = Message::joined([Message::from(1), ForeignText::line("b").into()], ": ");
        assert_eq!(joined.shown(&Redaction::default()), "1: b");
        assert_eq!(Message::joined([], ": "), Message::default());
    }
}
