//! Which lines of an output name the reason of a failure: for the output of commands and of services, in the words of
//! any tool. Pure. The text is not trusted: it decides only what an error quotes.

mod form;
mod line;
mod python;
pub mod structured;
mod variables;

use crate::secret::ForeignText;
use form::opens_a_list;
use line::{Rank, is_stack_frame, rank};
pub use line::{is_of_a_shell, own};
use python::Fields;
pub use variables::variables;

/// A reason in an output: its first line, and the one after its last line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reason {
    pub begin: usize,
    pub end: usize,
}

/// More lines than this belong to no message.
const LONGEST: usize = 80;
/// Lines of a message between the error's name and its first stack frame, if nothing in the first line announces them.
const UNANNOUNCED: usize = 6;

/// The reason in the output of a command, in which other lines are at most less helpful: the most specific line.
pub fn of_command(lines: &[&str]) -> Option<Reason> {
    let ranks = ranks(lines);
    let best = ranks.iter().copied().max().filter(|best| *best > Rank::Noise)?;
    let is_best = |rank: &Rank| *rank == best;
    // Of compilers' errors and missing programs the first one counts: the others follow from it. An error that wraps
    // another one is printed before it.
    let at = match best {
        Rank::Specific => ranks.iter().position(is_best)?,
        _ => ranks.iter().rposition(is_best)?,
    };
    Some(Reason { begin: at, end: end(lines, at) })
}

/// The reason in the output of a service: the last line that names an error. Never another line, because all users can
/// read causes, and a service logs personal data.
pub fn of_service(lines: &[&str]) -> Option<Reason> {
    let ranks = ranks(lines);
    let last = |least: Rank| ranks.iter().rposition(|rank| *rank >= least);
    let at = last(Rank::NamesAnError).or_else(|| last(Rank::WrapsAnError))?;
    let reason = Reason { begin: first_of_its_kind(lines, at), end: end(lines, at) };
    // `Error: Invalid environment variables`, after a list of them.
    let named_before = ranks[..at].iter().enumerate().rev().take(LONGEST).find_map(|(before, rank)| {
        let reason = Reason { begin: before, end: end(lines, before) };
        (*rank == Rank::Specific && !variables(&whole(lines, reason)).is_empty()).then_some(reason)
    });
    let is_about_settings = lines[at].to_lowercase().contains("environment variable");
    match named_before.filter(|_| is_about_settings && variables(&whole(lines, reason)).is_empty()) {
        Some(before) => Some(before),
        None => Some(reason),
    }
}

/// The first of the lines, one after the other, that each name a variable that is missing.
fn first_of_its_kind(lines: &[&str], at: usize) -> usize {
    let names_one = |line: &&&str| variables::is_about_missing_variables(own(line));
    match lines.get(at..=at).is_some_and(|line| line.iter().all(|line| names_one(&line))) {
        true => at - lines[..at].iter().rev().take(LONGEST).take_while(names_one).count(),
        false => at,
    }
}

fn ranks(lines: &[&str]) -> Vec<Rank> {
    let mut ranks: Vec<Rank> = lines.iter().map(|line| rank(line)).collect();
    python::rank_exceptions(lines, &mut ranks);
    ranks
}

/// The line without what a package manager puts in front of the output of a script.
pub fn own_of(line: &ForeignText) -> ForeignText {
    let line = ForeignText::derived(std::slice::from_ref(line), |line| Some(own(line.first()?).to_owned()));
    line.unwrap_or_default()
}

/// The reason as one line. If that would be too long to be shown whole: its beginning, and the variables in it.
pub fn text(lines: &[&str], reason: Reason) -> String {
    const SHOWN: usize = 260;
    if let Some(fields) = Fields::read(&lines[reason.begin..reason.end]) {
        return fields.text();
    }
    let Some(first) = lines.get(reason.begin).map(|line| own(line)) else { return String::new() };
    let rest: Vec<&str> = lines[reason.begin + 1..reason.end].iter().map(|line| own(line)).collect();
    let is_item = |line: &&str| line.starts_with(['-', '*', '•']);
    let bare = |line: &&str| line.trim_start_matches(['-', '*', '•', ' ']).to_owned();
    let between = if !rest.is_empty() && rest.iter().all(is_item) { ", " } else { " " };
    let rest = rest.iter().map(bare).collect::<Vec<_>>().join(between);
    let text = match rest.is_empty() {
        true => format!("{first}{}", place(lines, reason.begin)),
        // The first one is an item, too.
        false if between == ", " && is_item(&first) => format!("{}, {rest}", bare(&first)),
        false => format!("{first} {rest}"),
    };
    let names = variables(&text);
    match reason.end > reason.begin + 1 && text.chars().count() > SHOWN && !names.is_empty() {
        true => format!("{}: {}", first.trim_end_matches([' ', ':', '[', '{', '(']), names.join(", ")),
        false => text,
    }
}

/// All of the reason, with line ends.
pub fn whole(lines: &[&str], reason: Reason) -> String {
    if let Some(fields) = Fields::read(&lines[reason.begin..reason.end]) {
        return fields.text();
    }
    lines[reason.begin..reason.end].iter().map(|line| own(line)).collect::<Vec<_>>().join("\n")
}

/// The file of an error about the source, which Next.js prints in the line before.
fn place(lines: &[&str], at: usize) -> String {
    const OF_THE_SOURCE: [&str; 3] = ["Module not found: ", "Type error: ", "Syntax Error"];
    let before = at.checked_sub(1).and_then(|before| lines.get(before)).map_or("", |line| line.trim());
    let is_place = before.starts_with("./") && !before.contains(' ');
    let is_about_source = lines.get(at).is_some_and(|line| OF_THE_SOURCE.iter().any(|of| line.contains(of)));
    if is_place && is_about_source { format!(" ({before})") } else { String::new() }
}

/// The index after the last line of the message that begins at `at`.
fn end(lines: &[&str], at: usize) -> usize {
    if let Some(fields) = Fields::read(&lines[at..]) {
        return at + fields.lines;
    }
    let rest: Vec<&str> = lines[at + 1..].iter().take(LONGEST).copied().collect();
    let ends = |line: &&str| {
        is_stack_frame(line) || own(line).starts_with("Require stack:") || own(line).starts_with("-->")
    };
    let to_the_stack = rest.iter().position(ends);
    let opens = opens_a_list(lines[at]);
    if let Some(count) = to_the_stack.filter(|count| opens || *count <= UNANNOUNCED) {
        let is_one_message = rest[..count].iter().all(|line| rank(line) < Rank::NamesAnError);
        if is_one_message || (opens && count <= UNANNOUNCED) {
            return at + 1 + count;
        }
    }
    if !opens {
        return at + 1;
    }
    let indentation = |line: &str| line.len() - line.trim_start().len();
    let belongs = |line: &&&str| {
        indentation(line) > indentation(lines[at])
            // `Invalid env:`, and an object in the lines below.
            || ["{", "["].contains(&line.trim())
            || line.trim_start().starts_with(['-', '*', '•', ']', '}', ')'])
    };
    match rest.iter().take_while(belongs).count() {
        // `error during build:` announces one line, which is not indented.
        0 => (at + 2).min(lines.len()),
        count => at + 1 + count,
    }
}

#[cfg(test)]
mod tests;
