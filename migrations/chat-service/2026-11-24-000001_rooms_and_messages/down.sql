DROP TABLE messages;
DROP TABLE room_invitations;
DROP TABLE room_members;
DROP TABLE rooms;
