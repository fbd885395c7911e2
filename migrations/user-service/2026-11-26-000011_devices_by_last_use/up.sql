CREATE INDEX devices_by_last_use ON devices (last_used_at) WHERE user_id IS NOT NULL;
COMMENT ON INDEX devices_by_last_use IS 'Finds devices that nobody has signed in on for so long that they go.';
