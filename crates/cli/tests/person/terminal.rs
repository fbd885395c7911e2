//! A program on a pseudo-terminal.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::OwnedFd;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use nix::pty::{Winsize, openpty};
use nix::sys::termios::{LocalFlags, tcgetattr};
use test_support::eventually;

/// Wide enough that no line is broken.
const SIZE: Winsize = Winsize { ws_row: 40, ws_col: 240, ws_xpixel: 0, ws_ypixel: 0 };

pub(crate) struct Terminal {
    keyboard: File,
    shown: Arc<Mutex<Vec<u8>>>,
    /// How much of what was shown has been looked at.
    seen: usize,
    child: Child,
}

impl Terminal {
    /// Takes the command, so that the other end is held by the program alone.
    pub(crate) fn start(mut command: Command) -> Self {
        let pair = openpty(&SIZE, None).unwrap();
        let end = || Stdio::from(OwnedFd::try_clone(&pair.slave).unwrap());
        command.env("TERM", "xterm").stdin(end()).stdout(end()).stderr(end());
        let child = command.spawn().unwrap();
        let keyboard = File::from(pair.master);
        let (mut screen, shown) = (keyboard.try_clone().unwrap(), Arc::default());
        let kept: Arc<Mutex<Vec<u8>>> = Arc::clone(&shown);
        std::thread::spawn(move || {
            let mut piece = [0; 4096];
            // An error is the end: nobody holds the other side any more.
            while let Ok(count @ 1..) = screen.read(&mut piece) {
                kept.lock().unwrap().extend_from_slice(&piece[..count]);
            }
        });
        Self { keyboard, shown, seen: 0, child }
    }

    /// Everything so far, as sent.
    pub(crate) fn raw(&self) -> String {
        String::from_utf8_lossy(&self.shown.lock().unwrap()).into_owned()
    }

    /// Waits for `text` after what was looked at before, and answers what stood before it.
    pub(crate) async fn expect(&mut self, text: &str) -> String {
        let (before, end) = eventually(&format!("`{text}` on the screen"), || async {
            let raw = self.raw();
            let plain = console::strip_ansi_codes(&raw);
            let rest = &plain[self.seen..];
            let found = rest.find(text)?;
            Some((rest[..found].to_owned(), self.seen + found + text.len()))
        })
        .await;
        self.seen = end;
        before
    }

    pub(crate) fn press(&mut self, keys: &str) {
        self.keyboard.write_all(keys.as_bytes()).unwrap();
    }

    /// Waits until single keys are read.
    pub(crate) async fn takes_keys(&self) {
        self.has_no(LocalFlags::ICANON).await;
    }

    /// Waits until what is typed is not shown.
    pub(crate) async fn hides_typing(&self) {
        self.has_no(LocalFlags::ECHO).await;
    }

    async fn has_no(&self, flag: LocalFlags) {
        eventually(&format!("no {flag:?}"), || async {
            let local = tcgetattr(&self.keyboard).ok()?.local_flags;
            (!local.contains(flag)).then_some(())
        })
        .await;
    }

    /// Waits for the program's end.
    pub(crate) async fn status(mut self) -> i32 {
        let child = &mut self.child;
        let ended = Mutex::new(child);
        eventually("the program ends", || async {
            ended.lock().unwrap().try_wait().unwrap()?.code()
        })
        .await
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        // Gone already where the test went well.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
