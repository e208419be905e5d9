//! Resolves paths such as `/v1/runs/{run_id}:cancel` (contract §3.7).
//!
//! Dropshot's router has literal and variable segments only, so *inside* a verb
//! is a segment of its own; *outside* that spelling does not exist:
//!
//! ```text
//!              outside                           inside
//! POST /v1/runs/a:cancel            ──▶ /v1/runs/a/:cancel         run `a`
//! POST /v1/runs/a:cancel:cancel     ──▶ /v1/runs/a:cancel/:cancel  run `a:cancel`
//! POST /v1/runs/a%3Ab:cancel        ──▶ /v1/runs/a%3Ab/:cancel     run `a:b`
//! POST /v1/runs/a%3Acancel          ──▶ /v1/runs/a/:cancel         run `a`
//! GET  /v1/runs/a:cancel            ──▶ unchanged                  run `a:cancel`
//! PUT  /v1/runs/a:cancel            ──▶ 405, Allow: GET, POST
//! POST /v1/runs/a/:cancel           ──▶ 404, with a hint
//! any  /v1/runs/a/cancel            ──▶ 404, with a hint
//! any  …%2F…, //, trailing /        ──▶ 404
//! ```
//!
//! The path is split before it is decoded. An encoded colon is data (it is
//! reserved in RFC 3986) unless there is no literal one: some clients encode
//! the whole segment.

use dropshot::HttpError;
use http::Method;

use super::errors::ApiError;

/// Resolves the outside `method path` with `find`, which looks up inside paths.
pub(super) fn locate<R>(
    method: &Method,
    path: &str,
    find: impl Fn(&Method, &str) -> Result<R, HttpError>,
) -> Result<R, ApiError> {
    if !is_canonical(path) {
        return Err(ApiError::no_such_route());
    }
    // `get` is not GET (RFC 9110 §9.1), but the router ignores case. No route
    // has TRACE.
    let is_known = !method.as_str().bytes().any(|byte| byte.is_ascii_lowercase());
    let method = if is_known { method } else { &Method::TRACE };
    if method == Method::POST
        && let Some(inside) = with_verb_apart(path)
        && let Ok(route) = find(method, &inside)
    {
        return Ok(route);
    }
    // A segment that begins with a colon is a verb in its inside spelling.
    if begins_with_colon(last_segment(path)) && find(&Method::POST, path).is_ok() {
        return Err(hinted(ApiError::no_such_route(), path, &find));
    }
    find(method, path).map_err(|error| {
        let error = hinted(ApiError::from(error), path, &find);
        // GET reads the whole segment as an id, POST has a verb in it.
        match with_verb_apart(path) {
            Some(inside) if find(&Method::POST, &inside).is_ok() => error.allowing("POST"),
            Some(_) | None => error,
        }
    })
}

/// Says where a verb belongs that is a segment of its own: `/v1/runs/a/cancel`.
fn hinted<R>(error: ApiError, path: &str, find: &impl Fn(&Method, &str) -> Result<R, HttpError>) -> ApiError {
    let last = last_segment(path);
    let verb = last.strip_prefix(':').unwrap_or(last);
    // Of the caller's input only what is a verb of ours is repeated.
    let is_word = !verb.is_empty() && verb.bytes().all(|byte| byte.is_ascii_lowercase());
    let parents = &path[..path.len() - last.len()];
    if is_word && find(&Method::POST, &format!("{parents}:{verb}")).is_ok() {
        error.hinting(format!("A verb follows the id after a colon, with POST: …/{{id}}:{verb}"))
    } else {
        error
    }
}

/// Whether dropshot's router may see the path: it ignores empty segments, and
/// takes `a%2Fb` for one segment.
fn is_canonical(path: &str) -> bool {
    let encoded_slash = || path.as_bytes().windows(3).any(|three| three.eq_ignore_ascii_case(b"%2F"));
    path.starts_with('/') && !path.ends_with('/') && !path.contains("//") && !encoded_slash()
}

/// Rewrites `…/{id}:verb` to `…/{id}/:verb`, split at the last colon. `None` if
/// there is no id or no colon.
fn with_verb_apart(path: &str) -> Option<String> {
    let last = last_segment(path);
    let literal = last.rfind(':').map(|at| (at, ":".len()));
    let (at, length) = literal.or_else(|| Some((encoded_colon(last)?, "%3A".len())))?;
    let (id, verb) = (&last[..at], &last[at + length..]);
    let parents = &path[..path.len() - last.len()];
    (!id.is_empty()).then(|| format!("{parents}{id}/:{verb}"))
}

fn encoded_colon(segment: &str) -> Option<usize> {
    segment.as_bytes().windows(3).rposition(|three| three.eq_ignore_ascii_case(b"%3A"))
}

fn begins_with_colon(segment: &str) -> bool {
    segment.starts_with(':') || segment.get(..3).is_some_and(|three| three.eq_ignore_ascii_case("%3A"))
}

fn last_segment(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

#[cfg(test)]
pub(super) mod tests {
    use dropshot::{ApiDescription, HttpResponseUpdatedNoContent, Path, RequestContext, endpoint};
    use schemars::JsonSchema;
    use serde::Deserialize;

    use super::*;

    #[derive(Deserialize, JsonSchema)]
    struct RunPath {
        #[expect(dead_code)]
        id: String,
    }
    type Answer = Result<HttpResponseUpdatedNoContent, HttpError>;

    #[endpoint { method = GET, path = "/v1/runs/{id}" }]
    async fn get(_: RequestContext<()>, _: Path<RunPath>) -> Answer {
        Ok(HttpResponseUpdatedNoContent())
    }
    #[endpoint { method = POST, path = "/v1/runs/{id}/:cancel" }]
    async fn cancel(_: RequestContext<()>, _: Path<RunPath>) -> Answer {
        Ok(HttpResponseUpdatedNoContent())
    }
    #[endpoint { method = GET, path = "/v1/runs/{id}/events" }]
    async fn events(_: RequestContext<()>, _: Path<RunPath>) -> Answer {
        Ok(HttpResponseUpdatedNoContent())
    }
    #[endpoint { method = POST, path = "/v1/runs" }]
    async fn start(_: RequestContext<()>) -> Answer {
        Ok(HttpResponseUpdatedNoContent())
    }

    /// Resolves a request to the operation and the id, or to a status.
    pub(in crate::server::http_server) fn reader() -> impl Fn(&Method, &str) -> Result<(String, String), u16>
    {
        let mut api = ApiDescription::new();
        api.register(get).unwrap();
        api.register(cancel).unwrap();
        api.register(events).unwrap();
        api.register(start).unwrap();
        let router = api.into_router();
        move |method, path| {
            let found = locate(method, path, |method, path| router.lookup_route(method, path.into(), None));
            found.map_err(|error| error.into_response().status().as_u16()).map(|route| {
                // The value's type is not exported: compare its debug output.
                let id = route.endpoint.variables.values().map(|value| format!("{value:?}")).collect();
                (route.endpoint.operation_id, id)
            })
        }
    }

    pub(in crate::server::http_server) fn shown(id: &str) -> String {
        format!("String({id:?})")
    }

    #[test]
    fn verb_in_the_wrong_place_has_a_hint() {
        let mut api = ApiDescription::new();
        api.register(get).unwrap();
        api.register(cancel).unwrap();
        api.register(events).unwrap();
        let router = api.into_router();
        for (method, path, has_hint) in [
            ("POST", "/v1/runs/a/cancel", true),
            ("GET", "/v1/runs/a/cancel", true),
            ("DELETE", "/v1/runs/a:b/cancel", true),
            ("POST", "/v1/runs/a/:cancel", true),
            ("POST", "/v1/runs/a/explode", false),
            ("POST", "/v1/runs/a/b/cancel", false),
            ("POST", "/v1/runs/a/can%63el", false),
            ("POST", "/v1/cancel", false),
        ] {
            let find = |method: &Method, path: &str| router.lookup_route(method, path.into(), None);
            let error = locate(&method.parse().unwrap(), path, find).expect_err("no route").into_envelope();
            let hint = error.error.details.and_then(|details| details.text("hint"));
            let expected = "A verb follows the id after a colon, with POST: …/{id}:cancel";
            assert_eq!(hint.as_deref(), has_hint.then_some(expected), "{method} {path}");
            assert_eq!(error.error.message, "Not Found", "{method} {path}");
        }
    }

    #[test]
    fn paths_resolve_as_the_contract_says() {
        let read = reader();
        for (method, path, operation, id) in [
            ("GET", "/v1/runs/a", "get", "a"),
            ("GET", "/v1/runs/a:cancel", "get", "a:cancel"),
            ("GET", "/v1/runs/a%3Acancel", "get", "a:cancel"),
            ("GET", "/v1/runs/:cancel", "get", ":cancel"),
            ("GET", "/v1/runs/a:b/events", "events", "a:b"),
            ("POST", "/v1/runs/a:cancel", "cancel", "a"),
            ("POST", "/v1/runs/a:can%63el", "cancel", "a"),
            ("POST", "/v1/runs/a:cancel:cancel", "cancel", "a:cancel"),
            ("POST", "/v1/runs/:cancel:cancel", "cancel", ":cancel"),
            ("POST", "/v1/runs/a%3Ab:cancel", "cancel", "a:b"),
            ("POST", "/v1/runs/a%3acancel", "cancel", "a"),
            ("POST", "/v1/runs/a%3Ab%3Acancel", "cancel", "a:b"),
            ("POST", "/v1/runs/a%253Ab:cancel", "cancel", "a%3Ab"),
            ("POST", "/v1/runs/%C3%BC%20x:cancel", "cancel", "ü x"),
        ] {
            let meant = read(&method.parse().unwrap(), path);
            assert_eq!(meant, Ok((operation.into(), shown(id))), "{method} {path}");
        }
        for (method, path, status) in [
            ("GET", "/", 404),
            ("GET", "", 404),
            ("OPTIONS", "*", 404),
            ("GET", "/v1/runs/", 404),
            ("GET", "/v1/runs/a/", 404),
            ("GET", "/v1//runs/a", 404),
            ("GET", "//v1/runs/a", 404),
            ("GET", "/v1/runs/x%2Fy", 404),
            ("GET", "/v1/runs/x%2fy", 404),
            ("POST", "/v1/runs/x%2Fy:cancel", 404),
            ("POST", "/v1/runs/a/:cancel", 404),
            ("POST", "/v1/runs/a/%3Acancel", 404),
            ("GET", "/v1/runs/a/:cancel", 404),
            ("POST", "/v1/runs/a/b:cancel", 404),
            ("POST", "/v1/runs:start", 404),
            ("POST", "/v1/runs:", 404),
            ("POST", "/v1/runs/:cancel", 405),
            ("POST", "/v1/runs/a:explode", 405),
            ("POST", "/v1/runs/a", 405),
            ("DELETE", "/v1/runs/a:cancel", 405),
            ("HEAD", "/v1/runs/a", 405),
            ("PUT", "/v1/runs", 405),
            ("get", "/v1/runs/a", 405),
            ("post", "/v1/runs/a:cancel", 405),
        ] {
            assert_eq!(read(&method.parse().unwrap(), path), Err(status), "{method} {path}");
        }
    }
}
