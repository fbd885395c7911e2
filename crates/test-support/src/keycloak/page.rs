/// A form of Keycloak's pages.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Name and password, to be posted there.
    Login(String),
    /// Consent, to be posted there with the hidden `code`.
    Consent {
        /// Where to.
        action: String,
        /// The hidden field.
        code: String,
    },
}

impl Form {
    /// The form on a page.
    pub(super) fn find(page: &str) -> Option<Self> {
        page.split("<form").skip(1).find_map(|rest| {
            let (tag, content) = rest.split_once('>')?;
            let action = attribute(tag, "action")?;
            if tag.contains("kc-form-login") {
                return Some(Self::Login(action));
            }
            let code = content.split("<input").find(|input| input.contains("name=\"code\""))?;
            Some(Self::Consent { action, code: attribute(code, "value")? })
        })
    }
}

/// An attribute's value, its entities resolved.
fn attribute(tag: &str, name: &str) -> Option<String> {
    let (_, rest) = tag.split_once(&format!("{name}=\""))?;
    Some(rest.split_once('"')?.0.replace("&amp;", "&"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn forms_are_found_on_pages() {
        let login = r#"<form id="kc-form-login" action="http://k/a?b=1&amp;c=2" method="post">"#;
        assert_eq!(Form::find(login), Some(Form::Login("http://k/a?b=1&c=2".to_owned())));
        let consent = r#"<form action="/consent"><input type="hidden" name="code" value="x">"#;
        let expected = Form::Consent { action: "/consent".to_owned(), code: "x".to_owned() };
        assert_eq!(Form::find(consent), Some(expected));
        assert_eq!(Form::find("<p>We are sorry</p>"), None);
    }
}
