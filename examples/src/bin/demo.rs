//! The demo. See `demo --help`, and `archibald_examples::demo` for what it is made of.

// One thread: children are tied to the life of the thread that started them.
#[tokio::main(flavor = "current_thread")]
async fn main() -> std::process::ExitCode {
    archibald_examples::demo::run(std::env::args_os()).await
}
