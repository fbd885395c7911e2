use std::fmt::Display;

use anyhow::{Result, bail};
use auth_manager::models::vault_entry::{self, VaultEntry};
use auth_manager::vault::give_up_id;
use auth_manager::{UnlinkedAll, unlink_all};
use chrono::{DateTime, SecondsFormat, Utc};
use common::clock::Clock;
use uuid::Uuid;

use super::opened::Service;

/// Entries read at once.
const PAGE: i64 = 1000;
const NONE: &str = "-";

pub(super) async fn list(user: Option<Uuid>) -> Result<()> {
    let mut connection = Service::AuthManager.connect().await?;
    let id = "persistent id";
    let [grant, kind, state, provider] = ["grant", "type", "state", "provider"];
    println!("{id:<36} {grant:<36} {kind:<8} {state:<15} {provider:<12} user");
    let mut after = None;
    loop {
        let entries = vault_entry::list(&mut connection, user, after, PAGE).await?;
        let Some(last) = entries.last() else { return Ok(()) };
        after = Some(last.place());
        for entry in &entries {
            print_line(entry);
        }
    }
}

fn print_line(entry: &VaultEntry) {
    let grant = &entry.grant;
    let id = entry.token.as_ref().map_or_else(|| NONE.to_owned(), |token| token.id.to_string());
    println!(
        "{id:<36} {:<36} {:<8} {:<15} {:<12} {}",
        grant.id, grant.token_type, grant.state, grant.provider, grant.user_id
    );
}

pub(super) async fn show(id: Uuid) -> Result<()> {
    let mut connection = Service::AuthManager.connect().await?;
    let Some(entry) = vault_entry::find(&mut connection, id).await? else {
        bail!("{id} is neither a persistent id nor a grant");
    };
    let details = vault_entry::find_details(&mut connection, entry.grant.id).await?;
    print_entry(&entry);
    field("ids on the grant", details.ids);
    let scopes: Vec<String> =
        details.drawn_scopes.iter().map(|scope| format!("`{scope}`")).collect();
    field("access tokens kept", scopes.len());
    field("for scopes", or_none(scopes.join(", ")));
    if let Some((state, attempts, last_error)) = details.call {
        let error = last_error.map_or_else(String::new, |word| format!(", last {word}"));
        field("outbox", format!("{state}, {attempts} calls{error}"));
    }
    Ok(())
}

fn print_entry(entry: &VaultEntry) {
    let grant = &entry.grant;
    if let Some(token) = &entry.token {
        field("persistent id", token.id);
        field("made", time(Some(token.created_at)));
        field("last used", time(token.last_used_at));
    }
    field("grant", grant.id);
    field("user", grant.user_id);
    field("provider", &grant.provider);
    field("client", &grant.client_id);
    field("session", or_none(grant.session_state_id.clone()));
    field("type", &grant.token_type);
    field("state", &grant.state);
    if let Some(reason) = &entry.dead_reason {
        field("dead because", reason);
    }
    field("scope", or_none(grant.scope.clone()));
    field("ends unless used", time(grant.grant_expires_at));
    field("last change", time(Some(grant.updated_at)));
    field("sealed with key", &entry.sealing_key_id);
}

pub(super) async fn revoke(id: Uuid) -> Result<()> {
    let mut connection = Service::AuthManager.connect().await?;
    let now = Clock::default().now();
    let Some(given_up) = give_up_id(&mut connection, id, now).await? else {
        bail!("there is no persistent id {id}");
    };
    println!("{id} is revoked");
    match (given_up.shared_with, given_up.queued) {
        (0, 0) => println!("the grant had gone already"),
        (0, _) => println!(
            "it was the last id; the grant is marked, and auth-manager has its provider revoke it \
             as soon as it runs"
        ),
        (others, _) => println!("{others} other ids go on with what the provider would revoke"),
    }
    Ok(())
}

pub(super) async fn unlink(user: Uuid) -> Result<()> {
    let mut connection = Service::AuthManager.connect().await?;
    let UnlinkedAll { accounts, sessions, grants } =
        unlink_all(&mut connection, user, Clock::default().now()).await?;
    if accounts + sessions + grants == 0 {
        bail!("there is nothing of a user {user}");
    }
    println!(
        "{accounts} accounts unlinked, {sessions} sessions ended, {grants} grants given up; \
         auth-manager has their providers revoke them as soon as it runs"
    );
    Ok(())
}

fn field(name: &str, value: impl Display) {
    println!("{name:<20} {value}");
}

fn or_none(text: String) -> String {
    if text.is_empty() { NONE.to_owned() } else { text }
}

fn time(at: Option<DateTime<Utc>>) -> String {
    at.map_or_else(|| NONE.to_owned(), |at| at.to_rfc3339_opts(SecondsFormat::Secs, true))
}
