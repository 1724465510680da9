//! Maps the error messages of installers to faults: one file for each tool. Pure.
//!
//! The text is not trusted, because packages can print the same words: it decides only which fault is reported.

mod bun;
pub mod compilers;
pub mod dnf;
pub mod docker;
mod git;
mod gyp;
pub mod missing;
mod npm;
pub mod own;
mod pip;
mod pnpm;
pub mod reason;
pub mod unreachable;
mod uv;
mod yarn;

use super::Fault;
use crate::secret::{ForeignText, Message};

/// The fault in a tool's output, the line that shows it, and a remedy if there is a better one than the fault's.
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

/// The fault that a tool reports in its output.
type Reader = fn(&[ForeignText]) -> Option<Complaint>;

/// The reader of each tool's output: the fault that it reports, or `None` if the output has none of its known messages.
/// The first match counts: the output of package managers quotes the tools that they run, and that of uv and pip quotes
/// compilers.
const TOOLS: &[Reader] = &[
    own::complaint,
    npm::complaint,
    pnpm::complaint,
    yarn::complaint,
    bun::complaint,
    git::complaint,
    gyp::complaint,
    compilers::complaint,
    uv::complaint,
    pip::complaint,
];

/// The fault in the output of an install command, whichever tool printed it.
pub fn complaint(lines: &[ForeignText]) -> Option<Complaint> {
    TOOLS.iter().find_map(|complaint| complaint(lines))
}

/// The reason in the output of a command, as one line, and a remedy if it names something that `of` lacks.
pub fn reason(lines: &[ForeignText], of: missing::Of) -> Option<(ForeignText, Option<String>)> {
    let of_tool = pip::sentences(lines);
    let lines = if of_tool.is_empty() { lines } else { &of_tool };
    let mut remedy = None;
    let text = ForeignText::derived(lines, |lines| {
        let found = reason::of_command(lines)?;
        remedy = missing::remedy(&reason::whole(lines, found), of);
        Some(reason::text(lines, found))
    });
    text.map(|text| (text, remedy))
}

/// The first row of the table with a line that contains its words: the row's fault, and the line.
fn first_match<'a>(lines: &'a [ForeignText], table: &[(&str, Fault)]) -> Option<(Fault, &'a ForeignText)> {
    let matching = |(words, fault): &(&str, Fault)| {
        lines.iter().find(|line| line.says(words)).map(|line| (*fault, line))
    };
    table.iter().find_map(matching)
}

#[cfg(test)]
fn read(complaint: fn(&[ForeignText]) -> Option<Complaint>, text: &str) -> Option<(Fault, String, String)> {
    let lines: Vec<ForeignText> = text.lines().map(ForeignText::line).collect();
    let Complaint { fault, cause, remedy } = complaint(&lines)?;
    Some((fault, cause.shown(&Default::default()), remedy.unwrap_or_default()))
}
