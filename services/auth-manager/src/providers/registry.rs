use std::collections::BTreeMap;
use std::sync::Arc;

use common::clock::Clock;
use common::settings::DeploymentEnvironment;

use super::{Provider, file};
use crate::config::ProvidersSettings;
use crate::metrics::ServiceMetrics;

/// All of them; clones share everything.
#[derive(Clone)]
pub struct Providers {
    by_name: Arc<BTreeMap<String, Arc<Provider>>>,
    default: Arc<Provider>,
}

impl Providers {
    /// Reads the providers' file and touches no network. A bad file is one line that names file
    /// and key.
    pub fn start(
        settings: &ProvidersSettings,
        environment: DeploymentEnvironment,
        clock: &Clock,
        metrics: &ServiceMetrics,
    ) -> Result<Self, String> {
        let path = &settings.file;
        let described =
            file::read(path, environment).map_err(|wrong| format!("`providers.file`: {wrong}"))?;
        let mut by_name = BTreeMap::new();
        for (name, own) in described {
            let provider = Provider::new(&name, own, settings, clock, metrics)
                .map_err(|wrong| format!("`providers.file`: {path}: `{name}`: {wrong}"))?;
            by_name.insert(name, Arc::new(provider));
        }
        let default = by_name.get(&settings.default).cloned().ok_or_else(|| {
            format!("`providers.default` is `{}`, which {path} does not name", settings.default)
        })?;
        Ok(Self { by_name: Arc::new(by_name), default })
    }

    /// By its name in the file.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Arc<Provider>> {
        self.by_name.get(name)
    }

    /// The one where a request names none.
    #[must_use]
    pub fn default(&self) -> &Arc<Provider> {
        &self.default
    }

    /// By the `iss` of its tokens, byte by byte.
    #[must_use]
    pub fn by_issuer(&self, issuer: &str) -> Option<&Arc<Provider>> {
        self.iter().find(|provider| provider.issuer() == issuer)
    }

    /// All of them, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Provider>> {
        self.by_name.values()
    }
}
