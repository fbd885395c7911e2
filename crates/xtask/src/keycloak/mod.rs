//! A Keycloak of our own: the distribution from Maven Central, the machine's Java.

mod distribution;
mod download;
mod java;
mod machine;
mod provided;
mod server;

use java::Java;
pub(crate) use machine::Machine;
pub(crate) use provided::Provided;
pub(crate) use server::{READY_PATH, READY_TIMEOUT, Server, Startup, providers_file};
