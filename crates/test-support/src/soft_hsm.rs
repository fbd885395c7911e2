use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

/// Where a test's second run finds the module.
const MODULE: &str = "LATCHKEY_TEST_PKCS11_MODULE";
/// Where distributions put the module.
const MODULES: &[&str] = &[
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib64/pkcs11/libsofthsm2.so",
    "/usr/local/lib/softhsm/libsofthsm2.so",
    "/opt/homebrew/lib/softhsm/libsofthsm2.so",
];

/// A `SoftHSM` token of one's own with an AES-256 wrapping key in it. It is seen by processes that
/// have [`SoftHsm::variable`] in their environment.
pub struct SoftHsm {
    folder: TempDir,
    module: PathBuf,
}

impl SoftHsm {
    /// Label of the token.
    pub const TOKEN: &str = "latchkey-test";
    /// The user's PIN.
    pub const PIN: &str = "2468";
    /// Label of the wrapping key.
    pub const KEY: &str = "wrapping-key";

    /// Makes the token and puts a fresh key into it.
    pub fn create() -> Self {
        let module = MODULES.iter().map(PathBuf::from).find(|path| path.exists());
        let module = module.expect("SoftHSM is not installed; `cargo xtask test` installs it");
        let hsm = Self { folder: tempfile::tempdir().unwrap(), module };
        let tokens = hsm.folder.path().join("tokens");
        std::fs::create_dir(&tokens).unwrap();
        let configuration = format!("directories.tokendir = {}\n", tokens.display());
        std::fs::write(hsm.configuration(), configuration).unwrap();
        let free = ["--init-token", "--free", "--label", Self::TOKEN, "--so-pin", "1357"];
        hsm.softhsm2_util(&free);
        let key = hsm.folder.path().join("key");
        // 32 bytes of text: the tool skips what looks like white space to it.
        let bytes = uuid::Uuid::new_v4().simple().to_string();
        std::fs::write(&key, bytes).unwrap();
        let file = key.to_str().unwrap();
        let import = ["--import", file, "--aes", "--label", Self::KEY, "--id", "01"];
        hsm.softhsm2_util(&[&import[..], &["--token", Self::TOKEN]].concat());
        std::fs::remove_file(&key).unwrap();
        hsm
    }

    /// The module, within a second run of `test`, the caller, by its full name, in whose environment
    /// a token of its own is; `None` in the first, which makes that one. The module reads its
    /// configuration from the environment, which a process must not change.
    pub fn module_of_child(test: &str) -> Option<String> {
        if let Ok(module) = std::env::var(MODULE) {
            return Some(module);
        }
        let hsm = Self::create();
        let (name, value) = hsm.variable();
        let output = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", test, "--nocapture"])
            .env(name, value)
            .env(MODULE, hsm.module())
            .output()
            .unwrap();
        let told = String::from_utf8_lossy(&output.stdout);
        let failed = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && told.contains("1 passed"), "{told}{failed}");
        None
    }

    /// The PKCS#11 module.
    pub fn module(&self) -> &Path {
        &self.module
    }

    /// What a process that is to see the token has in its environment.
    pub fn variable(&self) -> (&'static str, PathBuf) {
        ("SOFTHSM2_CONF", self.configuration())
    }

    fn configuration(&self) -> PathBuf {
        self.folder.path().join("softhsm2.conf")
    }

    fn softhsm2_util(&self, arguments: &[&str]) {
        let (name, value) = self.variable();
        let output = Command::new("softhsm2-util")
            .args(arguments)
            .args(["--pin", Self::PIN])
            .env(name, value)
            .output()
            .expect("softhsm2-util can be run");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    }
}
