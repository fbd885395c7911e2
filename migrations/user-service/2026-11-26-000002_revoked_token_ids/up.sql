CREATE INDEX key_changes_token_ids ON key_changes (value) WHERE kind = 'jti';
COMMENT ON INDEX key_changes_token_ids IS 'Whether one access token was revoked by itself, asked whenever it is used here.';
