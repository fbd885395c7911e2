CREATE TABLE cookie_rollout (
    single boolean PRIMARY KEY DEFAULT true CHECK (single),
    share smallint NOT NULL CHECK (share BETWEEN 0 AND 100),
    revision bigint NOT NULL DEFAULT 1,
    decided_by text NOT NULL CHECK (decided_by IN ('settings', 'operator', 'step_back')),
    reason text,
    decided_at timestamptz NOT NULL,
    CONSTRAINT steps_back_have_a_reason CHECK ((decided_by = 'step_back') = (reason IS NOT NULL)),
    CONSTRAINT steps_back_are_to_the_older_cookies CHECK (decided_by <> 'step_back' OR share = 0)
);
COMMENT ON TABLE cookie_rollout IS 'Which share of browsers'' sessions gets the newer cookies: one row, for all replicas.';
COMMENT ON COLUMN cookie_rollout.single IS 'True: there is one row.';
COMMENT ON COLUMN cookie_rollout.share IS 'Percent of sessions that have v5 cookies after their next login or refresh; the others have v4.';
COMMENT ON COLUMN cookie_rollout.revision IS 'Raised by each decision: of two at once, one is made.';
COMMENT ON COLUMN cookie_rollout.decided_by IS 'settings: the first start. operator: latchkey rollout set. step_back: a replica, because too much went wrong.';
COMMENT ON COLUMN cookie_rollout.reason IS 'Of a step back: which ratio crossed its threshold.';
COMMENT ON COLUMN cookie_rollout.decided_at IS 'When.';

CREATE TRIGGER cookie_rollout_wakes_readers AFTER INSERT OR UPDATE ON cookie_rollout
    FOR EACH STATEMENT EXECUTE FUNCTION wake_key_change_readers();
