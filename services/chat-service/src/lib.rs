//! Rooms, messages and live delivery behind Latchkey access tokens.
