//! Text from servers and libraries, made fit to be shown: no credential, no control characters, an end.

use crate::secret::{cut, without_userinfo};

const LONGEST: usize = 300;

/// For causes that somebody else wrote.
pub(super) fn scrub(text: &str) -> String {
    let plain: String =
        without_userinfo(text.trim()).chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    cut(plain.split_whitespace().collect::<Vec<_>>().join(" "), LONGEST)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::secret::CUT;

    #[test]
    fn userinfo_is_cut_wherever_it_stands() {
        for (text, plain) in [
            ("https://bot:hunter2@git.example/a.git", "https://git.example/a.git"),
            ("no access to 'https://hunter2@h:8443' today", "no access to 'https://h:8443' today"),
            ("a http://x:p@q@h/ b https://y@i", "a http://h/ b https://i"),
            ("https://git.example/a@b", "https://git.example/a@b"),
            ("mail me@example.com", "mail me@example.com"),
        ] {
            assert_eq!(without_userinfo(text), plain);
        }
    }

    #[test]
    fn hostile_text_becomes_one_short_line() {
        let text = scrub(&format!("\u{1b}[31mno\r\n such{}", "x".repeat(5000)));
        assert!(text.starts_with("[31mno such") && text.chars().count() == LONGEST + 1, "{text}");
        assert!(text.ends_with(CUT), "{text}");
        assert!(!text.contains(char::is_control));
    }
}
