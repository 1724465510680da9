//! Writers for environment files, one dialect for each reader. Each dialect has a writer and a model of its reader.
//! A text leaves this module only after the model read it back unchanged: a wrong password must not reach the
//! service.
//!
//! A new dialect is one new file, and a line in `ALL`; the property test covers all of `ALL`.

pub mod check;
pub mod dotenv;
pub mod json;
pub mod python;
pub mod systemd;

use crate::error::{Code, Error, Result};
use crate::observe::secrets::Variables;
use crate::plan::Rendering;
use crate::plan::environment::DOTENV;
use crate::secret::{Sealed, Secret};

/// How a file for one reader is written, and a model of that reader.
#[derive(Debug)]
pub struct Dialect {
    /// Its name in records.
    pub name: &'static str,
    /// The name of its file in errors.
    pub file: &'static str,
    /// Arguments: the variables, and one line of comment for the top. Result: the file's text, the variables in it,
    /// and the names of those that it cannot contain.
    pub write: fn(&Variables, &str) -> (String, Variables, Vec<String>),
    /// The variables that the reader reads from a text. `None` if it would report an error, or if that is uncertain.
    pub read: fn(&str) -> Option<Variables>,
    /// Why the file cannot contain a variable: `contains a NUL byte`. `None` if it can.
    pub uncarried: fn(&str, &Secret) -> Option<&'static str>,
    pub if_uncarried: IfUncarried,
}

/// What to do with a variable that a file cannot contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IfUncarried {
    /// Fail: the service would not get the variable at all.
    Refuse,
    /// Leave it out: the service gets it in the process environment, which the file's reader does not override.
    LeaveOut,
}

pub const ALL: [&Dialect; 4] = [&systemd::SYSTEMD, &dotenv::NODE, &json::JSON, &python::PYTHON];

/// A writer for dialects with one entry for each variable. `line` returns `None` for what the file cannot contain.
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

/// The dialect with this name in a record.
pub fn dialect(name: &str) -> Option<&'static Dialect> {
    ALL.into_iter().find(|dialect| dialect.name == name)
}

/// The texts of all files, and the names of the variables that `.env` cannot contain. `header` is one line.
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

/// One file's text, checked with the model of its reader.
pub fn written(dialect: &Dialect, variables: &Variables, header: &str) -> Result<(Sealed, Vec<String>)> {
    let doing = "rendering the environment";
    if dialect.if_uncarried == IfUncarried::Refuse {
        for (key, value) in variables.iter() {
            if let Some(why) = (dialect.uncarried)(key, value) {
                return Err(Error::new(Code::EnvironmentUncarried, doing, format!("{key} {why}")));
            }
        }
    }
    let (text, holds, left_out) = (dialect.write)(variables, header);
    // A bug in a writer must stop the run, and not change a password.
    if (dialect.read)(&text).as_ref() != Some(&holds) {
        let cause = format!("the reader of {} would read other values", dialect.file);
        return Err(Error::new(Code::Bug, doing, cause));
    }
    Ok((Sealed::new(holds.keys().map(str::to_owned).collect(), text), left_out))
}

/// The keys that were added or have another value than in `former`, the text of an earlier file for systemd. The
/// text is searched and not parsed, so that no second copy of old secrets is made. A match cannot be part of a
/// value, in which quotes are escaped.
pub fn changed_keys(variables: &Variables, former: &str) -> Vec<String> {
    let is_there = |key: &str, value: &Secret| former.contains(&format!("\n{}", systemd::entry(key, value)));
    variables.iter().filter(|(key, value)| !is_there(key, value)).map(|(key, _)| key.to_owned()).collect()
}

#[cfg(test)]
mod tests;
