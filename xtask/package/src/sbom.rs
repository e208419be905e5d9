//! The bill of materials, as CycloneDX 1.6 in JSON: what is linked into the program,
//! by names that scanners for vulnerabilities know. It is the same for the same source:
//! its date is that of the source, and it has no random serial number.

use anyhow::{Context, Result};
use serde_json::{Value, json};
use xtask_support::workspace::PROGRAM;

use crate::{dependencies::Dependency, native::Native};

/// What the bill is about.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Subject<'s> {
    pub version: &'s str,
    /// RFC 3339, to the second.
    pub date: &'s str,
}

pub(crate) fn cyclonedx(subject: Subject<'_>, linked: &[Dependency], natives: &[Native]) -> Result<String> {
    let own = linked.iter().find(|package| package.name == PROGRAM).context("the program is a package")?;
    let others = linked.iter().filter(|package| package.name != PROGRAM);
    let mut components: Vec<Value> = others.map(component).collect();
    components.extend(natives.iter().map(native));
    let bill = json!({
        "bomFormat": "CycloneDX",
        "specVersion": "1.6",
        "version": 1,
        "metadata": {
            "timestamp": subject.date,
            "tools": {"components": [{"type": "application", "name": "cargo xtask package"}]},
            "component": {
                "type": "application",
                "bom-ref": reference(own),
                "name": PROGRAM,
                "version": subject.version,
                "description": own.description,
                "licenses": [{"expression": own.licence}],
                "purl": reference(own),
            },
        },
        "components": components,
        "dependencies": graph(linked, natives),
    });
    Ok(serde_json::to_string_pretty(&bill).context("write JSON")? + "\n")
}

fn component(package: &Dependency) -> Value {
    let mut component = json!({
        "type": "library",
        "bom-ref": reference(package),
        "name": package.name,
        "version": package.version,
        "scope": "required",
        "licenses": [{"expression": package.licence}],
        "purl": reference(package),
    });
    if let Some(text) = &package.description {
        component["description"] = text.trim().into();
    }
    if let Some(checksum) = &package.checksum {
        component["hashes"] = json!([{"alg": "SHA-256", "content": checksum}]);
    }
    if let Some(url) = &package.repository {
        component["externalReferences"] = json!([{"type": "vcs", "url": url}]);
    }
    component
}

fn native(native: &Native) -> Value {
    let mut component = json!({
        "type": "library",
        "bom-ref": native_reference(native),
        "name": native.name,
        "version": native.version,
        "scope": "required",
        "licenses": [{"expression": native.licence}],
        "purl": native_reference(native),
        "externalReferences": [{"type": "website", "url": native.website}],
    });
    if let Some(cpe) = &native.cpe {
        component["cpe"] = cpe.as_str().into();
    }
    component
}

/// Who needs whom. The program needs the standard library; a package needs the C
/// library that it brings.
fn graph(linked: &[Dependency], natives: &[Native]) -> Vec<Value> {
    let of_package = linked.iter().map(|package| {
        let packages = package.needs.iter().filter_map(|place| linked.get(*place)).map(reference);
        let own = natives.iter().filter(|native| native.within.unwrap_or(PROGRAM) == package.name);
        let needs: Vec<String> = packages.chain(own.map(native_reference)).collect();
        json!({"ref": reference(package), "dependsOn": needs})
    });
    let of_native = natives.iter().map(|native| json!({"ref": native_reference(native)}));
    of_package.chain(of_native).collect()
}

fn reference(package: &Dependency) -> String {
    format!("pkg:cargo/{}@{}", package.name, package.version.replace('+', "%2B"))
}

fn native_reference(native: &Native) -> String {
    format!("pkg:generic/{}@{}", native.name, native.version)
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use super::*;

    fn package(name: &str, needs: Vec<usize>) -> Dependency {
        Dependency {
            name: name.to_owned(),
            version: "1.0.0+a".to_owned(),
            licence: "MIT".to_owned(),
            description: Some(" what it is\n".to_owned()),
            repository: None,
            authors: Vec::new(),
            checksum: Some("ab".to_owned()),
            folder: PathBuf::new(),
            needs,
        }
    }

    #[test]
    fn bill_names_every_part_and_who_needs_it() {
        let linked = [package(PROGRAM, vec![1]), package("libx-sys", vec![])];
        let native = |name, within| Native {
            name,
            version: "3.1".to_owned(),
            licence: "MIT".to_owned(),
            website: "https://example.com",
            cpe: None,
            within,
        };
        let natives = [native("x", Some("libx-sys")), native("std", None)];
        let subject = Subject { version: "0.1.0", date: "2025-11-29T12:00:00Z" };
        let text = cyclonedx(subject, &linked, &natives).expect("a bill");
        assert_eq!(text, cyclonedx(subject, &linked, &natives).expect("the same"));
        let bill: Value = serde_json::from_str(&text).expect("JSON");
        let names: Vec<&str> = bill["components"]
            .as_array()
            .expect("a list")
            .iter()
            .filter_map(|c| c["name"].as_str())
            .collect();
        assert_eq!(names, ["libx-sys", "x", "std"], "the program is the subject, and no component");
        assert_eq!(bill["components"][0]["description"], "what it is");
        let needs = |at: usize| bill["dependencies"][at]["dependsOn"].clone();
        assert_eq!(needs(0), json!(["pkg:cargo/libx-sys@1.0.0%2Ba", "pkg:generic/std@3.1"]));
        assert_eq!(needs(1), json!(["pkg:generic/x@3.1"]));
    }
}
