//! What can go wrong, and the exit status that says so to scripts.

use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};

/// What can go wrong.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// A service judged the request and said no.
    #[error("{error}{}", advice(code))]
    Refused { status: u16, code: String, error: String, request_id: Option<String> },
    /// A service asks for patience.
    #[error("{error}{}", patience(*retry_after))]
    Later { code: String, error: String, retry_after: Option<u64> },
    /// A service can't be reached, or can't work now.
    #[error(
        "{url}: {why}; is the service up, and is that where it is \
         (--user-service, --chat-service)?"
    )]
    Unreachable { url: String, why: String },
    /// Nobody is logged in here.
    #[error("{0}")]
    SignedOut(&'static str),
    /// The command line or what was typed.
    #[error("{0}")]
    Usage(String),
    /// The file with the device's key.
    #[error("{0}")]
    File(String),
    /// Ctrl-C at a prompt.
    #[error("interrupted")]
    Interrupted,
}

impl Failure {
    /// Something about a file, with what the system says of it.
    pub(crate) fn file(path: &Path, what: &str, error: &dyn std::fmt::Display) -> Self {
        Self::File(format!("{} {what}: {error}", path.display()))
    }

    /// The status of `sysexits.h` where it has one.
    pub(crate) fn exit_code(&self) -> ExitCode {
        ExitCode::from(match self {
            Self::Refused { .. } => 1,
            Self::Usage(_) => crate::USAGE,
            Self::Unreachable { .. } => 69,
            Self::File(_) => 74,
            Self::Later { .. } => 75,
            Self::SignedOut(_) => 77,
            Self::Interrupted => 130,
        })
    }

    /// For scripts.
    pub(crate) fn to_json(&self) -> Value {
        let mut json = json!({ "error": self.to_string(), "code": self.code() });
        if let Self::Refused { status, request_id, .. } = self {
            json["status"] = json!(status);
            json["request_id"] = json!(request_id);
        }
        if let Self::Later { retry_after, .. } = self {
            json["retry_after"] = json!(retry_after);
        }
        json
    }

    fn code(&self) -> &str {
        match self {
            Self::Refused { code, .. } | Self::Later { code, .. } => code,
            Self::Unreachable { .. } => "unreachable",
            Self::SignedOut(_) => "signed_out",
            Self::Usage(_) => "usage",
            Self::File(_) => "file",
            Self::Interrupted => "interrupted",
        }
    }
}

/// What to do, where the service does not know these commands.
fn advice(code: &str) -> &'static str {
    match code {
        "invalid_credentials" => {
            "; on a device that has been removed, log in with `latchkey login` as on a new one"
        }
        "invalid_refresh_token" | "invalid_token" | "insufficient_user_authentication" => {
            " (`latchkey relogin`)"
        }
        "invalid_device_proof" => "; is this machine's clock right? else `latchkey relogin`",
        "session_not_found" => "; `latchkey sessions` lists them",
        "room_not_found" => "; `--join` joins a public room, a private one needs an invitation",
        _ => "",
    }
}

fn patience(retry_after: Option<u64>) -> String {
    retry_after.map_or_else(String::new, |seconds| format!(" ({seconds} s)"))
}
