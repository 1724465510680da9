//! Programs that set variables and run another one: `cross-env`, `dotenv`, `dotenvx`, `env-cmd`. Pure.

use super::project::Place;
use super::rewritten::{Next, Rewritten};
use super::word::{Words, assignments};

/// `cross-env A=1 PROGRAM`; `cross-env-shell A=1 "LINE"`.
pub fn cross_env(words: &Words) -> Rewritten {
    let (environment, at) = assignments(words, 1);
    let is_line = words.text(0) == "cross-env-shell" && words.len() == at + 1;
    let line = if is_line { words.text(at) } else { words.from(at) };
    Rewritten { environment, ..Rewritten::line(line) }
}

/// What stands between such a program and the one that it runs.
#[derive(Default)]
struct Options {
    at: usize,
    files: Vec<String>,
    variables: Vec<(String, String)>,
    /// Whether it does more than to read files.
    stays: bool,
}

/// The service's variables are in its environment already. A file that the commit has may hold others, so then the program
/// stays.
pub fn of_files(words: &Words, place: &Place) -> Rewritten {
    let mut options = options(words);
    if options.files.is_empty() {
        options.files.push(".env".to_owned());
    }
    let is_committed = |file: &String| file.contains('/') || (place.has)(file);
    if options.stays || options.files.iter().any(is_committed) || options.at >= words.len() {
        return Rewritten::to(Next::Stays);
    }
    Rewritten { environment: options.variables, ..Rewritten::line(words.from(options.at)) }
}

/// `node --env-file=.env.production x.js`: the service has its variables, and Node ends where a file that it names is missing.
/// `.env` is there, as a link to the service's variables.
pub fn without_env_file(words: &Words, place: &Place) -> Rewritten {
    const OPTION: &str = "--env-file";
    let is_of_the_root = std::ptr::eq(place.package, place.root);
    let is_missing = |file: &str| {
        let is_plain = !file.is_empty() && file != ".env" && !file.contains(['/', '$', '*', '\'', '"']);
        is_of_the_root && is_plain && !(place.has)(file)
    };
    let (mut at, mut kept, mut is_changed) = (0, Vec::new(), false);
    while at < words.len() {
        let word = words.text(at);
        let joined = word.strip_prefix(OPTION).and_then(|rest| rest.strip_prefix('='));
        match joined {
            Some(file) if is_missing(file) => is_changed = true,
            None if word == OPTION && is_missing(words.text(at + 1)) => (is_changed, at) = (true, at + 1),
            // What follows are the service's own arguments.
            _ if at > 0 && !word.starts_with('-') => {
                kept.push(words.from(at));
                break;
            }
            _ => kept.push(words.raw(at)),
        }
        at += 1;
    }
    match is_changed {
        true => Rewritten::line(kept.join(" ")).noting(
            "the start line's --env-file is left out: the commit has no such file, and the service has its variables"
                .to_owned(),
        ),
        false => Rewritten::to(Next::Stays),
    }
}

/// The place of the program that is run, also where the runner stays.
pub fn behind(words: &Words) -> Option<usize> {
    let is_one = matches!(words.text(0), "dotenv" | "env-cmd" | "dotenvx");
    is_one.then(|| options(words).at).filter(|at| *at < words.len())
}

fn options(words: &Words) -> Options {
    let program = words.text(0);
    let is_dotenvx = program == "dotenvx" && words.text(1) == "run";
    let mut options = Options { at: if is_dotenvx { 2 } else { 1 }, ..Options::default() };
    while options.at < words.len() {
        let word = words.text(options.at);
        let (flag, joined) = word.split_once('=').map_or((word, None), |(flag, value)| (flag, Some(value)));
        if word == "--" {
            options.at += 1;
            break;
        }
        if !word.starts_with('-') {
            break;
        }
        let value = joined.unwrap_or(words.text(options.at + 1));
        let has_value = options.take(program, flag, value);
        options.at += if has_value && joined.is_none() { 2 } else { 1 };
    }
    // Before its version 9, env-cmd was told its file without a flag.
    let word = words.text(options.at);
    if program == "env-cmd" && word.contains(".env") | word.ends_with(".json") && options.at + 1 < words.len()
    {
        options.files.push(word.to_owned());
        options.at += 1;
    }
    options
}

impl Options {
    /// Reads one option. Whether it has a value.
    fn take(&mut self, program: &str, flag: &str, value: &str) -> bool {
        match (program, flag) {
            ("dotenv", "-e") | ("env-cmd", "-f" | "--file") | ("dotenvx", "-f" | "--env-file") => {
                self.files.push(value.to_owned());
            }
            ("dotenv", "-c") => {
                let name = Some(value).filter(|value| !value.starts_with('-'));
                let names =
                    name.into_iter().flat_map(|name| [format!(".env.{name}"), format!(".env.{name}.local")]);
                self.files.extend(names.chain([".env".to_owned(), ".env.local".to_owned()]));
                return name.is_some();
            }
            ("dotenv", "-v") | ("dotenvx", "-e" | "--env") => {
                self.variables
                    .extend(value.split_once('=').map(|(name, value)| (name.to_owned(), value.to_owned())));
            }
            ("dotenv", "-p") | ("dotenvx", "--convention" | "-fk" | "--env-keys-file") => self.stays = true,
            ("env-cmd", "-r" | "--rc-file") => self.stays = true,
            ("env-cmd", "-e" | "--environments") => {
                self.files.extend([".env-cmdrc", ".env-cmdrc.js", ".env-cmdrc.json"].map(str::to_owned));
            }
            ("dotenvx", "-l" | "--log-level") => {}
            _ => return false,
        }
        true
    }
}
