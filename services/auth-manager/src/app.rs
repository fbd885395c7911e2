//! How the service is built, and its route table.
