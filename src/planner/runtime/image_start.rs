//! The start command of a Dockerfile, for a remedy: what a container runs often is what a machine must run. Pure.

use super::container::DOCKERFILE;
use super::dockerfile;
use super::procfile::in_toml;
use super::shell::quoted;
use crate::facts::Source;
use crate::secret::excerpt;

/// The line of the manifest that starts what the image of the commit's Dockerfile starts.
pub fn remedy(source: &Source) -> Option<String> {
    let command = source.text(DOCKERFILE).and_then(command)?;
    let line = in_toml(&excerpt(&command.line));
    let how = match command.is_assembled {
        true => {
            "the last stage of its Dockerfile starts so, in a directory of the image whose paths may be others"
        }
        false => "its Dockerfile starts so",
    };
    Some(format!("add start = {line} to bootagent.toml: {how}"))
}

/// A start line, and whether its paths may differ from those of the repository.
#[derive(Debug, PartialEq, Eq)]
struct Command {
    line: String,
    /// Whether the image has files that another stage made, and not the repository's as they are.
    is_assembled: bool,
}

/// One stage: `FROM BASE AS NAME`.
#[derive(Default)]
struct Stage {
    base: String,
    name: Option<String>,
    entrypoint: Option<String>,
    command: Option<String>,
    copies_from_a_stage: bool,
}

/// What the last stage starts: its `ENTRYPOINT` and its `CMD`, or those of the stage that it is based on.
fn command(text: &str) -> Option<Command> {
    let stages = stages(text);
    let mut at = stages.len().checked_sub(1)?;
    let is_assembled = stages[at].copies_from_a_stage;
    let (mut entrypoint, mut command) = (None, None);
    loop {
        let stage = &stages[at];
        if entrypoint.is_none() {
            // An entry point removes the command of the base.
            command = command.or_else(|| stage.command.clone());
            entrypoint = stage.entrypoint.clone();
        }
        let is_base = |other: &Stage| other.name.as_deref() == Some(stage.base.as_str());
        match stages[..at].iter().rposition(is_base).filter(|_| entrypoint.is_none()) {
            Some(base) => at = base,
            None => break,
        }
    }
    // An entry point of the image is a program that the machine does not have.
    let is_of_the_image =
        |line: &String| line.starts_with('/') || line.contains("entrypoint") || line.contains("tini");
    let parts = [entrypoint, command].into_iter().flatten();
    let line: Vec<String> = parts.filter(|part| !is_of_the_image(part)).collect();
    (!line.is_empty()).then(|| Command { line: line.join(" "), is_assembled })
}

/// `COPY --chown=node --from=build /prod ./`: another stage, or another image.
fn copies_from_a_stage(rest: &str) -> bool {
    rest.split_whitespace().take_while(|word| word.starts_with("--")).any(|word| word.starts_with("--from="))
}

fn stages(text: &str) -> Vec<Stage> {
    let mut stages = Vec::new();
    for line in dockerfile::instructions(text) {
        let Some((word, rest)) = line.trim().split_once(char::is_whitespace) else { continue };
        let (word, rest) = (word.to_ascii_uppercase(), rest.trim());
        if word == "FROM" {
            let mut parts = rest.split_whitespace().filter(|part| !part.starts_with("--"));
            let base = parts.next().unwrap_or_default().to_owned();
            let name = parts.nth(1).map(str::to_owned);
            stages.push(Stage { base, name, ..Stage::default() });
        }
        if stages.is_empty() {
            stages.push(Stage::default());
        }
        let Some(stage) = stages.last_mut() else { continue };
        match word.as_str() {
            "CMD" => stage.command = Some(words(rest)),
            "ENTRYPOINT" => {
                stage.entrypoint = Some(words(rest));
            }
            "COPY" => stage.copies_from_a_stage |= copies_from_a_stage(rest),
            _ => {}
        }
    }
    stages
}

fn words(rest: &str) -> String {
    match serde_json::from_str::<Vec<String>>(rest) {
        Ok(words) => {
            let all: Vec<&str> = words.iter().map(String::as_str).collect();
            match all.as_slice() {
                // A shell runs a start line anyway.
                [shell, flags, line] if is_shell(shell) && flags.starts_with('-') && flags.ends_with('c') => {
                    (*line).to_owned()
                }
                _ => all.into_iter().map(quoted).collect::<Vec<_>>().join(" "),
            }
        }
        Err(_) => rest.to_owned(),
    }
}

fn is_shell(program: &str) -> bool {
    ["sh", "bash", "ash", "dash"].contains(&program.rsplit('/').next().unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_of_the_last_stage_counts() {
        for (text, line) in [
            ("FROM node\nCMD [\"node\", \"a.js\"]\n", Some("node a.js")),
            ("CMD node a.js\nFROM x\ncmd npm run serve\n", Some("npm run serve")),
            ("ENTRYPOINT [\"node\"]\nCMD [\"b.js\"]\n", Some("node b.js")),
            ("ENTRYPOINT [\"/usr/bin/tini\", \"--\"]\nCMD [\"node\", \"c.js\"]", Some("node c.js")),
            ("FROM node\n", None),
            ("CMD node \\\n a.js", Some("node a.js")),
            (
                "CMD [\"node\", \"a.js\"]\nHEALTHCHECK --interval=1s \\\n  CMD curl localhost\n",
                Some("node a.js"),
            ),
            (
                "CMD [\"node\", \"a.js\"]\nHEALTHCHECK --interval=1s \\ \n  # asks itself\n  CMD [\"node\", \"b.js\"]\n",
                Some("node a.js"),
            ),
            ("FROM node\nONBUILD CMD node x.js\n", None),
            ("FROM node AS build\nCMD node a.js\nFROM nginx\n", None),
            (
                "FROM node AS base\nCMD node a.js\nFROM --platform=linux/amd64 base\nRUN x\n",
                Some("node a.js"),
            ),
            ("FROM node AS base\nENTRYPOINT [\"node\"]\nFROM base\nCMD [\"b.js\"]\n", Some("node b.js")),
            ("FROM node AS base\nCMD [\"a.js\"]\nFROM base\nENTRYPOINT node c.js\n", Some("node c.js")),
            ("FROM base AS base\nRUN x\n", None),
            (
                r#"CMD ["sh", "-c", "npx prisma migrate deploy && node dist/main.js"]"#,
                Some("npx prisma migrate deploy && node dist/main.js"),
            ),
            (r#"CMD ["/bin/bash", "-lc", "node a.js"]"#, Some("node a.js")),
            (r#"CMD ["sh", "start.sh"]"#, Some("sh start.sh")),
            (r#"CMD ["node", "a b.js", "it's", "$HOME"]"#, Some(r"node 'a b.js' 'it'\''s' '$HOME'")),
            ("CMD npm run prod && echo \"x\"", Some("npm run prod && echo \"x\"")),
            ("", None),
        ] {
            assert_eq!(command(text).map(|command| command.line).as_deref(), line, "{text}");
        }
    }

    #[test]
    fn an_image_of_files_of_another_stage_may_have_other_paths() {
        for (text, is_assembled) in [
            ("FROM node\nCOPY --chown=node:node --from=build /prod ./\nCMD node a.js\n", true),
            ("FROM node\nCOPY --chown=node:node . ./\nCMD node a.js\n", false),
            ("FROM node AS build\nRUN x\nFROM node\nCOPY --from=build /prod /app\nCMD node a.js\n", true),
            ("FROM node AS build\nCOPY --from=other /a /b\nFROM node\nCOPY . .\nCMD node a.js\n", false),
        ] {
            assert_eq!(command(text).unwrap(), Command { line: "node a.js".to_owned(), is_assembled });
        }
    }
}
