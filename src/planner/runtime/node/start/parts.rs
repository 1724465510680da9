//! The simple commands of a line, split where a shell would. Nothing is expanded here.

use std::iter::Peekable;
use std::str::CharIndices;

use crate::planner::runtime::shell;

/// The commands between `&&`, `||`, `|`, `;`, `&` and line ends. None if the line has other syntax of a shell: a subshell, a
/// substitution, a text behind `<<`, an open quote.
pub fn split(line: &str) -> Option<Vec<&str>> {
    let (mut parts, mut start, mut quote, mut before) = (Vec::new(), 0, None, ' ');
    let mut characters = line.char_indices().peekable();
    while let Some((at, c)) = characters.next() {
        match (quote, c) {
            (None | Some('"'), '\\') => {
                characters.next();
            }
            (None, '\'' | '"') => quote = Some(c),
            (Some(open), _) if open == c => quote = None,
            (None, '|' | ';' | '&' | '\n') if !is_redirection(before, c, &mut characters) => {
                parts.push(&line[start..at]);
                characters.next_if(|(_, next)| *next == c && c != '\n');
                start = characters.peek().map_or(line.len(), |(at, _)| *at);
            }
            _ => {}
        }
        before = c;
    }
    parts.push(&line[start..]);
    let parts: Vec<&str> = parts.into_iter().map(str::trim).filter(|part| !part.is_empty()).collect();
    parts.iter().all(|part| shell::words(part).is_some()).then_some(parts)
}

/// `2>&1` and `&> log` do not end a command.
fn is_redirection(before: char, c: char, rest: &mut Peekable<CharIndices>) -> bool {
    c == '&' && (matches!(before, '<' | '>') || rest.peek().is_some_and(|(_, next)| *next == '>'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_is_split_at_the_operators_of_a_shell() {
        for (line, parts) in [
            ("a", &["a"][..]),
            ("a && b || c", &["a", "b", "c"]),
            ("a | b; c &", &["a", "b", "c"]),
            ("a\nb", &["a", "b"]),
            ("a 2>&1 | b", &["a 2>&1", "b"]),
            ("a 'x | y' && b \"c; d\"", &["a 'x | y'", "b \"c; d\""]),
            ("a \\| b", &["a \\| b"]),
            ("node $X && node ${Y:-z}", &["node $X", "node ${Y:-z}"]),
        ] {
            assert_eq!(split(line).as_deref(), Some(parts), "{line}");
        }
        for line in ["(cd x && a)", "a $(b)", "a `b`", "a <<END", "a 'b", "a && (b)", "a \"$(b | c)\""] {
            assert_eq!(split(line), None, "{line}");
        }
    }
}
