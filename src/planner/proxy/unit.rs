//! The text of the proxy's unit: hardened, always restarted, without the service's user and environment.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use crate::plan::hardening::{Confined, NO_IMDS, hardening, opening_low_ports};
use crate::planner::Wanted;
use crate::planner::supervisor::restarts::restarts;
use crate::planner::supervisor::unit_syntax::line;

pub struct Nginx<'a> {
    pub program: PathBuf,
    /// Whether it has the option `-e`.
    pub takes_error_log: bool,
    pub configuration: &'a Path,
}

impl Nginx<'_> {
    fn with(&self, more: &[&str]) -> String {
        let mut argv = vec![self.program.display().to_string()];
        if self.takes_error_log {
            argv.extend(["-e", "stderr"].map(str::to_owned));
        }
        argv.extend(["-c".to_owned(), self.configuration.display().to_string()]);
        argv.extend(more.iter().map(|word| (*word).to_owned()));
        line(&argv)
    }
}

/// The first line differs from that of a service's unit, by which bootagent recognizes services that have lost their records.
/// With a dynamic user, neither the proxy nor the service can reach the other's processes and files. SIGQUIT lets nginx end its requests.
pub fn text(nginx: &Nginx, port: u16, wanted: &Wanted) -> String {
    let selection = wanted.selection;
    let (check, run, reload) = (nginx.with(&["-t", "-q"]), nginx.with(&[]), nginx.with(&["-s", "reload"]));
    let mut unit = String::new();
    // Writing to a String cannot fail.
    let _ = write!(
        unit,
        "# Of {service}.service, written by bootagent; do not edit: each run replaces this file. Use systemctl edit.
[Unit]
Description={service} ({environment}), proxy
Wants=network-online.target
After=network-online.target
StartLimitIntervalSec=0

[Service]
Type=exec
DynamicUser=yes
ExecStartPre={check}
ExecStart={run}
ExecReload={check}
ExecReload={reload}
{restarts}KillSignal=SIGQUIT
KillMode=mixed
TimeoutStopSec=30
SyslogIdentifier={service}.proxy
",
        service = selection.service,
        environment = selection.environment,
        restarts = restarts(wanted.facts.machine.systemd),
    );
    for line in hardening(Confined::Service) {
        let _ = writeln!(unit, "{}", if port < 1024 { opening_low_ports(line) } else { line });
    }
    let _ = writeln!(unit, "{NO_IMDS}");
    unit
}
