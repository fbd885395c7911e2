use auth_manager::models::account::{self, Account, AccountTokens, Expired};
use auth_manager::models::grant::{self, TokenType};
use auth_manager::models::user_session::{self, Which};
use auth_manager::models::{persistent_token, sharing};
use uuid::Uuid;

use crate::world::{World, at, session};

fn tokens(expires_in: i64) -> AccountTokens {
    AccountTokens {
        token_type: Some("Bearer".to_owned()),
        scope: Some("openid email".to_owned()),
        sealed_id_token: Some(b"sealed".to_vec()),
        sealing_key_id: Some("key".to_owned()),
        access_expires_at: Some(at(expires_in)),
        last_refresh_at: Some(at(0)),
    }
}

fn ids(accounts: &[Account]) -> Vec<Uuid> {
    accounts.iter().map(|account| account.id).collect()
}

#[tokio::test]
async fn an_account_is_linked_once_and_found_by_who_it_is_at_the_provider() {
    let mut world = World::new().await;
    let first = world.add_account("subject-1", 0).await;
    let again = world.add_account("subject-1", 5).await;
    assert_eq!((again.id, again.updated_at), (first.id, at(5)));
    let stranger = world.add_user().await;
    let theirs = Account::new(stranger, "keycloak", "https://one", "subject-1", at(6));
    let connection = &mut world.connection;
    assert!(account::upsert(connection, &theirs).await.unwrap().is_none());
    // The same subject at another issuer is somebody else.
    let elsewhere = Account::new(stranger, "other", "https://two", "subject-1", at(6));
    assert!(account::upsert(connection, &elsewhere).await.unwrap().is_some());
    let found = account::find_by_subject(connection, "https://one", "subject-1").await.unwrap();
    assert_eq!(found.unwrap().user_id, world.user);
    let found = account::find(connection, world.user, first.id).await.unwrap();
    assert_eq!(found.unwrap().subject, "subject-1");
    assert!(account::find(connection, stranger, first.id).await.unwrap().is_none());
}

#[tokio::test]
async fn accounts_are_listed_by_page_and_by_whether_their_access_token_is_over() {
    let mut world = World::new().await;
    let never = world.add_account("subject-1", 1).await;
    let over = world.add_account("subject-2", 2).await;
    let fresh = world.add_account("subject-3", 3).await;
    let (connection, user) = (&mut world.connection, world.user);
    for (id, expires_in) in [(over.id, 10), (fresh.id, 30)] {
        assert!(account::update_tokens(connection, id, &tokens(expires_in), at(4)).await.unwrap());
    }
    assert!(!account::update_tokens(connection, Uuid::new_v4(), &tokens(1), at(4)).await.unwrap());
    let page = account::list(connection, user, None, None, 2).await.unwrap();
    assert_eq!(ids(&page), [fresh.id, over.id]);
    let before = Some((page[1].created_at, page[1].id));
    assert_eq!(ids(&account::list(connection, user, None, before, 2).await.unwrap()), [never.id]);
    let now = at(20);
    let expired = Some(Expired { wanted: true, now });
    let page = account::list(connection, user, expired, None, 9).await.unwrap();
    assert_eq!(ids(&page), [over.id, never.id]);
    assert_eq!(
        ids(&account::list(connection, user, expired, before, 9).await.unwrap()),
        [never.id]
    );
    let live = Some(Expired { wanted: false, now });
    let page = account::list(connection, user, live, None, 9).await.unwrap();
    assert_eq!(ids(&page), [fresh.id]);
}

#[tokio::test]
async fn an_account_s_tokens_are_updated_listed_and_cleared() {
    let mut world = World::new().await;
    let account = world.add_account("subject-1", 0).await;
    let grant = world.add_grant("sid-1", TokenType::Refresh, "one").await;
    let other = world.add_grant("sid-2", TokenType::Refresh, "two").await;
    world
        .run(&format!(
            "UPDATE auth_vault SET account_id = '{}' WHERE id = '{}'",
            account.id, grant.id
        ))
        .await;
    let connection = &mut world.connection;
    account::update_tokens(connection, account.id, &tokens(10), at(1)).await.unwrap();
    account::note_refresh(connection, grant.id, at(50), at(40)).await.unwrap();
    // One without an account is nobody's.
    assert_eq!(account::note_refresh(connection, other.id, at(90), at(80)).await.unwrap(), 0);
    let found = account::find(connection, world.user, account.id).await.unwrap().unwrap();
    assert_eq!(found.access_expires_at, Some(at(50)));
    assert_eq!((found.last_refresh_at, found.updated_at), (Some(at(40)), at(40)));
    assert_eq!(found.sealed_id_token.as_deref(), Some(b"sealed".as_slice()));
    let grants = account::list_grants(connection, account.id).await.unwrap();
    assert_eq!(grants.iter().map(|grant| grant.id).collect::<Vec<_>>(), [grant.id]);

    let cleared = account::clear_tokens(connection, &[account.id], at(60)).await.unwrap();
    assert_eq!(cleared, 1);
    let found = account::find(connection, world.user, account.id).await.unwrap().unwrap();
    assert_eq!((found.sealed_id_token, found.sealing_key_id), (None, None));
    // A grant lives on, and so does what was drawn from it.
    assert_eq!((found.access_expires_at, found.updated_at), (Some(at(50)), at(60)));
    sharing::delete(connection, &[grant.id]).await.unwrap();
    account::clear_tokens(connection, &[account.id], at(70)).await.unwrap();
    let found = account::find(connection, world.user, account.id).await.unwrap().unwrap();
    assert_eq!(found.access_expires_at, None);
    assert!(grant::find(connection, other.id).await.unwrap().is_some());
}

#[tokio::test]
async fn the_tokens_of_an_account_stay_while_somebody_is_signed_in_with_it() {
    let mut world = World::new().await;
    let account = world.add_account("subject-1", 0).await;
    let mut of_account = session(world.user, "sid-1", 0);
    of_account.account_id = Some(account.id);
    let (connection, user) = (&mut world.connection, world.user);
    account::update_tokens(connection, account.id, &tokens(10), at(1)).await.unwrap();
    user_session::store(connection, &of_account).await.unwrap();
    assert_eq!(account::clear_tokens(connection, &[account.id], at(2)).await.unwrap(), 0);
    user_session::end(connection, Which::One(user, of_account.id), at(3)).await.unwrap();
    assert_eq!(account::clear_tokens(connection, &[account.id], at(4)).await.unwrap(), 1);
    let found = account::find(connection, user, account.id).await.unwrap().unwrap();
    assert_eq!((found.sealed_id_token, found.access_expires_at), (None, None));
}

#[tokio::test]
async fn an_account_that_goes_leaves_sessions_and_grants_without_one() {
    let mut world = World::new().await;
    let account = world.add_account("subject-1", 0).await;
    let mut of_account = session(world.user, "sid-1", 0);
    of_account.account_id = Some(account.id);
    user_session::store(&mut world.connection, &of_account).await.unwrap();
    let grant = world.add_grant("sid-1", TokenType::Refresh, "one").await;
    world.run(&format!("UPDATE auth_vault SET account_id = '{}'", account.id)).await;
    let stranger = world.add_user().await;
    let connection = &mut world.connection;
    assert!(!account::delete(connection, stranger, account.id).await.unwrap());
    assert!(account::delete(connection, world.user, account.id).await.unwrap());
    assert!(!account::delete(connection, world.user, account.id).await.unwrap());
    let session = user_session::find(connection, world.user, of_account.id).await.unwrap();
    assert_eq!(session.unwrap().account_id, None);
    assert_eq!(grant::find(connection, grant.id).await.unwrap().unwrap().account_id, None);
}

#[tokio::test]
async fn all_accounts_of_a_user_go_at_once_and_with_the_user_everything() {
    let mut world = World::new().await;
    world.add_account("subject-1", 0).await;
    world.add_account("subject-2", 0).await;
    let grant = world.add_grant("sid-1", TokenType::Refresh, "one").await;
    let session = world.add_session("sid-1", 0).await;
    let (user, stranger) = (world.user, world.add_user().await);
    let theirs = Account::new(stranger, "keycloak", "https://one", "subject-3", at(0));
    let connection = &mut world.connection;
    account::upsert(connection, &theirs).await.unwrap();
    assert_eq!(account::delete_by_user(connection, user).await.unwrap(), 2);
    assert_eq!(account::list(connection, stranger, None, None, 9).await.unwrap().len(), 1);
    assert!(grant::find(connection, grant.id).await.unwrap().is_some());
    world.run(&format!("DELETE FROM users WHERE id = '{user}'")).await;
    let connection = &mut world.connection;
    assert!(grant::find(connection, grant.id).await.unwrap().is_none());
    assert!(user_session::find(connection, user, session.id).await.unwrap().is_none());
    assert!(persistent_token::list_of_user(connection, user, None, 9).await.unwrap().is_empty());
}
