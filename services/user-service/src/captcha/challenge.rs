/// What a CAPTCHA is solved for; the provider says which, so that one serves no other purpose.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// A new account.
    Register,
    /// A login with a username that has failed too often.
    Login,
}

impl Action {
    /// As clients name it to the provider.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Register => "register",
            Self::Login => "login",
        }
    }
}

/// What a client needs for asking its user.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Challenge {
    /// `turnstile` or `recaptcha`.
    pub provider: &'static str,
    /// The provider's public key.
    pub site_key: String,
    /// What to name to the provider.
    pub action: Action,
}
