use std::collections::BTreeSet;
use std::path::Path;

const METHODS: [&str; 6] = ["get", "head", "put", "post", "delete", "patch"];

/// Ways to add a route that leave it out of the OpenAPI document.
const UNDOCUMENTED: [&str; 5] =
    [".route(", "web::resource(", "web::scope(", ".external_resource(", "web::route("];

/// The routes that a service's handlers declare (`#[get("/path")]`), as method and path pattern.
///
/// # Panics
/// Where a route is added in a way that the OpenAPI document does not see.
#[must_use]
pub fn declared_routes(source: &Path) -> BTreeSet<(String, String)> {
    let mut routes = BTreeSet::new();
    for entry in std::fs::read_dir(source).expect("a source folder") {
        let path = entry.expect("a readable folder").path();
        if path.is_dir() {
            routes.append(&mut declared_routes(&path));
            continue;
        }
        let text = std::fs::read_to_string(&path).expect("source text");
        for way in UNDOCUMENTED {
            assert!(!text.contains(way), "{}: `{way}…` is not documented", path.display());
        }
        routes.extend(text.lines().filter_map(declared));
    }
    routes
}

fn declared(line: &str) -> Option<(String, String)> {
    let attribute = line.trim().strip_prefix("#[")?;
    let (method, rest) = attribute.split_once("(\"")?;
    let (path, _) = rest.split_once('"')?;
    let method = METHODS.into_iter().find(|one| *one == method)?;
    Some((method.to_owned(), path.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_endpoint_of_a_file_counts() {
        let folder = std::env::temp_dir().join(format!("routes-{}", std::process::id()));
        std::fs::create_dir_all(folder.join("inner")).unwrap();
        let file = folder.join("inner/two.rs");
        std::fs::write(&file, "#[get(\"/a\")]\nfn a() {}\n#[post(\"/a/{id}\")]\n#[serde(\"x\")]\n")
            .unwrap();
        let routes = declared_routes(&folder);
        let expected = [("get", "/a"), ("post", "/a/{id}")];
        assert!(routes.iter().map(|(method, path)| (&**method, &**path)).eq(expected));
        std::fs::write(&file, "config.route(\"/b\", web::get().to(b));").unwrap();
        assert!(std::panic::catch_unwind(|| declared_routes(&folder)).is_err());
        std::fs::remove_dir_all(folder).unwrap();
    }
}
