CREATE INDEX published_keys_due ON published_keys (until)
    WHERE state = 'active' AND until IS NOT NULL;
COMMENT ON COLUMN published_keys.until IS 'For a revoked key: when its last token has expired and the row may go. For one in use: when it is retired unless a session signs with it, as after a move from an older layout; else null.';
