//! Where SvelteKit's adapter-node leaves its server: `build`, or the option `out` in svelte.config.js, if that is a plain
//! text. A configuration is a program, so what is not certain is said and not guessed. Pure.

use super::framework::{Framework, SVELTEKIT};
use crate::facts::Source;

const CONFIGS: &[&str] = &["svelte.config.js", "svelte.config.ts"];
const ADAPTER: &str = "@sveltejs/adapter-node";

/// The start line of a framework's build, and what says so.
pub fn start(framework: &Framework, source: &Source, notes: &mut Vec<String>) -> (String, String) {
    let usual = (framework.start.to_owned(), format!("{}: its usual build", framework.name));
    let mut configs = CONFIGS.iter().filter_map(|path| Some((path, source.text(path)?)));
    let Some((config, text)) = configs.next().filter(|_| framework.name == SVELTEKIT) else { return usual };
    match out(text) {
        Ok(None) => usual,
        Ok(Some(directory)) => (format!("node {directory}"), format!("{SVELTEKIT}: out in {config}")),
        Err(()) => {
            notes.push(format!(
                "which directory {config} gives adapter-node as out cannot be read from it: if it is not build, write start = \"node DIRECTORY\" in bootagent.toml"
            ));
            usual
        }
    }
}

/// None if the adapter has no such option, an error if that is not certain.
fn out(text: &str) -> Result<Option<String>, ()> {
    let text = without_comments(text);
    let Some(name) = imported(&text) else { return if text.contains(ADAPTER) { Err(()) } else { Ok(None) } };
    let calls: Vec<&str> = calls(&text, name).collect();
    let [arguments] = calls.as_slice() else { return Err(()) };
    let Some(options) = arguments.trim_start().strip_prefix('{') else {
        return if arguments.trim_start().starts_with(')') { Ok(None) } else { Err(()) };
    };
    let options = options_text(options).ok_or(())?;
    let found: Vec<(usize, &str)> =
        options.match_indices("out").filter(|(at, _)| is_word(options, *at, "out".len())).collect();
    // Other options follow the same rules: a spread may bring one along.
    if options.contains("...") || found.len() > 1 {
        return Err(());
    }
    let Some((at, word)) = found.first() else { return Ok(None) };
    let rest = options[at + word.len()..].trim_start_matches(['\'', '"']).trim_start();
    literal(rest.strip_prefix(':').ok_or(())?.trim_start()).map(Some).ok_or(())
}

/// `import NAME from '@sveltejs/adapter-node'`.
fn imported(text: &str) -> Option<&str> {
    let before = &text[..text.find(ADAPTER)?];
    let import = before.trim_end_matches(['\'', '"']).trim_end().strip_suffix("from")?.trim_end();
    let name = import.rsplit(char::is_whitespace).next()?;
    name.chars().all(is_of_name).then_some(name).filter(|name| !name.is_empty())
}

/// What follows each `NAME(`.
fn calls<'a>(text: &'a str, name: &'a str) -> impl Iterator<Item = &'a str> {
    let found = text.match_indices(name).filter(|(at, _)| is_word(text, *at, name.len()));
    found.filter_map(move |(at, _)| text[at + name.len()..].trim_start().strip_prefix('('))
}

/// The options up to their closing brace. Nested ones are not adapter-node's.
fn options_text(text: &str) -> Option<&str> {
    let end = text.find(['{', '}', '(', '['])?;
    text[end..].starts_with('}').then(|| &text[..end])
}

/// A text in quotes with nothing behind it, which is a path below the release.
fn literal(text: &str) -> Option<String> {
    let quote = text.chars().next().filter(|quote| "'\"`".contains(*quote))?;
    let (path, behind) = text[1..].split_once(quote)?;
    let path = path.strip_prefix("./").unwrap_or(path).trim_end_matches('/');
    let is_plain = |part: &str| {
        !part.is_empty()
            && !part.starts_with('-')
            && part != ".."
            && part.chars().all(|c| c.is_ascii_alphanumeric() || "._-@".contains(c))
    };
    let is_alone = behind.trim_start().is_empty() || behind.trim_start().starts_with(',');
    (is_alone && path.split('/').all(is_plain)).then(|| path.to_owned())
}

fn is_word(text: &str, at: usize, length: usize) -> bool {
    let before = text[..at].chars().next_back();
    let behind = text[at + length..].chars().next();
    !before.is_some_and(|c| is_of_name(c) || c == '.') && !behind.is_some_and(is_of_name)
}

fn is_of_name(c: char) -> bool {
    c.is_alphanumeric() || matches!(c, '_' | '$')
}

fn without_comments(text: &str) -> String {
    let (mut kept, mut quote, mut rest) = (String::new(), None, text.chars().peekable());
    while let Some(c) = rest.next() {
        match (quote, c, rest.peek()) {
            (Some(_), '\\', _) => {
                kept.push(c);
                kept.extend(rest.next());
                continue;
            }
            (Some(open), ..) if c == open || (c == '\n' && open != '`') => quote = None,
            (None, '\'' | '"' | '`', _) => quote = Some(c),
            (None, '/', Some('/')) => {
                while rest.next_if(|c| *c != '\n').is_some() {}
                continue;
            }
            (None, '/', Some('*')) => {
                rest.next();
                while let Some(c) = rest.next() {
                    if c == '*' && rest.next_if_eq(&'/').is_some() {
                        break;
                    }
                }
                continue;
            }
            _ => {}
        }
        kept.push(c);
    }
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    const IMPORT: &str = "import adapter from '@sveltejs/adapter-node';\n";

    fn of(adapter: &str) -> Result<Option<String>, ()> {
        out(&format!(
            "{IMPORT}export default {{ kit: {{ adapter: {adapter}, alias: {{ out: 'src/out' }} }} }};\n"
        ))
    }

    #[test]
    fn a_plain_text_is_the_directory() {
        for (adapter, directory) in [
            ("adapter({ out: 'dist' })", "dist"),
            ("adapter({precompress: true, \"out\": \"./dist/server/\",})", "dist/server"),
            (
                "adapter (\n{\n  // out: 'old'\n  out: `my-build`, // the image copies it\n  envPrefix: 'APP_' })",
                "my-build",
            ),
        ] {
            assert_eq!(of(adapter), Ok(Some(directory.to_owned())), "{adapter}");
        }
        for adapter in
            ["adapter()", "adapter({})", "adapter({ precompress: false })", "adapter(/* { out: 'x' } */)"]
        {
            assert_eq!(of(adapter), Ok(None), "{adapter}");
        }
        assert_eq!(out("export default {};"), Ok(None));
        let alias = "alias: { '$lib/*': './src/lib/*', site: 'https://x.test' }, // adapter({ out: 'old' })";
        let text =
            format!("{IMPORT}export default {{ kit: {{ {alias}\n adapter: adapter({{ out: 'dist' }}) }} }};");
        assert_eq!(out(&text), Ok(Some("dist".to_owned())));
    }

    #[test]
    fn what_is_not_certain_is_not_taken() {
        for adapter in [
            "adapter(options)",
            "adapter({ out })",
            "adapter({ out: process.env.OUT })",
            "adapter({ out: 'a' + b })",
            "adapter({ out: dev ? 'a' : 'b' })",
            "adapter({ out: `${x}` })",
            "adapter({ out: '../x' })",
            "adapter({ out: '/srv/x' })",
            "adapter({ out: '-e' })",
            "adapter({ ...options })",
            "adapter({ out: 'a', out: 'b' })",
            "adapter({ policy: { out: 'a' } })",
            "dev ? adapter() : adapter({ out: 'b' })",
        ] {
            assert_eq!(of(adapter), Err(()), "{adapter}");
        }
        assert_eq!(out("const adapter = require('@sveltejs/adapter-node');"), Err(()));
    }
}
