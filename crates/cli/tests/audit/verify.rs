use super::world::{CHAIN_KEYS, Chain};

#[tokio::test]
async fn every_sort_of_tampering_shows_and_the_first_bad_row_is_named() {
    let changed = "the row, or one before it, was changed, moved or put in";
    let personal = "what is personal in the row was changed";
    let blanked = "the row was blanked in part, or not by us";
    for (statement, position, what) in [
        ("DELETE FROM security_events WHERE position = 3", 3, "a row is missing"),
        ("DELETE FROM security_events WHERE position = 6", 6, "a row is missing"),
        ("DELETE FROM security_events WHERE position > 1", 2, "a row is missing"),
        ("UPDATE security_events SET kind = 'registered' WHERE position = 3", 3, changed),
        ("UPDATE security_events SET occurred_at = occurred_at - interval '1 us' WHERE position = 3", 3, changed),
        ("UPDATE security_events SET details = '{\"api\": \"cookie\"}' WHERE position = 3", 3, changed),
        ("UPDATE security_events SET user_id = gen_random_uuid() WHERE position = 3", 3, personal),
        ("UPDATE security_events SET address = '192.0.2.8' WHERE position = 3", 3, personal),
        ("UPDATE security_events SET address = NULL WHERE position = 3", 3, personal),
        ("UPDATE security_events SET user_agent = '' WHERE position = 3", 3, personal),
        ("UPDATE security_events SET personal = '{}' WHERE position = 3", 3, personal),
        ("UPDATE security_events SET salt = gen_random_uuid() WHERE position = 3", 3, personal),
        ("UPDATE security_events SET salt = NULL WHERE position = 3", 3, blanked),
        // Two rows change places, with their links or without.
        ("UPDATE security_events SET position = -position WHERE position IN (3, 4);
          UPDATE security_events SET position = 7 + position WHERE position < 0", 3, changed),
        ("UPDATE security_events AS e SET kind = 'registered', link = o.link FROM security_events AS o
          WHERE e.position = 3 AND o.position = 4", 3, changed),
        // One is put in between: the others move on.
        ("UPDATE security_events SET position = position + 100 WHERE position > 2;
          UPDATE security_events SET position = position - 99 WHERE position > 100;
          INSERT INTO security_events (kind, position, personal_digest, link, key_version)
              SELECT kind, 3, personal_digest, link, 1 FROM security_events WHERE position = 2", 3, changed),
        // One is added behind the end, and one before the beginning.
        ("INSERT INTO security_events (kind, position, personal_digest, link, key_version)
              SELECT kind, 7, personal_digest, link, 1 FROM security_events WHERE position = 6", 7, changed),
        ("INSERT INTO security_events (kind, position, personal_digest, link, key_version)
              SELECT kind, 0, personal_digest, link, 1 FROM security_events WHERE position = 6", 0, "it was put in"),
        // A row is taken out of the chain; a gap is papered over.
        ("UPDATE security_events SET position = NULL, link = NULL, personal_digest = NULL, key_version = NULL
          WHERE position = 3", 3, "a row is missing"),
        ("INSERT INTO security_event_checkpoints SELECT 3, 3, a.link, b.link, now(), 1, b.link
              FROM security_events a, security_events b WHERE a.position = 2 AND b.position = 3;
          DELETE FROM security_events WHERE position = 3", 3, "a checkpoint was changed"),
        ("DELETE FROM security_event_head", 6, "the head of the chain is missing"),
        ("UPDATE security_event_head SET position = 5", 6, "the head of the chain was changed"),
        ("UPDATE security_events SET key_version = 2 WHERE position = 3", 3, "the key that it was made with is not in `audit.chain_keys`"),
    ] {
        let chain = Chain::linked().await;
        assert!(chain.told(&["verify"], &[]).starts_with("6 rows are as they were written"));
        chain.sql(statement).await;
        let fault = chain.fault(&[]);
        let named = fault.starts_with(&format!("error: position {position}"));
        assert!(named && fault.ends_with(what), "{statement}: {fault}");
    }
}

#[tokio::test]
async fn a_chain_cut_short_with_its_head_shows_against_the_head_that_was_exported() {
    let chain = Chain::linked().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("head.json").display().to_string();
    chain.sql("CREATE TABLE former AS TABLE security_event_head").await;
    chain.write(2).await;
    chain.link();
    let _ = chain.told(&["verify", "--export-head", &file], &[]);
    let _ = chain.told(&["verify", "--against", &file], &[]);
    chain
        .sql(
            "DELETE FROM security_events WHERE position > 6;
              DELETE FROM security_event_head; INSERT INTO security_event_head TABLE former",
        )
        .await;
    let _ = chain.told(&["verify"], &[]);
    assert_eq!(chain.fault(&["--against", &file]), "error: position 7: a row is missing");
}

#[tokio::test]
async fn a_new_key_links_on_and_the_former_one_still_verifies() {
    let chain = Chain::linked().await;
    let keys = format!("2:{},{CHAIN_KEYS}", "ab".repeat(32));
    let settings = [("USER_SERVICE__AUDIT__CHAIN_KEYS", keys.as_str())];
    chain.write(2).await;
    let _ = chain.told(&["retention"], &settings);
    assert!(chain.told(&["verify"], &settings).starts_with("8 rows are as they were written"));
    let without = chain.fault(&[]);
    assert!(without.starts_with("error: position 7"), "{without}");
}
