CREATE TABLE rooms (
    id uuid PRIMARY KEY,
    name text NOT NULL,
    visibility text NOT NULL CHECK (visibility IN ('public', 'private')),
    creator_id uuid NOT NULL,
    created_at timestamptz NOT NULL,
    last_seq bigint NOT NULL DEFAULT 0
);
COMMENT ON TABLE rooms IS 'Rooms that people talk in.';
COMMENT ON COLUMN rooms.id IS 'Public name of the room.';
COMMENT ON COLUMN rooms.name IS 'For people: trimmed, 1 to 100 characters; not unique.';
COMMENT ON COLUMN rooms.visibility IS 'public: anybody who knows the id may join; private: by invitation.';
COMMENT ON COLUMN rooms.creator_id IS 'Who made it and may remove others; a user of user-service, so no foreign key.';
COMMENT ON COLUMN rooms.created_at IS 'When it was made.';
COMMENT ON COLUMN rooms.last_seq IS 'Number of its newest message; counted up under the row''s lock, so that numbers have no gaps and are committed in order.';

CREATE TABLE room_members (
    room_id uuid NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
    user_id uuid NOT NULL,
    joined_at timestamptz NOT NULL,
    PRIMARY KEY (room_id, user_id)
);
CREATE INDEX room_members_by_user ON room_members (user_id, joined_at, room_id);
CREATE INDEX room_members_by_room ON room_members (room_id, joined_at, user_id);
COMMENT ON TABLE room_members IS 'Who may read and write in a room, asked at each read, write and delivery.';
COMMENT ON COLUMN room_members.room_id IS 'The room.';
COMMENT ON COLUMN room_members.user_id IS 'The member; a user of user-service.';
COMMENT ON COLUMN room_members.joined_at IS 'Since when; lists are paged by it.';

CREATE TABLE room_invitations (
    room_id uuid NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
    user_id uuid NOT NULL,
    invited_by uuid NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (room_id, user_id)
);
CREATE INDEX room_invitations_by_expiry ON room_invitations (expires_at);
COMMENT ON TABLE room_invitations IS 'Invitations not yet used; joining deletes them.';
COMMENT ON COLUMN room_invitations.room_id IS 'Where to.';
COMMENT ON COLUMN room_invitations.user_id IS 'Who may join with it, once.';
COMMENT ON COLUMN room_invitations.invited_by IS 'The member who invited last.';
COMMENT ON COLUMN room_invitations.expires_at IS 'Worthless from then on, and cleaned away.';

CREATE TABLE messages (
    id uuid PRIMARY KEY,
    room_id uuid NOT NULL REFERENCES rooms (id) ON DELETE CASCADE,
    seq bigint NOT NULL,
    user_id uuid NOT NULL,
    device_id uuid NOT NULL,
    message text NOT NULL,
    client_message_id text,
    sent_at timestamptz NOT NULL,
    UNIQUE (room_id, seq),
    UNIQUE (room_id, user_id, client_message_id)
);
COMMENT ON TABLE messages IS 'Everything said, by room and number.';
COMMENT ON COLUMN messages.id IS 'Public name of the message.';
COMMENT ON COLUMN messages.room_id IS 'Where it was said.';
COMMENT ON COLUMN messages.seq IS 'From 1 up by one in each room; pages and live delivery go by it.';
COMMENT ON COLUMN messages.user_id IS 'Who said it; a user of user-service.';
COMMENT ON COLUMN messages.device_id IS 'On which device of theirs.';
COMMENT ON COLUMN messages.message IS 'What was said, 1 to 16,384 bytes.';
COMMENT ON COLUMN messages.client_message_id IS 'The sender''s own name for it, if any; sent again it finds the first.';
COMMENT ON COLUMN messages.sent_at IS 'When it was stored, by the service''s clock.';
