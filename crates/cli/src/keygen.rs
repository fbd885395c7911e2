use std::path::PathBuf;

use anyhow::{Result, bail};
use clap::ValueEnum;
use token_verifier::Algorithm;

use crate::files::write_new;

#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Where the private key goes, mode 0600
    #[arg(long, default_value = "keys/jwt_private_key.pem")]
    private: PathBuf,
    /// Where the public key goes
    #[arg(long, default_value = "keys/jwt_public_key.pem")]
    public: PathBuf,
    /// What the key is for
    #[arg(long, value_enum, default_value_t = Kind::Rs256)]
    algorithm: Kind,
    /// Modulus of an RSA key
    #[arg(long, default_value_t = 2048, value_parser = parse_bits)]
    bits: u32,
}

#[derive(Clone, Copy, ValueEnum)]
enum Kind {
    /// RSA
    Rs256,
    /// P-256
    Es256,
}

fn parse_bits(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(bits @ (2048 | 3072 | 4096)) => Ok(bits),
        _ => Err("2048, 3072 or 4096".to_owned()),
    }
}

/// Writes a new pair; neither file may exist.
pub(crate) fn run(arguments: &Arguments) -> Result<()> {
    for path in [&arguments.private, &arguments.public] {
        if path.exists() {
            bail!("{} exists; give another path or move it away", path.display());
        }
    }
    let algorithm = match arguments.algorithm {
        Kind::Rs256 => Algorithm::Rs256,
        Kind::Es256 => Algorithm::Es256,
    };
    let pair = user_service::pem::generate(algorithm, arguments.bits)?;
    write_new(&arguments.private, &pair.private, 0o600)?;
    write_new(&arguments.public, &pair.public, 0o644)?;
    println!("{} (keep it secret)", arguments.private.display());
    println!("{}", arguments.public.display());
    Ok(())
}
