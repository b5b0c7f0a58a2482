//! Set-up, demo, tests and continuous integration.
fn main() {}
