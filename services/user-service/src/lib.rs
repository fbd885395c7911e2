//! Issuer: accounts, devices, sessions, access tokens and keys.
