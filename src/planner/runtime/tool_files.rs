//! Which versions the files of asdf and mise name for a tool: `mise.toml`, `.tool-versions`. Pure.

use crate::facts::Source;

/// In the order in which they count: mise reads asdf's file, too, and its own before it.
pub const FILES: [&str; 3] = ["mise.toml", ".mise.toml", ".tool-versions"];

/// What a file says of a tool.
#[derive(Debug, PartialEq, Eq)]
pub enum Said {
    Version(String),
    /// The file, or what it has for the tool, is not understood, and this is why.
    Unclear(&'static str),
}

/// What each of the files says of a tool, which may have several names.
pub fn versions(source: &Source, names: &[&str]) -> Vec<(Said, &'static str)> {
    let said = |path: &'static str| Some((of_file(path, source.text(path)?, names)?, path));
    FILES.into_iter().filter_map(said).collect()
}

fn of_file(path: &str, text: &str, names: &[&str]) -> Option<Said> {
    match path.ends_with(".toml") {
        true => of_mise(text, names),
        false => of_tool_versions(text, names).map(Said::Version),
    }
}

/// asdf's: a tool and its versions on each line, the preferred version first.
fn of_tool_versions(text: &str, names: &[&str]) -> Option<String> {
    let lines = text.lines().map(|line| line.split('#').next().unwrap_or_default());
    lines.into_iter().find_map(|line| {
        let mut words = line.split_whitespace();
        words.next().filter(|tool| names.contains(tool))?;
        words.next().map(str::to_owned)
    })
}

/// A version, several of which the first is preferred, or a table with the version and options.
fn of_mise(text: &str, names: &[&str]) -> Option<Said> {
    let Ok(file) = text.parse::<toml::Table>() else { return Some(Said::Unclear("it is not TOML")) };
    let tools = file.get("tools")?;
    let tool = names.iter().find_map(|name| tools.get(name))?;
    let tool = tool.as_array().map_or(Some(tool), |several| several.first())?;
    let version = tool.get("version").unwrap_or(tool);
    Some(match version {
        toml::Value::String(version) => Said::Version(version.clone()),
        toml::Value::Integer(version) => Said::Version(version.to_string()),
        // 20.10 as a number is 20.1.
        _ => Said::Unclear("the version is not a text"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const NODE: &[&str] = &["node", "nodejs"];

    #[test]
    fn each_file_has_its_own_form() {
        for (path, text, wanted) in [
            (".tool-versions", "python 3.9.23\nnodejs 20.11.0 18.1.0 # older\n", "20.11.0"),
            (".tool-versions", "node\t20", "20"),
            (".tool-versions", "nodejs 20.11.0\r\n", "20.11.0"),
            ("mise.toml", "[tools]\nnode = \"22\"\nuv = \"latest\"\n", "22"),
            ("mise.toml", "[tools]\nnode = 22\n", "22"),
            (".mise.toml", "[tools]\nnode = [\"22.1\", \"20\"]\n", "22.1"),
            (
                "mise.toml",
                "[tools]\nnode = { version = \"lts\", postinstall = \"corepack enable\" }\n",
                "lts",
            ),
            ("mise.toml", "[tools.nodejs]\nversion = \"18\"\n", "18"),
            ("mise.toml", "[tools]\nnode = [{ version = \"18\" }]\n", "18"),
        ] {
            assert_eq!(of_file(path, text, NODE), Some(Said::Version(wanted.to_owned())), "{text}");
        }
    }

    #[test]
    fn what_names_no_version_of_the_tool_is_passed_over() {
        for (path, text) in [
            (".tool-versions", "python 3.9.23\n# nodejs 20.11.0\nnodejs-lts 20\n"),
            (".tool-versions", "nodejs\n"),
            (".tool-versions", ""),
            ("mise.toml", "[tools]\npython = \"3.12\"\n"),
            ("mise.toml", "[tools]\nnode = []\n"),
            ("mise.toml", "tools = \"node\"\n"),
            ("mise.toml", "[env]\nnode = \"22\"\n"),
        ] {
            assert_eq!(of_file(path, text, NODE), None, "{text}");
        }
        for (text, why) in [
            ("not toml =", "it is not TOML"),
            ("[tools]\nnode = 20.10\n", "the version is not a text"),
            ("[tools]\nnode = { path = \"/opt\" }\n", "the version is not a text"),
            ("[tools]\nnode = [[\"22\"]]\n", "the version is not a text"),
        ] {
            assert_eq!(of_file("mise.toml", text, NODE), Some(Said::Unclear(why)), "{text}");
        }
    }
}
