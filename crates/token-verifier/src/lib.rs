//! Verifies Latchkey access tokens against cached keys and a feed of revocations.
