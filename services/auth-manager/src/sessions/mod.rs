//! Sign-ins, accounts and sessions.
