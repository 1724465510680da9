//! The order of keys in the lockfiles that npm writes: JavaScript's `localeCompare` in English, for ASCII. Other
//! characters come after it, by their number.

use std::cmp::Ordering;

/// ASCII by its primary weight in the root collation, where upper and lower case are equal.
const ORDER: &str = "\t\n\u{b}\u{c}\r _-,;:!?.'\"()[]{}@*/\\&#%`^+<=>|~$0123456789abcdefghijklmnopqrstuvwxyz";

pub fn compare(a: &str, b: &str) -> Ordering {
    let primary = |text: &str| text.chars().map(weight).collect::<Vec<_>>();
    // Where only the case differs, the lower case comes first.
    let case = |text: &str| text.chars().map(|c| c.is_ascii_uppercase()).collect::<Vec<_>>();
    primary(a).cmp(&primary(b)).then_with(|| case(a).cmp(&case(b)))
}

fn weight(c: char) -> u32 {
    let lower = c.to_ascii_lowercase();
    match ORDER.find(lower) {
        Some(at) => at as u32,
        None => 1000 + lower as u32,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The order that Node 22 gives to `[...].sort((a, b) => a.localeCompare(b, "en"))`.
    #[test]
    fn keys_are_in_the_order_of_node() {
        let sorted = [
            "_a",
            "-a",
            "@b/c",
            "@B/d",
            "1",
            "a",
            "A",
            "a_b",
            "a-b",
            "a.b",
            "a/b",
            "a1",
            "ab",
            "aB",
            "Ab",
            "b",
            "B",
            "ba",
            "node_modules/a",
            "node_modules/a-b",
            "node_modules/a/node_modules/b",
            "node_modules/ab",
            "z",
        ];
        for pair in sorted.windows(2) {
            assert_eq!(compare(pair[0], pair[1]), Ordering::Less, "{pair:?}");
        }
        assert_eq!(compare("a", "a"), Ordering::Equal);
    }
}
