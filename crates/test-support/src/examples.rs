use serde_json::Value;

/// Schemas in schemas at most; deeper ones would go round in circles.
const DEPTH: u32 = 20;

/// Checks an OpenAPI document: every parameter, and every body of a request or an answer, has an
/// example, its own or one for each of its members.
///
/// # Panics
/// With a line for each that has none.
pub fn check_examples(document: &Value) {
    let mut missing = Vec::new();
    for (path, item) in members(&document["paths"]) {
        for (method, operation) in members(item) {
            let place = format!("{method} {path}");
            for parameter in operation["parameters"].as_array().into_iter().flatten() {
                if !is_given(parameter) {
                    let name = format!("{place}: {}", parameter["name"]);
                    look(document, &parameter["schema"], &name, DEPTH, &mut missing);
                }
            }
            let answers = members(&operation["responses"]).map(|(_, answer)| answer);
            for body in answers.chain([&operation["requestBody"]]) {
                for (kind, media) in members(&body["content"]) {
                    if !is_given(media) {
                        let name = format!("{place}: {kind}");
                        look(document, &media["schema"], &name, DEPTH, &mut missing);
                    }
                }
            }
        }
    }
    missing.sort();
    missing.dedup();
    assert!(missing.is_empty(), "no example:\n{}", missing.join("\n"));
}

/// Names in `missing` what of `schema` has no example.
fn look(document: &Value, schema: &Value, name: &str, depth: u32, missing: &mut Vec<String>) {
    if is_given(schema) || schema["type"] == "null" {
        return;
    }
    let mut parts = Vec::new();
    if let Some(pointer) = schema["$ref"].as_str().and_then(|link| link.strip_prefix('#')) {
        let linked = document.pointer(pointer).expect("what is linked is there");
        parts.push((name.to_owned(), linked));
    }
    for kind in ["allOf", "anyOf", "oneOf"] {
        let schemas = schema[kind].as_array().into_iter().flatten();
        parts.extend(schemas.map(|schema| (name.to_owned(), schema)));
    }
    parts.extend(
        members(&schema["properties"]).map(|(member, schema)| (format!("{name}.{member}"), schema)),
    );
    if schema["items"].is_object() {
        parts.push((format!("{name}[]"), &schema["items"]));
    }
    if parts.is_empty() || depth == 0 {
        missing.push(name.to_owned());
    }
    for (name, schema) in parts.into_iter().filter(|_| depth > 0) {
        look(document, schema, &name, depth - 1, missing);
    }
}

fn is_given(of: &Value) -> bool {
    ["example", "examples", "enum"].iter().any(|member| !of[member].is_null())
}

fn members(of: &Value) -> impl Iterator<Item = (&str, &Value)> {
    of.as_object().into_iter().flatten().map(|(name, value)| (name.as_str(), value))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn missing(schema: &Value) -> Vec<String> {
        let document = json!({ "components": { "schemas": {
            "Good": { "properties": { "a": { "type": "string", "example": "b" } } },
            "Bad": { "properties": { "a": { "type": "string" }, "b": { "$ref": "#/components/schemas/Good" } } },
        } } });
        let mut missing = Vec::new();
        look(&document, schema, "it", DEPTH, &mut missing);
        missing
    }

    #[test]
    fn an_example_is_its_own_or_each_member_s() {
        let link = |name: &str| json!({ "$ref": format!("#/components/schemas/{name}") });
        for good in [
            json!({ "type": "string", "example": false }),
            json!({ "type": "object", "example": {} }),
            json!({ "enum": ["one"] }),
            json!({ "type": "array", "items": link("Good") }),
            json!({ "oneOf": [{ "type": "null" }, link("Good")] }),
            link("Good"),
        ] {
            assert!(missing(&good).is_empty(), "{good}");
        }
        assert_eq!(missing(&json!({ "type": "string" })), ["it"]);
        assert_eq!(missing(&json!({})), ["it"]);
        assert_eq!(missing(&link("Bad")), ["it.a"]);
        assert_eq!(missing(&json!({ "type": "array", "items": link("Bad") })), ["it[].a"]);
        assert_eq!(missing(&json!({ "allOf": [link("Good"), link("Bad")] })), ["it.a"]);
    }
}
