//! One set of variables, one writer per reader. Each writer's file also holds a model of its reader, and
//! nothing leaves this module before the model has read it back unchanged.

pub mod check;
pub mod dotenv;
pub mod systemd;

use crate::error::{Code, Error, Result};
use crate::observe::secrets::Variables;
use crate::secret::{Sealed, Secret};

/// Who reads the `.env` file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialect {
    /// `util.parseEnv`, `node --env-file` and the dotenv package.
    Node,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rendered {
    /// For systemd's `EnvironmentFile=`: every variable.
    pub service: Sealed,
    /// For the service's own reader, where one is asked for.
    pub dotenv: Option<Sealed>,
    /// What that reader would change, and what is therefore not in its file. These arrive by the process
    /// environment, which such readers do not override.
    pub left_out: Vec<String>,
}

/// `header` is one line, which stands as a comment at the head of each file.
pub fn render(variables: &Variables, dotenv: Option<Dialect>, header: &str) -> Result<Rendered> {
    let doing = "rendering the environment";
    for (key, value) in variables.iter() {
        if let Some(why) = systemd::uncarried(value.expose()) {
            return Err(Error::new(Code::EnvironmentUncarried, doing, format!("{key} contains {why}")));
        }
    }
    let service = systemd::write(variables, header);
    prove(systemd::read(&service), variables, "EnvironmentFile")?;
    let (dotenv, left_out) = match dotenv {
        Some(Dialect::Node) => {
            let (text, written, left_out) = dotenv::write(variables, header);
            prove(dotenv::read(&text), &written, ".env")?;
            (Some(sealed(&written, text)), left_out)
        }
        None => (None, Vec::new()),
    };
    Ok(Rendered { service: sealed(variables, service), dotenv, left_out })
}

/// The keys whose entries do not stand in a file that was rendered before: added, or of another value. That file is
/// searched and never parsed: a parser of former secrets is one more place to leak. An entry cannot stand within a value,
/// where its quotes would be escaped.
pub fn changed_keys(variables: &Variables, former: &str) -> Vec<String> {
    let is_there = |key: &str, value: &Secret| former.contains(&format!("\n{}", systemd::entry(key, value)));
    variables.iter().filter(|(key, value)| !is_there(key, value)).map(|(key, _)| key.to_owned()).collect()
}

fn sealed(variables: &Variables, text: String) -> Sealed {
    Sealed::new(variables.keys().map(str::to_owned).collect(), text)
}

/// The last line of defence: a writer that is wrong stops the run instead of changing a password.
fn prove(read: Option<Variables>, wanted: &Variables, file: &str) -> Result<()> {
    if read.as_ref() == Some(wanted) {
        return Ok(());
    }
    let cause = format!("its reader would not see the variables as they are in the {file}");
    Err(Error::new(Code::Bug, "rendering the environment", cause))
}

#[cfg(test)]
mod tests;
