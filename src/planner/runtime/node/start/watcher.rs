//! Programs that watch files and restart another one. A release does not change, and over a crashed program a watcher
//! lives on, so that systemd does not see the crash. Pure.

use super::project::Place;
use super::rewritten::{Next, Rewritten};
use super::word::Words;

fn watches(program: &str) -> String {
    format!(
        "the start line runs {program} to watch files; a release does not change, so its program is started without it"
    )
}

/// Options of Node with a value of their own.
const OF_NODE: &[&str] =
    &["-r", "--require", "--import", "--loader", "--experimental-loader", "-C", "--conditions", "--env-file"];

pub fn nodemon(words: &Words, place: &Place) -> Rewritten {
    const WITH_VALUE: &[&str] =
        &["-e", "--ext", "-w", "--watch", "-i", "--ignore", "-d", "--delay", "-s", "--signal", "--config"];
    let (mut at, mut exec, mut file, mut options, mut arguments) = (1, None, None, Vec::new(), Vec::new());
    while at < words.len() {
        let word = words.text(at);
        at += 1;
        match word {
            "--" => {
                arguments.push(words.from(at));
                break;
            }
            "-x" | "--exec" => {
                exec = Some(words.text(at));
                at += 1;
            }
            _ if word.starts_with("--exec=") => {
                exec = Some(word["--exec=".len()..].trim_matches(['\'', '"']))
            }
            _ if WITH_VALUE.contains(&word) => at += 1,
            _ if file.is_none() && OF_NODE.contains(&word) => {
                options.extend([words.raw(at - 1), words.raw(at)]);
                at += 1;
            }
            _ if file.is_none() && is_of_node(word) => options.push(words.raw(at - 1)),
            _ if file.is_none() && word.starts_with('-') => {}
            _ if file.is_none() => file = Some(words.raw(at - 1)),
            _ => arguments.push(words.raw(at - 1)),
        }
    }
    let config = place.package.nodemon.as_ref();
    if exec.is_none() && file.is_none() && config.is_none() && (place.has)("nodemon.json") {
        let note = "the start line runs nodemon to watch files, and nodemon.json, which says what it starts, cannot be read, so nodemon stays: name the program itself in start";
        return Rewritten::to(Next::Stays).noting(note.to_owned());
    }
    let exec = exec.or(config.and_then(|config| config.exec.as_deref()));
    let file = file.or(config.and_then(|config| config.script.as_deref()));
    let main = place.package.main.as_deref().unwrap_or("index.js");
    let file = file.or(Some(main).filter(|_| exec.is_none()));
    let program = exec.unwrap_or_else(|| runs(file.unwrap_or_default(), place));
    let line: Vec<&str> = [program].into_iter().chain(options).chain(file).chain(arguments).collect();
    Rewritten::line(line.join(" ").trim()).noting(watches("nodemon"))
}

fn is_of_node(word: &str) -> bool {
    let begins =
        ["--inspect", "--max", "--experimental", "--no-warnings", "--env-file=", "--enable-", "--trace"];
    begins.iter().any(|begin| word.starts_with(begin))
}

fn runs(file: &str, place: &Place) -> &'static str {
    let is_typescript = [".ts", ".mts", ".cts"].iter().any(|end| file.ends_with(end));
    match is_typescript {
        false => "node",
        true if place.has_package("tsx") => "tsx",
        true => "ts-node",
    }
}

/// Options of a watcher: those alone, and those with a value behind them.
type Own = (&'static [&'static str], &'static [&'static str]);

const NODE: Own = (&["--watch", "--watch-preserve-output"], &["--watch-path"]);
const TSX: Own = (
    &["--watch", "--clear-screen", "--no-clear-screen"],
    &["--include", "--exclude", "--ignore", "--watch-path"],
);
const BUN: Own = (&["--watch", "--hot", "--no-clear-screen"], &[]);

/// `node --watch`, `tsx watch`, `bun run --hot`: the same line without what makes it watch. None if it does not watch.
pub fn unwatched(words: &Words) -> Option<Rewritten> {
    let program = words.text(0);
    let (own, is_word): (Own, &[&str]) = match program {
        "node" => (NODE, &[]),
        "tsx" => (TSX, &["watch"]),
        "bun" => (BUN, &["run"]),
        _ => return None,
    };
    let mut is_watcher = program == "tsx" && words.text(1) == "watch";
    let mut at = 1;
    let mut kept = vec![program];
    if is_word.contains(&words.text(1)) {
        kept.extend(Some("run").filter(|_| program == "bun"));
        at = 2;
    }
    while words.text(at).starts_with('-') {
        let flag = words.text(at).split('=').next().unwrap_or_default();
        let is_joined = flag.len() < words.text(at).len();
        if own.0.contains(&flag) || own.1.contains(&flag) {
            is_watcher |= flag.starts_with("--watch") || flag == "--hot";
            at += if own.1.contains(&flag) && !is_joined { 2 } else { 1 };
            continue;
        }
        let end = if OF_NODE.contains(&flag) && !is_joined { at + 2 } else { at + 1 };
        kept.extend((at..end).map(|at| words.raw(at)));
        at = end;
    }
    kept.push(words.from(at));
    let name = if program == "node" { "node --watch" } else { program };
    is_watcher.then(|| Rewritten::line(kept.join(" ").trim()).noting(watches(name)))
}
