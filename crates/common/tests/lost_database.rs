//! What a connection says that is cut while the database works.
#![expect(clippy::unwrap_used, reason = "these are tests")]

use common::database::is_unavailable;
use diesel_async::{AsyncConnection as _, AsyncPgConnection, SimpleAsyncConnection as _};
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;

/// The URL of a way to the test server that is there until told to go.
async fn way_to_the_server() -> (String, oneshot::Sender<()>) {
    let url = std::env::var("TEST_DATABASE_URL").unwrap();
    let config: tokio_postgres::Config = url.parse().unwrap();
    let tokio_postgres::config::Host::Tcp(host) = &config.get_hosts()[0] else {
        panic!("the test server is reached over TCP")
    };
    let (host, port) = (host.clone(), config.get_ports()[0]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let here = listener.local_addr().unwrap();
    let (cut, is_cut) = oneshot::channel();
    tokio::spawn(async move {
        let (mut near, _) = listener.accept().await.unwrap();
        let mut far = TcpStream::connect((host, port)).await.unwrap();
        tokio::select! {
            _ = copy_bidirectional(&mut near, &mut far) => {}
            _ = is_cut => {}
        }
        // The client reads a reset, as when a machine goes.
        near.set_zero_linger().unwrap();
    });
    let user = config.get_user().unwrap_or("postgres");
    let password = config
        .get_password()
        .map_or_else(String::new, |password| format!(":{}", String::from_utf8_lossy(password)));
    let name = config.get_dbname().unwrap_or("postgres");
    (format!("postgres://{user}{password}@{here}/{name}"), cut)
}

#[tokio::test]
async fn a_connection_reset_means_that_the_database_is_away() {
    let (url, cut) = way_to_the_server().await;
    let mut connection = AsyncPgConnection::establish(&url).await.unwrap();
    let mistake = connection.batch_execute("SELECT nothing").await.unwrap_err();
    assert!(!is_unavailable(&mistake), "{mistake}");
    let (answer, ()) = tokio::join!(connection.batch_execute("SELECT pg_sleep(60)"), async {
        cut.send(()).unwrap();
    });
    let error = answer.unwrap_err();
    assert!(is_unavailable(&error), "{error:?}");
    let error = connection.batch_execute("SELECT 1").await.unwrap_err();
    assert!(is_unavailable(&error), "{error:?}");
}
