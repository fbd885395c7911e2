//! `Debug` for what holds live secrets.

/// Gives types a `Debug` that says their name and nothing of what they hold, so that no line of the
/// log and no failed assertion shows a token.
#[macro_export]
macro_rules! hide {
    ($($name:ty),+) => {$(
        impl ::std::fmt::Debug for $name {
            fn fmt(&self, formatter: &mut ::std::fmt::Formatter<'_>) -> ::std::fmt::Result {
                formatter.debug_struct(::std::stringify!($name)).finish_non_exhaustive()
            }
        }
    )+};
}

#[cfg(test)]
mod tests {
    struct Letter {
        _content: String,
    }
    struct Envelope(String);

    crate::hide!(Letter, Envelope);

    #[test]
    fn a_type_that_hides_shows_its_name_alone() {
        let letter = Letter { _content: "a secret".to_owned() };
        assert_eq!(format!("{letter:?}"), "Letter { .. }");
        let envelope = Envelope("a secret".to_owned());
        assert_eq!(
            format!("{:?} {}", Some(&envelope), envelope.0.len()),
            "Some(Envelope { .. }) 8"
        );
    }
}
