use std::time::Duration;

use common::http::Cors;
use common::settings::{DeploymentEnvironment, Period};
use webauthn_rs::prelude::Url;

use super::{LimitStore, Settings};
use crate::audit::{ChainKeys, Rules};
use crate::browser::Browser;
use crate::feed::FeedClients;
use crate::passkeys::Passkeys;
use crate::sessions::MacKeys;
use crate::signing::LARGEST_LEEWAY;

impl Settings {
    /// What is wrong, one line each that names the key.
    pub(super) fn find_faults(&self) -> Vec<String> {
        let (token, refresh, signing, limits) =
            (&self.token, &self.refresh, &self.signing, &self.limits);
        let rules = [
            at_least_a_second("token.life", token.life),
            at_least_a_second("refresh.life", refresh.life),
            at_least_a_second("refresh.trusted_life", refresh.trusted_life),
            self.check_idle(),
            self.captcha.check(self.environment),
            self.check_leeway(),
            self.redis.check(),
            self.database.check(),
            self.check_limit_store(),
            self.check_rsa_bits(),
            self.check_service_keys(),
            self.check_key_stores(),
            self.check_rotation(),
            at_least("signing.jwks_max_keys", signing.jwks_max_keys, 1),
            at_least("signing.pool_size", signing.pool_size, 0),
            at_least("signing.pool_max", signing.pool_max, 0),
            at_least("limits.unbound_devices", limits.unbound_devices, 1),
            at_least("limits.sessions_per_user", limits.sessions_per_user.into(), 1),
            self.vault.keyring().map(drop),
            MacKeys::parse(refresh.mac_keys.expose()).map(drop),
            FeedClients::parse(&self.feed).map(drop),
            Browser::new(self).map(drop),
            self.check_client_ids(),
            self.browser.check(),
            Passkeys::new(self).map(drop),
            self.check_passkey_pages(),
            at_least_a_second("api_keys.life", self.api_keys.life),
            self.api_keys.check(),
            ChainKeys::parse(self.audit.chain_keys.expose()).map(drop),
            Rules::new(&self.audit).map(drop),
        ];
        rules.into_iter().filter_map(Result::err).collect()
    }

    /// Revocations are announced for so long, and no longer.
    fn check_leeway(&self) -> Result<(), String> {
        let permitted = self.token.leeway.as_delta() <= LARGEST_LEEWAY;
        permitted.then_some(()).ok_or_else(|| "`token.leeway` may be 5 minutes at most".to_owned())
    }

    fn check_rsa_bits(&self) -> Result<(), String> {
        if matches!(self.signing.rsa_bits, 2048 | 3072 | 4096) {
            Ok(())
        } else {
            Err("`signing.rsa_bits` must be 2048, 3072 or 4096".to_owned())
        }
    }

    /// By the client a token tells which API it is for.
    fn check_client_ids(&self) -> Result<(), String> {
        if self.browser.client_id == self.token.client_id {
            return Err("`browser.client_id` must not be that of the bearer API".to_owned());
        }
        Ok(())
    }

    /// Of pages on other hosts one at least can use passkeys, unless it was said that the service's
    /// own are to, or there are none to be served.
    fn check_passkey_pages(&self) -> Result<(), String> {
        // What is wrong with the URL itself is said elsewhere.
        let Ok(Some((rp_id, origins))) = self.passkey_place() else { return Ok(()) };
        let pages = Cors::new(&self.cors, &[]);
        let is_page = |url: &Url| pages.allows(&url.origin().ascii_serialization());
        if self.environment == DeploymentEnvironment::Development
            || self.cors.allowed_origins.0.is_empty()
            || self.passkeys.origins.is_some()
            || origins.iter().any(is_page)
        {
            return Ok(());
        }
        Err(format!(
            "`passkeys.rp_id` is {rp_id}, and no page of `cors.allowed_origins` lies beneath it, so \
             that none can use passkeys: give a domain above them there, or say in \
             `passkeys.origins` who is to, `public_url` where only its own pages are"
        ))
    }

    fn check_limit_store(&self) -> Result<(), String> {
        if self.limit_store() == LimitStore::Redis && self.redis.url.is_none() {
            return Err("`limits.store` is `redis`, and there is no `redis.url`".to_owned());
        }
        Ok(())
    }

    fn check_idle(&self) -> Result<(), String> {
        let idle = self.refresh.idle.0;
        // Clients refresh when `expires_in` is over; they must not find the session gone by then.
        if !idle.is_zero() && idle < self.token.life.0 {
            return Err("`refresh.idle` must be 0 or at least `token.life`".to_owned());
        }
        Ok(())
    }
}

fn at_least(key: &str, value: i64, least: i64) -> Result<(), String> {
    if value < least { Err(format!("`{key}` must be at least {least}")) } else { Ok(()) }
}

fn at_least_a_second(key: &str, period: Period) -> Result<(), String> {
    let enough = period.0 >= Duration::from_secs(1);
    enough.then_some(()).ok_or_else(|| format!("`{key}` must be at least 1 s"))
}

#[cfg(test)]
mod tests {
    use common::service;
    use common::settings::Environment;

    use super::super::SCHEMA;
    use super::*;

    fn check(name: &str, value: &str) -> Result<Settings, String> {
        let environment = Environment::from_iter([
            ("USER_SERVICE__ENVIRONMENT", "development"),
            (&format!("USER_SERVICE__{name}"), value),
        ]);
        service::load(&SCHEMA, &environment).map_err(|error| error.to_string())
    }

    #[test]
    fn passkeys_that_no_page_could_use_are_named_with_what_to_do() {
        let check = |pairs: &[(&str, &str)]| {
            let key = format!("1:{}", "ab".repeat(32));
            let needed = [
                ("PUBLIC_URL", "https://auth.example.com"),
                ("DATABASE__URL", "postgres://a:b@c/d"),
                ("VAULT__KEYS", key.as_str()),
                ("REFRESH__MAC_KEYS", &key),
                ("BROWSER__CSRF_KEYS", &key),
                ("AUDIT__CHAIN_KEYS", &key),
                ("FEED__CLIENTS", "a:0123456789abcdef0123456789abcdef"),
                ("CAPTCHA__PROVIDER", "off"),
            ];
            let all = needed.iter().chain(pairs);
            let all = all.map(|(name, value)| (format!("USER_SERVICE__{name}"), *value));
            let environment: Environment = all.collect();
            service::load::<Settings>(&SCHEMA, &environment).map_err(|error| error.to_string())
        };
        let page = ("CORS__ALLOWED_ORIGINS", "https://app.example.com,https://shop.example.com");
        let (rp_id, own) = ("PASSKEYS__RP_ID", "https://auth.example.com/");
        let origins = |origins| ("PASSKEYS__ORIGINS", origins);
        for good in [
            &[][..],
            &[page, (rp_id, "example.com")],
            &[page, (rp_id, "example.com"), origins("https://www.example.com")],
            // Those who say that they are for the service's own pages mean it.
            &[page, origins(own)],
            // There are none.
            &[page, ("PUBLIC_URL", "https://192.0.2.1")],
            &[page, ("ENVIRONMENT", "development")],
        ] {
            assert!(check(good).is_ok(), "{good:?}: {}", check(good).unwrap_err());
        }
        for bad in [
            &[page][..],
            &[page, (rp_id, "auth.example.com")],
            &[page, (rp_id, "pp.example.com"), ("PUBLIC_URL", "https://pp.example.com")],
        ] {
            let error = check(bad).unwrap_err();
            assert!(error.contains("`passkeys.origins`") && !error.contains('\n'), "{error}");
        }
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
            ("TOKEN__LEEWAY", "301s", "token.leeway"),
            ("SIGNING__ROTATE_EVERY", "2h", "signing.rotate_every"),
            ("SIGNING__SERVICE_KEYS", "files", "signing.service_keys"),
            ("SIGNING__SERVICE_KEYS", "pkcs11", "signing.pkcs11_module"),
            ("SIGNING__SERVICE_KEYS", "transit", "signing.transit_url"),
            ("SIGNING__TRANSIT_URL", "https://v.example", "signing.transit_token_path"),
            ("SIGNING__TRANSIT_MOUNT", "no;such value", "signing.transit_mount"),
            ("SIGNING__TRANSIT_CA_PATH", "ca.pem", "signing.transit_ca_path"),
            ("SIGNING__PKCS11_PIN", "2468", "signing.pkcs11_pin"),
            ("REFRESH__LIFE", "200000d", "refresh.life"),
            ("REFRESH__TRUSTED_LIFE", "0", "refresh.trusted_life"),
            ("REFRESH__GRACE", "200000d", "refresh.grace"),
            ("REFRESH__IDLE", "1h", "refresh.idle"),
            ("LIMITS__RECENT_SIGN_IN", "200000d", "limits.recent_sign_in"),
            ("LIMITS__SESSIONS_PER_USER", "0", "limits.sessions_per_user"),
            ("BROWSER__CSRF_KEYS", "1:00", "browser.csrf_keys"),
            ("BROWSER__COOKIE_DOMAIN", "example.com", "browser.cookie_domain"),
            ("BROWSER__STEP_BACK_REPLAYS", "101", "browser.step_back_replays"),
            ("BROWSER__STEP_BACK_CSRF", "101", "browser.step_back_csrf"),
            ("BROWSER__STEP_BACK_FAILURES", "101", "browser.step_back_failures"),
            ("BROWSER__STEP_BACK_LEAST", "1", "browser.step_back_least"),
            ("BROWSER__STEP_BACK_WINDOW", "2d", "browser.step_back_window"),
            ("BROWSER__ROLLOUT_SHARE", "101", "browser.rollout_share"),
            ("BROWSER__CLIENT_ID", "latchkey-app", "browser.client_id"),
            ("LIMITS__STORE", "redis", "redis.url"),
            ("AUDIT__CHAIN_KEYS", "1:00", "audit.chain_keys"),
            ("AUDIT__RETENTION", "0", "audit.retention"),
            ("AUDIT__RETENTION_BY_KIND", "login=1d", "audit.retention_by_kind"),
            ("AUDIT__RETENTION_BY_KIND", "login_failed=0", "audit.retention_by_kind"),
            ("AUDIT__RETENTION_BY_KIND", "login_failed", "audit.retention_by_kind"),
        ];
        for (name, value, key) in bad {
            let error = check(name, value).unwrap_err();
            assert!(error.contains(&format!("`{key}`")), "{name}={value}: {error}");
            assert!(!error.contains('\n'), "{error}");
        }
        for (name, value) in
            [("REFRESH__IDLE", "2h"), ("REFRESH__GRACE", "0"), ("TOKEN__LIFE", "1s")]
        {
            assert!(check(name, value).is_ok(), "{name}={value}");
        }
    }
}
