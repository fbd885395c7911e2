//! Programs in other languages, with the packages that they need in the user's cache folder.

use std::env;
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::path::{Path, PathBuf};
use std::process::Stdio;

use nix::fcntl::{Flock, FlockArg};
use tokio::io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

/// A folder with programs, `package.json`, `package-lock.json` and `requirements.txt`, laid into
/// the cache with all packages; once for each content.
pub struct ForeignClients {
    folder: PathBuf,
}

/// A program that answers each line with one.
pub struct ForeignClient {
    name: String,
    _child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
}

impl ForeignClients {
    /// Installs what `source` needs, where that was not done before.
    pub async fn provide(source: &Path) -> Self {
        let files: Vec<PathBuf> =
            fs::read_dir(source).unwrap().map(|entry| entry.unwrap().path()).collect();
        let folder = cache_folder().join(format!("clients-{:016x}", fingerprint(&files)));
        fs::create_dir_all(&folder).unwrap();
        let lock = File::create(folder.join(".lock")).unwrap();
        let locking =
            move || Flock::lock(lock, FlockArg::LockExclusive).map_err(|(_, error)| error);
        let _lock = tokio::task::spawn_blocking(locking).await.unwrap().unwrap();
        let complete = folder.join(".complete");
        if !complete.exists() {
            for file in &files {
                fs::copy(file, folder.join(file.file_name().unwrap())).unwrap();
            }
            install(&folder).await;
            File::create(complete).unwrap();
        }
        Self { folder }
    }

    /// Starts one of the programs and waits until it says that it is ready.
    pub async fn start(&self, program: &str, arguments: &[&str]) -> ForeignClient {
        let runner = match Path::new(program).extension().and_then(|kind| kind.to_str()) {
            Some("py") => self.folder.join("python/bin/python"),
            _ => PathBuf::from("node"),
        };
        let mut child = Command::new(runner)
            .arg(self.folder.join(program))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the program starts; `cargo xtask test` installs what it needs");
        let (input, output) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let output = BufReader::new(output).lines();
        let name = program.to_owned();
        let mut client = ForeignClient { name, _child: child, input, output };
        assert_eq!(client.read().await, "ready");
        client
    }
}

impl ForeignClient {
    /// What it is called.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What it says to `line`.
    pub async fn ask(&mut self, line: &str) -> String {
        self.input.write_all(format!("{line}\n").as_bytes()).await.unwrap();
        self.input.flush().await.unwrap();
        self.read().await
    }

    async fn read(&mut self) -> String {
        self.output.next_line().await.unwrap().unwrap_or_else(|| panic!("{} is gone", self.name))
    }
}

fn cache_folder() -> PathBuf {
    let cache = env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
    let home = || env::var_os("HOME").map(|home| PathBuf::from(home).join(".cache"));
    cache.or_else(home).expect("XDG_CACHE_HOME or HOME is set").join("latchkey")
}

fn fingerprint(files: &[PathBuf]) -> u64 {
    let mut files: Vec<(&Path, Vec<u8>)> =
        files.iter().map(|file| (&**file, fs::read(file).unwrap())).collect();
    files.sort();
    let mut hasher = DefaultHasher::new();
    for (file, content) in files {
        (file.file_name(), content).hash(&mut hasher);
    }
    hasher.finish()
}

async fn install(folder: &Path) {
    let npm = ["ci", "--no-audit", "--no-fund", "--ignore-scripts"];
    run(Command::new("npm").args(npm).current_dir(folder)).await;
    run(Command::new("python3").args(["-m", "venv", "--clear", "python"]).current_dir(folder))
        .await;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check"];
    let mut command = Command::new(folder.join("python/bin/python"));
    run(command.args(pip).args(["--requirement", "requirements.txt"]).current_dir(folder)).await;
}

async fn run(command: &mut Command) {
    let output = command
        .output()
        .await
        .expect("node, npm and python3 are there; `cargo xtask test` installs them");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{command:?}: {said}");
}
