//! The server. See `server --help`, and `archibald_examples::server` for what it is made of.

#[tokio::main]
async fn main() -> std::process::ExitCode {
    archibald_examples::server::run(std::env::args()).await
}
