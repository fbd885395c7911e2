CREATE TABLE live_replicas (
    id uuid PRIMARY KEY,
    seen_at timestamptz NOT NULL
);
COMMENT ON TABLE live_replicas IS 'Replicas that hold live connections; one that is silent for some seconds is dead.';
COMMENT ON COLUMN live_replicas.id IS 'Drawn by the replica at its start.';
COMMENT ON COLUMN live_replicas.seen_at IS 'When it last said that it lives, by the database''s clock.';

CREATE TABLE presences (
    room_id uuid NOT NULL,
    user_id uuid NOT NULL,
    replica_id uuid NOT NULL REFERENCES live_replicas (id) ON DELETE CASCADE,
    PRIMARY KEY (room_id, user_id, replica_id)
);
CREATE INDEX presences_by_replica ON presences (replica_id);
COMMENT ON TABLE presences IS 'Who is connected in which room, through which replica.';
COMMENT ON COLUMN presences.room_id IS 'The room subscribed to.';
COMMENT ON COLUMN presences.user_id IS 'Who is subscribed, on however many connections; a user of user-service.';
COMMENT ON COLUMN presences.replica_id IS 'Where they are connected.';
