CREATE TABLE users (
    id uuid PRIMARY KEY,
    username text NOT NULL,
    username_key text NOT NULL UNIQUE,
    password_hash text NOT NULL,
    password_version integer NOT NULL DEFAULT 1,
    display_name text,
    phone_number text,
    email text,
    avatar_url text,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    last_login_at timestamptz
);
COMMENT ON TABLE users IS 'Local accounts; the only place where passwords are kept.';
COMMENT ON COLUMN users.id IS 'The token''s subject and user_id.';
COMMENT ON COLUMN users.username IS 'As the person chose it: trimmed, NFKC, 3 to 64 characters.';
COMMENT ON COLUMN users.username_key IS 'Case-folded username; what uniqueness and login go by.';
COMMENT ON COLUMN users.password_hash IS 'Argon2id in PHC string format, parameters and salt included.';
COMMENT ON COLUMN users.password_version IS 'Counts the person''s changes of the password; renewing a hash of the same password leaves it. A login is good only while the version that it checked still stands.';
COMMENT ON COLUMN users.display_name IS 'Name shown to others, if given.';
COMMENT ON COLUMN users.phone_number IS 'As given; not verified.';
COMMENT ON COLUMN users.email IS 'As given; not verified.';
COMMENT ON COLUMN users.avatar_url IS 'Picture shown to others, if given.';
COMMENT ON COLUMN users.created_at IS 'Registration.';
COMMENT ON COLUMN users.updated_at IS 'Last change of the account or its password.';
COMMENT ON COLUMN users.last_login_at IS 'Last successful login; null for a new user.';

CREATE TABLE password_parameters (
    parameters text PRIMARY KEY,
    first_used_at timestamptz NOT NULL
);
COMMENT ON TABLE password_parameters IS 'Every set of hash parameters that a stored password may use, so that the floor under failed logins can be found without reading all users.';
COMMENT ON COLUMN password_parameters.parameters IS 'Such as m=19456,t=2,p=1.';
COMMENT ON COLUMN password_parameters.first_used_at IS 'When the first hash with them was stored.';

CREATE TABLE devices (
    id uuid PRIMARY KEY,
    user_id uuid REFERENCES users (id) ON DELETE CASCADE,
    device_name text,
    device_info text,
    sealed_key bytea NOT NULL,
    sealing_key_id text NOT NULL,
    created_at timestamptz NOT NULL,
    bound_at timestamptz,
    last_used_at timestamptz
);
CREATE INDEX devices_by_user ON devices (user_id, created_at) WHERE user_id IS NOT NULL;
CREATE INDEX devices_unbound ON devices (created_at) WHERE user_id IS NULL;
CREATE INDEX devices_by_sealing_key ON devices (sealing_key_id);
COMMENT ON TABLE devices IS 'Registered devices and the HMAC keys agreed with them.';
COMMENT ON COLUMN devices.id IS 'Public: others see it beside messages.';
COMMENT ON COLUMN devices.user_id IS 'The first user who signed in on it; null until then.';
COMMENT ON COLUMN devices.device_name IS 'Name the owner knows it by.';
COMMENT ON COLUMN devices.device_info IS 'What the device said of itself, last at login.';
COMMENT ON COLUMN devices.sealed_key IS 'ENCRYPTED (vault-crypto, identity: devices.key, id): the 32-byte device key.';
COMMENT ON COLUMN devices.sealing_key_id IS 'Which key of the ring sealed it.';
COMMENT ON COLUMN devices.created_at IS 'Registration; an unbound device goes a day later.';
COMMENT ON COLUMN devices.bound_at IS 'First login on it.';
COMMENT ON COLUMN devices.last_used_at IS 'Last login on it.';

CREATE TABLE device_nonces (
    device_id uuid NOT NULL REFERENCES devices (id) ON DELETE CASCADE,
    nonce text NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (device_id, nonce)
);
CREATE INDEX device_nonces_by_expiry ON device_nonces (expires_at);
COMMENT ON TABLE device_nonces IS 'Nonces burned by logins, so that none is replayed.';
COMMENT ON COLUMN device_nonces.device_id IS 'A nonce is good once on each device.';
COMMENT ON COLUMN device_nonces.nonce IS 'As sent.';
COMMENT ON COLUMN device_nonces.expires_at IS 'The login''s timestamp plus five minutes; the clock check refuses it from then on.';
