-- One statement, since only by itself may it commit. It can be stopped and run again at any time.
DO $$
DECLARE
    batch uuid[];
    last uuid := '00000000-0000-0000-0000-000000000000';
BEGIN
    LOOP
        SELECT array_agg(id ORDER BY id) INTO batch FROM (
            SELECT id FROM auth_sessions WHERE id > last ORDER BY id LIMIT 500
        ) AS rows;
        EXIT WHEN batch IS NULL;
        -- Locked in the order of all others who lock several.
        PERFORM FROM auth_sessions WHERE id = ANY (batch) AND last_ip_cidr IS NULL
            ORDER BY id FOR NO KEY UPDATE;
        UPDATE auth_sessions
            SET device_hash = sha256(convert_to(user_agent, 'UTF8')),
                last_ip_cidr = address_range::cidr
            WHERE id = ANY (batch) AND last_ip_cidr IS NULL;
        last := batch[cardinality(batch)];
        COMMIT;
    END LOOP;
END $$;
