DO $$
DECLARE
    unmoved boolean;
BEGIN
    IF to_regclass('user_session_keys') IS NULL THEN
        RETURN;
    END IF;
    IF EXISTS (
        SELECT FROM pg_attribute WHERE attrelid = to_regclass('user_session_keys')
            AND attname = 'moved_at' AND NOT attisdropped
    ) THEN
        EXECUTE 'SELECT EXISTS (SELECT FROM user_session_keys WHERE moved_at IS NULL)' INTO unmoved;
    ELSE
        EXECUTE 'SELECT EXISTS (SELECT FROM user_session_keys)' INTO unmoved;
    END IF;
    IF unmoved THEN
        RAISE EXCEPTION 'user_session_keys has keys that were not moved; run `latchkey migrate session-keys` first, and mend or delete the rows that it names';
    END IF;
    DROP TABLE user_session_keys;
END $$;
