use clap::ValueEnum;
use common::settings::Schema;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// In which form
    #[arg(long, value_enum, default_value_t = Format::Markdown)]
    format: Format,
}

#[derive(Clone, Copy, ValueEnum)]
enum Format {
    /// The README's tables
    Markdown,
    /// `.env.example`
    Env,
}

const SCHEMAS: [&Schema; 3] =
    [&user_service::config::SCHEMA, &chat_service::config::SCHEMA, &auth_manager::config::SCHEMA];

pub(crate) fn run(arguments: &Arguments) {
    let parts: Vec<String> = match arguments.format {
        Format::Markdown => SCHEMAS
            .iter()
            .map(|schema| format!("### {}\n\n{}", schema.service, schema.markdown_table()))
            .collect(),
        Format::Env => SCHEMAS.iter().map(|schema| schema.env_example()).collect(),
    };
    print!("{}", parts.join("\n"));
}
