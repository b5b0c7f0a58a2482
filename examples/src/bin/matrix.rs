//! The crash matrix. See `matrix --help`, and `archibald_examples::matrix` for what it is made of.

// One thread: children are tied to the life of the thread that started them.
#[tokio::main(flavor = "current_thread")]
async fn main() -> std::process::ExitCode {
    archibald_examples::matrix::run(std::env::args_os()).await
}
