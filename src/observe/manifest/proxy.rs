//! Parses the table `[proxy]` of a manifest: an nginx in front of the service.

use std::collections::BTreeMap;

use super::spanned::{Fault, Item, Placed, Read, shown};
use super::values::{self, LowPort};
use crate::plan::Seconds;

const KEYS: &[&str] = &["body", "gzip", "paths", "port", "timeout"];
const PATH_KEYS: &[&str] = &["body", "timeout"];
/// Each path is two blocks of nginx's configuration.
const MOST_PATHS: usize = 50;
const A_SIZE: &str = "a size from \"1K\" to \"10G\", like \"50M\"";
/// 10 GiB: nginx writes a larger body to the disk before the service gets its first byte.
const LARGEST: u64 = 10 << 30;

#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ProxyWish {
    pub port: u16,
    pub gzip: bool,
    pub limits: ProxyLimits,
    /// By path without a slash at its end: `/upload` is also for everything below it.
    pub paths: BTreeMap<String, ProxyLimits>,
}

/// What a request may take. In nginx's notation; none: as above it, or the default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ProxyLimits {
    /// `50M`
    pub body: Option<String>,
    /// Between two pieces of the service's answer.
    pub timeout: Option<Seconds>,
}

impl ProxyLimits {
    fn under(self, over: ProxyLimits) -> ProxyLimits {
        ProxyLimits { body: over.body.or(self.body), timeout: over.timeout.or(self.timeout) }
    }
}

#[derive(Clone, Default)]
pub(super) struct ProxyLayer {
    at: usize,
    port: Option<Placed<u16>>,
    gzip: Option<bool>,
    limits: ProxyLimits,
    paths: BTreeMap<String, ProxyLimits>,
}

impl ProxyLayer {
    pub fn read(item: &Item<'_>, root_keys: &[&str]) -> Read<ProxyLayer> {
        let section = item.table()?;
        let mut layer = ProxyLayer { at: item.placed(()).at, ..ProxyLayer::default() };
        for (key, at, item) in section.entries() {
            match key {
                "port" => layer.port = Some(item.placed(values::port(&item)?)),
                "gzip" => layer.gzip = Some(item.flag()?),
                "body" => layer.limits.body = Some(size(&item)?),
                "timeout" => layer.limits.timeout = Some(values::seconds(&item)?),
                "paths" => layer.paths = paths(&item, root_keys)?,
                _ => return Err(section.unknown(key, at, KEYS, root_keys)),
            }
        }
        Ok(layer)
    }

    /// Merges an overlay (`over`) with the base, key by key.
    pub fn merged(under: Option<ProxyLayer>, over: Option<ProxyLayer>) -> Option<ProxyLayer> {
        match (under, over) {
            (Some(under), Some(over)) => {
                let mut paths = under.paths;
                for (path, limits) in over.paths {
                    let merged = paths.remove(&path).unwrap_or_default().under(limits);
                    paths.insert(path, merged);
                }
                Some(ProxyLayer {
                    at: over.at,
                    port: over.port.or(under.port),
                    gzip: over.gzip.or(under.gzip),
                    limits: under.limits.under(over.limits),
                    paths,
                })
            }
            (under, over) => over.or(under),
        }
    }

    /// The table, and its port if that is below 1024. `others` are ports of this machine that the manifest names elsewhere.
    pub fn finish(
        layer: Option<ProxyLayer>,
        others: &[(&str, Option<u16>)],
        low: &mut Vec<LowPort>,
    ) -> Read<Option<ProxyWish>> {
        let Some(layer) = layer else { return Ok(None) };
        let Some(port) = layer.port else {
            let what = "proxy needs port, on which it listens: [proxy] with port = 8080".to_owned();
            return Err(Fault { at: layer.at, what });
        };
        if let Some((key, _)) = others.iter().find(|(_, other)| *other == Some(port.value)) {
            let what = format!("proxy.port is {}, and so is {key}; expected another one", port.value);
            return Err(Fault { at: port.at, what });
        }
        low.extend(LowPort::of("proxy.port", &port));
        Ok(Some(ProxyWish {
            port: port.value,
            gzip: layer.gzip.unwrap_or(false),
            limits: layer.limits,
            paths: layer.paths,
        }))
    }
}

fn paths(item: &Item<'_>, root_keys: &[&str]) -> Read<BTreeMap<String, ProxyLimits>> {
    let mut paths = BTreeMap::new();
    for (path, at, item) in item.bounded_table(MOST_PATHS)?.entries() {
        let fault = |what: String| Fault { at, what: format!("proxy.paths {what}") };
        let path = path_of(path).ok_or_else(|| {
            let rule = "it starts with /, and has letters, digits and / - . _ ~ @ +";
            fault(format!("has {}; expected a path like \"/upload\" ({rule})", shown(path)))
        })?;
        let limits = limits(&item, root_keys)?;
        if paths.insert(path.to_owned(), limits).is_some() {
            return Err(fault(format!("has {} twice", shown(path))));
        }
    }
    Ok(paths)
}

/// The path without the slash at its end. Few characters are allowed, because it becomes a part of nginx's configuration,
/// and because nginx compares it with the decoded path of a request. `/` alone is what the table itself is for.
fn path_of(text: &str) -> Option<&str> {
    let path = text.strip_suffix('/').unwrap_or(text);
    let plain = |c: char| c.is_ascii_alphanumeric() || "-._~@+".contains(c);
    let is_part = |part: &str| !part.is_empty() && !matches!(part, "." | "..") && part.chars().all(plain);
    let is_path =
        path.len() <= 200 && path.strip_prefix('/').is_some_and(|rest| rest.split('/').all(is_part));
    is_path.then_some(path)
}

fn limits(item: &Item<'_>, root_keys: &[&str]) -> Read<ProxyLimits> {
    let section = item.table()?;
    let mut limits = ProxyLimits::default();
    for (key, at, item) in section.entries() {
        match key {
            "body" => limits.body = Some(size(&item)?),
            "timeout" => limits.timeout = Some(values::seconds(&item)?),
            _ => return Err(section.unknown(key, at, PATH_KEYS, root_keys)),
        }
    }
    Ok(limits)
}

/// A number with its unit. Not 0, which nginx takes for "without a limit".
fn size(item: &Item<'_>) -> Read<String> {
    let text = item.string(A_SIZE)?;
    let bytes = |unit: char| match unit {
        'K' => Some(1_u64 << 10),
        'M' => Some(1 << 20),
        'G' => Some(1 << 30),
        _ => None,
    };
    let parsed = text.chars().last().and_then(|unit| {
        let digits = text.strip_suffix(unit)?;
        let is_number = digits.len() <= 8 && digits.bytes().all(|byte| byte.is_ascii_digit());
        digits.parse::<u64>().ok().filter(|_| is_number)?.checked_mul(bytes(unit)?)
    });
    match parsed {
        Some(1..=LARGEST) => Ok(text.to_owned()),
        _ => Err(item.fault(format!("is {}; expected {A_SIZE}", shown(text)))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::Manifest;
    use super::*;
    use crate::facts::Environment;

    fn read(text: &str) -> Result<Manifest, String> {
        Manifest::parse("x.toml", text, None, &[]).map_err(|error| error.to_string())
    }

    fn limits(body: Option<&str>, timeout: Option<u64>) -> ProxyLimits {
        ProxyLimits { body: body.map(str::to_owned), timeout: timeout.map(Seconds) }
    }

    #[test]
    fn a_proxy_has_a_port_and_limits_by_path() {
        let text = "port = 3000\n[proxy]\nport = 8080\ngzip = true\nbody = \"2M\"\n\
                    [proxy.paths.\"/upload/\"]\nbody = \"50M\"\ntimeout = \"300s\"\n[proxy.paths.\"/a/b.c\"]\ntimeout = 5\n";
        let proxy = read(text).unwrap().proxy.unwrap();
        assert_eq!((proxy.port, proxy.gzip), (8080, true));
        assert_eq!(proxy.limits, limits(Some("2M"), None));
        assert_eq!(proxy.paths["/upload"], limits(Some("50M"), Some(300)));
        assert_eq!(proxy.paths["/a/b.c"], limits(None, Some(5)));
        let plain = read("[proxy]\nport = 8080").unwrap().proxy.unwrap();
        assert!(!plain.gzip && plain.limits == ProxyLimits::default() && plain.paths.is_empty());
        assert_eq!(read("port = 3000").unwrap().proxy, None);
    }

    #[test]
    fn an_overlay_merges_key_by_key_and_path_by_path() {
        let text = "[proxy]\nport = 8080\nbody = \"2M\"\n[proxy.paths.\"/upload\"]\nbody = \"50M\"\n\
                    [environments.prod.proxy]\nport = 9090\n[environments.prod.proxy.paths.\"/upload\"]\ntimeout = 300\n";
        let prod = Environment::try_from("prod").unwrap();
        let proxy = Manifest::parse("x.toml", text, Some(&prod), &[]).unwrap().proxy.unwrap();
        assert_eq!((proxy.port, proxy.limits.body.as_deref()), (9090, Some("2M")));
        assert_eq!(proxy.paths["/upload"], limits(Some("50M"), Some(300)));
        // The overlay alone has no port, and the base has.
        assert!(read("[environments.prod.proxy]\nbody = \"1M\"").unwrap_err().contains("proxy needs port"));
    }

    #[test]
    fn what_nginx_would_read_as_something_else_is_refused() {
        for (text, says) in [
            ("[proxy]", "proxy needs port"),
            ("proxy = 80", "proxy is an integer; expected a table"),
            ("port = 3000\n[proxy]\nport = 3000", "3:8: proxy.port is 3000, and so is port"),
            ("port = 1025\nrehearsal = { port = 3001 }\n[proxy]\nport = 3001", "and so is rehearsal.port"),
            ("[proxy]\nprot = 80", "did you mean \"port\"?"),
            ("[proxy]\nport = 0", "proxy.port is 0"),
            ("[proxy]\nport = 8080\nbody = 50", "proxy.body is an integer"),
            ("[proxy]\nport = 8080\nbody = \"0M\"", "proxy.body is \"0M\"; expected a size"),
            ("[proxy]\nport = 8080\nbody = \"11G\"", "expected a size"),
            ("[proxy]\nport = 8080\nbody = \"50MB\"", "expected a size"),
            ("[proxy]\nport = 8080\nbody = \"5;}\"", "expected a size"),
            ("[proxy]\nport = 8080\nbody = \"+5M\"", "expected a size"),
            ("[proxy]\nport = 8080\nbody = \"é\"", "expected a size"),
            ("[proxy]\nport = 8080\ntimeout = \"2h\"", "expected seconds"),
            ("[proxy]\nport = 8080\n[proxy.paths.\"/\"]\nbody = \"1M\"", "expected a path like \"/upload\""),
            ("[proxy]\nport = 8080\n[proxy.paths.\"upload\"]\nbody = \"1M\"", "expected a path"),
            ("[proxy]\nport = 8080\n[proxy.paths.\"/a b\"]\nbody = \"1M\"", "expected a path"),
            ("[proxy]\nport = 8080\n[proxy.paths.\"/a;}\"]\nbody = \"1M\"", "expected a path"),
            ("[proxy]\nport = 8080\n[proxy.paths.\"/a/../b\"]\nbody = \"1M\"", "expected a path"),
            ("[proxy]\nport = 8080\n[proxy.paths.\"/$host\"]\nbody = \"1M\"", "expected a path"),
            ("[proxy]\nport = 8080\n[proxy.paths.\"/a\"]\nsize = 1", "known here: body, timeout"),
            ("[proxy]\nport = 8080\n[proxy.paths.\"/a\"]\n[proxy.paths.\"/a/\"]\n", "twice"),
        ] {
            let error = read(text).unwrap_err();
            assert!(error.contains(says), "{text}: {error}");
        }
        let many: String = (0..=MOST_PATHS).map(|n| format!("[proxy.paths.\"/{n}\"]\n")).collect();
        assert!(read(&format!("[proxy]\nport = 8080\n{many}")).unwrap_err().contains("the limit is 50"));
    }

    #[test]
    fn a_port_below_1024_is_noted_with_its_place() {
        let low = read("port = 3000\n\n[proxy]\nport = 80").unwrap().low_ports;
        let [port] = low.as_slice() else { panic!("{low:?}") };
        assert_eq!((port.key, port.port, port.place.as_str()), ("proxy.port", 80, "x.toml:4:8"));
        let all = read("port = 443\n[proxy]\nport = 80").unwrap().low_ports;
        let keys: Vec<&str> = all.iter().map(|low| low.key).collect();
        assert_eq!(keys, ["port", "proxy.port"]);
        assert!(read("port = 1024\n[proxy]\nport = 8080").unwrap().low_ports.is_empty());
        // Of an overlay that does not apply, nothing counts.
        assert!(read("port = 3000\n[environments.prod]\nport = 80").unwrap().low_ports.is_empty());
    }
}
