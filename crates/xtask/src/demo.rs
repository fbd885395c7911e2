//! `cargo xtask demo`.

use anyhow::Result;

use crate::environment::Environment;
use crate::ports::{AUTH, CHAT, USER};
use crate::{cargo, needs, run};

const AUTH_URL: &str = "LATCHKEY_AUTH_MANAGER_URL";

/// Plays the story with `latchkey demo`, built where it is not yet.
pub async fn run_demo(arguments: &[String]) -> Result<()> {
    needs::check().await?;
    let environment = Environment::read()?;
    let mut demo = cargo(&["run", "--package", "latchkey", "--", "demo"]);
    // Where `up`, which looks at the same ports, has them.
    for (variable, port) in
        [("LATCHKEY_USER_SERVICE_URL", USER), ("LATCHKEY_CHAT_SERVICE_URL", CHAT)]
    {
        let given = environment.get(variable).map(str::to_owned);
        demo.env(variable, given.map_or_else(|| port.url(&environment), Ok)?);
    }
    if environment.get(AUTH_URL).is_none() {
        // As the realm's redirect URIs have it.
        demo.env(AUTH_URL, AUTH.url(&environment)?);
    }
    run(demo.args(arguments)).await
}
