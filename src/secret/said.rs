//! What others said, as it goes to logs and terminals.

use super::CUT;

/// No control characters, no terminal's sequences, nothing that breaks or turns around a line.
pub fn plain(line: &str) -> String {
    let mut plain = String::new();
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
            c => plain.push(c),
        }
    }
    plain
}

/// Others' text within a sentence of ours: only its beginning if it is long.
pub fn excerpt(text: &str) -> String {
    cut(text.to_owned(), 100)
}

/// At most so many characters, and a mark where there were more.
pub fn cut(mut text: String, most: usize) -> String {
    if let Some((end, _)) = text.char_indices().nth(most) {
        text.truncate(end);
        text.push(CUT);
    }
    text
}

/// Cuts `user:password@` out of every address in the text.
pub fn without_userinfo(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find("://") {
        let (before, address) = rest.split_at(at + 3);
        out.push_str(before);
        let end =
            address.find(|c: char| c.is_whitespace() || "/?#'\"<>".contains(c)).unwrap_or(address.len());
        let (authority, after) = address.split_at(end);
        out.push_str(authority.rsplit_once('@').map_or(authority, |(_, host)| host));
        rest = after;
    }
    out.push_str(rest);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_excerpt_is_short_and_says_so() {
        let long = excerpt(&"é".repeat(200_000));
        assert_eq!((long.chars().count(), long.chars().last()), (101, Some(CUT)));
        assert_eq!(excerpt(&"x".repeat(100)), "x".repeat(100));
    }
}
