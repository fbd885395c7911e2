DROP TABLE device_nonces;
DROP TABLE devices;
DROP TABLE password_parameters;
DROP TABLE users;
