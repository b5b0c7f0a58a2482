//! What if there were more agents, fewer contexts, another policy? See `simulate --help`, and
//! `archibald_examples::simulate` for what it is made of.

fn main() -> std::process::ExitCode {
    archibald_examples::simulate::run(std::env::args_os())
}
