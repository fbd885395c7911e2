/// What a sealed value is: a purpose and the natural keys of its place, never a surrogate row id
/// that an upsert may change. Each field is preceded by its length (8 bytes, big
/// endian), so that no two lists collide.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity(Vec<u8>);

impl Identity {
    /// Begins with the purpose, such as `table.column`.
    #[must_use]
    pub fn new(purpose: &str) -> Self {
        Self(Vec::new()).field(purpose)
    }

    /// Adds a field.
    #[must_use]
    pub fn field(mut self, value: impl AsRef<[u8]>) -> Self {
        let value = value.as_ref();
        self.0.extend_from_slice(&(value.len() as u64).to_be_bytes());
        self.0.extend_from_slice(value);
        self
    }

    pub(crate) fn as_bytes(&self) -> &[u8] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_text_in_other_fields_is_another_identity() {
        assert_ne!(Identity::new("ab").field("c"), Identity::new("a").field("bc"));
        assert_ne!(Identity::new("a").field(""), Identity::new("a"));
    }
}
