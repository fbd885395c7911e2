//! A PostgreSQL of our own: binaries from the machine or from Maven Central, run as a user that
//! is not root.

mod binaries;
mod cluster;
mod databases;
mod owner;

pub use binaries::{Binaries, Source};
pub use cluster::{Cluster, Durability};
pub use databases::{create, drop_database, url_of};
pub use owner::Owner;
