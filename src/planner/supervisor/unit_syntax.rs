//! How values stand in unit files, so that systemd reads exactly these bytes. Pure.

use std::fmt::Write;

pub fn variable(name: &str, value: &str) -> String {
    format!("Environment={name}={}\n", escape(value))
}

pub fn line(argv: &[String]) -> String {
    argv.iter().map(|word| argument(word)).collect::<Vec<_>>().join(" ")
}

/// `%` starts a specifier everywhere in a unit.
pub fn escape(value: &str) -> String {
    value.replace('%', "%%")
}

/// One argument of ExecStart=, quoted so that systemd passes exactly these bytes: an unquoted newline would add a
/// directive.
fn argument(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:=@+,".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    let mut quoted = String::from("\"");
    for c in word.chars() {
        match c {
            '"' | '\\' => quoted.extend(['\\', c]),
            '$' => quoted.push_str("$$"),
            '%' => quoted.push_str("%%"),
            '\n' => quoted.push_str("\\n"),
            '\t' => quoted.push_str("\\t"),
            c if c.is_control() => {
                for byte in c.to_string().bytes() {
                    let _ = write!(quoted, "\\x{byte:02x}");
                }
            }
            c => quoted.push(c),
        }
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn arguments_cannot_add_a_line_or_expand() {
        assert_eq!(argument("server.js"), "server.js");
        assert_eq!(argument(""), "\"\"");
        assert_eq!(argument("a b"), "\"a b\"");
        assert_eq!(argument("$HOME %n"), "\"$$HOME %%n\"");
        assert_eq!(argument("x\nUser=root"), "\"x\\nUser=root\"");
        assert_eq!(argument("\"\\"), "\"\\\"\\\\\"");
        assert_eq!(argument("-x;"), "\"-x;\"");
        assert_eq!(argument("\u{1}"), "\"\\x01\"");
    }
}
