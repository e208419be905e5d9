//! Changing a document at a JSON pointer.

use serde_json::Value;

pub(crate) fn at<'v>(document: &'v mut Value, pointer: &str) -> &'v mut Value {
    document.pointer_mut(pointer).unwrap_or_else(|| panic!("the specification has {pointer}"))
}

pub(crate) fn set(document: &mut Value, pointer: &str, value: Value) {
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
    at(document, parent)[key.replace("~1", "/")] = value;
}

pub(crate) fn take(document: &mut Value, pointer: &str) -> Value {
    let (parent, key) = pointer.rsplit_once('/').expect("a pointer");
    let key = key.replace("~1", "/");
    let parent = at(document, parent);
    if let Some(items) = parent.as_array_mut() {
        return items.remove(key.parse().expect("an index"));
    }
    let removed = parent.as_object_mut().and_then(|members| members.remove(&key));
    removed.unwrap_or_else(|| panic!("there is {pointer}"))
}

pub(crate) fn rename(document: &mut Value, pointer: &str, name: &str) {
    let value = take(document, pointer);
    let (parent, _) = pointer.rsplit_once('/').expect("a pointer");
    at(document, parent)[name] = value;
}
