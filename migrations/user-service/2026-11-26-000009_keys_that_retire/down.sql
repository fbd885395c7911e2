DROP INDEX published_keys_due;
COMMENT ON COLUMN published_keys.until IS 'For a revoked key: when its last token has expired and the row may go.';
