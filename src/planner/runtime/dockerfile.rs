//! Reads the text of a Dockerfile, as far as plans need it. Pure.

/// The file's instructions, one a line. One may go on in the next line, also behind a comment: a HEALTHCHECK often has its
/// own CMD there.
pub fn instructions(text: &str) -> Vec<String> {
    let mut found: Vec<String> = Vec::new();
    let mut goes_on = false;
    for line in text.lines().filter(|line| !line.trim_start().starts_with('#')) {
        let (part, next) = match line.trim_end().strip_suffix('\\') {
            Some(part) => (part, true),
            None => (line, false),
        };
        match found.last_mut().filter(|_| goes_on) {
            Some(last) => *last += &format!(" {}", part.trim()),
            None => found.push(part.trim().to_owned()),
        }
        goes_on = next;
    }
    found
}

/// Whether it has something that only BuildKit builds, and which docker before 23 builds only if asked to.
pub fn needs_buildkit(text: &str) -> bool {
    const OPTIONS: [&str; 4] = ["--mount=", "--link", "--chmod=", "--security="];
    instructions(text).iter().any(|line| {
        let mut words = line.split_whitespace();
        let first = words.next().unwrap_or_default().to_ascii_uppercase();
        let has_option = || words.clone().take_while(|word| word.starts_with("--")).any(is_one);
        fn is_one(word: &str) -> bool {
            OPTIONS.iter().any(|option| word.starts_with(option))
        }
        matches!(first.as_str(), "RUN" | "COPY" | "ADD") && (has_option() || line.contains("<<"))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_only_buildkit_builds_is_recognized() {
        for text in
            ["RUN --mount=type=cache,target=/x npm ci", "copy --link a b", "RUN <<EOF", "ADD --chmod=1 a b"]
        {
            assert!(needs_buildkit(text), "{text}");
        }
        for text in
            ["RUN npm ci --mount=x", "# RUN --mount=x", "COPY --from=build a b", "FROM --platform=x a"]
        {
            assert!(!needs_buildkit(text), "{text}");
        }
    }
}
