//! HTTP API and live event streams of Archibald as an axum router
