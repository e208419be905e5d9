//! Changes a YAML text at a JSON pointer and nowhere else: comments, order and line
//! breaks stay as their author wrote them.
//!
//! The module understands the YAML of `openapi/`: blocks indented by two, with lists
//! of words in brackets. Where a place is not found in the lines, the nearest one
//! around it is rewritten. The result is parsed and must have the intended value, or
//! the edit is an error.

use anyhow::{Context, Result, ensure};
use serde_json::{Map, Value};

use super::yaml::{LAST, element, member};

/// A text and its value.
#[derive(Clone, Debug)]
pub(super) struct Text {
    lines: Vec<String>,
    json: Value,
}

/// Lines of a member: its key, comments above it not included.
#[derive(Clone, Copy)]
struct Span {
    start: usize,
    end: usize,
    indent: usize,
}

impl Text {
    pub(super) fn new(yaml: &str) -> Result<Self> {
        let json = serde_yaml_ng::from_str(yaml).context("not YAML")?;
        Ok(Self { lines: yaml.lines().map(str::to_owned).collect(), json })
    }

    pub(super) fn json(&self) -> &Value {
        &self.json
    }

    pub(super) fn yaml(&self) -> String {
        self.lines.iter().map(|line| format!("{line}\n")).collect()
    }

    /// Sets the member at the pointer (without `#`).
    pub(super) fn set(&self, pointer: &str, value: Value) -> Result<Self> {
        let mut json = self.json.clone();
        put(&mut json, &segments(pointer), value);
        self.rewritten(pointer, json)
    }

    /// Adds to the list at the pointer.
    pub(super) fn append(&self, pointer: &str, item: &Value) -> Result<Self> {
        let mut json = self.json.clone();
        let place = segments(pointer);
        let items = json.pointer_mut(pointer).and_then(Value::as_array_mut);
        items.with_context(|| format!("{pointer}: no list"))?.push(item.clone());
        // After the last element, if they have lines of their own.
        let mut lines = self.lines.clone();
        if let Some(span) = find(&lines, &place) {
            let elements = (span.start + 1..span.end).filter(|index| is_content(&lines[*index]));
            let first = elements.map(|index| &lines[index]).next();
            if let Some(indent) =
                first.filter(|line| line.trim().starts_with("- ")).map(|line| indent_of(line))
            {
                lines.splice(span.end..span.end, element(item, indent));
            }
        }
        if says(&lines, &json) { Ok(Self { lines, json }) } else { self.rewritten(pointer, json) }
    }

    pub(super) fn remove(&self, pointer: &str) -> Result<Self> {
        let mut json = self.json.clone();
        let (parent, key) = pointer.rsplit_once('/').context("the whole document stays")?;
        let members = json.pointer_mut(parent).and_then(Value::as_object_mut);
        let removed = members.and_then(|members| members.remove(&unescaped(key)));
        removed.with_context(|| format!("{pointer} does not exist"))?;
        self.rewritten(pointer, json)
    }

    /// The text of `json`, which is different at the pointer only.
    fn rewritten(&self, pointer: &str, json: Value) -> Result<Self> {
        let mut place = segments(pointer);
        loop {
            let mut lines = self.lines.clone();
            if edit(&mut lines, &place, value_at(&json, &place)) && says(&lines, &json) {
                return Ok(Self { lines, json });
            }
            // The place has no lines of its own: rewrite what is around it.
            place.pop();
            ensure!(!place.is_empty(), "{pointer}: cannot be changed in the text");
        }
    }
}

fn says(lines: &[String], json: &Value) -> bool {
    let yaml: String = lines.iter().map(|line| format!("{line}\n")).collect();
    serde_yaml_ng::from_str::<Value>(&yaml).is_ok_and(|said| said == *json)
}

fn segments(pointer: &str) -> Vec<String> {
    pointer.split('/').skip(1).map(unescaped).collect()
}

fn unescaped(segment: &str) -> String {
    segment.replace("~1", "/").replace("~0", "~")
}

fn value_at<'v>(json: &'v Value, place: &[String]) -> Option<&'v Value> {
    place.iter().try_fold(json, |json, key| match json.as_array() {
        Some(items) => items.get(key.parse::<usize>().ok()?),
        None => json.get(key),
    })
}

/// Sets a member, making the objects on the way to it.
fn put(json: &mut Value, place: &[String], value: Value) {
    let Some((key, rest)) = place.split_first() else {
        *json = value;
        return;
    };
    if let Value::Array(items) = json {
        if let Some(item) = key.parse::<usize>().ok().and_then(|index| items.get_mut(index)) {
            put(item, rest, value);
        }
        return;
    }
    if !json.is_object() {
        *json = Value::Object(Map::new());
    }
    put(&mut json[key], rest, value);
}

/// Writes the value of a member, or removes the member. Returns `false` if the place
/// is not in the lines.
fn edit(lines: &mut Vec<String>, place: &[String], value: Option<&Value>) -> bool {
    let Some((key, parents)) = place.split_last() else { return false };
    match (find(lines, place), value) {
        (Some(span), Some(value)) => {
            let fresh = member(key, value, span.indent);
            lines.splice(span.start..span.end, fresh);
        }
        (Some(mut span), None) => {
            // The comments above the member go with it.
            let is_remark = |line: &String| indent_of(line) == span.indent && line.trim().starts_with('#');
            while span.start > 0 && is_remark(&lines[span.start - 1]) {
                span.start -= 1;
            }
            lines.drain(span.start..span.end);
        }
        (None, Some(value)) => {
            let Some((at, indent)) = room(lines, parents) else { return false };
            lines.splice(at..at, member(key, value, indent));
        }
        (None, None) => return false,
    }
    true
}

/// The line and the indentation of a new member of a block.
fn room(lines: &[String], parent: &[String]) -> Option<(usize, usize)> {
    let span = find(lines, parent)?;
    // Text behind the colon means that this is no block.
    let opens = lines[span.start].trim_end().ends_with(':');
    let first = (span.start + 1..span.end).find(|index| is_content(&lines[*index]))?;
    let indent = indent_of(&lines[first]);
    if !opens || lines[first].trim_start().starts_with("- ") {
        return None;
    }
    let last = (parent.last().map(String::as_str) == Some("properties"))
        .then(|| find(lines, &[parent, &[LAST.to_owned()]].concat()))
        .flatten();
    let mut at = last.map_or(span.end, |last| last.start);
    while last.is_some() && lines[at - 1].trim().starts_with('#') {
        at -= 1;
    }
    Some((at, indent))
}

/// The lines of a member, by the keys on the way to it.
fn find(lines: &[String], place: &[String]) -> Option<Span> {
    let mut scope = Span { start: 0, end: lines.len(), indent: 0 };
    let mut found = None;
    for (depth, key) in place.iter().enumerate() {
        if depth > 0 {
            let first = (scope.start + 1..scope.end).find(|index| is_content(&lines[*index]))?;
            scope = Span { start: first, indent: indent_of(&lines[first]), ..scope };
        }
        let is_it = |index: &usize| {
            let line = &lines[*index];
            is_content(line) && indent_of(line) == scope.indent && key_of(line).as_deref() == Some(key)
        };
        let start = (scope.start..scope.end).find(is_it)?;
        let beyond = |index: &usize| is_content(&lines[*index]) && indent_of(&lines[*index]) <= scope.indent;
        let mut end = (start + 1..scope.end).find(beyond).unwrap_or(scope.end);
        // Comments and gaps before the next member do not belong to this one.
        while end > start + 1 && !is_content(&lines[end - 1]) {
            end -= 1;
        }
        scope = Span { start, end, indent: scope.indent };
        found = Some(scope);
    }
    found
}

fn is_content(line: &str) -> bool {
    let line = line.trim();
    !line.is_empty() && !line.starts_with('#')
}

fn indent_of(line: &str) -> usize {
    line.len() - line.trim_start().len()
}

fn key_of(line: &str) -> Option<String> {
    let line = line.trim();
    for quote in ['"', '\''] {
        if let Some(quoted) = line.strip_prefix(quote) {
            return quoted.split_once(quote).map(|(key, _)| key.to_owned());
        }
    }
    // A path may have a colon in it, but none at the end of a word.
    let end = line.find(": ").or_else(|| line.strip_suffix(':').map(str::len))?;
    Some(line[..end].to_owned())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::{super::yaml::WIDTH, *};

    const YAML: &str = r##"# A document.
paths:
  /v1/a/{id}:stop:
    post:
      operationId: stop
      responses:
        "200": {description: fine}
components:
  schemas:
    # --- all of them ---
    A:
      type: object
      description: >-
        What is said here
        stays.
      required: [one]
      properties:
        # The first.
        one:
          type: string

        # The rest.
        extensions:
          type: object
    B:
      type: string
      enum: [u, v]
"##;

    fn text() -> Text {
        Text::new(YAML).expect("YAML")
    }

    /// The lines that are new in this text.
    fn news(text: &Text) -> Vec<String> {
        text.yaml().lines().filter(|line| !YAML.lines().any(|old| old == *line)).map(str::to_owned).collect()
    }

    #[test]
    fn new_member_is_the_only_change() {
        let at = "/components/schemas/A/properties/two";
        let changed = text().set(at, json!({"type": "integer", "minimum": 0})).expect("changed");
        assert_eq!(news(&changed), ["        two:", "          type: integer", "          minimum: 0"]);
        let yaml = changed.yaml();
        assert!(yaml.contains("          minimum: 0\n        # The rest.\n        extensions:"), "{yaml}");
        assert!(yaml.contains("# --- all of them ---") && yaml.contains("What is said here\n        stays."));
        assert_eq!(changed.json()["components"]["schemas"]["A"]["properties"]["two"]["minimum"], 0);
    }

    #[test]
    fn lists_and_scalars_are_replaced_in_their_lines() {
        let changed = text().set("/components/schemas/B/enum", json!(["u", "v", "w"])).expect("changed");
        assert_eq!(news(&changed), ["      enum: [u, v, w]"]);
        let changed = text().set("/components/schemas/B/type", json!("integer")).expect("changed");
        assert_eq!(news(&changed), ["      type: integer"]);
        let changed = text().set("/components/schemas/A/required", json!(["one", "two"])).expect("changed");
        assert_eq!(news(&changed), ["      required: [one, two]"]);
    }

    #[test]
    fn appending_leaves_other_elements_alone() {
        let yaml = "a:\n  # First.\n  - name: b\n    is: 1\n  - name: c\n\nd: [1]\n";
        let list = Text::new(yaml).expect("YAML");
        let longer = list.append("/a", &json!({"name": "e", "is": 2})).expect("changed");
        assert_eq!(longer.yaml(), yaml.replace("c\n", "c\n  - name: e\n    is: 2\n"));
        assert_eq!(list.append("/d", &json!(2)).expect("changed").yaml(), yaml.replace("[1]", "[1, 2]"));
        assert!(list.append("/e", &json!(2)).is_err());
    }

    #[test]
    fn removal_includes_the_comments_above() {
        let changed = text().remove("/components/schemas/A/properties/one").expect("changed");
        assert!(!changed.yaml().contains("# The first.") && changed.yaml().contains("# The rest."));
        assert!(text().remove("/components/schemas/C").is_err());
        let changed = text().remove("/paths/~1v1~1a~1{id}:stop").expect("changed");
        assert!(changed.yaml().contains("paths: {}"), "{}", changed.yaml());
    }

    #[test]
    fn places_without_lines_are_rewritten_with_their_block() {
        let at = "/paths/~1v1~1a~1{id}:stop/post/responses/200/content";
        let changed = text().set(at, json!({"a/b": {"schema": {"type": "string"}}})).expect("changed");
        assert_eq!(
            news(&changed),
            [
                "        \"200\":",
                "          description: fine",
                "          content:",
                "            a/b:",
                "              schema:",
                "                type: string"
            ]
        );
    }

    #[test]
    fn all_kinds_of_values_are_written_correctly() {
        for value in [
            json!({"a": [], "b": {}, "c": [1, "2", true, null], "d": "no", "e": "1", "f": "x: y", "g": ""}),
            json!([{"name": "a", "schema": {"$ref": "#/b"}}, {"name": "b"}]),
            json!([[1], ["a", {"b": 1}]]),
            json!("word ".repeat(60).trim()),
            json!("two\nlines"),
            json!("`code` first: and a # besides"),
            json!("Plain, `code` and (this); no: quotes"),
            json!(["off", "Plain, not here", "a"]),
            json!({"400": {"description": "d"}, "^a\\.b$": {}}),
        ] {
            let changed = text().set("/components/schemas/C", value.clone()).expect("changed");
            assert_eq!(changed.json()["components"]["schemas"]["C"], value);
            assert!(changed.yaml().lines().all(|line| line.len() <= WIDTH), "{}", changed.yaml());
        }
    }
}
