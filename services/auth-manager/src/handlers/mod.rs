//! The endpoints, one a file: request and response types, and a handler that reads as prose.
