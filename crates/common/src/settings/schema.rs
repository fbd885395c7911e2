use std::fmt::Write as _;

/// One setting of a service.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    pub(super) key: &'static str,
    pub(super) default: Option<&'static str>,
    pub(super) development: Option<&'static str>,
    pub(super) alias: Option<&'static str>,
    pub(super) secret: bool,
    pub(super) optional: bool,
    pub(super) help: &'static str,
}

impl Setting {
    /// `key` is dotted (`http.port`); `help` is a sentence for the README's table.
    #[must_use]
    pub const fn new(key: &'static str, help: &'static str) -> Self {
        Self {
            key,
            default: None,
            development: None,
            alias: None,
            secret: false,
            optional: false,
            help,
        }
    }

    /// Its dotted name.
    #[must_use]
    pub const fn key(&self) -> &'static str {
        self.key
    }

    /// Whether its value is never shown.
    #[must_use]
    pub const fn is_secret(&self) -> bool {
        self.secret
    }

    /// Whether it must be given outside development.
    #[must_use]
    pub const fn is_required(&self) -> bool {
        self.default.is_none() && self.development.is_some() && !self.optional
    }

    /// Something of its form, where what was given is wrong and already reported.
    pub(super) fn stand_in(&self) -> Option<String> {
        self.default.or(self.development).map(str::to_owned)
    }

    /// The value where none is given.
    #[must_use]
    pub const fn default(mut self, value: &'static str) -> Self {
        self.default = Some(value);
        self
    }

    /// The value where none is given and `environment` is `development`; everywhere else the
    /// setting must be given, and a secret must not be this one.
    #[must_use]
    pub const fn development(mut self, value: &'static str) -> Self {
        self.development = Some(value);
        self
    }

    /// Outside development it may be missing, where something else stands in for it.
    #[must_use]
    pub const fn optional(mut self) -> Self {
        self.optional = true;
        self
    }

    /// The name that older deployments set.
    #[must_use]
    pub const fn alias(mut self, name: &'static str) -> Self {
        self.alias = Some(name);
        self
    }

    /// Never shown; may be given as `<key>_file`.
    #[must_use]
    pub const fn secret(mut self) -> Self {
        self.secret = true;
        self
    }
}

/// All settings of a service.
#[derive(Clone, Copy, Debug)]
pub struct Schema {
    /// The service's name, `user-service`.
    pub service: &'static str,
    /// Its settings by section.
    pub sections: &'static [&'static [Setting]],
}

impl Schema {
    /// Every setting, in the order of the sections.
    pub fn settings(&self) -> impl Iterator<Item = &'static Setting> {
        self.sections.iter().copied().flatten()
    }

    /// What the names of this service's environment variables begin with, `USER_SERVICE__`.
    #[must_use]
    pub fn prefix(&self) -> String {
        format!("{}__", self.service.replace('-', "_").to_uppercase())
    }

    /// The environment variable of a setting, `USER_SERVICE__HTTP__PORT`.
    #[must_use]
    pub fn variable(&self, key: &str) -> String {
        self.prefix() + &key.replace('.', "__").to_uppercase()
    }

    /// The README's table of this service's settings, in Markdown.
    #[must_use]
    pub fn markdown_table(&self) -> String {
        let mut table = "| variable | default | what |\n|---|---|---|\n".to_owned();
        for setting in self.settings() {
            let default = match (setting.default, setting.development) {
                (Some(value), _) => format!("`{value}`"),
                (None, Some(_)) if !setting.optional => "required outside development".to_owned(),
                (None, _) => String::new(),
            };
            let alias =
                setting.alias.map_or_else(String::new, |name| format!(" Older name: `{name}`."));
            let secret = if setting.secret { " Secret; also as `…_FILE`." } else { "" };
            let variable = self.variable(setting.key);
            // Writing to a String cannot fail.
            let _ =
                writeln!(table, "| `{variable}` | {default} | {}{secret}{alias} |", setting.help);
        }
        table
    }

    /// The service's part of `.env.example`: every variable, commented out at its default.
    #[must_use]
    pub fn env_example(&self) -> String {
        let mut text = format!("# {}\n", self.service);
        for setting in self.settings() {
            let value = setting.default.or(setting.development).unwrap_or_default();
            let _ = writeln!(text, "\n# {}\n#{}={value}", setting.help, self.variable(setting.key));
        }
        text
    }
}
