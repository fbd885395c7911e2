//! What a person is asked for, where there is a terminal to ask on.

use std::io::{BufRead as _, IsTerminal as _, Read as _};

use dialoguer::theme::ColorfulTheme;
use dialoguer::{Input, Password, Select};

use super::failure::Failure;

/// Longer lines are no password.
const MAX_PASSWORD_BYTES: u64 = 4096;

/// Where the password comes from; never from an argument, which other processes can read.
#[derive(clap::Args)]
pub(crate) struct PasswordSource {
    /// Read the password from the first line of standard input instead of asking
    #[arg(long)]
    password_stdin: bool,
}

impl PasswordSource {
    pub(crate) fn read(&self, new: bool) -> Result<String, Failure> {
        if self.password_stdin {
            return from_stdin();
        }
        need_terminal("give the password with --password-stdin")?;
        password(new)
    }
}

fn from_stdin() -> Result<String, Failure> {
    let mut line = String::new();
    let read = std::io::stdin().lock().take(MAX_PASSWORD_BYTES).read_line(&mut line);
    let line = line.trim_end_matches(['\r', '\n']);
    if read.is_err() || line.is_empty() {
        return Err(Failure::Usage("no password on the first line of standard input".to_owned()));
    }
    Ok(line.to_owned())
}

/// The name given, or asked for.
pub(crate) fn username(given: Option<String>, known: Option<&str>) -> Result<String, Failure> {
    if let Some(name) = given {
        return Ok(name);
    }
    need_terminal("name the account with --username")?;
    let theme = ColorfulTheme::default();
    let mut input = Input::with_theme(&theme).with_prompt("Username");
    if let Some(known) = known {
        input = input.default(known.to_owned());
    }
    input.interact_text().map_err(stopped)
}

/// Without echo; a new one is typed twice.
pub(crate) fn password(new: bool) -> Result<String, Failure> {
    let theme = ColorfulTheme::default();
    let mut password = Password::with_theme(&theme).with_prompt("Password");
    if new {
        password = password.with_confirmation("The same again", "These were not the same");
    }
    password.interact().map_err(stopped)
}

/// A line of text.
pub(crate) fn line(prompt: &str) -> Result<String, Failure> {
    let theme = ColorfulTheme::default();
    Input::with_theme(&theme).with_prompt(prompt).interact_text().map_err(stopped)
}

/// Which one; none on Escape.
pub(crate) fn choose(prompt: &str, items: &[String]) -> Result<Option<usize>, Failure> {
    let theme = ColorfulTheme::default();
    let select = Select::with_theme(&theme).with_prompt(prompt).items(items).default(0);
    select.interact_opt().map_err(stopped)
}

/// Undoes what a menu does to the terminal.
pub(crate) fn show_cursor() {
    // Nothing can be done where even this fails.
    let _ = console::Term::stderr().show_cursor();
}

fn need_terminal(otherwise: &str) -> Result<(), Failure> {
    if std::io::stdin().is_terminal() && std::io::stderr().is_terminal() {
        Ok(())
    } else {
        Err(Failure::Usage(format!("no terminal to ask on; {otherwise}")))
    }
}

fn stopped(error: dialoguer::Error) -> Failure {
    let dialoguer::Error::IO(error) = error;
    match error.kind() {
        std::io::ErrorKind::Interrupted => {
            show_cursor();
            Failure::Interrupted
        }
        _ => Failure::Usage(format!("the terminal can't be read: {error}")),
    }
}
