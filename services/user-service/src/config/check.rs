use std::time::Duration;

use common::settings::Period;

use super::Settings;

/// Longer spans mean nothing, and times that lie so far ahead can't be stored.
const LONGEST: Duration = Duration::from_hours(24 * 365 * 100);
const SECOND: Duration = Duration::from_secs(1);

impl Settings {
    /// What is wrong, in one line that names the key.
    pub(crate) fn check(&self) -> Result<(), String> {
        self.check_periods()?;
        if !matches!(self.signing.rsa_bits, 2048 | 3072 | 4096) {
            return Err("`signing.rsa_bits` must be 2048, 3072 or 4096".to_owned());
        }
        let at_least = |key: &str, value: i64, least: i64| {
            if value < least { Err(format!("`{key}` must be at least {least}")) } else { Ok(()) }
        };
        at_least("signing.jwks_max_keys", self.signing.jwks_max_keys, 1)?;
        at_least("signing.pool_size", self.signing.pool_size, 0)?;
        at_least("signing.pool_max", self.signing.pool_max, 0)?;
        at_least("limits.unbound_devices", self.limits.unbound_devices, 1)?;
        at_least("limits.sessions_per_user", self.limits.sessions_per_user.into(), 1)
    }

    fn check_periods(&self) -> Result<(), String> {
        within("token.life", self.token.life, SECOND)?;
        within("refresh.life", self.refresh.life, SECOND)?;
        within("refresh.grace", self.refresh.grace, Duration::ZERO)?;
        within("refresh.idle", self.refresh.idle, Duration::ZERO)?;
        within("signing.pool_age", self.signing.pool_age, Duration::ZERO)?;
        within("limits.recent_sign_in", self.limits.recent_sign_in, Duration::ZERO)?;
        let idle = self.refresh.idle.0;
        // Clients refresh when `expires_in` is over; they must not find the session gone by then.
        if !idle.is_zero() && idle < self.token.life.0 {
            return Err("`refresh.idle` must be 0 or at least `token.life`".to_owned());
        }
        Ok(())
    }
}

fn within(key: &str, period: Period, least: Duration) -> Result<(), String> {
    if period.0 < least {
        return Err(format!("`{key}` must be at least {} s", least.as_secs()));
    }
    if period.0 > LONGEST {
        return Err(format!("`{key}` must be 100 years at most"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use common::settings::Environment;

    use super::super::SCHEMA;
    use super::*;

    fn check(name: &str, value: &str) -> Result<(), String> {
        let environment = Environment::from_iter([
            ("USER_SERVICE__ENVIRONMENT", "development"),
            (&format!("USER_SERVICE__{name}"), value),
        ]);
        SCHEMA.load::<Settings>(&environment).unwrap().check()
    }

    #[test]
    fn what_can_t_work_is_refused_and_named() {
        let bad = [
            ("SIGNING__RSA_BITS", "1024", "signing.rsa_bits"),
            ("SIGNING__RSA_BITS", "2049", "signing.rsa_bits"),
            ("SIGNING__JWKS_MAX_KEYS", "0", "signing.jwks_max_keys"),
            ("SIGNING__JWKS_MAX_KEYS", "-1", "signing.jwks_max_keys"),
            ("SIGNING__POOL_SIZE", "-1", "signing.pool_size"),
            ("SIGNING__POOL_AGE", "500000000d", "signing.pool_age"),
            ("TOKEN__LIFE", "0s", "token.life"),
            ("TOKEN__LIFE", "999ms", "token.life"),
            ("TOKEN__LIFE", "18446744073709551615", "token.life"),
            ("REFRESH__LIFE", "200000d", "refresh.life"),
            ("REFRESH__GRACE", "200000d", "refresh.grace"),
            ("REFRESH__IDLE", "1h", "refresh.idle"),
            ("LIMITS__RECENT_SIGN_IN", "200000d", "limits.recent_sign_in"),
            ("LIMITS__SESSIONS_PER_USER", "0", "limits.sessions_per_user"),
        ];
        for (name, value, key) in bad {
            let error = check(name, value).unwrap_err();
            assert!(error.starts_with(&format!("`{key}`")), "{name}={value}: {error}");
            assert!(!error.contains('\n'), "{error}");
        }
        for (name, value) in
            [("REFRESH__IDLE", "2h"), ("REFRESH__GRACE", "0"), ("TOKEN__LIFE", "1s")]
        {
            assert_eq!(check(name, value), Ok(()), "{name}={value}");
        }
    }
}
