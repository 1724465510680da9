//! Words of others in a plan's text: files, arguments, control characters. Pure.

/// A file's lines. A line of more than 160 characters is cut: the JSON output has all of it.
pub fn file(text: &str) -> impl Iterator<Item = String> {
    text.lines().map(|line| match line.char_indices().nth(160) {
        Some((cut, _)) => format!("| {}... ({} bytes)", printable(&line[..cut]), line.len()),
        None => format!("| {}", printable(line)),
    })
}

/// Arguments, quoted as for a shell.
pub fn words(argv: &[String]) -> String {
    let plain = |word: &str| {
        !word.is_empty() && word.chars().all(|c| c.is_ascii_alphanumeric() || "-_./:=@+,%".contains(c))
    };
    let quote = |word: &String| match plain(word) {
        true => word.clone(),
        false => format!("'{}'", printable(word).replace('\'', "'\\''")),
    };
    argv.iter().map(quote).collect::<Vec<_>>().join(" ")
}

/// Escapes control characters: text from a repository could otherwise move the cursor or imitate lines of the plan.
pub fn printable(text: &str) -> String {
    text.chars()
        .flat_map(|c| if c.is_control() { c.escape_default().collect::<Vec<_>>() } else { vec![c] })
        .collect()
}
