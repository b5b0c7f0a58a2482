//! The tokio shell of Archibald: driver loop, attempts, settling, recovery
