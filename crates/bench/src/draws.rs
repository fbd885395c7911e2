//! Access tokens on demand: stored ones, expired ones, and Keycloak asked directly.

use std::time::Duration;

use anyhow::{Result, ensure};
use futures_util::future::try_join_all;
use tokio::task::spawn_blocking;
use tokio::time::Instant;

use crate::figure::{Figure, Goal, Unit};
use crate::load::{Latencies, closed_loop, ms, on_one_thread, open_loop};
use crate::machine;
use crate::vault::Vault;
use crate::wire::Shot;

const RATE: u32 = 5_000;
/// Connections that it comes over.
const LANES: usize = 64;
/// Of that load: one alone may meet a pause of the machine.
const LOAD_ROUNDS: usize = 5;
const LOAD_ROUND: Duration = Duration::from_secs(5);
const CALLERS: usize = 1_000;
/// Expiries met by that many callers.
const ROUNDS: u32 = 5;

pub(crate) async fn measure() -> Result<Vec<Figure>> {
    let vault = Vault::start().await?;
    let mut figures = vec![fresh(&vault).await?];
    figures.extend(expired(&vault).await?);
    figures.push(against_keycloak(&vault).await?);
    Ok(figures)
}

async fn fresh(vault: &Vault) -> Result<Figure> {
    let pauses = spawn_blocking(machine::describe_pauses).await?;
    let shots = (vault.shot()?, vault.idle_shot()?);
    let (draws, idle) = spawn_blocking(move || on_one_thread(fire(shots))).await??;
    let [best, median, worst] = [0, draws.len() / 2, draws.len() - 1].map(|at| &draws[at]);
    let [half, nearly, most, all] =
        [0.5, 0.95, 0.99, 1.0].map(|share| ms(median.percentile(share)));
    let [least, greatest] = [best, worst].map(|latencies| ms(latencies.percentile(0.99)));
    let floor = ms(idle[idle.len() / 2].percentile(0.99));
    Ok(Figure {
        what: "draw of a stored access token at 5,000 a second, p99",
        value: most,
        unit: Unit::Milliseconds,
        goal: Some(Goal::AtMost(2.0)),
        detail: format!(
            "the middle one of {} rounds of {} draws, {least:.2} to {greatest:.2} ms; \
             in it p50 {half:.2} ms, p95 {nearly:.2} ms, longest {all:.1} ms; `/health`, which does \
             nothing, in turn with it under the same load: p99 {floor:.2} ms; {pauses}",
            draws.len(),
            median.count()
        ),
        limit: "two cores for load, service and PostgreSQL: each draw waits for the query before \
                its own, and both for whoever computes just then, the ledger's writing above all",
    })
}

/// The loads of both shots in rounds, in turn, after as much of them as brings everything into
/// motion; the rounds of each in the order of their p99.
async fn fire((draw, idle): (Shot, Shot)) -> Result<(Vec<Latencies>, Vec<Latencies>)> {
    load(&idle, Duration::from_secs(2)).await?;
    // Keycloak compiles what the sign-in ran, for some seconds, on the cores that are measured.
    load(&draw, Duration::from_secs(10)).await?;
    let (mut draws, mut idles) = (Vec::new(), Vec::new());
    for _ in 0..LOAD_ROUNDS {
        // What was said of the caller's token is believed for some seconds only while it is used.
        load(&draw, LOAD_ROUND / 10).await?;
        draws.push(load(&draw, LOAD_ROUND).await?);
        idles.push(load(&idle, LOAD_ROUND).await?);
    }
    for rounds in [&mut draws, &mut idles] {
        rounds.sort_by_key(|latencies| latencies.percentile(0.99));
    }
    Ok((draws, idles))
}

/// On connections of its own: those of another load's time would have been closed as idle.
async fn load(shot: &Shot, period: Duration) -> Result<Latencies> {
    let wires = try_join_all((0..LANES).map(|_| shot.clone().connect())).await?;
    let mut lanes: Vec<_> =
        wires.into_iter().map(|mut wire| async move || wire.send().await).collect();
    open_loop(RATE, period, &mut lanes).await
}

/// Many callers at once, just after the access token has expired.
async fn expired(vault: &Vault) -> Result<Vec<Figure>> {
    let token = vault.offline_token().await?;
    let mut direct = Vec::new();
    for _ in 0..20 * ROUNDS {
        direct.push(time(vault.refresh_directly(&token)).await?);
    }
    let (mut drawn, mut calls) = (Vec::new(), 0.0);
    for _ in 0..ROUNDS {
        vault.expire().await?;
        let before = vault.token_calls().await?;
        drawn.extend(try_join_all((0..CALLERS).map(|_| time(vault.draw()))).await?);
        calls += vault.token_calls().await? - before;
    }
    let (direct, drawn) = (Latencies::new(direct), Latencies::new(drawn));
    let [one, all] = [direct.percentile(0.5), drawn.percentile(0.99)].map(ms);
    let each = calls / f64::from(ROUNDS);
    // Fewer would mean that the stored token had not gone.
    ensure!(each >= 1.0, "{calls} calls to Keycloak were counted in {ROUNDS} rounds");
    Ok(vec![
        Figure {
            what: "1,000 callers with an expired access token: calls to Keycloak",
            value: each,
            unit: Unit::Calls,
            goal: Some(Goal::AtMost(1.0)),
            detail: format!("{calls} calls in {ROUNDS} rounds"),
            limit: "",
        },
        Figure {
            what: "1,000 callers with an expired access token, p99 against one direct refresh",
            value: all / one,
            unit: Unit::Ratio,
            goal: None,
            detail: format!("{all:.1} ms against {one:.1} ms (p50)"),
            limit: "the one call, and then the queue: a thousand at once are answered no faster \
                    than stored tokens are",
        },
    ])
}

async fn time(call: impl Future<Output = Result<()>>) -> Result<Duration> {
    let started = Instant::now();
    call.await?;
    Ok(started.elapsed())
}

async fn against_keycloak(vault: &Vault) -> Result<Figure> {
    let (token, period) = (vault.offline_token().await?, Duration::from_secs(4));
    vault.draw().await?;
    let ours = closed_loop(32, period, || vault.draw()).await?;
    let theirs = closed_loop(32, period, || vault.refresh_directly(&token)).await?;
    Ok(Figure {
        what: "draws a second, against refreshes at Keycloak's token endpoint",
        value: ours / theirs,
        unit: Unit::Ratio,
        goal: None,
        detail: format!("{ours:.0}/s against {theirs:.0}/s, 32 connections each"),
        limit: "the processor on both sides: we open a stored token, Keycloak signs a new one \
                and writes",
    })
}
