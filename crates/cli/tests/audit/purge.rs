use serde_json::Value;

use super::world::{Chain, text};

#[tokio::test]
async fn a_purge_leaves_a_signed_checkpoint_and_a_chain_that_verifies() {
    let chain = Chain::linked().await;
    chain
        .sql(
            "CREATE TABLE former AS TABLE security_events;
              CREATE TABLE former_head AS TABLE security_event_head",
        )
        .await;
    chain.sql("INSERT INTO security_events (kind) VALUES ('key_rotated')").await;
    chain.write(3).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("checkpoint.json").display().to_string();
    let settings = [
        ("USER_SERVICE__AUDIT__RETENTION", "1ms"),
        ("USER_SERVICE__AUDIT__RETENTION_BY_KIND", "key_rotated=1d"),
    ];
    let dry = chain.told(&["retention", "--dry-run"], &settings);
    assert!(dry.contains("kept for 1 days\n") && dry.contains(", 9 past\n"), "{dry}");
    assert!(dry.ends_with("\n9 rows would be purged\n"), "{dry}");
    assert_eq!(chain.json(&["verify", "--json"])["purged"], 0);
    let purged = chain.told(&["retention", "--checkpoint", &file], &settings);
    assert!(purged.ends_with("9 rows purged\n"), "{purged}");
    assert!(purged.contains("kept for 1 days") && !purged.contains("login_succeeded"), "{purged}");
    let left: Value = serde_json::from_str(&std::fs::read_to_string(&file).unwrap()).unwrap();
    assert_eq!((&left["first_position"], &left["count"]), (&8.into(), &3.into()));
    let verified = chain.json(&["verify", "--json"]);
    assert_eq!((&verified["rows"], &verified["purged"]), (&1.into(), &9.into()));
    // Once the row between them goes, one checkpoint stands for all.
    let _ = chain.told(&["retention"], &settings[..1]);
    let verified = chain.json(&["verify", "--json"]);
    assert_eq!((&verified["rows"], &verified["purged"]), (&0.into(), &10.into()));
    chain
        .sql("DO $$ BEGIN ASSERT (SELECT count(*) FROM security_event_checkpoints) = 1; END $$")
        .await;
    chain.write(1).await;
    chain.link();
    assert_eq!(chain.json(&["verify", "--json"])["rows"], 1);
    let _ = chain.told(&["verify", "--against", &file], &[]);
    chain.sql("UPDATE security_event_checkpoints SET last_position = 11").await;
    assert_eq!(chain.fault(&[]), "error: position 1: a checkpoint was changed");
    // The database as it was before is whole; what was exported since shows that it is older.
    chain
        .sql(
            "DELETE FROM security_events; DELETE FROM security_event_checkpoints;
              INSERT INTO security_events OVERRIDING SYSTEM VALUE TABLE former;
              DELETE FROM security_event_head; INSERT INTO security_event_head TABLE former_head",
        )
        .await;
    let _ = chain.told(&["verify"], &[]);
    assert_eq!(chain.fault(&["--against", &file]), "error: position 7: a row is missing");
    let forged = std::fs::read_to_string(&file)
        .unwrap()
        .replace(r#""last_position":10"#, r#""last_position":6"#);
    std::fs::write(&file, forged).unwrap();
    assert_eq!(chain.fault(&["--against", &file]), "error: what was exported was changed");
}

#[tokio::test]
async fn a_row_made_older_than_it_is_is_not_purged() {
    let chain = Chain::linked().await;
    chain
        .sql(
            "UPDATE security_events SET occurred_at = now() - interval '1 year' WHERE position = 3",
        )
        .await;
    let output = chain.run(&["retention"], &[]);
    assert_eq!(output.status.code(), Some(1), "{}", text(&output.stdout));
    assert!(text(&output.stderr).contains("the first is row 3"), "{}", text(&output.stderr));
    assert!(chain.fault(&[]).starts_with("error: position 3, row 3: "));
}

#[tokio::test]
async fn what_is_damaged_stays_and_what_is_past_beside_it_goes_batch_after_batch() {
    // One in the first batch; more than a batch of them at the beginning.
    for (damaged, first, count) in [("position = 3", 3, 1), ("position <= 1100", 1, 1100)] {
        let chain = Chain::linked().await;
        chain.write(2494).await;
        chain.link();
        chain.sql(&format!("UPDATE security_events SET user_agent = '' WHERE {damaged}")).await;
        let output = chain.run(&["retention"], &[("USER_SERVICE__AUDIT__RETENTION", "1ms")]);
        let (said, fault) = (text(&output.stdout), text(&output.stderr));
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.ends_with(&format!("\n{} rows purged\n", 2500 - count)), "{said}");
        let row = format!("error: {count} rows stay, ");
        assert!(fault.starts_with(&row), "{fault}");
        assert!(fault.trim_end().ends_with(&format!("the first is row {first}")), "{fault}");
        let left = format!(
            "DO $$ BEGIN ASSERT (SELECT count(*) FROM security_events WHERE {damaged}) = {count};
              ASSERT (SELECT count(*) FROM security_events) = {count}; END $$"
        );
        chain.sql(&left).await;
        let fault = chain.fault(&[]);
        assert!(fault.starts_with(&format!("error: position {first}, row {first}: ")), "{fault}");
    }
}

#[tokio::test]
async fn a_damaged_checkpoint_stays_as_it_is_and_keeps_nothing_from_being_purged() {
    let chain = Chain::linked().await;
    let settings = [("USER_SERVICE__AUDIT__RETENTION", "1ms")];
    let _ = chain.told(&["retention"], &settings);
    chain.sql("UPDATE security_event_checkpoints SET purged_at = now()").await;
    chain.write(3).await;
    let output = chain.run(&["retention"], &settings);
    assert_eq!(output.status.code(), Some(1));
    let (purged, fault) = (text(&output.stdout), text(&output.stderr));
    assert!(purged.ends_with("3 rows purged\n"), "{purged}");
    assert!(fault.starts_with("error: 1 checkpoints stay, "), "{fault}");
    assert!(fault.ends_with("the first begins at position 1\n"), "{fault}");
    chain
        .sql(
            "DO $$ BEGIN ASSERT (SELECT array_agg(ARRAY[first_position, last_position]
              ORDER BY 1) FROM security_event_checkpoints) = '{{1,6},{7,9}}'; END $$",
        )
        .await;
    assert_eq!(chain.fault(&[]), "error: position 1: a checkpoint was changed");
}

/// Whatever somebody makes of a checkpoint, it costs the rows at its own ends their purge.
#[tokio::test]
async fn a_checkpoint_moved_or_planted_over_other_rows_stays_and_keeps_only_those_at_its_ends() {
    let moved = "UPDATE security_event_checkpoints SET first_position =";
    let planted = "INSERT INTO security_event_checkpoints
        SELECT range.*, former_link, link, purged_at, key_version, seal
        FROM security_event_checkpoints, ";
    for (statement, first, stay) in [
        // Nothing says any more what was before row 7.
        (format!("{moved} 8, last_position = 20"), 8, vec![7, 8]),
        (format!("{moved} 1, last_position = 9"), 1, vec![7, 9]),
        (format!("{moved} 8, last_position = 9"), 8, vec![7, 8, 9]),
        (format!("{planted} (VALUES (7, 8)) AS range"), 7, vec![]),
        (format!("{planted} (VALUES (8, 20)) AS range"), 8, vec![]),
        (format!("{planted} (VALUES (2, 9)) AS range"), 2, vec![9]),
        (format!("{planted} (VALUES (2, 9), (3, 8)) AS range"), 2, vec![8, 9]),
    ] {
        let chain = Chain::linked().await;
        let settings = [("USER_SERVICE__AUDIT__RETENTION", "1ms")];
        let _ = chain.told(&["retention"], &settings);
        chain.sql(&statement).await;
        chain.sql("CREATE TABLE tampered AS TABLE security_event_checkpoints").await;
        chain.write(3).await;
        let output = chain.run(&["retention"], &settings);
        assert_eq!(output.status.code(), Some(1), "{statement}: {}", text(&output.stdout));
        let said = format!("{} rows purged\n", 3 - stay.len());
        assert!(text(&output.stdout).ends_with(&said), "{statement}: {}", text(&output.stdout));
        let fault = text(&output.stderr);
        assert!(fault.contains(&format!("the first begins at position {first}\n")), "{fault}");
        if let Some(row) = stay.first() {
            let rows = format!("error: {} rows stay, ", stay.len());
            assert!(fault.starts_with(&rows), "{statement}: {fault}");
            assert!(fault.contains(&format!("the first is row {row}; ")), "{statement}: {fault}");
        }
        let left = format!(
            "DO $$ BEGIN ASSERT (SELECT coalesce(array_agg(position ORDER BY 1), '{{}}')
                FROM security_events) = ARRAY{stay:?}::bigint[];
              -- A purge takes none but the one that a purge has sealed.
              ASSERT NOT EXISTS (SELECT * FROM tampered WHERE (first_position, last_position) <> (1, 6)
                  EXCEPT TABLE security_event_checkpoints); END $$"
        );
        chain.sql(&left).await;
    }
}

#[tokio::test]
async fn where_nothing_was_purged_no_checkpoint_is_written_and_that_is_said() {
    let chain = Chain::linked().await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("checkpoint.json");
    let purge = chain.run(&["retention", "--checkpoint", file.to_str().unwrap()], &[]);
    assert!(purge.status.success() && !file.exists());
    let note = "note: no purge has left a checkpoint yet: none was written\n";
    assert_eq!(text(&purge.stderr), note);
}
