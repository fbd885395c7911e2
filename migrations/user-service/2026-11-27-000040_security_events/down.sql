DROP TABLE security_event_checkpoints;
DROP TABLE security_event_head;
DROP TABLE security_events;
