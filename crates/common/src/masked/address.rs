//! Network addresses, as ranges.

use std::borrow::Cow;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::http::ClientAddress;

/// `text`, a part of a word, with its addresses masked; none where there are none. `behind` is what
/// follows upon it.
pub(super) fn mask_addresses(text: &str, behind: &str) -> Option<String> {
    mask_address(text, behind)
        .or_else(|| mask_labelled(text, behind))
        .or_else(|| mask_among_others(text, behind))
}

/// `from:` and the like stay.
fn mask_labelled(text: &str, behind: &str) -> Option<String> {
    [text.find(':')?, text.rfind(':')?].into_iter().find_map(|colon| {
        let (label, address) = text.split_at(colon + 1);
        Some(format!("{label}{}", mask_address(address, behind)?))
    })
}

fn mask_among_others(text: &str, behind: &str) -> Option<String> {
    let is_between = |character: char| !character.is_alphanumeric() && character != '.';
    let (mut masked, mut found) = (String::new(), false);
    let mut pieces = text.split_inclusive(is_between).peekable();
    while let Some(piece) = pieces.next() {
        let behind = if pieces.peek().is_none() { behind } else { "" };
        let address = piece.trim_matches(|character: char| !character.is_alphanumeric());
        let instead = address.parse::<Ipv4Addr>().ok().and_then(|_| mask_address(address, behind));
        found |= instead.is_some();
        let piece =
            instead.map_or(Cow::Borrowed(piece), |it| piece.replacen(address, &it, 1).into());
        masked.push_str(&piece);
    }
    found.then_some(masked)
}

/// An address becomes the range that it is in, with what stands beside it.
fn mask_address(word: &str, behind: &str) -> Option<String> {
    let trimmed = word.trim_end_matches(['.', ':']);
    let (text, end) =
        if word.parse::<IpAddr>().is_ok() { (word, "") } else { (trimmed, &word[trimmed.len()..]) };
    let bare = text.split('%').next().unwrap_or(text);
    let (address, port) = match bare.parse::<SocketAddr>() {
        Ok(socket) => (socket.ip(), format!(":{}", socket.port())),
        Err(_) => (bare.parse().ok()?, String::new()),
    };
    // `::` stands between the words of a path, too; and this machine itself is nobody.
    if address.is_unspecified() || address.is_loopback() {
        return None;
    }
    let range = ClientAddress(address).network();
    // The range's length is there already, or a port or a path comes in its place.
    let slash = behind.starts_with('/') || !port.is_empty();
    let masked = if slash { range.addr().to_string() } else { range.to_string() };
    // What is a range already stands as it is.
    (masked != bare).then(|| format!("{masked}{port}{end}"))
}
