//! systemd alone: the unit runs the service itself. Also the unit of a service that another program runs for it. Pure.

use super::service_unit::{self, Main};
use super::{App, Service, Supervisor, processes};
use crate::error::Result;
use crate::facts::Supervised;
use crate::observe::manifest::SupervisorName;

pub const SYSTEMD: Supervisor = Supervisor {
    name: SupervisorName::Systemd,
    evidence: &[],
    starts: |_, _| false,
    refuse: |_, _, _| Ok(()),
    supervise: |app| {
        let start = &app.recipe.start;
        let (tree, argv) = (app.recipe.tree(&app.layout.current()), start.argv.clone());
        let (is_wrapped, notifies) = (start.is_wrapped, start.notifies);
        let main = Main { argv, is_wrapped, notifies, tree, ..Main::default() };
        Ok(Service { runs_by: Supervised::by_unit(unit(app, &main)?), ..Service::default() })
    },
};

/// The service's unit, which runs this main program, and starts the processes beside it.
pub fn unit(app: &App, main: &Main) -> Result<String> {
    Ok(service_unit::unit(app, main, processes::lines(app)?))
}
