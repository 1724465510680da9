//! What of git this program does not read, told by libgit2's words for it: trying again does not change it.

use crate::secret::{ForeignText, Message};

const PROTOCOL: &str = "the server does not answer in a version of git's protocol that is known here";
const NO_SHALLOW: &str = "the server cannot send a commit without its history";
const FORMAT: &str = "its objects are not named by SHA-1";
const LAYOUT: &str = "it is of a newer kind than is known here";

pub(super) const REMEDY: &str = "bootagent reads repositories whose objects are named by SHA-1, from servers that answer as git-upload-pack does (protocol version 0, shallow fetches), over TLS 1.2 or SSH 2.0 and later: name such a copy of the repository in the policy";

/// Why the server's first answer, or what was asked for after it, cannot be had from this server.
pub(super) fn by_server(message: &ForeignText, is_first_answer: bool) -> Option<Message> {
    let says = |words: &[&str]| words.iter().any(|word| message.says(word));
    let why = if says(&["remote object format"]) {
        FORMAT
    } else if says(&["server doesn't support shallow"]) {
        NO_SHALLOW
    // Later the same words mean that a pack was damaged on its way.
    } else if is_first_answer
        && says(&[
            "bad packet length",
            "Invalid empty packet",
            "parsing REF pkt-line",
            "unexpected pack file",
        ])
    {
        PROTOCOL
    } else {
        return None;
    };
    Some(Message::from(format!("{why}: ")).and(message.clone()))
}

/// Why a repository of this machine cannot be opened, though it is one.
pub(super) fn on_disk(message: &ForeignText) -> Option<Message> {
    let says = |words: &[&str]| words.iter().any(|word| message.says(word));
    let why = match () {
        () if says(&["unknown object format"]) => FORMAT,
        () if says(&["unsupported extension name", "unsupported repository version"]) => LAYOUT,
        () => return None,
    };
    Some(Message::from(format!("{why}: ")).and(message.clone()))
}
