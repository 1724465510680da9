//! The port that a start line gives its program as a flag: the program listens there, whatever PORT says. Pure.

use super::word::Words;

/// Programs, the word behind them, and their flags for the port.
const PROGRAMS: &[(&str, &str, &[&str])] = &[
    ("json-server", "", &["--port", "-p"]),
    ("next", "start", &["--port", "-p"]),
    ("fastify", "start", &["--port", "-p"]),
    ("http-server", "", &["--port", "-p"]),
    ("serve", "", &["--listen", "-l", "-p"]),
    ("vite", "preview", &["--port"]),
    ("astro", "preview", &["--port"]),
];

/// A number only: another text may be a variable, or an address.
pub fn of_line(program: &str, word: &str, line: &str) -> Option<u16> {
    let (.., flags) =
        PROGRAMS.iter().find(|(known, with, _)| *known == program && (with.is_empty() || *with == word))?;
    let words = Words::of(line)?;
    let value = |at: usize| {
        let word = words.text(at);
        flags.iter().find_map(|flag| match word.strip_prefix(flag)? {
            "" => Some(words.text(at + 1)),
            rest => rest.strip_prefix('='),
        })
    };
    let port: u16 = (0..words.len()).rev().find_map(value)?.parse().ok()?;
    (port != 0).then_some(port)
}

#[cfg(test)]
mod tests {
    use super::super::word::program;
    use super::*;

    #[test]
    fn a_number_behind_the_flag_of_a_known_program_is_its_port() {
        for (line, port) in [
            ("json-server --watch db.json --port 4000", Some(4000)),
            ("json-server -p 4000 db.json", Some(4000)),
            ("next start --port=8080", Some(8080)),
            ("next start -p $PORT", None),
            ("next start", None),
            ("next dev -p 4000", None),
            ("serve -s build -l tcp://0.0.0.0:5000", None),
            ("serve -s build -l 5000", Some(5000)),
            ("node server.js --port 4000", None),
            // It reads PORT only.
            ("remix-serve build/server/index.js --port 4000", None),
            ("json-server --port 0", None),
            ("json-server --port 99999", None),
        ] {
            let (program, word) = program(line).unwrap();
            assert_eq!(of_line(program, word, line), port, "{line}");
        }
    }
}
