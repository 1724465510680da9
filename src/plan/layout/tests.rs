//! Names of units: which belong to a service, and which to a fetch.

use super::*;

#[test]
fn the_pattern_of_a_service_s_units_matches_no_fetch() {
    for name in ["fetch", "fetch-17", "auth", "auth-build"] {
        let layout = Layout::new(&Service::try_from(name).unwrap());
        let pattern = layout.transient("*");
        let (front, _) = pattern.split_once('*').unwrap();
        let others = [FETCH.to_owned(), fetch_of(17, 4711)];
        for unit in others.iter().flat_map(|fetch| [format!("{fetch}.service"), document_unit(fetch)]) {
            assert!(!unit.starts_with(front), "{pattern} matches {unit}");
        }
    }
}

#[test]
fn a_fetch_of_a_reading_command_names_its_process() {
    let fetch = fetch_of(17, 4711);
    for name in [fetch.clone(), format!("{fetch}.service"), document_unit(&fetch)] {
        assert_eq!(observer(&name), Some((17, 4711)), "{name}");
    }
    for name in [FETCH, "bootagent-fetch.service", &document_unit(FETCH), "bootagent-fetch.17", "x.17.4711"] {
        assert_eq!(observer(name), None, "{name}");
    }
}
