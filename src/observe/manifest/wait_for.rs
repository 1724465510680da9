//! Parses `wait_for` of a manifest: addresses that must accept connections before the service starts.

use super::spanned::{Item, Read, shown};

const MOST: usize = 20;
const AN_ADDRESS: &str = "an address like \"db.internal:5432\"";

pub(super) fn read(item: &Item<'_>) -> Read<Vec<String>> {
    item.list("a list of addresses", MOST)?.iter().map(address).collect()
}

/// Host and port. A name of few characters: it becomes part of messages.
fn address(item: &Item<'_>) -> Read<String> {
    let text = item.string(AN_ADDRESS)?;
    let is_host = |host: &str| {
        let name = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
        let letters = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '.';
        match name {
            Some(name) => name.contains(':') && name.chars().all(|c| c.is_ascii_hexdigit() || c == ':'),
            None => !host.is_empty() && host.len() <= 253 && host.chars().all(letters),
        }
    };
    let is_port = |port: &str| port.parse::<u16>().is_ok_and(|port| port != 0);
    match text.rsplit_once(':').filter(|(host, port)| is_host(host) && is_port(port)) {
        Some(_) => Ok(text.to_owned()),
        None => Err(item.fault(format!("has {}; expected {AN_ADDRESS}", shown(text)))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Manifest;

    fn read(text: &str) -> Result<Vec<String>, String> {
        let text = format!("wait_for = [{text}]");
        let manifest = Manifest::parse("bootagent.toml", &text, None, &[]);
        manifest.map(|manifest| manifest.wait_for).map_err(|error| error.to_string())
    }

    #[test]
    fn addresses_have_a_host_and_a_port() {
        assert_eq!(read("\"db.internal:5432\", \"10.0.0.7:6379\", \"[::1]:80\"").unwrap().len(), 3);
        for text in ["db", "db:", "db:0", "db:70000", ":5432", "http://db:80", "a b:1", "[x]:1", "a\\nb:1"] {
            let error = read(&format!("\"{text}\"")).unwrap_err();
            assert!(error.contains("expected an address like"), "{text}: {error}");
        }
    }
}
