DROP INDEX devices_by_last_use;
