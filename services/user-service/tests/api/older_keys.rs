//! Keys that an older `user_session_keys` held, taken over and used.

use chrono::{DateTime, TimeDelta, Utc};
use common::settings::{Environment, Schema};
use common::tally::Tally;
use diesel::sql_types::{BigInt, Text, Timestamptz};
use diesel_async::{RunQueryDsl as _, SimpleAsyncConnection as _};
use openssl::pkey::PKey;
use openssl::rsa::Rsa;
use serde_json::{Value, json};
use test_support::eventually;
use user_service::config::{SCHEMA, Settings};
use user_service::import::{Importer, session_keys};
use user_service::models::user_keyset;
use uuid::Uuid;

use super::support::{Session, TestApp, header};

const TABLE: &str = "CREATE TABLE user_session_keys (id bigint PRIMARY KEY, user_id text,
    device_id text, key_id text, key_data json, created_at timestamptz, updated_at timestamptz)";

/// A key as an older layout stored it.
pub(crate) fn older_key() -> (PKey<openssl::pkey::Private>, Value) {
    let key = PKey::from_rsa(Rsa::generate(2048).unwrap()).unwrap();
    let pem = String::from_utf8(key.private_key_to_pem_pkcs8().unwrap()).unwrap();
    (key, json!({ "private_key": pem }))
}

/// A token that the older layout signed with it as `older-1`.
fn older_token(key: &PKey<openssl::pkey::Private>, user: &str, now: DateTime<Utc>) -> String {
    use base64::Engine as _;
    let encode = |bytes: &[u8]| base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes);
    let header = json!({ "alg": "RS256", "typ": "JWT", "kid": "older-1" });
    let (iat, exp) = (now.timestamp(), now.timestamp() + 600);
    let claims = json!({ "iss": "older-issuer", "sub": user, "iat": iat, "exp": exp });
    let message = format!(
        "{}.{}",
        encode(header.to_string().as_bytes()),
        encode(claims.to_string().as_bytes())
    );
    let digest = openssl::hash::MessageDigest::sha256();
    let mut signer = openssl::sign::Signer::new(digest, key).unwrap();
    let signature = signer.sign_oneshot_to_vec(message.as_bytes()).unwrap();
    format!("{message}.{}", encode(&signature))
}

struct Older<'a> {
    app: &'a TestApp,
}

impl<'a> Older<'a> {
    async fn new(app: &'a TestApp) -> Self {
        let older = Self { app };
        older.run(TABLE).await;
        older
    }

    async fn run(&self, statements: &str) {
        self.app.database.connect().await.batch_execute(statements).await.unwrap();
    }

    async fn add(&self, id: i64, user: &str, device: &str, kid: &str, data: &str) {
        diesel::sql_query(
            "INSERT INTO user_session_keys VALUES ($1, $2, $3, $4, $5::json, $6,
                 $6 + interval '1 hour' * $1)",
        )
        .bind::<BigInt, _>(id)
        .bind::<Text, _>(user)
        .bind::<Text, _>(device)
        .bind::<Text, _>(kid)
        .bind::<Text, _>(data)
        .bind::<Timestamptz, _>(born())
        .execute(&mut self.app.database.connect().await)
        .await
        .unwrap();
    }

    async fn import(&self, dry_run: bool) -> Tally {
        let environment = Environment::from_iter([
            ("USER_SERVICE__ENVIRONMENT", "development"),
            ("USER_SERVICE__DATABASE__URL", self.app.database.url()),
        ]);
        let settings: Settings = Schema::load(&SCHEMA, &environment).unwrap();
        let importer = Importer::new(&settings, dry_run).unwrap();
        session_keys(&importer, &mut |_| {}).await.unwrap()
    }

    /// What a run could change, as text.
    async fn contents(&self) -> String {
        #[derive(diesel::QueryableByName)]
        struct Row {
            #[diesel(sql_type = Text)]
            all: String,
        }
        let query = "SELECT concat(
            (SELECT jsonb_agg(k ORDER BY kid) FROM published_keys k WHERE state = 'active'),
            (SELECT jsonb_agg(k ORDER BY user_id) FROM user_keysets k),
            (SELECT jsonb_agg(to_jsonb(k) ORDER BY id) FROM user_session_keys k)) AS all";
        let row: Row = diesel::sql_query(query)
            .get_result(&mut self.app.database.connect().await)
            .await
            .unwrap();
        row.all
    }
}

fn born() -> DateTime<Utc> {
    "2024-03-01T12:00:00Z".parse().unwrap()
}

fn of(tally: &Tally) -> (usize, usize, usize, usize) {
    (tally.total, tally.migrated, tally.skipped, tally.errors.len())
}

/// A person without any session, and the session's device.
async fn person(app: &TestApp) -> Session {
    let session = app.sign_in().await;
    let _ = app.log_out(&session.refresh_token).await.expect(200);
    session
}

#[tokio::test]
async fn good_malformed_duplicate_and_orphan_rows_each_come_to_what_they_should_and_only_once() {
    let app = TestApp::start().await;
    let mut people = [person(&app).await, person(&app).await];
    // Users are taken in the order of their ids: the first one has the contested key id.
    people.sort_by(|a, b| a.user_id.cmp(&b.user_id));
    let [one, two] = people;
    let older = Older::new(&app).await;
    let device = || Uuid::new_v4().to_string();
    let data = || older_key().1.to_string();
    let shared = (device(), data());
    older.add(1, &one.user_id, &shared.0, "older-1", &shared.1).await;
    older.add(2, &one.user_id, &device(), "older-2", &data()).await;
    older.add(3, &two.user_id, &device(), "older-3", &data()).await;
    // Its device has a newer one; the same again; another's key id.
    older.add(0, &one.user_id, &shared.0, "older-0", &data()).await;
    older.add(4, &one.user_id, &shared.0, "older-1", &shared.1).await;
    older.add(5, &two.user_id, &device(), "older-2", &data()).await;
    // Malformed, and orphans.
    older.add(6, &one.user_id, &device(), "older-6", "{\"kty\": \"RSA\"}").await;
    older.add(7, &one.user_id, "my phone", "older-7", &data()).await;
    older.add(8, &one.user_id, &device(), "no key id", &data()).await;
    older.add(9, &Uuid::new_v4().to_string(), &device(), "older-9", &data()).await;
    older.add(10, "somebody", &device(), "older-10", &data()).await;

    let before = older.contents().await;
    let dry = older.import(true).await;
    assert_eq!(older.contents().await, before);
    let tally = older.import(false).await;
    assert_eq!(dry, tally);
    assert_eq!(of(&tally), (11, 3, 2, 6));
    let skipped: Vec<_> = tally.skipped_because.into_iter().collect();
    assert_eq!(skipped, [("its device has a newer key", 1), ("its key is there already", 1)]);
    let mut errors = tally.errors;
    errors.sort_by_key(|(row, _)| row.parse::<u32>().unwrap());
    let reasons = [
        ("5", "another key has its key id"),
        ("6", "key_data is no private key"),
        ("7", "its device_id is no UUID"),
        ("8", "its key id is not one that tokens name"),
        ("9", "its user is not there"),
        ("10", "its user_id is no UUID"),
    ];
    assert_eq!(errors, reasons.map(|(row, why)| (row.to_owned(), why.to_owned())));

    let after = older.contents().await;
    let again = older.import(false).await;
    assert_eq!(of(&again), (11, 0, 5, 6));
    assert_eq!(again.skipped_because["moved before"], 5);
    assert_eq!(older.contents().await, after);
}

#[tokio::test]
async fn a_moved_key_keeps_its_times_and_its_private_part_is_sealed() {
    #[derive(diesel::QueryableByName)]
    #[expect(clippy::struct_field_names, reason = "the columns' names")]
    struct Times {
        #[diesel(sql_type = Timestamptz)]
        created_at: DateTime<Utc>,
        #[diesel(sql_type = Timestamptz)]
        updated_at: DateTime<Utc>,
        #[diesel(sql_type = Timestamptz)]
        published_at: DateTime<Utc>,
        #[diesel(sql_type = Timestamptz)]
        activated_at: DateTime<Utc>,
    }
    let app = TestApp::start().await;
    let person = person(&app).await;
    let older = Older::new(&app).await;
    let data = older_key().1;
    older.add(5, &person.user_id, &person.device.id, "older-5", &data.to_string()).await;
    assert_eq!(of(&older.import(false).await), (1, 1, 0, 0));
    let mut connection = app.database.connect().await;
    let (user, key) = user_keyset::find_by_kid(&mut connection, "older-5").await.unwrap().unwrap();
    assert_eq!((user.to_string(), key.device_id.to_string()), (person.user_id, person.device.id));
    assert_eq!(vault_crypto::key_id_of(&key.sealed), Some("dev"));
    let times: Times = diesel::sql_query(
        "SELECT created_at, updated_at, published_at, activated_at
         FROM user_keysets JOIN published_keys USING (user_id) WHERE kid = 'older-5'",
    )
    .get_result(&mut connection)
    .await
    .unwrap();
    let changed = born() + TimeDelta::hours(5);
    assert_eq!((times.created_at, times.updated_at), (born(), changed));
    assert_eq!((times.published_at, times.activated_at), (born(), changed));
}

#[tokio::test]
async fn a_moved_key_signs_and_refreshes_and_a_later_login_takes_its_place() {
    let app = TestApp::start().await;
    let session = app.sign_in().await;
    let older = Older::new(&app).await;
    let (key, data) = older_key();
    // The device's session signed with the older key all along.
    older
        .run(
            "DELETE FROM user_keysets;
             UPDATE auth_sessions SET kid = 'older-1';
             DELETE FROM published_keys WHERE state = 'active'",
        )
        .await;
    older.add(1, &session.user_id, &session.device.id, "older-1", &data.to_string()).await;
    assert_eq!(of(&older.import(false).await), (1, 1, 0, 0));

    let pair = app.refresh(&session.refresh_token).await.expect(200);
    let token = pair.member("access_token");
    assert_eq!(header(&token)["kid"], "older-1");
    let set = app.get("/.well-known/jwks.json?kid=older-1").await.expect(200);
    let public = token_verifier::Key::from_jwk(&set.json["keys"][0]).unwrap();
    let unverified = token_verifier::Unverified::parse(&token).unwrap();
    assert_eq!(unverified.kid(), "older-1");
    assert!(unverified.signed_payload(&public).is_ok());
    let older = older_token(&key, &session.user_id, app.now());
    let unverified = token_verifier::Unverified::parse(&older).unwrap();
    assert!(unverified.signed_payload(&public).is_ok());
    let policy = |legacy| token_verifier::Policy {
        issuer: "https://now.example".to_owned(),
        audience: "latchkey".to_owned(),
        leeway: TimeDelta::seconds(60),
        legacy,
    };
    let check = |legacy| {
        let older = token_verifier::Unverified::parse(&older).unwrap();
        older.check(&public, &policy(legacy), app.now())
    };
    assert!(check(None).is_err());
    let until = app.now() + TimeDelta::hours(1);
    let issuer = Some("older-issuer".to_owned());
    let claims = check(Some(token_verifier::Legacy { until, issuer })).unwrap();
    assert_eq!(claims.user_id.to_string(), session.user_id);
    let pem = app.get("/api/auth/public-key?kid=older-1").await.expect(200).text;
    assert_eq!(pem.as_bytes(), key.public_key_to_pem().unwrap());

    let _ = app.log_in(&session.device, &session.username).await;
    let set = app.get("/.well-known/jwks.json?kid=older-1").await.expect(200);
    assert_eq!(set.json["keys"], json!([]));
}

#[tokio::test]
async fn a_moved_key_without_a_session_ends_with_the_next_login_or_when_its_time_is_over() {
    let app = TestApp::start().await;
    let (one, two) = (person(&app).await, person(&app).await);
    let older = Older::new(&app).await;
    let data = || older_key().1.to_string();
    older.add(1, &one.user_id, &one.device.id, "older-1", &data()).await;
    older.add(2, &two.user_id, &two.device.id, "older-2", &data()).await;
    assert_eq!(of(&older.import(false).await), (2, 2, 0, 0));
    let served = async |kid: &str| {
        let set = app.get(&format!("/.well-known/jwks.json?kid={kid}")).await.expect(200);
        set.json["keys"].as_array().unwrap().len() == 1
    };
    assert!(served("older-1").await && served("older-2").await);
    let _ = app.log_in(&one.device, &one.username).await;
    eventually("the login ended it", || async { (!served("older-1").await).then_some(()) }).await;
    assert!(served("older-2").await);
    app.clock.turn(TimeDelta::days(31));
    let replica = app.replica().await;
    eventually("its time is over", || async { (!served("older-2").await).then_some(()) }).await;
    drop(replica);
}
