#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| archibald_fuzz::read("html", bytes));
