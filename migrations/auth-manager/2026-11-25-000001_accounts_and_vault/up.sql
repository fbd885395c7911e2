-- `users` and `user_sessions` may be there in an older layout: what it lacks is added, what it has
-- besides stays, but is demanded no more, since this service does not fill it.
DO $$
DECLARE
    odd record;
BEGIN
    FOR odd IN
        SELECT table_name, column_name, data_type FROM information_schema.columns
        WHERE table_schema = current_schema() AND data_type <> 'uuid'
            AND (table_name, column_name) IN
                (('users', 'id'), ('user_sessions', 'id'), ('user_sessions', 'user_id'))
    LOOP
        RAISE EXCEPTION '%.% is %: an older layout is taken over only where its ids are uuid',
            odd.table_name, odd.column_name, odd.data_type;
    END LOOP;
END $$;
CREATE TABLE IF NOT EXISTS users (
    id uuid PRIMARY KEY,
    keycloak_id text UNIQUE,
    created_at timestamptz NOT NULL
);
ALTER TABLE users
    ADD COLUMN IF NOT EXISTS keycloak_id text,
    ADD COLUMN IF NOT EXISTS created_at timestamptz NOT NULL DEFAULT now();
CREATE UNIQUE INDEX IF NOT EXISTS users_keycloak_id_key ON users (keycloak_id);
COMMENT ON TABLE users IS 'People, as this service knows them: the owner of accounts, sessions and grants.';
COMMENT ON COLUMN users.id IS 'Our own id; user_id in every answer.';
COMMENT ON COLUMN users.keycloak_id IS 'Subject at Keycloak that an older layout kept here; the import reads it.';
COMMENT ON COLUMN users.created_at IS 'First seen.';

CREATE TABLE accounts (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    provider text NOT NULL,
    issuer text NOT NULL,
    subject text NOT NULL,
    token_type text,
    scope text,
    sealed_id_token bytea,
    sealing_key_id text,
    access_expires_at timestamptz,
    last_refresh_at timestamptz,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    CONSTRAINT accounts_are_one_per_subject UNIQUE (issuer, subject),
    CONSTRAINT sealed_id_tokens_name_their_key CHECK ((sealed_id_token IS NULL) = (sealing_key_id IS NULL))
);
CREATE INDEX accounts_by_user ON accounts (user_id, created_at);
CREATE INDEX accounts_by_sealing_key ON accounts (sealing_key_id) WHERE sealing_key_id IS NOT NULL;
COMMENT ON TABLE accounts IS 'Who somebody is at a provider; owned by (issuer, subject), never by e-mail.';
COMMENT ON COLUMN accounts.id IS 'Our own id; the path id of accounts.';
COMMENT ON COLUMN accounts.user_id IS 'Whose account it is.';
COMMENT ON COLUMN accounts.provider IS 'The provider''s name in the configuration.';
COMMENT ON COLUMN accounts.issuer IS 'The provider''s issuer identifier, exactly as in its tokens.';
COMMENT ON COLUMN accounts.subject IS 'The person''s subject there.';
COMMENT ON COLUMN accounts.token_type IS 'token_type of the last token answer, usually Bearer.';
COMMENT ON COLUMN accounts.scope IS 'Scope of the last token answer, space separated.';
COMMENT ON COLUMN accounts.sealed_id_token IS 'ENCRYPTED (vault-crypto, identity: accounts.id_token, issuer, subject): the last id token.';
COMMENT ON COLUMN accounts.sealing_key_id IS 'Which key of the ring sealed the id token.';
COMMENT ON COLUMN accounts.access_expires_at IS 'When the access token last obtained for it expires.';
COMMENT ON COLUMN accounts.last_refresh_at IS 'When tokens were last obtained for it.';
COMMENT ON COLUMN accounts.created_at IS 'First sign-in or linking.';
COMMENT ON COLUMN accounts.updated_at IS 'Last change.';

CREATE TABLE IF NOT EXISTS user_sessions (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    account_id uuid REFERENCES accounts (id) ON DELETE SET NULL,
    provider text,
    provider_session_id text,
    fingerprint text,
    user_agent text,
    address_range text,
    metadata jsonb NOT NULL DEFAULT '{}',
    active boolean NOT NULL DEFAULT true,
    access_token text,
    refresh_token text,
    id_token text,
    access_token_expires_at timestamptz,
    refresh_token_expires_at timestamptz,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    last_accessed_at timestamptz NOT NULL,
    expires_at timestamptz,
    ended_at timestamptz,
    CONSTRAINT user_sessions_are_one_per_provider_session UNIQUE (provider, provider_session_id),
    CONSTRAINT ended_sessions_are_not_active CHECK (active = (ended_at IS NULL))
);
ALTER TABLE user_sessions
    ADD COLUMN IF NOT EXISTS account_id uuid REFERENCES accounts (id) ON DELETE SET NULL,
    ADD COLUMN IF NOT EXISTS provider text,
    ADD COLUMN IF NOT EXISTS provider_session_id text,
    ADD COLUMN IF NOT EXISTS fingerprint text,
    ADD COLUMN IF NOT EXISTS user_agent text,
    ADD COLUMN IF NOT EXISTS address_range text,
    ADD COLUMN IF NOT EXISTS metadata jsonb NOT NULL DEFAULT '{}',
    ADD COLUMN IF NOT EXISTS active boolean NOT NULL DEFAULT true,
    ADD COLUMN IF NOT EXISTS access_token text,
    ADD COLUMN IF NOT EXISTS refresh_token text,
    ADD COLUMN IF NOT EXISTS id_token text,
    ADD COLUMN IF NOT EXISTS access_token_expires_at timestamptz,
    ADD COLUMN IF NOT EXISTS refresh_token_expires_at timestamptz,
    ADD COLUMN IF NOT EXISTS created_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN IF NOT EXISTS updated_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN IF NOT EXISTS last_accessed_at timestamptz NOT NULL DEFAULT now(),
    ADD COLUMN IF NOT EXISTS expires_at timestamptz,
    ADD COLUMN IF NOT EXISTS ended_at timestamptz;
DO $$
DECLARE
    odd record;
BEGIN
    -- Times without a zone are UTC.
    FOR odd IN
        SELECT table_name, column_name FROM information_schema.columns
        WHERE table_schema = current_schema() AND table_name IN ('users', 'user_sessions')
            AND data_type = 'timestamp without time zone'
            AND column_name IN ('created_at', 'updated_at', 'last_accessed_at', 'expires_at',
                'ended_at', 'access_token_expires_at', 'refresh_token_expires_at')
    LOOP
        EXECUTE format('ALTER TABLE %1$I ALTER COLUMN %2$I TYPE timestamptz USING %2$I AT TIME ZONE ''UTC''',
            odd.table_name, odd.column_name);
    END LOOP;
    IF EXISTS (
        SELECT FROM information_schema.columns
        WHERE table_schema = current_schema() AND table_name = 'user_sessions'
            AND column_name = 'metadata' AND data_type <> 'jsonb'
    ) THEN
        ALTER TABLE user_sessions ALTER COLUMN metadata DROP DEFAULT;
        ALTER TABLE user_sessions ALTER COLUMN metadata TYPE jsonb USING metadata::text::jsonb;
    END IF;
    FOR odd IN
        SELECT table_name, column_name FROM information_schema.columns
        WHERE table_schema = current_schema() AND is_nullable = 'NO' AND column_default IS NULL
            AND is_identity = 'NO' AND is_generated = 'NEVER'
            AND (table_name = 'users' AND column_name NOT IN ('id', 'created_at')
                OR table_name = 'user_sessions' AND column_name NOT IN ('id', 'user_id', 'metadata',
                    'active', 'created_at', 'updated_at', 'last_accessed_at'))
    LOOP
        EXECUTE format('ALTER TABLE %I ALTER COLUMN %I DROP NOT NULL', odd.table_name, odd.column_name);
    END LOOP;
END $$;
UPDATE users SET created_at = now() WHERE created_at IS NULL;
ALTER TABLE users ALTER COLUMN created_at SET NOT NULL;
UPDATE user_sessions SET metadata = coalesce(metadata, '{}'), active = coalesce(active, true),
    created_at = coalesce(created_at, now()), updated_at = coalesce(updated_at, created_at, now()),
    last_accessed_at = coalesce(last_accessed_at, updated_at, created_at, now())
    WHERE metadata IS NULL OR active IS NULL OR created_at IS NULL OR updated_at IS NULL
        OR last_accessed_at IS NULL;
ALTER TABLE user_sessions
    ALTER COLUMN metadata SET DEFAULT '{}',
    ALTER COLUMN metadata SET NOT NULL,
    ALTER COLUMN active SET DEFAULT true,
    ALTER COLUMN active SET NOT NULL,
    ALTER COLUMN created_at SET NOT NULL,
    ALTER COLUMN updated_at SET NOT NULL,
    ALTER COLUMN last_accessed_at SET NOT NULL;
UPDATE user_sessions SET ended_at = updated_at WHERE NOT active AND ended_at IS NULL;
UPDATE user_sessions SET active = false WHERE active AND ended_at IS NOT NULL;
ALTER TABLE user_sessions
    DROP CONSTRAINT IF EXISTS user_sessions_are_one_per_provider_session,
    DROP CONSTRAINT IF EXISTS ended_sessions_are_not_active;
ALTER TABLE user_sessions
    ADD CONSTRAINT user_sessions_are_one_per_provider_session UNIQUE (provider, provider_session_id),
    ADD CONSTRAINT ended_sessions_are_not_active CHECK (active = (ended_at IS NULL));
CREATE INDEX user_sessions_by_user ON user_sessions (user_id, created_at);
CREATE INDEX user_sessions_by_account ON user_sessions (account_id);
CREATE INDEX user_sessions_by_provider_session ON user_sessions (provider_session_id);
CREATE INDEX user_sessions_by_access ON user_sessions (last_accessed_at);
CREATE INDEX user_sessions_by_expiry ON user_sessions (active, expires_at);
CREATE INDEX user_sessions_with_plain_tokens ON user_sessions (id)
    WHERE access_token IS NOT NULL OR refresh_token IS NOT NULL OR id_token IS NOT NULL;
COMMENT ON TABLE user_sessions IS 'Sessions of people at a provider: metadata only, never tokens.';
COMMENT ON COLUMN user_sessions.id IS 'Our own id; session_id in answers.';
COMMENT ON COLUMN user_sessions.user_id IS 'Whose session.';
COMMENT ON COLUMN user_sessions.account_id IS 'The account that signed in; null once it was unlinked.';
COMMENT ON COLUMN user_sessions.provider IS 'The provider''s name in the configuration; null for a session of an older layout not yet imported.';
COMMENT ON COLUMN user_sessions.provider_session_id IS 'The provider''s sid: 24 characters at Keycloak, not a UUID. session_state_id in answers.';
COMMENT ON COLUMN user_sessions.fingerprint IS 'SHA-256 of user agent and address range, hex: tells devices apart in a list.';
COMMENT ON COLUMN user_sessions.user_agent IS 'User agent at sign-in.';
COMMENT ON COLUMN user_sessions.address_range IS 'Address range (/24 or /48) at sign-in.';
COMMENT ON COLUMN user_sessions.metadata IS 'What callers and imports add; never a token.';
COMMENT ON COLUMN user_sessions.active IS 'Whether it has not ended.';
COMMENT ON COLUMN user_sessions.access_token IS 'PLAIN, of an older layout; the import moves it into the vault and empties it.';
COMMENT ON COLUMN user_sessions.refresh_token IS 'PLAIN, of an older layout; the import moves it into the vault and empties it.';
COMMENT ON COLUMN user_sessions.id_token IS 'PLAIN, of an older layout; the import moves it into the vault and empties it.';
COMMENT ON COLUMN user_sessions.access_token_expires_at IS 'Of an older layout: expiry of the plain access token.';
COMMENT ON COLUMN user_sessions.refresh_token_expires_at IS 'Of an older layout: expiry of the plain refresh token; null: no maximum.';
COMMENT ON COLUMN user_sessions.created_at IS 'Sign-in.';
COMMENT ON COLUMN user_sessions.updated_at IS 'Last change.';
COMMENT ON COLUMN user_sessions.last_accessed_at IS 'Last use; moved once a minute at most.';
COMMENT ON COLUMN user_sessions.expires_at IS 'When the provider said that it ends; null: not known.';
COMMENT ON COLUMN user_sessions.ended_at IS 'When it ended, if it did.';

CREATE TABLE session_events (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    session_id uuid NOT NULL REFERENCES user_sessions (id) ON DELETE CASCADE,
    kind text NOT NULL CHECK (kind IN ('signed_in', 'consented', 'tokens_cleared', 'ended', 'imported')),
    reason text,
    at timestamptz NOT NULL
);
CREATE INDEX session_events_by_session ON session_events (session_id, id);
COMMENT ON TABLE session_events IS 'What happened to a session.';
COMMENT ON COLUMN session_events.id IS 'Order.';
COMMENT ON COLUMN session_events.session_id IS 'Which session.';
COMMENT ON COLUMN session_events.kind IS 'signed_in, consented, tokens_cleared, ended or imported.';
COMMENT ON COLUMN session_events.reason IS 'Why, where that says more: user, backchannel_logout, unlinked, revoked, expired.';
COMMENT ON COLUMN session_events.at IS 'When.';

CREATE TABLE auth_vault (
    id uuid PRIMARY KEY,
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    account_id uuid REFERENCES accounts (id) ON DELETE SET NULL,
    provider text NOT NULL,
    subject text NOT NULL,
    client_id text NOT NULL,
    session_state_id text NOT NULL,
    consent_session_id text,
    token_type text NOT NULL CHECK (token_type IN ('offline', 'refresh')),
    encrypted_token bytea NOT NULL,
    sealing_key_id text NOT NULL,
    token_hash bytea NOT NULL,
    scope text NOT NULL DEFAULT '',
    metadata jsonb NOT NULL DEFAULT '{}',
    grant_expires_at timestamptz,
    state text NOT NULL DEFAULT 'live' CHECK (state IN ('live', 'outcome_unknown', 'dead', 'revoking')),
    dead_reason text,
    version bigint NOT NULL DEFAULT 0,
    presentations integer NOT NULL DEFAULT 0,
    lease_holder uuid,
    lease_until timestamptz,
    call_deadline timestamptz,
    created_at timestamptz NOT NULL,
    updated_at timestamptz NOT NULL,
    last_access_at timestamptz NOT NULL,
    CONSTRAINT grants_are_one_per_session_and_type
        UNIQUE (provider, subject, client_id, session_state_id, token_type),
    CONSTRAINT dead_grants_say_why CHECK ((state = 'dead') = (dead_reason IS NOT NULL)),
    CONSTRAINT leases_have_a_holder CHECK ((lease_holder IS NULL) = (lease_until IS NULL)),
    CONSTRAINT calls_happen_under_a_lease CHECK (call_deadline IS NULL OR lease_holder IS NOT NULL)
);
CREATE INDEX auth_vault_by_user ON auth_vault (user_id, token_type);
CREATE INDEX auth_vault_by_account ON auth_vault (account_id);
CREATE INDEX auth_vault_by_session ON auth_vault (session_state_id);
CREATE INDEX auth_vault_by_consent_session ON auth_vault (consent_session_id) WHERE consent_session_id IS NOT NULL;
CREATE INDEX auth_vault_by_hash ON auth_vault (token_hash);
CREATE INDEX auth_vault_by_access ON auth_vault (last_access_at);
CREATE INDEX auth_vault_by_expiry ON auth_vault (grant_expires_at) WHERE grant_expires_at IS NOT NULL;
CREATE INDEX auth_vault_by_sealing_key ON auth_vault (sealing_key_id, token_type, state);
COMMENT ON TABLE auth_vault IS 'Provider grants: one row per (provider, subject, client, session, type); every refresh or offline token stands here and nowhere else.';
COMMENT ON COLUMN auth_vault.id IS 'Our own id; never given to callers, who hold persistent_tokens.id.';
COMMENT ON COLUMN auth_vault.user_id IS 'Whose grant.';
COMMENT ON COLUMN auth_vault.account_id IS 'The account at the provider; null once it was unlinked.';
COMMENT ON COLUMN auth_vault.provider IS 'The provider''s name in the configuration.';
COMMENT ON COLUMN auth_vault.subject IS 'The person''s subject at the provider.';
COMMENT ON COLUMN auth_vault.client_id IS 'The client that the grant was given to.';
COMMENT ON COLUMN auth_vault.session_state_id IS 'The grant''s own sid at the provider.';
COMMENT ON COLUMN auth_vault.consent_session_id IS 'The sid of the session that consent was asked from, where it is another one; both find the grant.';
COMMENT ON COLUMN auth_vault.token_type IS 'offline or refresh.';
COMMENT ON COLUMN auth_vault.encrypted_token IS 'ENCRYPTED (vault-crypto, identity: auth_vault.token, provider, subject, client_id, session_state_id, token_type): the token; its IV and MAC are part of the value.';
COMMENT ON COLUMN auth_vault.sealing_key_id IS 'Which key of the ring sealed it.';
COMMENT ON COLUMN auth_vault.token_hash IS 'HMAC-SHA-256 of the token under a key of its own: finds duplicates, and a dump can''t be tested against guesses.';
COMMENT ON COLUMN auth_vault.scope IS 'Granted scope, space separated.';
COMMENT ON COLUMN auth_vault.metadata IS 'What imports and operators add; never a token.';
COMMENT ON COLUMN auth_vault.grant_expires_at IS 'When the grant ends if it is not used; null: no maximum.';
COMMENT ON COLUMN auth_vault.state IS 'live; outcome_unknown: a call''s answer never came; dead: the provider refused it for good; revoking: the outbox will revoke it.';
COMMENT ON COLUMN auth_vault.dead_reason IS 'Why it is dead, in a word for operators.';
COMMENT ON COLUMN auth_vault.version IS 'Moves with the token and with nothing else; a rotated token is written where this is still what was presented.';
COMMENT ON COLUMN auth_vault.presentations IS 'How often this version''s token was sent to the provider, counted before it is sent.';
COMMENT ON COLUMN auth_vault.lease_holder IS 'Who is refreshing it now: a random id per call.';
COMMENT ON COLUMN auth_vault.lease_until IS 'Until when, unless renewed.';
COMMENT ON COLUMN auth_vault.call_deadline IS 'When the call under the lease will have ended at the latest; null: no token was sent under this lease.';
COMMENT ON COLUMN auth_vault.created_at IS 'First stored.';
COMMENT ON COLUMN auth_vault.updated_at IS 'Last change of token or state.';
COMMENT ON COLUMN auth_vault.last_access_at IS 'Last draw; moved once a minute at most.';

CREATE TABLE persistent_tokens (
    id uuid PRIMARY KEY,
    grant_id uuid NOT NULL REFERENCES auth_vault (id) ON DELETE CASCADE,
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    session_state_id text NOT NULL,
    created_at timestamptz NOT NULL,
    last_used_at timestamptz
);
CREATE INDEX persistent_tokens_by_grant ON persistent_tokens (grant_id);
CREATE INDEX persistent_tokens_by_user ON persistent_tokens (user_id, created_at);
COMMENT ON TABLE persistent_tokens IS 'The ids that callers hold; many may point to one grant.';
COMMENT ON COLUMN persistent_tokens.id IS 'persistent_token_id in answers.';
COMMENT ON COLUMN persistent_tokens.grant_id IS 'The grant it draws on.';
COMMENT ON COLUMN persistent_tokens.user_id IS 'Whose id.';
COMMENT ON COLUMN persistent_tokens.session_state_id IS 'The sid of the session that it was made in.';
COMMENT ON COLUMN persistent_tokens.created_at IS 'Made.';
COMMENT ON COLUMN persistent_tokens.last_used_at IS 'Last draw, as the ledger was written.';

CREATE TABLE drawn_tokens (
    grant_id uuid NOT NULL REFERENCES auth_vault (id) ON DELETE CASCADE,
    scope text NOT NULL,
    sealed_access_token bytea NOT NULL,
    sealing_key_id text NOT NULL,
    obtained_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (grant_id, scope)
);
CREATE INDEX drawn_tokens_by_expiry ON drawn_tokens (expires_at);
CREATE INDEX drawn_tokens_by_sealing_key ON drawn_tokens (sealing_key_id);
COMMENT ON TABLE drawn_tokens IS 'The access token last obtained from a grant, by scope asked for.';
COMMENT ON COLUMN drawn_tokens.grant_id IS 'The grant.';
COMMENT ON COLUMN drawn_tokens.scope IS 'The scope asked for, sorted and space separated; empty: the grant''s own.';
COMMENT ON COLUMN drawn_tokens.sealed_access_token IS 'ENCRYPTED (vault-crypto, identity: drawn_tokens.access_token, provider, subject, client_id, session_state_id, token_type, scope): the access token.';
COMMENT ON COLUMN drawn_tokens.sealing_key_id IS 'Which key of the ring sealed it.';
COMMENT ON COLUMN drawn_tokens.obtained_at IS 'When the provider gave it.';
COMMENT ON COLUMN drawn_tokens.expires_at IS 'When it expires.';

CREATE TABLE token_uses (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    persistent_token_id uuid NOT NULL,
    user_id uuid NOT NULL REFERENCES users (id) ON DELETE CASCADE,
    client_id text NOT NULL,
    scope text NOT NULL,
    outcome text NOT NULL,
    used_at timestamptz NOT NULL
);
CREATE INDEX token_uses_by_token ON token_uses (persistent_token_id, id);
CREATE INDEX token_uses_by_time ON token_uses (used_at);
COMMENT ON TABLE token_uses IS 'The ledger: each use of a persistent id, written in batches within a second.';
COMMENT ON COLUMN token_uses.id IS 'Order.';
COMMENT ON COLUMN token_uses.persistent_token_id IS 'Which id; the entry outlives it.';
COMMENT ON COLUMN token_uses.user_id IS 'Whose id it was; they may read the entry.';
COMMENT ON COLUMN token_uses.client_id IS 'The client that asked.';
COMMENT ON COLUMN token_uses.scope IS 'The scope it asked for; empty: the grant''s own.';
COMMENT ON COLUMN token_uses.outcome IS 'cached, refreshed, or the code of the error.';
COMMENT ON COLUMN token_uses.used_at IS 'When.';

CREATE TABLE authorization_states (
    id bytea PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('sign_in', 'link', 'consent')),
    provider text NOT NULL,
    browser_hash bytea,
    user_id uuid REFERENCES users (id) ON DELETE CASCADE,
    subject text,
    session_state_id text,
    sealed_verifier bytea NOT NULL,
    sealing_key_id text NOT NULL,
    nonce text NOT NULL,
    return_to text,
    created_at timestamptz NOT NULL,
    expires_at timestamptz NOT NULL
);
CREATE INDEX authorization_states_by_expiry ON authorization_states (expires_at);
CREATE INDEX authorization_states_by_user ON authorization_states (user_id);
CREATE INDEX authorization_states_by_sealing_key ON authorization_states (sealing_key_id);
COMMENT ON TABLE authorization_states IS 'Authorization requests under way; using one deletes it.';
COMMENT ON COLUMN authorization_states.id IS 'Random, 16 bytes; the signed state token carries it.';
COMMENT ON COLUMN authorization_states.kind IS 'sign_in, link or consent.';
COMMENT ON COLUMN authorization_states.provider IS 'The provider asked.';
COMMENT ON COLUMN authorization_states.browser_hash IS 'SHA-256 of the cookie that binds the request to one browser; null for consent, which is bound to user and session.';
COMMENT ON COLUMN authorization_states.user_id IS 'For link and consent: who asked.';
COMMENT ON COLUMN authorization_states.subject IS 'For consent: the subject that must come back.';
COMMENT ON COLUMN authorization_states.session_state_id IS 'For consent: the session that asked.';
COMMENT ON COLUMN authorization_states.sealed_verifier IS 'ENCRYPTED (vault-crypto, identity: authorization_states.verifier, id in hex): the PKCE verifier, which never leaves the server.';
COMMENT ON COLUMN authorization_states.sealing_key_id IS 'Which key of the ring sealed it.';
COMMENT ON COLUMN authorization_states.nonce IS 'OpenID Connect nonce that the id token must carry.';
COMMENT ON COLUMN authorization_states.return_to IS 'Where the browser goes after sign-in; on the allow-list.';
COMMENT ON COLUMN authorization_states.created_at IS 'Asked.';
COMMENT ON COLUMN authorization_states.expires_at IS 'Until when it may come back.';

CREATE TABLE provider_calls (
    id uuid PRIMARY KEY,
    kind text NOT NULL CHECK (kind IN ('revoke', 'end_session')),
    state text NOT NULL DEFAULT 'pending' CHECK (state IN ('pending', 'calling', 'ended')),
    provider text NOT NULL,
    subject text NOT NULL,
    client_id text NOT NULL,
    session_state_id text NOT NULL,
    grant_id uuid REFERENCES auth_vault (id) ON DELETE CASCADE,
    attempts integer NOT NULL DEFAULT 0,
    last_error text,
    calling_until timestamptz,
    next_at timestamptz NOT NULL,
    created_at timestamptz NOT NULL,
    CONSTRAINT revocations_name_their_grant
        CHECK ((kind = 'revoke' AND state <> 'ended') = (grant_id IS NOT NULL)),
    CONSTRAINT calls_under_way_have_an_end CHECK ((state = 'calling') = (calling_until IS NOT NULL))
);
CREATE UNIQUE INDEX provider_calls_one_per_grant ON provider_calls (grant_id) WHERE grant_id IS NOT NULL;
CREATE UNIQUE INDEX provider_calls_one_end_per_session ON provider_calls (provider, session_state_id)
    WHERE kind = 'end_session' AND state <> 'ended';
CREATE INDEX provider_calls_due ON provider_calls (next_at);
CREATE INDEX provider_calls_by_session ON provider_calls (provider, session_state_id);
CREATE INDEX provider_calls_by_identity ON provider_calls (provider, subject, client_id, session_state_id);
COMMENT ON TABLE provider_calls IS 'The outbox: calls that the provider still has to hear.';
COMMENT ON COLUMN provider_calls.id IS 'Our own id.';
COMMENT ON COLUMN provider_calls.kind IS 'revoke: the grant''s token. end_session: the provider''s session.';
COMMENT ON COLUMN provider_calls.state IS 'pending; calling: a consent that comes now must wait for the end of the call; ended: kept for some minutes, since a token obtained just before the end may have been revoked with it.';
COMMENT ON COLUMN provider_calls.provider IS 'Where to.';
COMMENT ON COLUMN provider_calls.subject IS 'Of whom.';
COMMENT ON COLUMN provider_calls.client_id IS 'Of which client.';
COMMENT ON COLUMN provider_calls.session_state_id IS 'Of which session.';
COMMENT ON COLUMN provider_calls.grant_id IS 'The grant in state revoking whose token is revoked; the token stays there. Null once that is done.';
COMMENT ON COLUMN provider_calls.attempts IS 'Calls so far.';
COMMENT ON COLUMN provider_calls.last_error IS 'Why the last one failed, in a word.';
COMMENT ON COLUMN provider_calls.calling_until IS 'When a call under way will have ended at the latest; past it, its holder is gone.';
COMMENT ON COLUMN provider_calls.next_at IS 'When to call next; of an ended one: when to forget it.';
COMMENT ON COLUMN provider_calls.created_at IS 'When it was decided.';

CREATE TABLE logout_tokens (
    issuer text NOT NULL,
    jti text NOT NULL,
    expires_at timestamptz NOT NULL,
    PRIMARY KEY (issuer, jti)
);
CREATE INDEX logout_tokens_by_expiry ON logout_tokens (expires_at);
COMMENT ON TABLE logout_tokens IS 'Back-channel logout tokens seen, so that none is heard twice.';
COMMENT ON COLUMN logout_tokens.issuer IS 'Who sent it.';
COMMENT ON COLUMN logout_tokens.jti IS 'Its id.';
COMMENT ON COLUMN logout_tokens.expires_at IS 'When it would be refused anyway.';
