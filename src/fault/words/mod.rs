//! What installers say when they fail, read as faults: one file for each tool. Pure, and the tool's text chooses the
//! name of a fault and nothing more than that.

mod compilers;
mod npm;
mod pip;
mod uv;

use super::Fault;
use crate::secret::{ForeignText, Message};

/// The fault that a tool complains of, its reason, and what helps where that is known better than by the fault alone.
#[derive(Debug)]
pub struct Complaint {
    pub fault: Fault,
    pub cause: Message,
    pub remedy: Option<String>,
}

impl Complaint {
    fn new(fault: Fault, cause: impl Into<Message>) -> Self {
        Complaint { fault, cause: cause.into(), remedy: None }
    }
}

/// How one tool complains.
struct Words {
    /// Its complaint; nothing where the tool did not complain.
    complaint: fn(&[ForeignText]) -> Option<Complaint>,
    /// Its own lines about a failure that is not one of its faults, the most telling ones first.
    sentences: fn(&[ForeignText]) -> Vec<ForeignText>,
}

/// In this order: npm repeats the complaint of a tool that it runs, and pip that of a compiler.
const TOOLS: &[Words] = &[
    Words { complaint: npm::complaint, sentences: npm::sentences },
    Words { complaint: compilers::complaint, sentences: nothing },
    Words { complaint: uv::complaint, sentences: nothing },
    Words { complaint: pip::complaint, sentences: nothing },
];

fn nothing(_: &[ForeignText]) -> Vec<ForeignText> {
    Vec::new()
}

/// The complaint of the tool that spoke.
pub fn complaint(lines: &[ForeignText]) -> Option<Complaint> {
    TOOLS.iter().find_map(|tool| (tool.complaint)(lines))
}

/// What the tool that failed says of it in its own words.
pub fn sentences(lines: &[ForeignText]) -> Vec<ForeignText> {
    TOOLS.iter().map(|tool| (tool.sentences)(lines)).find(|said| !said.is_empty()).unwrap_or_default()
}

/// The first line that says one of these words, with the fault that they stand for.
fn telling<'a>(lines: &'a [ForeignText], table: &[(&str, Fault)]) -> Option<(Fault, &'a ForeignText)> {
    let found = |(words, fault): &(&str, Fault)| {
        lines.iter().find(|line| line.says(words)).map(|line| (*fault, line))
    };
    table.iter().find_map(found)
}

#[cfg(test)]
fn read(complaint: fn(&[ForeignText]) -> Option<Complaint>, text: &str) -> Option<(Fault, String, String)> {
    let lines: Vec<ForeignText> = text.lines().map(ForeignText::line).collect();
    let Complaint { fault, cause, remedy } = complaint(&lines)?;
    Some((fault, cause.shown(&Default::default()), remedy.unwrap_or_default()))
}
