//! What this program does as a child process of its own. The rooms know how; only this file knows all of them.

use std::process::ExitCode;

use crate::error::{Code, Error};
use crate::machine::jail::child::{Role, serve};
use crate::machine::jail::{imds_proof, wrapper};
use crate::machine::process::exit::IMDS_ANSWERS;
use crate::machine::service::drain;
use crate::machine::{git, web};

/// As a shell has it, which finds no program to start.
const NOT_STARTED: i32 = 127;

/// A child, confined as its parent chose. It needs neither log nor runtime, and `tell` hears why it could not go on.
pub fn child(role: &str, argv: &[String], tell: impl FnOnce(&Error)) -> ExitCode {
    if let Some(role) = Role::named(role) {
        return answering(role);
    }
    let ended = match role {
        wrapper::PROVE_AND_RUN => wrapper::prove_and_run(argv),
        wrapper::RUN => wrapper::run(argv),
        imds_proof::PROOF => imds_proof::prove_no_imds().map(|()| 0),
        drain::DRAIN => {
            drain::drain();
            Ok(0)
        }
        _ => return ExitCode::from(Code::Usage.exit() as u8),
    };
    let status = ended.unwrap_or_else(|error| {
        tell(&error);
        if error.code() == Code::ImdsAnswers { IMDS_ANSWERS } else { NOT_STARTED }
    });
    ExitCode::from(status as u8)
}

fn answering(role: Role) -> ExitCode {
    match role {
        Role::Fetch => serve(git::fetch::fetch),
        Role::Tip => serve(git::fetch::tip),
        Role::Checkout => serve(git::checkout::checkout),
        Role::Document => serve(web::document::document),
        Role::Archive => serve(web::archive::archive),
    }
}
