//! Fuzzes what a caller sends.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| latchkey_fuzz::check_token(bytes));
