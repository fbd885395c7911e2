//! The main story, each step with its time.

mod browser;
mod chat;
mod pages;
mod story;
mod vault;

use anyhow::Result;

use story::Story;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Where user-service is
    #[arg(long, env = "LATCHKEY_USER_SERVICE_URL", default_value = "http://127.0.0.1:8080")]
    user_service: String,
    /// Where chat-service is
    #[arg(long, env = "LATCHKEY_CHAT_SERVICE_URL", default_value = "http://127.0.0.1:8081")]
    chat_service: String,
    /// Where auth-manager is; where it does not run, its part of the story is left out
    #[arg(long, env = "LATCHKEY_AUTH_MANAGER_URL", default_value = "http://localhost:8000")]
    auth_manager: String,
}

pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(play(arguments))
}

async fn play(arguments: &Arguments) -> Result<()> {
    let mut story = Story::new(arguments)?;
    chat::play(&mut story).await?;
    pages::play(&mut story).await?;
    if vault::is_there(&story).await {
        vault::play(&mut story).await?;
    } else {
        println!("    auth-manager does not run at {}: the vault is left out", story.auth_manager);
    }
    println!("the story ends well");
    Ok(())
}
