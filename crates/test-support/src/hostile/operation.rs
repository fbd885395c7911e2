use serde_json::{Map, Value, json};
use uuid::Uuid;

/// Who may call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Guard {
    Nobody,
    Bearer,
    /// HTTP Basic, OAuth's errors.
    Client,
    /// Cookies, `Origin` and a CSRF token.
    Browser,
}

/// An operation of a service's OpenAPI document.
pub(super) struct Operation {
    pub(super) method: String,
    /// With something in the place of each parameter.
    pub(super) path: String,
    pub(super) guard: Guard,
    /// Content type and schema, no references left.
    pub(super) body: Option<(String, Value)>,
}

impl Operation {
    /// All of them but HEAD, whose errors have no body that could be looked at.
    pub(super) fn list(document: &Value) -> Vec<Self> {
        let paths = document["paths"].as_object().expect("paths");
        let operations = paths.iter().flat_map(|(path, item)| {
            let methods = item.as_object().expect("methods").iter();
            let methods = methods.filter(|(method, _)| *method != "head");
            methods.map(move |(method, operation)| Self::read(document, path, method, operation))
        });
        operations.collect()
    }

    fn read(document: &Value, path: &str, method: &str, operation: &Value) -> Self {
        let security = &operation["security"][0];
        let guards =
            [("bearer", Guard::Bearer), ("client", Guard::Client), ("browser", Guard::Browser)];
        let guard = guards.into_iter().find(|(name, _)| security[name].is_array());
        let guard = guard.map_or(Guard::Nobody, |(_, guard)| guard);
        let content = operation["requestBody"]["content"].as_object();
        let body = content
            .and_then(|content| content.iter().next())
            .map(|(kind, content)| (kind.clone(), resolve(document, &content["schema"])));
        let id = Uuid::new_v4().to_string();
        let path = path.split('/').map(|part| if part.starts_with('{') { &id } else { part });
        let path = path.collect::<Vec<_>>().join("/");
        Self { method: method.to_uppercase(), path, guard, body }
    }

    pub(super) fn name(&self) -> String {
        format!("{} {}", self.method, self.path)
    }

    /// The body's members with their schemas.
    pub(super) fn members(&self) -> Map<String, Value> {
        let schema = self.body.as_ref().map(|(_, schema)| schema["properties"].clone());
        schema.and_then(|properties| properties.as_object().cloned()).unwrap_or_default()
    }

    /// A body that is right in form, if not in what it says.
    pub(super) fn sample(&self) -> Value {
        self.body.as_ref().map_or(Value::Null, |(_, schema)| sample(schema))
    }
}

/// `schema` with the schemas in it that it refers to.
fn resolve(document: &Value, schema: &Value) -> Value {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.rsplit('/').next().unwrap_or_default();
        return resolve(document, &document["components"]["schemas"][name]);
    }
    // An optional member that refers is one of null and a reference.
    if let Some(one) =
        schema["oneOf"].as_array().and_then(|all| all.iter().find(|one| one["$ref"].is_string()))
    {
        return resolve(document, one);
    }
    let mut schema = schema.clone();
    if let Some(properties) = schema["properties"].as_object_mut() {
        for property in properties.values_mut() {
            *property = resolve(document, property);
        }
    }
    schema
}

pub(super) fn sample(schema: &Value) -> Value {
    match kind(schema) {
        "object" => {
            let properties = schema["properties"].as_object().cloned().unwrap_or_default();
            // A password that need not be there would be a wrong one.
            let named = properties
                .iter()
                .filter(|(name, one)| *name != "current_password" || one["type"].is_string());
            named.map(|(name, schema)| (name.clone(), sample(schema))).collect()
        }
        "array" => json!([]),
        "boolean" => json!(true),
        "integer" | "number" => json!(1),
        _ if schema["format"] == "uuid" => json!(Uuid::new_v4()),
        _ => schema["enum"][0].as_str().map_or_else(|| json!("sample"), |one| json!(one)),
    }
}

/// `string` of `string` and of `["string", "null"]`.
fn kind(schema: &Value) -> &str {
    let kind = &schema["type"];
    kind.as_str().or_else(|| kind[0].as_str()).unwrap_or("string")
}

/// Values of every type but the right one.
pub(super) fn wrong_values(schema: &Value) -> Vec<Value> {
    let all = [json!("text"), json!(1.5), json!(true), json!([]), json!({ "deep": [1] })];
    let right = match kind(schema) {
        "object" => 4,
        "array" => 3,
        "boolean" => 2,
        "integer" | "number" => 1,
        _ => 0,
    };
    all.into_iter().enumerate().filter(|(index, _)| *index != right).map(|(_, one)| one).collect()
}
