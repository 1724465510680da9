//! bootagent: from two instance tags to a service that is really healthy.
//!
//! Four acts, one thing that passes between them, and one door:
//!
//! ```text
//!  tags, identity (IMDSv2) ┐
//!  policy (/etc, flags)    ├─ observe ──► Facts, Selection, Source, Manifest, Variables
//!  the commit's tree (git) │                        │
//!  Secrets Manager         ┘                        ▼
//!                                       planner::plan(...) ─► Plan { goal, steps, recover }
//!                                                   │
//!                                   --dry-run ◄─────┴─────► apply: one interpreter, one door (Host)
//!                                   prints it                       │
//!                                                                   ▼
//!                                               report: status file, journal, console
//! ```
//!
//! Read [`boot`] first: it is the whole pipeline in order. Then [`plan`], the types that everything
//! passes through, and `planner/runtime/node.rs`, one runtime from detection to start command.
//!
//! What holds everywhere:
//! - [`planner`] is pure and [`plan`] is data: no disk, no network, no clock.
//! - [`observe`] gets `&impl Observe`, which cannot act. Only [`apply`] holds a `Host`.
//! - [`machine`] alone touches files, processes, units and the network.
//! - Secret text is a `Secret` or `Sealed`: it prints and serializes as names.
//! - Code that others wrote (git, npm, install scripts) never runs as root.

// What only the door may do (.clippy.toml); and a closed reader must not end a run, as println! would.
#![cfg_attr(
    not(test),
    deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::print_stdout, clippy::print_stderr)
)]

pub mod apply;
pub mod boot;
pub mod cli;
pub mod error;
pub mod facts;
pub mod fault;
pub mod machine;
pub mod observe;
pub mod plan;
pub mod planner;
pub mod report;
pub mod secret;
pub mod verbs;
