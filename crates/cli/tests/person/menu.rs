//! Each entry of the menu, through a terminal.

use crate::support::{PASSWORD, World};
use crate::terminal::Terminal;

const ENTRIES: [&str; 11] = [
    "Open an account",
    "Log in on a new device",
    "Log in again on this device",
    "Send a message",
    "Refresh the tokens",
    "List my sessions",
    "Log out",
    "End one session",
    "End all sessions",
    "Show my keyset's public parts",
    "Quit",
];

impl Terminal {
    fn of(world: &World) -> Self {
        Self::start(world.latchkey())
    }

    /// Chooses in the main menu.
    async fn entry(&mut self, label: &str) {
        let index = ENTRIES.iter().position(|entry| *entry == label).unwrap();
        self.expect("What next?").await;
        self.pick("Quit", index).await;
        self.expect(&format!("What next? · {label}")).await;
    }

    /// Chooses the item with this number from a list once its last is shown.
    async fn pick(&mut self, last: &str, index: usize) {
        self.expect(last).await;
        self.takes_keys().await;
        self.press(&"j".repeat(index));
        self.press("\r");
    }

    /// Answers a question.
    async fn answer(&mut self, question: &str, text: &str) {
        self.expect(question).await;
        self.takes_keys().await;
        self.press(&format!("{text}\r"));
    }

    async fn type_password(&mut self, question: &str) {
        self.expect(question).await;
        self.hides_typing().await;
        self.press(&format!("{PASSWORD}\r"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn one_opens_an_account_and_sees_no_password() {
    let world = World::new().await;
    let mut terminal = Terminal::of(&world);
    terminal.entry("Open an account").await;
    terminal.answer("Username", "alice").await;
    terminal.type_password("Password").await;
    terminal.type_password("The same again").await;
    terminal.expect("logged in as alice").await;
    assert_eq!(world.kept()["username"], "alice");
    assert!(!terminal.raw().contains(PASSWORD));
    terminal.entry("Quit").await;
    assert_eq!(terminal.status().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_logs_in_on_a_new_device_and_again_on_it() {
    let world = World::with_alice().await;
    let first = world.kept();
    let mut terminal = Terminal::of(&world);
    terminal.entry("Log in on a new device").await;
    terminal.answer("Username", "alice").await;
    terminal.type_password("Password").await;
    terminal.expect("logged in as alice").await;
    let second = world.kept();
    assert_ne!(first["device"], second["device"]);

    terminal.entry("Log in again on this device").await;
    // The name of the last login is the answer where none is typed.
    terminal.answer("Username", "").await;
    terminal.type_password("Password").await;
    terminal.expect("logged in as alice").await;
    let third = world.kept();
    assert_eq!(second["device"], third["device"]);
    assert_ne!(second["session"]["session_id"], third["session"]["session_id"]);
    assert!(!terminal.raw().contains(PASSWORD));
}

#[tokio::test(flavor = "multi_thread")]
async fn one_sends_messages_into_new_own_and_other_rooms() {
    let world = World::with_alice().await;
    let mut terminal = Terminal::of(&world);
    terminal.entry("Send a message").await;
    terminal.pick("A room to join, by its id", 0).await;
    terminal.answer("Name of the room", "Garden").await;
    terminal.answer("Message", "Hello").await;
    terminal.expect("sent as number 1 in room").await;

    terminal.entry("Send a message").await;
    terminal.expect("Garden").await;
    terminal.pick("A room to join, by its id", 0).await;
    terminal.answer("Message", "Hello again").await;
    terminal.expect("sent as number 2 in room").await;

    world.must(&["register", "--username", "bob", "--password-stdin", "--file", "bob"], PASSWORD);
    let room = world.must(&["send", "--file", "bob", "--new-room", "Shed", "Mine"], "");
    terminal.entry("Send a message").await;
    terminal.pick("A room to join, by its id", 2).await;
    terminal.answer("Id of the room", room["room_id"].as_str().unwrap()).await;
    terminal.answer("Message", "Hello bob").await;
    terminal.expect("sent as number 2 in room").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_refreshes_lists_and_sees_one_s_keys() {
    let world = World::with_alice().await;
    let before = world.kept();
    let mut terminal = Terminal::of(&world);
    terminal.entry("Refresh the tokens").await;
    terminal.expect("refreshed, access until").await;
    assert_ne!(world.kept()["session"]["refresh_token"], before["session"]["refresh_token"]);

    terminal.entry("List my sessions").await;
    terminal.expect(before["session"]["session_id"].as_str().unwrap()).await;
    terminal.expect("(this one)").await;

    terminal.entry("Show my keyset's public parts").await;
    let kid = world.must(&["keys"], "")["keys"][0]["kid"].as_str().unwrap().to_owned();
    terminal.expect(&kid).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn one_ends_another_session_then_all_and_is_told_what_to_do_next() {
    let world = World::with_alice().await;
    let own = world.kept()["session"]["session_id"].as_str().unwrap().to_owned();
    let login = ["login", "--username", "alice", "--password-stdin", "--file", "phone"];
    let phone = world.must(&login, PASSWORD)["session_id"].as_str().unwrap().to_owned();
    let mut terminal = Terminal::of(&world);
    terminal.entry("End one session").await;
    // The newest comes first.
    terminal.expect(&phone).await;
    terminal.pick(&own, 0).await;
    terminal.expect(&format!("session {phone} has ended")).await;

    terminal.entry("End all sessions").await;
    terminal.expect("1 ended, this device's too").await;
    assert!(world.kept()["session"].is_null());
    terminal.entry("Refresh the tokens").await;
    terminal.expect("error: not logged in: `latchkey relogin`").await;
    terminal.entry("Quit").await;
    assert_eq!(terminal.status().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn one_logs_out_and_leaves_by_escape() {
    let world = World::with_alice().await;
    let mut terminal = Terminal::of(&world);
    terminal.entry("Log out").await;
    terminal.expect("logged out").await;
    assert!(world.kept()["session"].is_null());
    terminal.expect("What next?").await;
    terminal.expect("Quit").await;
    terminal.takes_keys().await;
    terminal.press("\u{1b}");
    assert_eq!(terminal.status().await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn an_interrupt_gives_the_cursor_back_and_is_130() {
    let world = World::new().await;
    let mut terminal = Terminal::of(&world);
    terminal.expect("Quit").await;
    terminal.takes_keys().await;
    assert!(terminal.raw().contains("\u{1b}[?25l"), "the menu hides the cursor");
    terminal.press("\u{3}");
    test_support::eventually("the cursor is back", || async {
        let raw = terminal.raw();
        (raw.rfind("\u{1b}[?25h") > raw.rfind("\u{1b}[?25l")).then_some(())
    })
    .await;
    assert_eq!(terminal.status().await, 130);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_subcommand_asks_on_the_terminal_for_what_was_not_given() {
    let world = World::with_alice().await;
    let mut command = world.latchkey();
    command.arg("relogin");
    let mut terminal = Terminal::start(command);
    terminal.type_password("Password").await;
    terminal.expect("logged in as alice").await;
    assert!(!terminal.raw().contains(PASSWORD));
    assert_eq!(terminal.status().await, 0);
}
