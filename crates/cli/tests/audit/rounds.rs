use chrono::{DateTime, TimeDelta, Utc};
use common::settings::{List, Period, Secret};
use diesel_async::{AsyncPgConnection, RunQueryDsl as _};
use user_service::audit::{ChainKeys, Purged, Rounds, Rules};
use user_service::config::AuditSettings;

use super::world::{CHAIN_KEYS, Chain};

#[derive(diesel::QueryableByName)]
struct Time {
    #[diesel(sql_type = diesel::sql_types::Timestamptz)]
    time: DateTime<Utc>,
}

/// Of the newest event, by the database's clock.
async fn newest(connection: &mut AsyncPgConnection) -> DateTime<Utc> {
    let query = diesel::sql_query("SELECT max(occurred_at) AS time FROM security_events");
    query.get_result::<Time>(connection).await.unwrap().time
}

#[tokio::test]
async fn what_is_newly_past_goes_at_once_and_what_stays_is_looked_at_again_after_an_hour() {
    let chain = Chain::linked().await;
    let (keys, day) = (ChainKeys::parse(CHAIN_KEYS).unwrap(), TimeDelta::days(1));
    let settings = AuditSettings {
        chain_keys: Secret::from(CHAIN_KEYS.to_owned()),
        retention: Period(day.to_std().unwrap()),
        retention_by_kind: List::default(),
    };
    let mut rounds = Rounds::new(Rules::new(&settings).unwrap());
    let mut connection = chain.connect().await;
    let found = |purged: &Purged| (purged.removed, purged.damaged.clone());

    let damage = "UPDATE security_events SET user_agent = '' WHERE position = 3;
        INSERT INTO security_event_checkpoints VALUES (70, 90, '', '', now(), 1, '')";
    chain.sql(damage).await;
    let first = newest(&mut connection).await + TimeDelta::microseconds(1) + day;
    let purged = rounds.purge(&mut connection, &keys, first).await.unwrap();
    assert_eq!((found(&purged), rounds.damaged()), ((5, vec![3]), (1, 1)));
    assert_eq!(purged.damaged_checkpoints, [70]);

    // Somebody brings back what was there: that shows when all is looked at again.
    chain.write(2).await;
    // Links them, and has no more to say of the checkpoint than is known.
    let _ = chain.run(&["retention"], &[]);
    let repair = "UPDATE security_events SET user_agent = 'test/1' WHERE position = 3;
        DELETE FROM security_event_checkpoints WHERE first_position = 70;
        UPDATE security_events SET user_agent = '' WHERE position = 8";
    chain.sql(repair).await;
    let second = first + TimeDelta::minutes(59);
    let purged = rounds.purge(&mut connection, &keys, second).await.unwrap();
    assert_eq!((found(&purged), rounds.damaged()), ((1, vec![8]), (2, 1)));
    for turned in [TimeDelta::zero(), -TimeDelta::minutes(30), TimeDelta::zero()] {
        let purged = rounds.purge(&mut connection, &keys, second + turned).await.unwrap();
        assert_eq!((found(&purged), rounds.damaged()), ((0, vec![]), (2, 1)));
    }
    let third = first + TimeDelta::hours(1);
    let purged = rounds.purge(&mut connection, &keys, third).await.unwrap();
    assert_eq!((found(&purged), rounds.damaged()), ((1, vec![8]), (1, 0)));
}
