//! What a machine must have beside Rust: a C compiler, and OpenSSL's headers.

use std::path::Path;
use std::process::Stdio;

use anyhow::{Context as _, Result, bail};
use tokio::process::Command;

use crate::{run, ui};

struct Need {
    what: &'static str,
    probe: &'static [&'static str],
    debian: &'static [&'static str],
    others: &'static str,
}

const NEEDS: &[Need] = &[
    Need {
        what: "a C compiler",
        probe: &["cc", "--version"],
        debian: &["gcc", "libc6-dev"],
        others: "Fedora: `dnf install gcc`; macOS: `xcode-select --install`",
    },
    Need {
        what: "pkg-config",
        probe: &["pkg-config", "--version"],
        debian: &["pkg-config"],
        others: "Fedora: `dnf install pkgconf-pkg-config`; macOS: `brew install pkgconf`",
    },
    Need {
        what: "OpenSSL's headers",
        probe: &["pkg-config", "--exists", "openssl"],
        debian: &["libssl-dev"],
        others: "Fedora: `dnf install openssl-devel`; macOS: `brew install openssl@3`",
    },
];

/// What tests need besides: the README's walk curl, the PKCS#11 tests a token, the documentation's
/// pages a browser.
const TEST_NEEDS: &[Need] = &[
    Need {
        what: "curl",
        probe: &["curl", "--version"],
        debian: &["curl"],
        others: "Fedora: `dnf install curl`; macOS has it",
    },
    Need {
        what: "SoftHSM",
        probe: &["softhsm2-util", "--version"],
        debian: &["softhsm2"],
        others: "Fedora: `dnf install softhsm`; macOS: `brew install softhsm`",
    },
    Need {
        what: "Chromium",
        probe: &["chromium", "--version"],
        debian: &["chromium"],
        others: "Fedora: `dnf install chromium`, and a link `chromium` to it; macOS: `brew install \
                 chromium`",
    },
    Need {
        what: "Node.js",
        probe: &["node", "--version"],
        debian: &["nodejs"],
        others: "Fedora: `dnf install nodejs`; macOS: `brew install node`",
    },
    Need {
        what: "npm",
        probe: &["npm", "--version"],
        debian: &["npm"],
        others: "Fedora: `dnf install nodejs-npm`; macOS: `brew install node`",
    },
    Need {
        what: "Python with venv",
        probe: &["python3", "-c", "import ensurepip, venv"],
        debian: &["python3-venv"],
        others: "Fedora: `dnf install python3`; macOS: `brew install python`",
    },
];

/// What measuring needs besides.
const BENCH_NEEDS: &[Need] = &[Need {
    what: "pgbench",
    probe: &["pgbench", "--version"],
    debian: &["postgresql-contrib"],
    others: "Fedora: `dnf install postgresql-contrib`; macOS: `brew install postgresql`",
}];

const JAVA: Need = Need {
    what: "Java 17 or newer, which Keycloak runs on,",
    probe: &["java", "-version"],
    debian: &["default-jre-headless"],
    others: "Fedora: `dnf install java-latest-openjdk-headless`; macOS: `brew install openjdk`; or \
             set JAVA_HOME",
};

const REDIS: Need = Need {
    what: "Redis",
    probe: &["redis-server", "--version"],
    debian: &["redis-server"],
    others: "Fedora: `dnf install valkey-compat-redis`; macOS: `brew install redis`",
};

/// Redis, where none was found.
pub(crate) async fn provide_redis() -> Result<()> {
    provide([&REDIS].into_iter()).await
}

/// Java, where none that will do was found; the error says how to get it where it may not be
/// installed.
pub(crate) async fn provide_java(may_install: bool) -> Result<()> {
    obtain(&[&JAVA], may_install).await
}

/// Whether what is missing can be installed: this is Debian, and we are root.
pub(crate) fn can_be_installed() -> bool {
    nix::unistd::geteuid().is_root() && Path::new("/usr/bin/apt-get").exists()
}

/// What building takes.
pub(crate) async fn check() -> Result<()> {
    provide(NEEDS.iter()).await
}

/// What testing takes.
pub(crate) async fn check_for_tests() -> Result<()> {
    provide(NEEDS.iter().chain(TEST_NEEDS).chain([&REDIS])).await
}

/// What measuring the tests' reach takes: LLVM's own tools, and cargo's way to them.
pub(crate) async fn check_for_coverage() -> Result<()> {
    check_for_tests().await?;
    let mut probe = Command::new("cargo");
    let found = probe.args(["llvm-cov", "--version"]).stdout(Stdio::null()).stderr(Stdio::null());
    if !found.status().await.is_ok_and(|status| status.success()) {
        ui::say("installing cargo-llvm-cov");
        run(Command::new("cargo").args(["install", "cargo-llvm-cov", "--locked", "--quiet"]))
            .await?;
    }
    run(Command::new("rustup").args(["component", "add", "llvm-tools"])).await
}

/// What measuring takes.
pub(crate) async fn check_for_bench() -> Result<()> {
    provide(NEEDS.iter().chain(BENCH_NEEDS)).await
}

/// Checks them all; installs what is missing where that can be done, and says how to get it
/// everywhere else.
async fn provide(needs: impl Iterator<Item = &'static Need>) -> Result<()> {
    let missing = missing(needs).await;
    if missing.is_empty() {
        return Ok(());
    }
    obtain(&missing, can_be_installed()).await
}

async fn obtain(missing: &[&Need], may_install: bool) -> Result<()> {
    let packages: Vec<&str> = missing.iter().flat_map(|need| need.debian).copied().collect();
    let lines: Vec<String> = missing
        .iter()
        .map(|need| {
            let debian = need.debian.join(" ");
            format!("{} is missing. Debian: `apt-get install {debian}`; {}", need.what, need.others)
        })
        .collect();
    let lines = lines.join("\n");
    if may_install {
        return install(&packages).await.context(lines);
    }
    bail!(lines)
}

async fn missing(needs: impl Iterator<Item = &'static Need>) -> Vec<&'static Need> {
    let mut missing = Vec::new();
    for need in needs {
        let probe = Command::new(need.probe[0])
            .args(&need.probe[1..])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .status()
            .await;
        if !probe.is_ok_and(|status| status.success()) {
            missing.push(need);
        }
    }
    missing
}

async fn install(packages: &[&str]) -> Result<()> {
    ui::say(&format!("installing {} with apt-get", packages.join(" ")));
    run(Command::new("apt-get").args(["update", "--quiet"])).await?;
    let mut install = Command::new("apt-get");
    install.args(["install", "--quiet", "--yes", "--no-install-recommends"]).args(packages);
    run(install.env("DEBIAN_FRONTEND", "noninteractive")).await
}
