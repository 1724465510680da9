//! Reads `.npmrc` files: lines of `key = value`, with `${VARIABLE}`.

use super::{Result, for_npm, quoted};

/// Keys with their values; a key without one is `true`. `variable` gives the value of an environment variable.
pub fn parse(
    file: &str,
    text: &str,
    variable: &dyn Fn(&str) -> Option<String>,
) -> Result<Vec<(String, String)>> {
    let mut all: Vec<(String, String)> = Vec::new();
    for line in text.split(['\r', '\n']) {
        let line = line.trim();
        if line.is_empty() || line.starts_with([';', '#']) {
            continue;
        }
        // Sections, lists and escapes are rare, and npm reads them in its own way.
        if line.starts_with('[') {
            return for_npm(format!("{file} has a section"));
        }
        let (key, value) = line.split_once('=').unwrap_or((line, "true"));
        let key = expanded(file, plain(file, key)?, variable)?;
        let value = expanded(file, plain(file, value)?, variable)?;
        if key.ends_with("[]") {
            return for_npm(format!("{file} has the list {}", quoted(&key)));
        }
        // Of equal keys npm takes the last one.
        match all.iter_mut().find(|(other, _)| *other == key) {
            Some((_, former)) => *former = value,
            None => all.push((key, value)),
        }
    }
    Ok(all)
}

/// Without quotes and comments.
fn plain<'a>(file: &str, text: &'a str) -> Result<&'a str> {
    let text = text.trim();
    for quote in ['"', '\''] {
        let inner = text.strip_prefix(quote).and_then(|text| text.strip_suffix(quote));
        if let Some(inner) = inner {
            return match inner.contains(['\\', '"', '\'']) {
                true => for_npm(format!("{file} has an escape")),
                false => Ok(inner),
            };
        }
    }
    if text.contains('\\') {
        return for_npm(format!("{file} has an escape"));
    }
    Ok(text.split([';', '#']).next().unwrap_or_default().trim())
}

fn expanded(file: &str, text: &str, variable: &dyn Fn(&str) -> Option<String>) -> Result<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, from) = rest.split_at(at);
        out.push_str(before);
        let Some(end) = from.find('}') else { return Ok(out + from) };
        let name = from.get(2..end).unwrap_or_default();
        let value = match name.strip_suffix('?') {
            Some(name) => Some(variable(name).unwrap_or_default()),
            None => variable(name),
        };
        match value {
            Some(value) => out.push_str(&value),
            None => return for_npm(format!("{file} names the variable {}, which is not set", quoted(name))),
        }
        rest = from.get(end + 1..).unwrap_or_default();
    }
    Ok(out + rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<Vec<(String, String)>> {
        parse(".npmrc", text, &|name| (name == "TOKEN").then(|| "t0k".to_owned()))
    }

    #[test]
    fn lines_become_keys_and_values() {
        let text = "\u{20}a = b \r\n; c=d\n#e=f\nflag\nquoted=\"x y\"\n//r/:_authToken=${TOKEN}\nh = i ; why\nj=${NONE?}k\na=last\n";
        let expected = [
            ("a", "last"),
            ("flag", "true"),
            ("quoted", "x y"),
            ("//r/:_authToken", "t0k"),
            ("h", "i"),
            ("j", "k"),
        ];
        assert_eq!(read(text).unwrap(), expected.map(|(key, value)| (key.to_owned(), value.to_owned())));
    }

    #[test]
    fn what_is_rare_is_for_npm() {
        for text in ["[section]", "a[]=b", "a=\\;", "a=\"\\n\"", "a=${NONE}"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
