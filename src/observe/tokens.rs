//! Reads the install secret: the tokens for private package registries. They reach no service and no command.

use super::Selection;
use super::policy::{Flags, Policy};
use super::reads::{patience, region};
use super::secrets;
use crate::error::{Code, Error, Result};
use crate::facts::{Facts, Registry};
use crate::fault::Fault;
use crate::machine::{Observe, Tokens, blocking};
use crate::plan::RegistryAccess;
use crate::secret::Secret;

/// The longest token. Those of registries have some hundred bytes, and signed ones a few thousand.
const LONGEST: usize = 8 << 10;

/// The tokens by the names of their keys. Fails if one is missing.
pub async fn tokens(
    machine: &impl Observe,
    access: &RegistryAccess,
    (selection, facts): (&Selection, &Facts),
    flags: &Flags,
    policy: &Policy,
) -> Result<Tokens> {
    let patience = patience(selection, facts, flags, policy);
    let read = machine.secret(&access.secret, region(facts), &selection.network, patience).await;
    let text = read.map_err(|error| match Fault::of(&error) {
        Some(Fault::SecretMissing) => error.remedy(remedy(access, &access.registries)),
        _ => error,
    })?;
    let access = access.clone();
    blocking(move || of(&access, &text)).await
}

fn of(access: &RegistryAccess, text: &Secret) -> Result<Tokens> {
    let doing = || format!("reading the install secret {}", access.secret);
    let variables = secrets::read(&access.secret, text.expose())?;
    let mut tokens = Tokens::new();
    for registry in &access.registries {
        let Registry { name, token, .. } = registry;
        let Some(value) = variables.get(token) else {
            let cause = format!("it has no key {token}, which registries.{name} of the policy names");
            return Err(Error::new(Code::SecretKeyMissing, doing(), cause)
                .remedy(remedy(access, std::slice::from_ref(registry))));
        };
        let plain = value.expose().bytes().all(|byte| byte.is_ascii_graphic());
        if !plain || !(1..=LONGEST).contains(&value.expose().len()) {
            let cause = format!("{token} is empty, or has a space or another character that no token has");
            return Err(Error::new(Code::SecretInvalid, doing(), cause));
        }
        tokens.insert(token.clone(), value.clone());
    }
    Ok(tokens)
}

/// `missing` are the registries whose tokens are not there.
fn remedy(access: &RegistryAccess, missing: &[Registry]) -> String {
    let mut keys: Vec<&str> = missing.iter().map(|registry| registry.token.as_str()).collect();
    keys.sort_unstable();
    keys.dedup();
    let tables: Vec<String> =
        missing.iter().map(|registry| format!("[registries.{}]", registry.name)).collect();
    let tables = tables.join(" and ");
    format!(
        "store {} in the secret {} of this region, as JSON or KEY=value lines; if this service needs no package from \
         there, let {tables} of the policy list in services those that do",
        keys.join(" and "),
        access.secret,
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::{Mirror, Network};

    fn read(text: &str) -> Result<Tokens> {
        let registry = Registry {
            name: "acme".to_owned(),
            kind: "npm".to_owned(),
            url: Mirror::try_from("https://npm.acme.test").unwrap(),
            token: "NPM_TOKEN".to_owned(),
            username: None,
        };
        let access = RegistryAccess {
            secret: "service_install_auth_test".to_owned(),
            registries: vec![registry],
            network: Network::default(),
            unit: String::new(),
            certificates: "/ca.pem".into(),
        };
        of(&access, &Secret::new(text))
    }

    #[test]
    fn only_the_keys_that_the_policy_names_are_taken() {
        for text in [r#"{"NPM_TOKEN": "hunter2", "OTHER": "x y"}"#, "NPM_TOKEN=hunter2\n"] {
            let tokens = read(text).unwrap();
            assert_eq!(tokens.len(), 1);
            assert_eq!(tokens["NPM_TOKEN"].expose(), "hunter2");
        }
    }

    #[test]
    fn a_missing_or_broken_token_is_named_and_not_quoted() {
        for (text, code) in [
            (r#"{"NPM": "hunter2"}"#, Code::SecretKeyMissing),
            (r#"{"NPM_TOKEN": ""}"#, Code::SecretInvalid),
            (r#"{"NPM_TOKEN": "hunter2 "}"#, Code::SecretInvalid),
            (r#"{"NPM_TOKEN": "hunter2\r\nX-Other: y"}"#, Code::SecretInvalid),
            ("hunter2", Code::SecretInvalid),
        ] {
            let error = read(text).unwrap_err();
            assert_eq!(error.code(), code, "{error}");
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
        let remedy = read("OTHER=x\n").unwrap_err().report().remedy;
        assert!(remedy.contains("store NPM_TOKEN in") && remedy.contains("[registries.acme]"), "{remedy}");
    }
}
