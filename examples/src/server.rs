//! The server: everything wired up, from settings to a drained end.

mod agents;
mod check;
mod doors;
mod failpoint;
mod hold;
mod parts;
mod schedules;
mod settings;

use std::io::IsTerminal;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use archibald_browser::page_map::PageMap;
use archibald_core::port::Operations;
use archibald_http::{ApiConfig, ApiState, ServeLimits, router, serve};
use archibald_runtime::{Archibald, Worker};
use tokio::net::TcpListener;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

pub use self::agents::{Agents, FileError, read_toml};
pub use self::doors::read_tokens;
pub use self::parts::{Failure, Parts};
pub use self::settings::{SettingError, Settings, TokenWish};

/// Runs the server until it is told to stop. Exit code 0 after a drain, 1 when something failed, 2 for
/// settings that cannot be used, 3 when no browser can be had. A check of the page map ends with 0 if it fits, and
/// with 1 if it does not.
pub async fn run(args: impl IntoIterator<Item = String>) -> ExitCode {
    let settings = match Settings::read(args) {
        Ok(settings) => settings,
        Err(SettingError::CommandLine(error)) => {
            let _ = error.print();
            return ExitCode::from(u8::try_from(error.exit_code()).unwrap_or(2));
        }
        Err(error) => return fail(&error.into()),
    };
    if settings.flag("print-config") {
        print!("{}", settings.print());
        return ExitCode::SUCCESS;
    }
    if settings.flag("print-page-map") {
        print!("{}", PageMap::SIMULATOR);
        return ExitCode::SUCCESS;
    }
    if settings.flag("check-page-map") {
        return match check_page_map(&settings).await {
            Ok(fits) => ExitCode::from(u8::from(!fits)),
            Err(failure) => fail(&failure),
        };
    }
    let done = match settings.token() {
        Some(wish) => doors::token(&settings, wish).map(|token| println!("{token}")),
        None => serve_until_told(&settings).await,
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => fail(&failure),
    }
}

fn fail(failure: &Failure) -> ExitCode {
    eprintln!("server: {}", failure.in_full());
    ExitCode::from(failure.exit_code())
}

async fn check_page_map(settings: &Settings) -> Result<bool, Failure> {
    start_log(settings)?;
    check::check(settings).await
}

async fn serve_until_told(settings: &Settings) -> Result<(), Failure> {
    start_log(settings)?;
    // Before anything is started, so that a signal sent at any time drains.
    let mut terminate = signal(SignalKind::terminate()).map_err(Failure::Signals)?;
    let listener = if settings.flag("no-http") { None } else { Some(listen(settings).await?) };
    let parts = Parts::from(settings).await?;
    let mut builder = Archibald::builder(parts.ports())
        .pending_orders(parts.pending_orders.clone())
        .config(parts.config.clone())
        .failpoints(parts.failpoints.clone())
        .schedules(settings.schedules().to_vec());
    if let Some(kept) = &parts.kept_agents {
        builder = builder.kept_agents(kept.clone());
    }
    let archibald = builder.build()?;
    let stop = CancellationToken::new();
    let api = ApiState::new(
        Arc::new(archibald.clone()),
        parts.bus.clone(),
        parts.authenticator.clone(),
        api_config(&parts, listener.as_ref()),
        stop.clone(),
    );
    let drain_asked = api.drain_asked();
    let worker = if settings.flag("no-worker") { None } else { archibald.start() };
    let http = listener.map(|listener| open(listener, api, stop.clone()));
    tracing::info!(agents = archibald.agents().len(), worker = worker.is_some(), "ready");
    tokio::select! {
        _ = terminate.recv() => {}
        _ = tokio::signal::ctrl_c() => {}
        () = drain_asked.cancelled() => {}
    }
    drain(settings.span("drain-timeout")?, worker, http, &stop, &parts).await
}

async fn listen(settings: &Settings) -> Result<TcpListener, Failure> {
    let address = settings.text("listen");
    let parsed: std::net::SocketAddr =
        address.parse().map_err(|_| settings.refuse("listen", "an address such as 127.0.0.1:8080"))?;
    if !parsed.ip().is_loopback() && !doors::configured(settings) {
        return Err(settings
            .refuse("listen", "a loopback address unless --tokens or --jwt-key configures authentication")
            .into());
    }
    TcpListener::bind(parsed).await.map_err(|source| Failure::Listen { address: address.to_owned(), source })
}

/// On loopback there is no TLS, and a browser would keep a `Secure` cookie to itself.
fn api_config(parts: &Parts, listener: Option<&TcpListener>) -> ApiConfig {
    let address = listener.and_then(|listener| listener.local_addr().ok());
    let secure_cookies = !address.is_some_and(|address| address.ip().is_loopback());
    ApiConfig { secure_cookies, worker: parts.config.worker.to_string(), ..ApiConfig::default() }
}

fn open(listener: TcpListener, api: ApiState, stop: CancellationToken) -> JoinHandle<()> {
    if let Ok(address) = listener.local_addr() {
        println!("listening on http://{address}");
    }
    tokio::spawn(async move {
        serve(listener, router(api), stop, ServeLimits::default()).await;
    })
}

/// Stops taking, lets what runs finish or give way, ends the streams, then browsers and store.
async fn drain(
    limit: Duration,
    worker: Option<Worker>,
    http: Option<JoinHandle<()>>,
    stop: &CancellationToken,
    parts: &Parts,
) -> Result<(), Failure> {
    tracing::info!("draining");
    let whole = match worker {
        Some(worker) => worker.drain(limit).await,
        None => true,
    };
    stop.cancel();
    if let Some(http) = http {
        let _ = http.await;
    }
    parts.close().await;
    if whole { Ok(()) } else { Err(Failure::Drain(limit)) }
}

fn start_log(settings: &Settings) -> Result<(), Failure> {
    use tracing::Level;
    use tracing_subscriber::filter::{EnvFilter, filter_fn};
    use tracing_subscriber::fmt::layer;
    use tracing_subscriber::prelude::*;
    let chosen = EnvFilter::try_from_env("ARCHIBALD_LOG").unwrap_or_else(|_| EnvFilter::new("info"));
    // Whatever is chosen: the browser's messages, cookies and passwords included, stay out of the log.
    let discreet = filter_fn(|event| {
        let chatty = ["chromiumoxide", "tungstenite", "async_tungstenite", "tokio_tungstenite"];
        *event.level() <= Level::WARN || !chatty.iter().any(|library| event.target().starts_with(library))
    });
    // Filters of the whole, not of one layer: those forget lines when a library asks whether it would be heard.
    let log = tracing_subscriber::registry().with(chosen).with(discreet);
    let colours = std::io::stderr().is_terminal();
    match settings.text("log-format") {
        "text" => log.with(layer().with_ansi(colours).with_writer(std::io::stderr)).init(),
        "json" => log.with(layer().json().with_writer(std::io::stderr)).init(),
        _ => return Err(settings.refuse("log-format", "text or json").into()),
    }
    Ok(())
}
