//! Fuzzes what a signature holds for.
#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| latchkey_fuzz::check_signed(bytes));
