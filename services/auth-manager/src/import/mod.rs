//! Taking over older vaults and session tables.
