use std::fmt;
use std::str::FromStr;

macro_rules! kinds {
    ($($(#[$doc:meta])+ $variant:ident = $name:literal,)+) => {
        /// What happened.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
        pub enum Kind {
            $($(#[$doc])+ $variant,)+
        }

        impl Kind {
            /// Every kind.
            pub const ALL: &[Self] = &[$(Self::$variant,)+];

            /// As stored.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self {
                    $(Self::$variant => $name,)+
                }
            }
        }
    };
}

kinds! {
    /// Somebody signed in.
    LoginSucceeded = "login_succeeded",
    /// Somebody did not: something in it was wrong.
    LoginFailed = "login_failed",
    /// A refresh token came back that had been used.
    RefreshReplayed = "refresh_replayed",
    /// A session ended in another way than by its owner's logout.
    FamilyRevoked = "family_revoked",
    /// A person ended a session.
    LoggedOut = "logged_out",
    /// A page that was given no CSRF token for the session wanted to change something.
    CsrfRejected = "csrf_rejected",
    /// A sensitive change was refused for want of a recent sign-in.
    StepUpRequired = "step_up_required",
    /// Somebody proved once more who they are.
    SteppedUp = "stepped_up",
    /// A passkey was added.
    PasskeyAdded = "passkey_added",
    /// A passkey was removed.
    PasskeyRemoved = "passkey_removed",
    /// An API key was issued.
    ApiKeyIssued = "api_key_issued",
    /// An API key was revoked.
    ApiKeyRevoked = "api_key_revoked",
    /// The password was changed.
    PasswordChanged = "password_changed",
    /// A user's role was changed.
    RoleChanged = "role_changed",
    /// A device was trusted, or no longer.
    DeviceTrusted = "device_trusted",
    /// A device was removed.
    DeviceRemoved = "device_removed",
    /// An account was registered.
    Registered = "registered",
    /// Another service key signs.
    KeyRotated = "key_rotated",
    /// A limit refused; once a minute for each limit and whom it counts.
    RateLimited = "rate_limited",
    /// A CAPTCHA was not solved.
    CaptchaFailed = "captcha_failed",
    /// Too much went wrong with the newer cookies: all sessions go back to the older ones.
    RolloutSteppedBack = "rollout_stepped_back",
}

impl fmt::Display for Kind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.as_str())
    }
}

impl FromStr for Kind {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().copied().find(|kind| kind.as_str() == name);
        found.ok_or_else(|| format!("`{name}` is no kind of security event"))
    }
}
