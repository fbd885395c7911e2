use std::collections::BTreeMap;
use std::sync::Arc;

use common::clock::Clock;
use common::metrics::Metrics;
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
    /// Reads the providers' file and touches no network. A bad file is a line for each thing that
    /// is wrong, which names file and key.
    pub fn start(
        settings: &ProvidersSettings,
        environment: DeploymentEnvironment,
        clock: &Clock,
        metrics: &ServiceMetrics,
    ) -> Result<Self, String> {
        Self::read(settings, environment, clock, metrics).map_err(|faults| faults.join("\n"))
    }

    /// What a start would say is wrong.
    pub(crate) fn faults(
        settings: &ProvidersSettings,
        environment: DeploymentEnvironment,
    ) -> Vec<String> {
        let metrics = ServiceMetrics::register(&Metrics::new("auth-manager"));
        let read = Self::read(settings, environment, &Clock::default(), &metrics);
        read.err().unwrap_or_default()
    }

    fn read(
        settings: &ProvidersSettings,
        environment: DeploymentEnvironment,
        clock: &Clock,
        metrics: &ServiceMetrics,
    ) -> Result<Self, Vec<String>> {
        let path = &settings.file;
        let described = file::read(path, environment)
            .map_err(|wrong| vec![format!("`providers.file`: {wrong}")])?;
        let (mut by_name, mut faults) = (BTreeMap::new(), Vec::new());
        if !described.contains_key(&settings.default) {
            let default = &settings.default;
            faults.push(format!("`providers.default` is `{default}`, which {path} does not name"));
        }
        for (name, own) in described {
            let made = own.and_then(|own| {
                Provider::new(&name, own, settings, clock, metrics)
                    .map_err(|wrong| vec![format!("`{name}`: {wrong}")])
            });
            match made {
                Ok(provider) => drop(by_name.insert(name, Arc::new(provider))),
                Err(wrong) => faults
                    .extend(wrong.iter().map(|wrong| format!("`providers.file`: {path}: {wrong}"))),
            }
        }
        match by_name.get(&settings.default).cloned() {
            Some(default) if faults.is_empty() => Ok(Self { by_name: Arc::new(by_name), default }),
            _ => Err(faults),
        }
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
