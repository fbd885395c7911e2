//! `latchkey users`, as an operator sees it.

#![expect(clippy::unwrap_used, reason = "what fails here fails the test")]

use std::process::{Command, Output};

use diesel_async::{RunQueryDsl as _, SimpleAsyncConnection as _};
use test_support::TestDatabase;
use user_service::MIGRATIONS;

const INSERT: &str = "INSERT INTO users (id, username, username_key, password_hash, created_at,
    updated_at) VALUES (gen_random_uuid(), 'Alice', 'alice', '', now(), now())";

#[derive(diesel::QueryableByName)]
struct Row {
    #[diesel(sql_type = diesel::sql_types::Text)]
    role: String,
}

fn set_role(database: &TestDatabase, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_latchkey"))
        .args(["users", "set-role"])
        .args(arguments)
        .env_clear()
        .env("USER_SERVICE__DATABASE__URL", database.url())
        .output()
        .unwrap()
}

async fn role(database: &TestDatabase) -> String {
    let query = diesel::sql_query("SELECT role FROM users");
    query.get_result::<Row>(&mut database.connect().await).await.unwrap().role
}

#[tokio::test]
async fn an_operator_makes_the_first_admin_and_takes_it_back() {
    let database = TestDatabase::create("user", || MIGRATIONS).await;
    database.connect().await.batch_execute(INSERT).await.unwrap();
    assert_eq!(role(&database).await, "user");
    for (given, said) in [("admin", "Alice: admin\n"), ("user", "Alice: user\n")] {
        let done = set_role(&database, &["ALICE", given]);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        assert_eq!(String::from_utf8_lossy(&done.stdout), said);
        assert_eq!(role(&database).await, given);
    }
    for (arguments, status, said) in [
        (["mallory", "admin"], 1, "error: there is no user `mallory`"),
        (["alice", "king"], 64, "invalid value 'king'"),
    ] {
        let refused = set_role(&database, &arguments);
        let told = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert_eq!(refused.status.code(), Some(status), "{told}");
        assert!(told.contains(said), "{told}");
    }
    assert_eq!(role(&database).await, "user");
}
