ALTER TABLE devices DROP COLUMN trusted;
