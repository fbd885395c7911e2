# Thin names for what cargo does; `just` alone lists them.
default:
    @just --list

# Postgres, migrations and every service, until Ctrl-C
up *args:
    cargo xtask up {{args}}

# Formatting, clippy, documentation and tests
test *args:
    cargo xtask test {{args}}

# Figures of release builds
bench *args:
    cargo xtask bench {{args}}

# The main story, played against running services
demo *args:
    cargo xtask demo {{args}}

# Pending migrations of every service
migrate:
    cargo run --package latchkey -- migrate run

fmt:
    cargo fmt --all

lint:
    cargo clippy --workspace --all-targets -- --deny warnings
