//! The menu.

use super::chat::Room;
use super::failure::Failure;
use super::show::tell;
use super::{Here, Person, account, chat, keys, prompt, session};

/// What can be chosen, in this order.
#[derive(Clone, Copy)]
enum Entry {
    Register,
    LogIn,
    LogInAgain,
    Send,
    Refresh,
    List,
    LogOut,
    EndOne,
    EndAll,
    Keys,
    Quit,
}

const ENTRIES: [(Entry, &str); 11] = [
    (Entry::Register, "Open an account"),
    (Entry::LogIn, "Log in on a new device"),
    (Entry::LogInAgain, "Log in again on this device"),
    (Entry::Send, "Send a message"),
    (Entry::Refresh, "Refresh the tokens"),
    (Entry::List, "List my sessions"),
    (Entry::LogOut, "Log out"),
    (Entry::EndOne, "End one session"),
    (Entry::EndAll, "End all sessions"),
    (Entry::Keys, "Show my keyset's public parts"),
    (Entry::Quit, "Quit"),
];

/// Until the person quits; what fails is told and the menu comes again.
pub(super) async fn run(here: &Here) -> Result<(), Failure> {
    let labels = ENTRIES.map(|(_, label)| label.to_owned());
    loop {
        let Some(index) = prompt::choose("What next?", &labels)? else { return Ok(()) };
        let entry = ENTRIES[index].0;
        if matches!(entry, Entry::Quit) {
            return Ok(());
        }
        match play(here, entry).await {
            Err(Failure::Interrupted) => return Err(Failure::Interrupted),
            Err(failure) => eprintln!("error: {failure}"),
            Ok(()) => {}
        }
    }
}

/// The file is held only while a service is asked, never while a person thinks.
async fn play(here: &Here, entry: Entry) -> Result<(), Failure> {
    match entry {
        Entry::Register => log_in_on_new_device(here, true).await,
        Entry::LogIn => log_in_on_new_device(here, false).await,
        Entry::LogInAgain => {
            let known = Person::open(here)?.profile()?.username.clone();
            let username = prompt::username(None, Some(&known))?;
            let password = prompt::password(false)?;
            let mut person = Person::open(here)?;
            let logged_in = account::log_in_again(&mut person, &username, &password);
            tell(here.json, &logged_in.await?)
        }
        Entry::Send => send(here).await,
        Entry::Refresh => tell(here.json, &session::refresh(&mut Person::open(here)?).await?),
        Entry::List => tell(here.json, &session::list(&mut Person::open(here)?).await?),
        Entry::LogOut => tell(here.json, &session::log_out(&mut Person::open(here)?).await?),
        Entry::EndOne => end_one(here).await,
        Entry::EndAll => tell(here.json, &session::end_all(&mut Person::open(here)?).await?),
        Entry::Keys => tell(here.json, &keys::list(&mut Person::open(here)?).await?),
        Entry::Quit => Ok(()),
    }
}

async fn log_in_on_new_device(here: &Here, register: bool) -> Result<(), Failure> {
    let username = prompt::username(None, None)?;
    let password = prompt::password(register)?;
    let mut person = Person::open(here)?;
    if register {
        account::register(&person, &username, &password).await?;
    }
    let name = account::DEVICE_NAME;
    let logged_in = account::log_in(&mut person, &username, &password, name).await?;
    tell(here.json, &logged_in)
}

async fn send(here: &Here) -> Result<(), Failure> {
    let rooms = chat::rooms(&mut Person::open(here)?).await?;
    let mut labels: Vec<String> = rooms.iter().map(ToString::to_string).collect();
    labels.extend(["A new room", "A room to join, by its id"].map(str::to_owned));
    let Some(index) = prompt::choose("Into which room?", &labels)? else { return Ok(()) };
    let room = match rooms.get(index) {
        Some(room) => Room::Known { id: room.room_id, join: false },
        None if index == rooms.len() => Room::New(prompt::line("Name of the room")?),
        None => {
            let id = prompt::line("Id of the room")?;
            let wrong = |_| Failure::Usage(format!("`{id}` is not a room's id"));
            Room::Known { id: id.trim().parse().map_err(wrong)?, join: true }
        }
    };
    let message = prompt::line("Message")?;
    let mut person = Person::open(here)?;
    tell(here.json, &chat::send(&mut person, &room, &message, None).await?)
}

async fn end_one(here: &Here) -> Result<(), Failure> {
    let sessions = session::list(&mut Person::open(here)?).await?.items;
    let labels: Vec<String> = sessions.iter().map(ToString::to_string).collect();
    let Some(index) = prompt::choose("Which session?", &labels)? else { return Ok(()) };
    let session_id = sessions[index].session_id;
    tell(here.json, &session::end_one(&mut Person::open(here)?, session_id).await?)
}
