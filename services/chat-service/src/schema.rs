// Generated from the migrations by `diesel print-schema`.

diesel::table! {
    /// Replicas that hold live connections.
    live_replicas (id) {
        id -> Uuid,
        seen_at -> Timestamptz,
    }
}

diesel::table! {
    /// Everything said, by room and number.
    messages (id) {
        id -> Uuid,
        room_id -> Uuid,
        seq -> BigInt,
        user_id -> Uuid,
        device_id -> Uuid,
        message -> Text,
        client_message_id -> Nullable<Text>,
        sent_at -> Timestamptz,
    }
}

diesel::table! {
    /// Who is connected in which room, through which replica.
    presences (room_id, user_id, replica_id) {
        room_id -> Uuid,
        user_id -> Uuid,
        replica_id -> Uuid,
    }
}

diesel::table! {
    /// Invitations not yet used.
    room_invitations (room_id, user_id) {
        room_id -> Uuid,
        user_id -> Uuid,
        invited_by -> Uuid,
        expires_at -> Timestamptz,
    }
}

diesel::table! {
    /// Who may read and write in a room.
    room_members (room_id, user_id) {
        room_id -> Uuid,
        user_id -> Uuid,
        joined_at -> Timestamptz,
    }
}

diesel::table! {
    /// Rooms that people talk in.
    rooms (id) {
        id -> Uuid,
        name -> Text,
        visibility -> Text,
        creator_id -> Uuid,
        created_at -> Timestamptz,
        last_seq -> BigInt,
    }
}

diesel::joinable!(messages -> rooms (room_id));
diesel::joinable!(presences -> live_replicas (replica_id));
diesel::joinable!(room_invitations -> rooms (room_id));
diesel::joinable!(room_members -> rooms (room_id));
diesel::allow_tables_to_appear_in_same_query!(
    live_replicas,
    presences,
    messages,
    room_invitations,
    room_members,
    rooms
);
