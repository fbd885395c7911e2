DROP TABLE presences;
DROP TABLE live_replicas;
