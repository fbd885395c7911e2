use std::error::Error;
use std::io;
use std::iter::successors;

use rustls::CertificateError::{NotValidForName, NotValidForNameContext, UnknownIssuer};
use rustls::Error::InvalidCertificate;
use tokio_postgres::error::SqlState;

/// Why there is no connection, in one line: with what is to be done about it where it is TLS.
pub(super) fn describe(error: &tokio_postgres::Error) -> String {
    let whole = causes(error).map(ToString::to_string).collect::<Vec<_>>().join(": ");
    if whole.contains("server does not support TLS") {
        return "the server offers no TLS, and `sslmode` insists on it".to_owned();
    }
    let text = match causes(error).find_map(of_tls) {
        Some(InvalidCertificate(UnknownIssuer)) => {
            "the authority of the server's certificate is not trusted here; `database.ca_path` or \
             the URL's `sslrootcert` names who is"
                .to_owned()
        }
        Some(error @ InvalidCertificate(NotValidForName | NotValidForNameContext { .. })) => {
            format!("the server's certificate is for another name: {error}")
        }
        Some(InvalidCertificate(why)) => {
            format!("the server's certificate is not accepted: {why}")
        }
        _ => whole,
    };
    text.replace('\n', " ")
}

/// Whether it was TLS that failed, or the server admits nobody like this by TLS (a line of its
/// `pg_hba.conf`), so that it may go without. A password that is wrong is wrong without it too.
pub(super) fn is_of_tls_alone(error: &tokio_postgres::Error) -> bool {
    let not_admitted = error.code() == Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION);
    not_admitted || causes(error).any(|cause| of_tls(cause).is_some())
}

fn causes<'a>(error: &'a (dyn Error + 'static)) -> impl Iterator<Item = &'a (dyn Error + 'static)> {
    successors(Some(error), |error: &&'a (dyn Error + 'static)| (*error).source())
}

/// An error of the network is a wrapper that its `source` leaps over.
fn of_tls<'a>(error: &'a (dyn Error + 'static)) -> Option<&'a rustls::Error> {
    let wrapped = error.downcast_ref::<io::Error>().and_then(io::Error::get_ref);
    wrapped.map_or_else(|| error.downcast_ref(), |inner| inner.downcast_ref())
}
