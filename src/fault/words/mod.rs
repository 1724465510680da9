//! What installers say when they fail, read as faults: one file for each tool. Pure, and the tool's text chooses the
//! name of a fault and nothing more than that.

mod npm;

use super::Fault;
use crate::secret::{ForeignText, Message};

/// How one tool complains.
struct Words {
    /// The fault behind its complaint, and its reason; nothing where the tool did not complain.
    complaint: fn(&[ForeignText]) -> Option<(Fault, Message)>,
    /// Its own lines about a failure that is not one of its faults, the most telling ones first.
    sentences: fn(&[ForeignText]) -> Vec<ForeignText>,
}

/// In this order: a script that npm runs may start another tool, whose complaint npm repeats.
const TOOLS: &[Words] = &[Words { complaint: npm::complaint, sentences: npm::sentences }];

/// The fault behind the complaint of whichever tool spoke, and its reason.
pub fn complaint(lines: &[ForeignText]) -> Option<(Fault, Message)> {
    TOOLS.iter().find_map(|tool| (tool.complaint)(lines))
}

/// What the tool that failed says of it in its own words.
pub fn sentences(lines: &[ForeignText]) -> Vec<ForeignText> {
    TOOLS.iter().map(|tool| (tool.sentences)(lines)).find(|said| !said.is_empty()).unwrap_or_default()
}
