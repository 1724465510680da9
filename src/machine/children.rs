//! Entry point of bootagent's child processes, which handle untrusted input. Only maps a role to its function.

use std::process::ExitCode;

use crate::error::{Code, Error};
use crate::machine::jail::child::{Role, serve, serve_on};
use crate::machine::jail::{imds_proof, wrapper};
use crate::machine::process::exit::IMDS_ANSWERS;
use crate::machine::registries::proxy;
use crate::machine::service::drain;
use crate::machine::{git, npm_tree, release_cache, web};

/// The exit status of a shell that cannot start a program.
const NOT_STARTED: i32 = 127;

/// Runs a child process's role; the parent has confined the process. There is no log here and no async runtime:
/// `report` gets the error of a role that failed. An unknown role exits with the status of a usage error.
pub fn child(role: &str, argv: &[String], report: impl FnOnce(&Error)) -> ExitCode {
    if let Some(role) = Role::named(role) {
        return serve_request(role);
    }
    if role == proxy::ROLE {
        return serve_on(proxy::begin);
    }
    let result = match role {
        wrapper::PROVE_AND_RUN => wrapper::prove_and_run(argv),
        wrapper::RUN => wrapper::run(argv),
        imds_proof::PROOF => imds_proof::prove_no_imds().map(|()| 0),
        npm_tree::ROLE => npm_tree::run(argv),
        drain::DRAIN => {
            drain::drain();
            Ok(0)
        }
        _ => return ExitCode::from(Code::Usage.exit() as u8),
    };
    let status = result.unwrap_or_else(|error| {
        report(&error);
        if error.code() == Code::ImdsAnswers { IMDS_ANSWERS } else { NOT_STARTED }
    });
    ExitCode::from(status as u8)
}

fn serve_request(role: Role) -> ExitCode {
    match role {
        Role::Fetch => serve(git::fetch::fetch),
        Role::Tip => serve(git::fetch::tip),
        Role::Checkout => serve(git::checkout::checkout),
        Role::Document => serve(web::document::document),
        Role::Archive => serve(web::archive::archive),
        Role::Pack => serve(git::bundle::pack),
        Role::PackRelease => serve(release_cache::pack::pack),
        Role::UnpackRelease => serve(release_cache::unpack::unpack),
        Role::PackPackages => serve(npm_tree::packed::pack),
        Role::UnpackPackages => serve(npm_tree::packed::unpack),
    }
}
