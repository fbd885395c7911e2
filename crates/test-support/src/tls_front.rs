use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::JoinHandle;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject as _;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use url::Url;

use crate::TestCertificate;

/// Speaks TLS in front of a server that does not, under any certificate at all.
pub struct TlsFront {
    address: SocketAddr,
    listening: JoinHandle<()>,
}

impl TlsFront {
    /// In front of the server of `url`, which names its port.
    pub async fn start(url: &str, certificate: &TestCertificate) -> Self {
        let url = Url::parse(url).unwrap();
        let target = (url.host_str().unwrap().to_owned(), url.port().unwrap());
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let chain = vec![CertificateDer::from_pem_file(&certificate.certificate_path).unwrap()];
        let key = PrivateKeyDer::from_pem_file(&certificate.key_path).unwrap();
        let config = ServerConfig::builder().with_no_client_auth();
        let acceptor = TlsAcceptor::from(Arc::new(config.with_single_cert(chain, key).unwrap()));
        let listening = tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(carry(client, acceptor.clone(), target.clone()));
            }
        });
        Self { address, listening }
    }

    /// `https://127.0.0.1:port` and `path`.
    #[must_use]
    pub fn url(&self, path: &str) -> String {
        format!("https://{}{path}", self.address)
    }
}

impl Drop for TlsFront {
    fn drop(&mut self) {
        self.listening.abort();
    }
}

async fn carry(client: TcpStream, acceptor: TlsAcceptor, target: (String, u16)) {
    let Ok(mut client) = acceptor.accept(client).await else { return };
    let Ok(mut server) = TcpStream::connect(target).await else { return };
    // Either side may break off.
    let _ = copy_bidirectional(&mut client, &mut server).await;
}
