//! A Keycloak of our own: the distribution from Maven Central, the machine's Java.

mod distribution;
mod download;
mod java;
mod server;

pub(crate) use java::Java;
pub(crate) use server::{READY_PATH, READY_TIMEOUT, Server, Startup, home, providers_file};
