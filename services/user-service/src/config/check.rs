use std::time::Duration;

use common::settings::Period;

use super::Settings;

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
        at_least_a_second("token.life", self.token.life)?;
        at_least_a_second("refresh.life", self.refresh.life)?;
        at_least_a_second("refresh.trusted_life", self.refresh.trusted_life)?;
        let idle = self.refresh.idle.0;
        // Clients refresh when `expires_in` is over; they must not find the session gone by then.
        if !idle.is_zero() && idle < self.token.life.0 {
            return Err("`refresh.idle` must be 0 or at least `token.life`".to_owned());
        }
        Ok(())
    }
}

fn at_least_a_second(key: &str, period: Period) -> Result<(), String> {
    let enough = period.0 >= Duration::from_secs(1);
    enough.then_some(()).ok_or_else(|| format!("`{key}` must be at least 1 s"))
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
        let settings = SCHEMA.load::<Settings>(&environment);
        settings.map_err(|error| error.to_string())?.check()
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
            ("REFRESH__TRUSTED_LIFE", "0", "refresh.trusted_life"),
            ("REFRESH__GRACE", "200000d", "refresh.grace"),
            ("REFRESH__IDLE", "1h", "refresh.idle"),
            ("LIMITS__RECENT_SIGN_IN", "200000d", "limits.recent_sign_in"),
            ("LIMITS__SESSIONS_PER_USER", "0", "limits.sessions_per_user"),
        ];
        for (name, value, key) in bad {
            let error = check(name, value).unwrap_err();
            assert!(error.contains(&format!("`{key}`")), "{name}={value}: {error}");
            assert!(!error.contains('\n'), "{error}");
        }
        for (name, value) in
            [("REFRESH__IDLE", "2h"), ("REFRESH__GRACE", "0"), ("TOKEN__LIFE", "1s")]
        {
            assert_eq!(check(name, value), Ok(()), "{name}={value}");
        }
    }
}
