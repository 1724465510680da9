//! Reads the ports of a container. Pure.

use super::project::Port;
use super::reader::{At, Reader};
use crate::error::Result;
use crate::planner::runtime::yaml_tree::Node;

pub fn ports(reader: &Reader, at: At) -> Result<Vec<Port>> {
    reader
        .items(at)?
        .iter()
        .map(|(path, node)| {
            let at = At { path, node };
            match node {
                Node::Map(_) => long(reader, at),
                _ => short(&reader.text(at)?).ok_or_else(|| {
                    reader
                        .invalid(path, "is not a port like \"8080:80\"")
                        .remedy("write one entry for each port, in quotes: \"8080:80\"")
                }),
            }
        })
        .collect()
}

/// `80`, `8080:80`, `127.0.0.1:8080:80`, each perhaps with `/tcp` or `/udp`. A range is not read.
fn short(text: &str) -> Option<Port> {
    let (ports, is_udp) = match text.split_once('/') {
        Some((ports, "udp")) => (ports, true),
        Some((ports, "tcp")) => (ports, false),
        Some(_) => return None,
        None => (text, false),
    };
    let mut parts = ports.rsplitn(3, ':');
    let inner = number(parts.next()?)?;
    let published =
        parts.next().filter(|port| !port.is_empty()).map(|port| number(port).ok_or(())).transpose().ok()?;
    let address = parts
        .next()
        .map(|address| is_address(address).then(|| address.to_owned()).ok_or(()))
        .transpose()
        .ok()?;
    Some(Port { inner, published, is_udp, address })
}

fn long(reader: &Reader, at: At) -> Result<Port> {
    let mut port = Port { inner: 0, published: None, is_udp: false, address: None };
    for (path, key, node) in reader.entries(at)? {
        let text = reader.text(At { path: &path, node })?;
        let read = || number(&text).ok_or_else(|| reader.invalid(&path, "is not a port from 1 to 65535"));
        match (key, text.as_str()) {
            ("target", _) => port.inner = read()?,
            ("published", _) => port.published = Some(read()?),
            ("protocol", "tcp" | "udp") => port.is_udp = text == "udp",
            ("host_ip", address) if is_address(address) => port.address = Some(address.to_owned()),
            // All containers are on this machine, where the modes do not differ.
            ("mode", "host" | "ingress") | ("name" | "app_protocol", _) => {}
            _ => return Err(reader.invalid(&path, "is not known")),
        }
    }
    match port.inner {
        0 => Err(reader.invalid(at.path, "has no target")),
        _ => Ok(port),
    }
}

fn number(text: &str) -> Option<u16> {
    text.parse().ok().filter(|port| *port != 0)
}

fn is_address(text: &str) -> bool {
    text.parse::<core::net::Ipv4Addr>().is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_forms_are_read() {
        let port = |inner, published, is_udp, address: Option<&str>| {
            Some(Port { inner, published, is_udp, address: address.map(str::to_owned) })
        };
        for (text, read) in [
            ("80", port(80, None, false, None)),
            ("8080:80", port(80, Some(8080), false, None)),
            ("8080:80/tcp", port(80, Some(8080), false, None)),
            ("53:53/udp", port(53, Some(53), true, None)),
            ("127.0.0.1:8080:80", port(80, Some(8080), false, Some("127.0.0.1"))),
            ("127.0.0.1::80", port(80, None, false, Some("127.0.0.1"))),
            ("3000-3005", None),
            ("3000-3005:80", None),
            ("0:80", None),
            ("80:", None),
            ("", None),
            ("x:80", None),
            ("host:8080:80", None),
            ("1:2:3:4", None),
            ("80/sctp", None),
            ("70000", None),
        ] {
            assert_eq!(short(text), read, "{text}");
        }
    }
}
