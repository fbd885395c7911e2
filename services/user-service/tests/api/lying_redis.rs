//! A Redis whose scripts answer whatever a test wants.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};

use tokio::io::{AsyncBufReadExt, AsyncReadExt as _, AsyncWriteExt as _, BufReader};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;

pub(crate) struct LyingRedis {
    address: SocketAddr,
    lie: Arc<AtomicI64>,
    listening: JoinHandle<()>,
}

impl LyingRedis {
    pub(crate) async fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let (address, lie) = (listener.local_addr().unwrap(), Arc::<AtomicI64>::default());
        let told = Arc::clone(&lie);
        let listening = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                let told = Arc::clone(&told);
                tokio::spawn(async move { answer_all(client, &told).await });
            }
        });
        Self { address, lie, listening }
    }

    pub(crate) fn url(&self) -> String {
        format!("redis://{}", self.address)
    }

    /// What scripts answer from now on.
    pub(crate) fn say(&self, lie: i64) {
        self.lie.store(lie, Ordering::SeqCst);
    }
}

impl Drop for LyingRedis {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

/// Until the client goes away.
async fn answer_all(mut client: TcpStream, lie: &AtomicI64) -> Option<()> {
    let (reading, mut writing) = client.split();
    let mut reading = BufReader::new(reading);
    loop {
        let mut words = Vec::new();
        for _ in 0..read_number(&mut reading).await? {
            let length = read_number(&mut reading).await?;
            let mut word = vec![0; length + 2];
            reading.read_exact(&mut word).await.ok()?;
            word.truncate(length);
            words.push(word);
        }
        let answer = if words[0].starts_with(b"EVAL") {
            format!(":{}\r\n", lie.load(Ordering::SeqCst))
        } else {
            "+OK\r\n".to_owned()
        };
        writing.write_all(answer.as_bytes()).await.ok()?;
    }
}

/// How many words a command has, or bytes a word: `*3` or `$3`.
async fn read_number(reading: &mut (impl AsyncBufReadExt + Unpin)) -> Option<usize> {
    let mut line = String::new();
    reading.read_line(&mut line).await.ok()?;
    line.trim_end().get(1..)?.parse().ok()
}
