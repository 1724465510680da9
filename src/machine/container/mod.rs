//! Docker: its daemon, the images of releases, and the service's container. Talks to docker only by its client.

pub mod build_network;
pub mod docker;
pub mod engine;
pub mod images;
pub mod inspect;
pub mod remove;
