//! Which ports below 1024 a service or its proxy may open, and whose `X-Forwarded-For` a proxy believes.

use core::net::IpAddr;

use serde::{Deserialize, Serialize};

use super::{Policy, Sourced};
use crate::plan::Setting;

/// The key `low_ports`: `true` for all ports below 1024, or a list of them.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(untagged, expecting = "expected true, false or a list of ports below 1024")]
pub enum LowPorts {
    All(bool),
    These(Vec<u16>),
}

/// Of `low_ports` and of `proxy.trust`: a machine has one service.
const MOST: usize = 32;

impl Default for LowPorts {
    fn default() -> Self {
        LowPorts::All(false)
    }
}

impl LowPorts {
    pub fn allow(&self, port: u16) -> bool {
        match self {
            LowPorts::All(allowed) => *allowed || port >= 1024,
            LowPorts::These(ports) => port >= 1024 || ports.contains(&port),
        }
    }

    pub fn check(&self) -> Result<(), String> {
        let LowPorts::These(ports) = self else { return Ok(()) };
        if ports.len() > MOST {
            return Err(format!("low_ports has {} entries; the limit is {MOST}", ports.len()));
        }
        match ports.iter().find(|port| !(1..1024).contains(*port)) {
            Some(port) => Err(format!("low_ports has {port}; expected ports from 1 to 1023")),
            None => Ok(()),
        }
    }

    fn shown(&self) -> String {
        match self {
            LowPorts::All(allowed) => allowed.to_string(),
            LowPorts::These(ports) => ports.iter().map(u16::to_string).collect::<Vec<_>>().join(", "),
        }
    }
}

/// The table `[proxy]`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct Proxy {
    /// Address ranges of load balancers, such as the VPC's.
    pub trust: Option<Vec<String>>,
}

impl Proxy {
    pub fn is_empty(&self) -> bool {
        *self == Proxy::default()
    }

    pub fn over(self, under: Proxy) -> Proxy {
        Proxy { trust: self.trust.or(under.trust) }
    }

    pub fn check(&self) -> Result<(), String> {
        let trust = self.trust.as_deref().unwrap_or_default();
        if trust.len() > MOST {
            return Err(format!("proxy.trust has {} entries; the limit is {MOST}", trust.len()));
        }
        match trust.iter().find(|range| !is_range(range)) {
            Some(range) => {
                let shown: String = range.chars().take(60).flat_map(char::escape_default).collect();
                Err(format!(
                    "proxy.trust has \"{shown}\"; expected an address range like \"10.0.0.0/16\", the VPC's \
                     (not all addresses)"
                ))
            }
            None => Ok(()),
        }
    }
}

/// `10.0.0.0/16` or one address. Not all addresses: then any client could choose the address that the service sees.
fn is_range(text: &str) -> bool {
    let (address, bits) = match text.split_once('/') {
        Some((address, bits)) => (address, Some(bits)),
        None => (text, None),
    };
    let Ok(address) = address.parse::<IpAddr>() else { return false };
    let most = if address.is_ipv4() { 32 } else { 128 };
    let is_number = |bits: &str| bits.len() <= 3 && bits.bytes().all(|byte| byte.is_ascii_digit());
    bits.is_none_or(|bits| is_number(bits) && bits.parse().is_ok_and(|bits: u8| (1..=most).contains(&bits)))
}

impl Policy {
    pub fn low_ports(&self) -> (LowPorts, Option<Setting>) {
        let Some(found) = self.uppermost(|fragment| fragment.low_ports.clone()) else {
            return (LowPorts::default(), None);
        };
        let Sourced { value, origin } = found;
        let setting = Sourced { value: value.shown(), origin }.setting("low_ports");
        (value, Some(setting))
    }

    pub fn proxy_trust(&self) -> (Vec<String>, Option<Setting>) {
        let Some(found) = self.uppermost(|fragment| fragment.proxy.trust.clone()) else {
            return (Vec::new(), None);
        };
        let ranges = found.value.clone();
        let shown = if ranges.is_empty() { "none".to_owned() } else { ranges.join(", ") };
        (ranges, Some(found.map(|_| shown).setting("proxy.trust")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::observe::policy::fragment::parse;

    #[test]
    fn low_ports_are_all_or_a_list_and_none_by_default() {
        let read = |text: &str| parse("p", text).unwrap().low_ports.unwrap_or_default();
        for (text, allowed, refused) in [
            ("", &[1024, 3000][..], &[80, 443, 1023][..]),
            ("low_ports = false", &[1024], &[80]),
            ("low_ports = true", &[1, 80, 1023, 3000], &[]),
            ("low_ports = [80, 443]", &[80, 443, 3000], &[22, 81]),
        ] {
            let ports = read(text);
            assert!(allowed.iter().all(|port| ports.allow(*port)), "{text}");
            assert!(!refused.iter().any(|port| ports.allow(*port)), "{text}");
            assert_eq!(ports.check(), Ok(()));
        }
        for text in ["low_ports = [0]", "low_ports = [1024]", "low_ports = [80, 8080]"] {
            assert!(read(text).check().unwrap_err().contains("from 1 to 1023"), "{text}");
        }
        let many = LowPorts::These((1..=33).collect());
        assert!(many.check().unwrap_err().contains("the limit is 32"));
        for text in ["low_ports = 80", "low_ports = \"yes\"", "low_ports = [\"80\"]", "low_ports = [70000]"] {
            let error = parse("p", text).unwrap_err().to_string();
            assert!(error.contains("true, false or a list of ports"), "{error}");
        }
    }

    #[test]
    fn trusted_are_address_ranges_and_never_all() {
        let trusting = |range: &str| Proxy { trust: Some(vec![range.to_owned()]) }.check();
        for range in ["10.0.0.0/16", "172.31.0.0/16", "10.1.2.3", "fd00:ec2::/56", "::1"] {
            assert_eq!(trusting(range), Ok(()), "{range}");
        }
        for range in ["", "0.0.0.0/0", "::/0", "10.0.0.0/33", "10.0.0.0/+8", "vpc", "10.0.0.0/16;", "a\nb"] {
            let cause = trusting(range).unwrap_err();
            assert!(cause.contains("address range") && !cause.contains('\n'), "{cause}");
        }
    }
}
