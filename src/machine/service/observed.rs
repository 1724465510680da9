//! The health check of a service without a configured port: on which TCP ports its own processes listen, and which of
//! them is its port. Reads only; `probe.rs` probes the port.

use std::collections::BTreeSet;

use crate::machine::process::units::UnitState;
use crate::machine::process::{cgroup, sockets};

/// On which ports a service listens.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Observed {
    Nothing,
    /// Its only port, or the one of several that its variable PORT names.
    One(u16),
    /// None of them is chosen: it could be the port of metrics or of a debugger.
    Several(BTreeSet<u16>),
}

impl Observed {
    /// The service's port, or all ports of which none was chosen.
    pub fn ports(&self) -> BTreeSet<u16> {
        match self {
            Observed::Nothing => BTreeSet::new(),
            Observed::One(port) => BTreeSet::from([*port]),
            Observed::Several(ports) => ports.clone(),
        }
    }
}

/// The port, if there is one only.
pub fn only(ports: &BTreeSet<u16>) -> Option<u16> {
    ports.first().copied().filter(|_| ports.len() == 1)
}

pub fn observe(state: &UnitState) -> Observed {
    let ports = sockets::ports_of(&state.cgroup);
    match ports.len() {
        0 | 1 => chosen(ports, &BTreeSet::new()),
        _ => chosen(ports, &cgroup::ports_named(&state.cgroup)),
    }
}

/// `named`: the ports that the processes' variables PORT name.
fn chosen(ports: BTreeSet<u16>, named: &BTreeSet<u16>) -> Observed {
    let both = ports.intersection(named).copied().collect();
    match only(&both).or(only(&ports)) {
        Some(port) => Observed::One(port),
        None if ports.is_empty() => Observed::Nothing,
        None => Observed::Several(ports),
    }
}

/// `3000, 3001 and 9090`
pub fn list(ports: &BTreeSet<u16>) -> String {
    const MOST: usize = 5;
    let mut named: Vec<String> = ports.iter().take(MOST).map(u16::to_string).collect();
    if ports.len() > MOST {
        named.push(format!("{} more", ports.len() - MOST));
    }
    match named.split_last() {
        Some((last, [])) => last.clone(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_only_port_or_the_one_that_port_names_is_chosen_and_none_by_guess() {
        let several = |ports: &[u16]| Observed::Several(ports.iter().copied().collect());
        for (ports, named, expected) in [
            (&[][..], &[][..], Observed::Nothing),
            (&[], &[3000], Observed::Nothing),
            (&[8080], &[], Observed::One(8080)),
            // A PORT that the service does not obey.
            (&[8080], &[3000], Observed::One(8080)),
            (&[3000, 9090], &[3000], Observed::One(3000)),
            (&[3000, 9090], &[9090], Observed::One(9090)),
            (&[3000, 9090], &[], several(&[3000, 9090])),
            (&[3000, 9090], &[8080], several(&[3000, 9090])),
            // Two processes with different values.
            (&[3000, 9090], &[3000, 9090], several(&[3000, 9090])),
        ] {
            let (ports, named) = (ports.iter().copied().collect(), named.iter().copied().collect());
            assert_eq!(chosen(ports, &named), expected);
        }
    }

    #[test]
    fn a_list_of_ports_is_a_phrase_of_bounded_length() {
        assert_eq!(list(&[3000].into()), "3000");
        assert_eq!(list(&[3000, 9090].into()), "3000 and 9090");
        assert_eq!(list(&[1, 2, 3].into()), "1, 2 and 3");
        assert_eq!(list(&(1..=99).collect()), "1, 2, 3, 4, 5 and 94 more");
    }
}
