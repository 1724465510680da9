//! The credentials of registries, by the part of an address that they are for. Their values are secret: no message, debug
//! output or record has them.

use data_encoding::BASE64;

use super::address::Address;
use super::{Result, for_npm, quoted};
use crate::secret::Secret;

/// What one `//host/path/` has.
#[derive(Clone, Debug, Default)]
struct Credential {
    /// Without the `:`.
    place: String,
    token: Option<Secret>,
    basic: Option<Secret>,
    user: Option<String>,
    password: Option<Secret>,
}

/// The host of a key, with its port: what follows may be a token.
fn host(place: &str) -> &str {
    let rest = place.trim_start_matches('/');
    let end = rest.find('/').or_else(|| rest.find(':')).unwrap_or(rest.len());
    rest.get(..end).unwrap_or_default()
}

#[derive(Clone, Debug, Default)]
pub struct Credentials(Vec<Credential>);

impl Credentials {
    /// Takes a key such as `//npm.acme.test/:_authToken`. Earlier ones count more.
    pub fn add(&mut self, key: &str, value: &str) -> Result<()> {
        let Some((place, name)) = key.rsplit_once(':') else { return Ok(()) };
        let at = match self.0.iter().position(|one| one.place == place) {
            Some(at) => at,
            None => {
                self.0.push(Credential { place: place.to_owned(), ..Credential::default() });
                self.0.len() - 1
            }
        };
        let Some(one) = self.0.get_mut(at) else { return Ok(()) };
        let secret = || Some(Secret::new(value));
        match name {
            "_authToken" => one.token = one.token.take().or_else(secret),
            "_auth" => one.basic = one.basic.take().or_else(secret),
            "_password" => one.password = one.password.take().or_else(secret),
            "username" => one.user = one.user.take().or_else(|| Some(value.to_owned())),
            "email" | "always-auth" => {}
            // The rest of the key may be a token, written with a colon for the equals sign.
            _ => return for_npm(format!(".npmrc has an unknown key of {}", quoted(host(place)))),
        }
        Ok(())
    }

    /// The value of the header `Authorization` for an address: that of the longest place that the address is in; else
    /// that of the registry, if it is the same server.
    pub fn header(&self, address: &Address, registry: &Address) -> Option<Secret> {
        let of = |address: &Address| places(address).find_map(|place| self.at(&place));
        of(address).or_else(|| of(registry).filter(|_| address.server() == registry.server()))
    }

    fn at(&self, place: &str) -> Option<Secret> {
        let one = self.0.iter().find(|one| one.place == place)?;
        if let Some(token) = &one.token {
            return Some(Secret::new(format!("Bearer {}", token.expose())));
        }
        if let Some(basic) = &one.basic {
            return Some(Secret::new(format!("Basic {}", basic.expose())));
        }
        let (user, password) = (one.user.as_ref()?, one.password.as_ref()?);
        let password = BASE64.decode(password.expose().as_bytes()).ok()?;
        let both = Secret::new(format!("{user}:{}", String::from_utf8_lossy(&password)));
        Some(Secret::new(format!("Basic {}", BASE64.encode(both.expose().as_bytes()))))
    }
}

/// `//host/a/b.tgz`, `//host/a/`, `//host/a`, `//host/`, `//host`.
fn places(address: &Address) -> impl Iterator<Item = String> + use<> {
    let path = address.path.split('?').next().unwrap_or_default();
    let whole = format!("//{}{path}", address.host_and_port());
    let shorter = |place: &String| {
        let cut = match place.strip_suffix('/') {
            Some(cut) => cut,
            None => place.get(..=place.rfind('/')?)?,
        };
        (cut.len() > 2).then(|| cut.to_owned())
    };
    std::iter::successors(Some(whole), move |place| shorter(place))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header(keys: &[(&str, &str)], address: &str) -> Option<String> {
        let mut all = Credentials::default();
        for (key, value) in keys {
            all.add(key, value).unwrap();
        }
        let parse = |text: &str| Address::parse(text).unwrap();
        all.header(&parse(address), &parse("https://npm.acme.test/npm/"))
            .map(|secret| secret.expose().to_owned())
    }

    #[test]
    fn the_longest_place_of_the_address_counts() {
        let keys = [("//npm.acme.test/:_authToken", "short"), ("//npm.acme.test/npm/:_authToken", "long")];
        assert_eq!(header(&keys, "https://npm.acme.test/npm/a/-/a-1.tgz").as_deref(), Some("Bearer long"));
        assert_eq!(header(&keys, "https://npm.acme.test/x").as_deref(), Some("Bearer short"));
        let keys = [("//npm.acme.test/npm/:_authToken", "registry's")];
        assert_eq!(
            header(&keys, "https://npm.acme.test/download/a.tgz").as_deref(),
            Some("Bearer registry's")
        );
    }

    #[test]
    fn other_servers_get_nothing() {
        let keys = [("//npm.acme.test/:_authToken", "t")];
        for address in [
            "https://npm.acme.test.evil.test/a",
            "https://npm.acme.test:8443/a",
            "https://acme.test/a",
            "https://evil.test/npm.acme.test/",
        ] {
            assert_eq!(header(&keys, address), None, "{address}");
        }
        // A path counts by whole components.
        assert_eq!(header(&[("//r.test/a:_authToken", "t")], "https://r.test/ab/c"), None);
    }

    #[test]
    fn user_and_password_become_a_basic_credential() {
        let keys = [("//npm.acme.test/:username", "u"), ("//npm.acme.test/:_password", "cA==")];
        assert_eq!(header(&keys, "https://npm.acme.test/a").as_deref(), Some("Basic dTpw"));
        assert_eq!(
            header(&[("//npm.acme.test/:_auth", "dTpw")], "https://npm.acme.test/a").as_deref(),
            Some("Basic dTpw")
        );
        assert!(Credentials::default().add("//r/:certfile", "x").is_err());
        let mut all = Credentials::default();
        all.add("//r/:_authToken", "t0ken").unwrap();
        assert!(!format!("{all:?}").contains("t0ken"));
    }
}
