//! Fakes, simulated ERP and conformance suites for those who build on Archibald
