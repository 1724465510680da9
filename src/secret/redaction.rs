//! Replaces secret values in foreign text, such as the last lines of a service that crashed, by the variables' names.
//!
//! It finds the [`forms`](super::forms) in which programs print a value, and hides [ordinary](super::ordinary) values
//! only in some places. It cannot find a value that a program changed in another way. Therefore at most one line of
//! such text becomes a cause, which every user may read. The rest goes to root's file and journal, and to the user who
//! started the run.

use std::cmp::Reverse;
use std::fmt;
use std::sync::Arc;

use super::forms::{self, Form};
use super::ordinary::Reach;
use super::{CUT, Secret, without_userinfo};

/// Bytes of a form that count as the form where a text was cut: fewer would match ordinary text by chance.
const SHORTEST_CUT: usize = 3;

/// The values to hide, each with the name that is shown in its place.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Redaction {
    forms: Arc<[Form]>,
}

impl Redaction {
    pub fn new<'a>(values: impl IntoIterator<Item = (&'a str, &'a Secret)>) -> Self {
        Redaction { forms: values.into_iter().flat_map(|(name, value)| forms::of(name, value)).collect() }
    }

    /// Hides what both hide.
    pub fn and(&self, other: &Redaction) -> Redaction {
        Redaction { forms: self.forms.iter().chain(other.forms.iter()).cloned().collect() }
    }

    /// Replaces each value by `[NAME]`, then removes users and passwords from addresses. The order matters, because a
    /// value may be an address.
    pub fn hide(&self, text: &str) -> String {
        without_userinfo(&self.hide_values(text))
    }

    pub(super) fn hide_values(&self, text: &str) -> String {
        let (text, begins_cut) = text.strip_prefix(CUT).map_or((text, false), |text| (text, true));
        let (text, ends_cut) = text.strip_suffix(CUT).map_or((text, false), |text| (text, true));
        let mut found: Vec<Found> = self.forms.iter().flat_map(|form| form.found(text)).collect();
        for form in self.forms.iter().filter(|form| form.reach != Reach::Named) {
            if begins_cut {
                found.extend(form.ending(text));
            }
            if ends_cut {
                found.extend(form.starting(text));
            }
            if begins_cut && ends_cut {
                found.extend(form.around(text));
            }
        }
        // Of matches with the same start the longest gives the name; overlapping matches are hidden as one.
        found.sort_by_key(|found| (found.start, Reverse(found.end)));
        let mark = |is_cut: bool| if is_cut { String::from(CUT) } else { String::new() };
        let (mut hidden, mut at) = (mark(begins_cut), 0);
        for Found { name, start, end } in found {
            if start >= at {
                hidden.extend([&text[at..start], "[", name, "]"]);
            }
            at = at.max(end);
        }
        hidden + &text[at..] + &mark(ends_cut)
    }
}

impl fmt::Debug for Redaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Redaction of {} forms", self.forms.len())
    }
}

/// The place in a text of a form, or of the part of a form that a cut left.
struct Found<'a> {
    name: &'a str,
    start: usize,
    end: usize,
}

impl Form {
    fn at(&self, start: usize, end: usize) -> Found<'_> {
        Found { name: &self.name, start, end }
    }

    /// All places where the form must be hidden, overlapping ones included.
    fn found(&self, text: &str) -> Vec<Found<'_>> {
        let form = self.text.expose();
        let mut found = Vec::new();
        let mut from = 0;
        while let Some(start) = text[from..].find(form).map(|at| from + at) {
            let end = start + form.len();
            if self.reaches(text[..start].chars().next_back(), &text[end..]) {
                found.push(self.at(start, end));
            }
            from = start + form.chars().next().map_or(1, char::len_utf8);
        }
        let is_named = || has_word(text, &self.name) || has_word(text, &self.key);
        if self.reach == Reach::Named && !found.is_empty() && !is_named() {
            found.clear();
        }
        found
    }

    fn reaches(&self, left: Option<char>, after: &str) -> bool {
        match self.reach {
            Reach::Anywhere => true,
            Reach::Word | Reach::Named => is_word(left, after),
            Reach::LoneWord => is_word(left, after) && !is_in_a_path(left, after),
        }
    }

    /// Whether the text begins with the end of the form: the text's beginning was cut off.
    fn ending(&self, text: &str) -> Option<Found<'_>> {
        let form = self.text.expose();
        let ends = form.char_indices().map(|(at, _)| &form[at..]).take_while(|part| is_enough(part));
        let end = ends.filter(|part| text.starts_with(*part)).map(str::len).next()?;
        (self.reach == Reach::Anywhere || is_word(None, &text[end..])).then(|| self.at(0, end))
    }

    /// Whether the text ends with the beginning of the form: the text's end was cut off.
    fn starting(&self, text: &str) -> Option<Found<'_>> {
        let form = self.text.expose();
        let starts = form.char_indices().rev().map(|(at, _)| &form[..at]).take_while(|part| is_enough(part));
        let start = text.len() - starts.filter(|part| text.ends_with(*part)).map(str::len).next()?;
        let left = text[..start].chars().next_back();
        (self.reach == Reach::Anywhere || is_word(left, "")).then(|| self.at(start, text.len()))
    }

    /// Whether the whole text is a part of the form: both ends of the text were cut off.
    fn around(&self, text: &str) -> Option<Found<'_>> {
        (is_enough(text) && self.text.expose().contains(text)).then(|| self.at(0, text.len()))
    }
}

fn is_word(left: Option<char>, after: &str) -> bool {
    [left, after.chars().next()].iter().all(|c| !c.is_some_and(char::is_alphanumeric))
}

fn has_word(text: &str, word: &str) -> bool {
    let alone = |(at, _): (usize, &str)| is_word(text[..at].chars().next_back(), &text[at + word.len()..]);
    !word.is_empty() && text.match_indices(word).any(alone)
}

/// Whether a word is part of a path or of a name with dashes or dots. A dot that ends a sentence does not count.
fn is_in_a_path(left: Option<char>, after: &str) -> bool {
    const SIGNS: [char; 4] = ['/', '\\', '-', '_'];
    let goes_on = after.strip_prefix('.').is_some_and(|after| after.starts_with(char::is_alphanumeric));
    left.is_some_and(|c| c == '.' || SIGNS.contains(&c)) || goes_on || after.starts_with(SIGNS)
}

fn is_enough(part: &str) -> bool {
    part.len() >= SHORTEST_CUT
}

#[cfg(test)]
mod tests;
