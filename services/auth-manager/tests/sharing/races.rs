use futures_util::future::join_all;
use test_support::ProxyFault;

use crate::app::App;
use crate::person::{Parameters, Person};
use crate::world::{OFFLINE, REVOKE, TOKEN, World, token_of};

/// Somebody seems to refresh the grant.
pub(crate) const LEASE: &str = "UPDATE auth_vault
     SET lease_holder = gen_random_uuid(), lease_until = now() + interval '1 hour'";

/// A callback that waits to be brought; its code gives a token of the same session.
async fn consent_at_hand(app: &App, person: &Person) -> Parameters {
    let asked = app.request_offline_token(person).await.expect(200).json["data"].clone();
    person.follow(asked["consent_url"].as_str().unwrap()).await
}

#[tokio::test]
async fn the_last_sharers_leave_at_once_on_two_replicas_and_revoke_exactly_once() {
    let world = World::new().await;
    let (one, two) = (world.app().await, world.app().await);
    let person = world.person(&one).await;
    for round in 1..=5 {
        let mut ids = vec![world.consent(&one, &person).await];
        for _ in 0..3 {
            let further = one.issue_persistent_id(&person).await.expect(200);
            let id = further.json["data"]["persistent_token_id"].as_str().unwrap().to_owned();
            ids.push(id);
        }
        let apps = [&one, &two].into_iter().cycle();
        let revoked = join_all(apps.zip(&ids).map(|(app, id)| app.begin_revoke(&person, id))).await;
        let revoked: Vec<_> =
            revoked.into_iter().map(|answer| answer.unwrap().expect(200)).collect();
        let last = revoked.iter().filter(|answer| answer.json["data"]["shared_with"] == 0);
        let last: Vec<_> = last.collect();
        assert_eq!(last.len(), 1, "{revoked:?}");
        assert_eq!(last[0].json["data"]["token_revoked"], true);
        assert_eq!((world.proxy.calls(REVOKE), world.count("auth_vault").await), (round, 0));
    }
}

#[tokio::test]
async fn a_consent_that_comes_before_the_call_cancels_it() {
    let world = World::new().await;
    let app = world.app().await;
    let person = world.person(&app).await;
    let id = world.consent(&app, &person).await;
    world.run(LEASE).await;
    let answer = app.revoke_persistent_id(&person, &id).await.expect(200);
    assert_eq!(answer.json["data"]["reason"], "in_use");
    assert_eq!(answer.json["data"]["pending"], true);
    let id = world.consent(&app, &person).await;
    assert_eq!(world.count("provider_calls").await, 0);
    let grant = world.grant_of(&id).await;
    assert_eq!((&*grant.state, grant.lease_until), ("live", None));
    assert_eq!(world.proxy.calls(REVOKE), 0);
    assert!(world.realm.refresh(OFFLINE, &token_of(&grant)).await.is_ok());
}

#[tokio::test]
async fn a_consent_that_comes_during_the_call_and_outlives_it_is_stored() {
    let world = World::new().await;
    let app = world.app().await;
    let person = world.person(&app).await;
    let id = world.consent(&app, &person).await;
    world.proxy.fail(REVOKE, ProxyFault::HoldAfter);
    let revoking = app.begin_revoke(&person, &id);
    world.proxy.until_answered(REVOKE, 1).await;
    let traded = world.proxy.calls(TOKEN);
    let back = consent_at_hand(&app, &person).await;
    let storing = app.begin_finish(&back);
    world.proxy.until_answered(TOKEN, traded + 1).await;
    assert_eq!(world.count("auth_vault WHERE state = 'live'").await, 0);
    world.proxy.mend(REVOKE);
    let revoked = revoking.await.unwrap().expect(200);
    assert_eq!(revoked.json["data"]["token_revoked"], true);
    let stored = storing.await.unwrap().expect(200);
    let id = stored.json["data"]["persistent_token_id"].as_str().unwrap().to_owned();
    // Once for the code, once to try it.
    assert_eq!(world.proxy.calls(TOKEN), traded + 2);
    let token = token_of(&world.grant_of(&id).await);
    assert!(world.realm.refresh(OFFLINE, &token).await.is_ok());
    assert_eq!(world.proxy.calls(REVOKE), 1);
}

#[tokio::test]
async fn a_consent_whose_token_dies_in_the_call_is_asked_for_again() {
    let world = World::new().await;
    let app = world.app().await;
    let person = world.person(&app).await;
    let id = world.consent(&app, &person).await;
    let back = consent_at_hand(&app, &person).await;
    world.proxy.fail(REVOKE, ProxyFault::HoldBefore);
    let revoking = app.begin_revoke(&person, &id);
    world.proxy.until_calls(REVOKE, 1).await;
    let traded = world.proxy.calls(TOKEN);
    let storing = app.begin_finish(&back);
    world.proxy.until_answered(TOKEN, traded + 1).await;
    world.proxy.mend(REVOKE);
    assert_eq!(revoking.await.unwrap().expect(200).json["data"]["token_revoked"], true);
    let refused = storing.await.unwrap().expect_error(409, "consent_required");
    let url = refused.json["details"]["consent_url"].as_str().unwrap();
    assert_eq!(world.count("auth_vault").await, 0);
    let back = person.follow(url).await;
    app.finish_offline_token(&back).await.expect(200);
}

#[tokio::test]
async fn a_consent_under_way_while_a_token_of_its_session_is_thrown_away_is_tried() {
    let world = World::new().await;
    let app = world.app().await;
    let (asking, person) = (world.person(&app).await, world.person(&app).await);
    let asked = app.request_offline_token(&asking).await.expect(200).json["data"].clone();
    let wrong = person.follow(asked["consent_url"].as_str().unwrap()).await;
    let own = consent_at_hand(&app, &person).await;
    world.proxy.fail(REVOKE, ProxyFault::HoldBefore);
    let refusing = app.begin_finish(&wrong);
    world.proxy.until_calls(REVOKE, 1).await;
    let traded = world.proxy.calls(TOKEN);
    let storing = app.begin_finish(&own);
    world.proxy.until_answered(TOKEN, traded + 1).await;
    world.proxy.mend(REVOKE);
    refusing.await.unwrap().expect_error(400, "invalid_state_token");
    storing.await.unwrap().expect_error(409, "consent_required");
    assert_eq!(world.count("auth_vault").await, 0);
    let id = world.consent(&app, &person).await;
    let token = token_of(&world.grant_of(&id).await);
    assert!(world.realm.refresh(OFFLINE, &token).await.is_ok());
}

#[tokio::test]
async fn a_token_that_arrives_while_the_revocation_waits_is_the_one_that_is_revoked() {
    let world = World::new().await;
    let app = world.app().await;
    let person = world.person(&app).await;
    let id = world.consent(&app, &person).await;
    let grant = world.grant_of(&id).await;
    let refreshed = world.realm.refresh(OFFLINE, &token_of(&grant)).await.unwrap();
    let successor = refreshed["refresh_token"].as_str().unwrap();
    world.run(LEASE).await;
    let answer = app.revoke_persistent_id(&person, &id).await.expect(200);
    assert_eq!(answer.json["data"]["reason"], "in_use");
    world.replace_token(&grant, successor).await;
    world.let_pass(2 * 3600);
    world.until("auth_vault", 0).await;
    assert!(world.proxy.last(REVOKE).contains(successor));
    assert_eq!(world.proxy.calls(REVOKE), 1);
}
