DROP TABLE key_changes;
DROP FUNCTION wake_key_change_readers;
DROP TABLE published_keys;
DROP TABLE user_keysets;
