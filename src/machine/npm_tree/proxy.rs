//! The proxy of an address, by npm's settings.

use super::failure::{Failure, Result};
use crate::npm::{Address, Settings};

/// Host and port; `None` if the address is reached directly.
pub fn of(address: &Address, settings: &Settings) -> Result<Option<(String, u16)>> {
    let is_direct = settings.no_proxy.iter().any(|entry| {
        let entry = entry.trim_start_matches('.');
        entry == "*" || address.host == entry || address.host.ends_with(&format!(".{entry}"))
    });
    match settings.proxy.as_deref().filter(|_| !is_direct) {
        None => Ok(None),
        Some(proxy) => match parse(proxy) {
            Some(parsed) => Ok(Some(parsed)),
            None => Err(Failure::ForNpm("the proxy is not a plain http address".to_owned())),
        },
    }
}

fn parse(proxy: &str) -> Option<(String, u16)> {
    let server = proxy.strip_prefix("http://")?.trim_end_matches('/');
    let (host, port) = match server.split_once(':') {
        Some((host, port)) => (host, port.parse().ok()?),
        None => (server, 80),
    };
    let is_plain = host.bytes().all(|c| c.is_ascii_alphanumeric() || b".-_".contains(&c));
    (!host.is_empty() && is_plain).then(|| (host.to_owned(), port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_plain_proxies_are_used() {
        assert_eq!(parse("http://p.test:3128/"), Some(("p.test".to_owned(), 3128)));
        assert_eq!(parse("http://10.0.0.1"), Some(("10.0.0.1".to_owned(), 80)));
        for other in [
            "https://p.test",
            "http://u:p@p.test:1",
            "http://",
            "p.test:1",
            "http://[::1]:3",
            "http://p.test:x",
        ] {
            assert_eq!(parse(other), None, "{other}");
        }
    }
}
