//! The addresses at which a data host listens. Always loopback, for the health check and for programs beside it.

use core::net::IpAddr;

use crate::error::{Code, Error, Result};
use crate::facts::Facts;

pub const IS_ADDRESS: &str = "\"private\", \"loopback\", \"all\", or IP addresses with commas between them";
const LOOPBACK: &str = "127.0.0.1";
const ALL: &str = "0.0.0.0";

/// Whether this is a value for the key `listen`.
pub fn is_listen(text: &str) -> bool {
    matches!(text, "private" | "loopback" | "all") || parsed(text).is_some()
}

/// The addresses of a list.
fn parsed(text: &str) -> Option<Vec<IpAddr>> {
    text.split(',').map(|part| part.trim().parse().ok()).collect()
}

/// The addresses, loopback first.
pub fn addresses(
    server: &str,
    wish: Option<&String>,
    facts: &Facts,
    notes: &mut Vec<String>,
) -> Result<Vec<String>> {
    let own = facts.instance.as_ref().and_then(|instance| instance.address.clone());
    let more = match wish.map(String::as_str) {
        Some("loopback") => Vec::new(),
        Some("all") => return Ok(vec![ALL.to_owned()]),
        None | Some("private") => {
            if own.is_none() && facts.instance.is_some() {
                notes.push(format!(
                    "no private IPv4 address is known here: {server} listens at {LOOPBACK} alone; [{server}] listen sets \
                     another address"
                ));
            }
            own.into_iter().collect()
        }
        Some(list) => parsed(list).unwrap_or_default().iter().map(IpAddr::to_string).collect(),
    };
    if more.iter().any(|address| address == ALL) {
        let cause = format!("{ALL} in a list of [{server}] listen");
        return Err(Error::new(Code::ManifestInvalid, format!("planning {server}"), cause)
            .remedy("write listen = \"all\""));
    }
    let mut all = vec![LOOPBACK.to_owned()];
    all.extend(more.into_iter().filter(|address| address != LOOPBACK));
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::facts::Instance;

    fn of(wish: Option<&str>, own: Option<&str>) -> (Vec<String>, Vec<String>) {
        let instance = Instance {
            id: "i-1".to_owned(),
            region: "eu-west-1".to_owned(),
            zone: "eu-west-1a".to_owned(),
            kind: "t3.small".to_owned(),
            address: own.map(str::to_owned),
        };
        let facts = Facts { instance: Some(instance), ..Facts::default() };
        let mut notes = Vec::new();
        let found = addresses("redis", wish.map(str::to_owned).as_ref(), &facts, &mut notes).unwrap();
        (found, notes)
    }

    #[test]
    fn the_private_address_is_the_default_beside_loopback() {
        let own = Some("172.31.3.9");
        assert_eq!(of(None, own).0, ["127.0.0.1", "172.31.3.9"]);
        assert_eq!(of(Some("private"), own).0, ["127.0.0.1", "172.31.3.9"]);
        assert_eq!(of(Some("loopback"), own).0, ["127.0.0.1"]);
        assert_eq!(of(Some("all"), own).0, ["0.0.0.0"]);
        assert_eq!(of(Some("10.0.0.4, 127.0.0.1"), own).0, ["127.0.0.1", "10.0.0.4"]);
        assert!(of(None, own).1.is_empty());
        let (found, notes) = of(None, None);
        assert!(found == ["127.0.0.1"] && notes[0].contains("no private IPv4 address"), "{notes:?}");
    }

    #[test]
    fn only_words_and_addresses_are_taken() {
        for good in ["private", "loopback", "all", "10.0.0.4", "10.0.0.4,fd00::1"] {
            assert!(is_listen(good), "{good}");
        }
        for bad in ["", "*", "localhost", "10.0.0.4;", "10.0.0.4\nport 1", "10.0.0"] {
            assert!(!is_listen(bad), "{bad}");
        }
    }
}
