ALTER TABLE devices ADD COLUMN trusted boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN devices.trusted IS 'Whether its owner asked to be remembered on it: its sessions live longer.';
