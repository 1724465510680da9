//! One set of variables, one dialect per reader. Each dialect's file holds its writer and a model of its reader, and
//! nothing leaves this module before the model has read it back unchanged.
//!
//! A new dialect is one new file, with its property test, and its line in `ALL`.

pub mod check;
pub mod dotenv;
pub mod python;
pub mod systemd;

use crate::error::{Code, Error, Result};
use crate::observe::secrets::Variables;
use crate::plan::Rendering;
use crate::plan::environment::DOTENV;
use crate::secret::{Sealed, Secret};

/// How one reader's file is written, and what that reader would make of it.
#[derive(Debug)]
pub struct Dialect {
    /// As records name it.
    pub name: &'static str,
    /// What errors call its file.
    pub file: &'static str,
    /// The file's text under a header, one line that stands there as a comment; what it holds; and the names of what it
    /// cannot hold.
    pub write: fn(&Variables, &str) -> (String, Variables, Vec<String>),
    /// What the reader reads of a text; `None` where it would complain, or where that is uncertain.
    pub read: fn(&str) -> Option<Variables>,
    /// Why the file cannot hold a variable: `contains a NUL byte`.
    pub uncarried: fn(&str, &Secret) -> Option<&'static str>,
    pub beyond: Beyond,
}

/// What becomes of a variable that a file cannot hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Beyond {
    /// It would reach the service by no way.
    Refused,
    /// It arrives by the process environment, which the reader does not override.
    LeftOut,
}

pub const ALL: [&Dialect; 3] = [&systemd::SYSTEMD, &dotenv::NODE, &python::PYTHON];

/// The text of a file with one line for each variable, what it holds, and the names of those for which there is no `line`.
fn of_lines(
    variables: &Variables,
    header: &str,
    line: fn(&str, &Secret) -> Option<String>,
) -> (String, Variables, Vec<String>) {
    let mut text = format!("# {header}\n");
    let (mut written, mut left_out) = (Variables::default(), Vec::new());
    for (key, value) in variables.iter() {
        match line(key, value) {
            Some(line) => {
                text.push_str(&line);
                written.insert(key, value.clone());
            }
            None => left_out.push(key.to_owned()),
        }
    }
    (text, written, left_out)
}

/// The dialect of this name.
pub fn dialect(name: &str) -> Option<&'static Dialect> {
    ALL.into_iter().find(|dialect| dialect.name == name)
}

/// The files of all readers, and the names of what the `.env` cannot hold. `header` is one line.
pub fn render(
    variables: &Variables,
    dotenv: Option<&'static Dialect>,
    header: &str,
) -> Result<(Rendering, Vec<String>)> {
    let (service, _) = written(&systemd::SYSTEMD, variables, header)?;
    let (mut others, mut left_out) = (Vec::new(), Vec::new());
    if let Some(dialect) = dotenv {
        let (text, names) = written(dialect, variables, header)?;
        others.push((DOTENV, text));
        left_out = names;
    }
    Ok((Rendering::new(service, others), left_out))
}

/// One file, proved by the model of its reader.
fn written(dialect: &Dialect, variables: &Variables, header: &str) -> Result<(Sealed, Vec<String>)> {
    let doing = "rendering the environment";
    if dialect.beyond == Beyond::Refused {
        for (key, value) in variables.iter() {
            if let Some(why) = (dialect.uncarried)(key, value) {
                return Err(Error::new(Code::EnvironmentUncarried, doing, format!("{key} {why}")));
            }
        }
    }
    let (text, holds, left_out) = (dialect.write)(variables, header);
    // The last line of defence: a writer that is wrong stops the run instead of changing a password.
    if (dialect.read)(&text).as_ref() != Some(&holds) {
        let cause = format!("its reader would not see the variables as they are in the {}", dialect.file);
        return Err(Error::new(Code::Bug, doing, cause));
    }
    Ok((Sealed::new(holds.keys().map(str::to_owned).collect(), text), left_out))
}

/// The keys whose entries do not stand in a file that was rendered before: added, or of another value. That file is
/// searched and never parsed: a parser of former secrets is one more place to leak. An entry cannot stand within a value,
/// where its quotes would be escaped.
pub fn changed_keys(variables: &Variables, former: &str) -> Vec<String> {
    let is_there = |key: &str, value: &Secret| former.contains(&format!("\n{}", systemd::entry(key, value)));
    variables.iter().filter(|(key, value)| !is_there(key, value)).map(|(key, _)| key.to_owned()).collect()
}

#[cfg(test)]
mod tests;
