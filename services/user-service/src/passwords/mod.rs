//! Usernames and passwords, and the bounded room in which passwords are hashed.

mod common_list;
mod hasher;
mod password;
mod queue;
mod username;

pub use hasher::PasswordHasher;
pub use password::Password;
pub use queue::Admission;
pub use username::Username;
