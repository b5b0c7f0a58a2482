//! Workloads and micro benches of Archibald
