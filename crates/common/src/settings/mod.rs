//! Settings: defaults in code, then an optional TOML file, then `.env` and the environment.
//!
//! A service lists its settings once, as a [`Schema`]; that list is at the same time the source
//! of the defaults, of what counts as an unknown key, of the README's table and of
//! `.env.example`. Every secret is given inline or as `<key>_file`. An older name (`alias`) gives
//! way to the present one where both are set.

mod environment;
mod list;
mod load;
mod period;
mod positive;
mod schema;
mod secret;
mod shared;
mod web_url;

pub use environment::Environment;
pub use list::List;
pub use load::SettingsError;
pub use period::Period;
pub use positive::positive;
pub use schema::{Schema, Setting};
pub use secret::Secret;
pub use shared::{ADMIN, CORS, DATABASE, DeploymentEnvironment, GENERAL, HSTS, HTTP};
pub use web_url::web_url;
