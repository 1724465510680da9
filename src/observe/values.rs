//! The values of a service's variables come from a list of sources, which are read at the same time and merged in order:
//! a variable of a later source replaces one of an earlier source. Today the list has one member: the service's secret,
//! or the file of `--env-file`.

use std::path::PathBuf;

use futures_util::future::try_join_all;

use super::Selection;
use super::flag_file::flag_file;
use super::manifest::Manifest;
use super::policy::{Flags, Policy};
use super::reads::{patience, region};
use super::secrets::{self, Variables};
use crate::error::Result;
use crate::facts::Facts;
use crate::machine::{Observe, blocking};
use crate::secret::Secret;

/// Where values are read.
enum ValueSource {
    /// A file that a flag names.
    File { path: PathBuf, flag: &'static str },
    /// The name of a secret in Secrets Manager.
    Secret(String),
}

/// What a source has.
#[derive(Clone)]
pub struct Values {
    /// The secret's name, for messages.
    pub name: String,
    pub text: Secret,
}

fn sources(selection: &Selection, flags: &Flags) -> Vec<ValueSource> {
    vec![match &flags.overrides.env_file {
        Some(path) => ValueSource::File { path: path.clone(), flag: "--env-file" },
        None => ValueSource::Secret(selection.secret.clone()),
    }]
}

/// Reads all sources of the service's values.
pub async fn values(
    machine: &impl Observe,
    selection: &Selection,
    facts: &Facts,
    flags: &Flags,
    policy: &Policy,
) -> Result<Vec<Values>> {
    let reads = sources(selection, flags).into_iter().map(async |source| match source {
        ValueSource::File { path, flag } => {
            let text = Secret::new(flag_file(machine, &path, flag).await?);
            Ok(Values { name: selection.secret.clone(), text })
        }
        ValueSource::Secret(name) => {
            let patience = patience(selection, facts, flags, policy);
            let read = machine.secret(&name, region(facts), &selection.network, patience);
            let read_by = ["service", "environment", "secret"];
            let text = read.await.map_err(|error| selection.origins.explain(error, &read_by))?;
            Ok(Values { name, text })
        }
    });
    try_join_all(reads).await
}

/// The variables of all sources, merged.
pub async fn variables(manifest: &Manifest, values: Vec<Values>) -> Result<Variables> {
    let allow = manifest.env.allow.clone();
    let parse = move || {
        let mut merged = Variables::default();
        for Values { name, text } in values {
            merged.extend(secrets::parse(&name, text.expose(), &allow)?);
        }
        Ok(merged)
    };
    blocking(parse).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(texts: &[&str]) -> Vec<Values> {
        let named = |(at, text): (usize, &&str)| Values {
            name: format!("s{at}"),
            text: Secret::new(text.to_string()),
        };
        texts.iter().enumerate().map(named).collect()
    }

    #[tokio::test]
    async fn a_later_source_replaces_a_variable_of_an_earlier_one() {
        let values = values(&[r#"{"A": "1", "B": "1"}"#, "B=2\nC=2\n"]);
        let merged = variables(&Manifest::default(), values).await.unwrap();
        let shown: Vec<_> = merged.iter().map(|(name, value)| (name, value.expose())).collect();
        assert_eq!(shown, [("A", "1"), ("B", "2"), ("C", "2")]);
    }

    #[tokio::test]
    async fn an_error_names_the_source_that_has_it() {
        let values = values(&["A=1", "LD_PRELOAD=x"]);
        let error = variables(&Manifest::default(), values).await.unwrap_err();
        assert!(error.to_string().contains("s1") && error.to_string().contains("LD_PRELOAD"), "{error}");
    }
}
