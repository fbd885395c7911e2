use std::sync::mpsc;
use std::thread::Builder;
use std::time::Duration;

use crate::pkcs11_error::Pkcs11Error;

/// How long a token may take to be opened.
const OPENING: Duration = Duration::from_secs(10);

/// What `open` answers, which runs on a thread of its own: a module that hangs keeps that thread to
/// the end of the process, and its caller for ten seconds.
pub(crate) fn in_time<T: Send + 'static>(
    module: &str,
    open: impl FnOnce() -> Result<T, Pkcs11Error> + Send + 'static,
) -> Result<T, Pkcs11Error> {
    let (sender, receiver) = mpsc::channel();
    let run = move || {
        // Nobody waits any more for what comes too late.
        let _ = sender.send(open());
    };
    let spawned = Builder::new().name("pkcs11".to_owned()).spawn(run);
    spawned.map_err(|error| Pkcs11Error(format!("there is no thread for it: {error}")))?;
    receiver.recv_timeout(OPENING).unwrap_or_else(|_| {
        Err(Pkcs11Error(format!(
            "the module {module} does not answer within {} s; see that its token can be reached, \
             and start again",
            OPENING.as_secs()
        )))
    })
}
