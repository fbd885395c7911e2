//! Real databases, services and clients for Latchkey's tests.
