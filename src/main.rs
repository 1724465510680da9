use std::process::ExitCode;

use bootagent::machine::sandbox::{Role, child};

/// Only the hidden verb, for now.
fn main() -> ExitCode {
    let mut words = std::env::args().skip(1);
    match (words.next().as_deref(), words.next().as_deref().and_then(Role::named), words.next()) {
        (Some(Role::VERB), Some(role), None) => child::main(role),
        _ => ExitCode::from(64),
    }
}
