//! The start command of a Dockerfile, for a remedy: what a container runs often is what a machine must run. Pure.

/// The last `CMD` of the file, after its last `ENTRYPOINT`, as one line.
pub fn command(text: &str) -> Option<String> {
    // An instruction may go on in the next line: a HEALTHCHECK often has its own CMD there.
    let text = text.replace("\r\n", "\n").replace("\\\n", " ");
    let last = |word: &str| {
        let mut lines = text.lines().map(str::trim).filter_map(|line| {
            let (first, rest) = line.split_once(char::is_whitespace)?;
            first.eq_ignore_ascii_case(word).then_some(rest.trim())
        });
        lines.next_back().map(words)
    };
    let parts: Vec<String> = [last("ENTRYPOINT"), last("CMD")].into_iter().flatten().collect();
    // An entry point of the image is a program that the machine does not have.
    let is_of_the_image =
        |line: &String| line.starts_with('/') || line.contains("entrypoint") || line.contains("tini");
    let line: Vec<String> = parts.into_iter().filter(|part| !is_of_the_image(part)).collect();
    (!line.is_empty()).then(|| line.join(" "))
}

fn words(rest: &str) -> String {
    match serde_json::from_str::<Vec<String>>(rest) {
        Ok(words) => words.join(" "),
        Err(_) => rest.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_command_counts() {
        for (text, line) in [
            ("FROM node\nCMD [\"node\", \"a.js\"]\n", Some("node a.js")),
            ("CMD node a.js\nFROM x\ncmd npm run serve\n", Some("npm run serve")),
            ("ENTRYPOINT [\"node\"]\nCMD [\"b.js\"]\n", Some("node b.js")),
            ("ENTRYPOINT [\"/usr/bin/tini\", \"--\"]\nCMD [\"node\", \"c.js\"]", Some("node c.js")),
            ("FROM node\n", None),
            ("CMD node \\\n a.js", Some("node   a.js")),
            (
                "CMD [\"node\", \"a.js\"]\nHEALTHCHECK --interval=1s \\\n  CMD curl localhost\n",
                Some("node a.js"),
            ),
        ] {
            assert_eq!(command(text).as_deref(), line, "{text}");
        }
    }
}
