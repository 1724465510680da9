//! A sentence of ours that quotes others: the cause of an error, or what is said of a wait.

use std::fmt::{self, Display};

use serde::{Deserialize, Serialize};

use super::Redaction;
use super::foreign::{ForeignText, clean};

/// What stands in place of a quotation for which it is unknown what must be hidden.
pub const NOT_SHOWN: &str = "[not shown]";

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message(Vec<Part>);

#[derive(Clone, Debug, PartialEq, Eq)]
enum Part {
    Own(String),
    Foreign(ForeignText),
}

/// Words of ours. There is no `Display` for [`ForeignText`], so that none of it gets in this way.
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
    /// The same with something behind it.
    pub fn and(mut self, more: impl Into<Message>) -> Self {
        self.0.extend(more.into().0);
        self
    }

    pub fn joined(messages: impl IntoIterator<Item = Message>, between: &str) -> Self {
        let mut all = messages.into_iter();
        let first = all.next().unwrap_or_default();
        all.fold(first, |joined, next| joined.and(between).and(next))
    }

    /// What it means, as [`ForeignText::judge`] says it.
    pub fn judge<T: Copy + 'static>(&self, judge: impl FnOnce(&str) -> T) -> T {
        let text: String = self.0.iter().map(Part::unredacted).collect();
        judge(&text)
    }

    /// As everybody may read it.
    pub fn shown(&self, redaction: &Redaction) -> String {
        let each = self.0.iter().map(|part| match part {
            // A library's message counts as ours, and may quote as well.
            Part::Own(words) => redaction.hide(words),
            Part::Foreign(text) => text.shown(redaction),
        });
        each.collect()
    }

    /// Our own words alone.
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

    /// The same, of which others' words lack the values that are known here.
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

/// A message on its way from a child process to its parent, which alone knows what must be hidden: the only form that
/// is written with all that others said.
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

/// The child has dealt with what others wrote: what it sends is cleaned anew.
impl Unredacted {
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
    fn others_words_are_shown_through_a_redaction_and_in_no_other_way() {
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
    fn a_long_quotation_leaves_room_for_what_stands_behind_it() {
        let told = quoting(&"x".repeat(5000)).shown(&Redaction::default());
        assert!(told.ends_with("x… (tried twice)") && told.len() < 400, "{told}");
    }

    #[test]
    fn a_parent_gets_all_of_it_and_trusts_none_of_it() {
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
