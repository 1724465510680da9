//! Recognizes, by libgit2's messages, what bootagent does not support of git, and so need not retry.

use crate::secret::{ForeignText, Message};

const PROTOCOL: &str = "the server does not answer in a supported version of git's protocol";
const NO_SHALLOW: &str = "the server cannot send a commit without its history";
const FORMAT: &str = "its objects are not named by SHA-1";
const LAYOUT: &str = "its format is newer than bootagent supports";

pub(super) const REMEDY: &str = "name a copy of the repository in the policy that bootagent supports: objects named by SHA-1, on a server with git-upload-pack (protocol version 0, shallow fetches), over TLS 1.2 or SSH 2.0 or later";

/// Why this server is not supported; `None` if the message is about something else.
pub(super) fn by_server(message: &ForeignText, is_first_answer: bool) -> Option<Message> {
    let says = |words: &[&str]| words.iter().any(|word| message.says(word));
    let why = if says(&["remote object format"]) {
        FORMAT
    } else if says(&["server doesn't support shallow"]) {
        NO_SHALLOW
    // After the first answer the same messages mean that a pack was damaged on its way.
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

/// Why a local repository is not supported; `None` if the message is about something else.
pub(super) fn on_disk(message: &ForeignText) -> Option<Message> {
    let says = |words: &[&str]| words.iter().any(|word| message.says(word));
    let why = match () {
        () if says(&["unknown object format"]) => FORMAT,
        () if says(&["unsupported extension name", "unsupported repository version"]) => LAYOUT,
        () => return None,
    };
    Some(Message::from(format!("{why}: ")).and(message.clone()))
}
