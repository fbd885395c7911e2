//! Fuzzes what a key server answers.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| latchkey_fuzz::check_jwk(bytes));
