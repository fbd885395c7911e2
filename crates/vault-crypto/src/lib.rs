//! AES-256-CBC with HMAC-SHA-256, bound to an identity, under a versioned keyring.
