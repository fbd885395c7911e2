-- A revoked key has no sealed private key any more: the state tells which rows still need theirs.
CREATE INDEX published_keys_by_state_and_sealing_key ON published_keys (state, sealing_key_id);
DROP INDEX published_keys_by_sealing_key;
