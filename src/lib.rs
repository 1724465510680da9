//! bootagent: deploys a service on an EC2 instance at its first boot, from two instance tags.
//!
//! A run has four parts. Each gives plain data to the next, and only `machine` touches the machine:
//!
//! ```text
//!  tags, identity (IMDSv2) ┐
//!  policy (/etc, flags)    ├─ observe ──► Facts, Selection, Source, Manifest, Variables
//!  the commit's tree (git) │                        │
//!  Secrets Manager         ┘                        ▼
//!                                       planner::plan(...) ─► Plan { goal, steps, recover }
//!                                                   │
//!                                   --dry-run ◄─────┴─────► apply: carries the steps out (Host)
//!                                   prints it                       │
//!                                                                   ▼
//!                                               report: status file, journal, console
//! ```
//!
//! Read [`boot`] first: it is the whole pipeline in order. Then [`plan`], the data that the planner makes and `apply`
//! carries out, and `planner/runtime/node/mod.rs`, one runtime from detection to start command.
//!
//! Rules for all of the source:
//! - [`planner`] is pure and [`plan`] is data: no disk, no network, no clock.
//! - [`observe`] gets `&impl Observe`, which cannot change the machine. Only [`apply`] gets a `Host`, which can.
//! - [`machine`] alone touches files, processes, units and the network.
//! - Secret text is a `Secret` or `Sealed`, which print and serialize the secret's name only.
//! - Code from a repository or a package registry (git objects, npm, install scripts) never runs as root.

// .clippy.toml lists what only src/machine and src/cli.rs may call. println! is denied because it panics, and so ends a
// run, when the reader of the pipe has gone.
#![cfg_attr(
    not(test),
    deny(clippy::disallowed_methods, clippy::disallowed_types, clippy::print_stdout, clippy::print_stderr)
)]

// Carries out a plan: order, time limits, recovery.
pub mod apply;
// A whole run, in order.
pub mod boot;
// Arguments and help.
pub mod cli;
// Errors: codes, exit statuses, remedies.
pub mod error;
// What was read of the machine, the instance and the repository: data only.
pub mod facts;
// Errors with a cause outside bootagent, and which of them are retried.
pub mod fault;
// Everything that touches the machine, AWS or the network.
pub mod machine;
// What npm makes of a lockfile; pure.
pub mod npm;
// Reads policy, tags, source, manifest and secret.
pub mod observe;
// The plan: steps and actions, data only.
pub mod plan;
// Makes the plan; pure.
pub mod planner;
// Status file, journal and console.
pub mod report;
// Secret values, redaction, and text from others.
pub mod secret;
// One file per command.
pub mod verbs;
// What goes on beside a service that serves.
pub mod watch;
