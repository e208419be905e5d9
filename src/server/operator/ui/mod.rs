//! The web page at `/ui`: files in the binary, and the headers they are served with.
//!
//! ```text
//!   GET /ui ──────────▶ index.html ─▶ app.css, app.js ─▶ its modules, vendor/…
//!   GET /ui/{file} ───▶ files: name ─▶ bytes, type, ETag
//!                                       └─ the same ETag again ─▶ 304
//! ```
//!
//! The files are served to every browser that asks under a name of the server: they
//! hold no data. The page asks the operator API for that, with the token of its user.
//!
//! **Invariants.** The page loads nothing from elsewhere, and runs and styles nothing
//! inline: the policy in the headers forbids both, and tests look through the files.
//! There is no build step: what is in `assets/` is what browsers get, line by line, but
//! for indentation and comments.

mod files;
#[cfg(test)]
mod tests;

use dropshot::{ApiDescription, ApiDescriptionRegisterError, Body, Path, RequestContext, endpoint};
use http::{
    Response, StatusCode,
    header::{
        CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, IF_NONE_MATCH, REFERRER_POLICY,
        X_CONTENT_TYPE_OPTIONS, X_FRAME_OPTIONS,
    },
};
use schemars::JsonSchema;
use serde::Deserialize;

use self::files::File;
use crate::http_server::{ApiError, ServerContext};

pub(super) fn register(api: &mut ApiDescription<ServerContext>) -> Result<(), ApiDescriptionRegisterError> {
    api.register(page)
}

/// Scripts, styles and calls only of this origin; no frames, no forms, no base.
pub const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
    img-src 'self' data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; \
    require-trusted-types-for 'script'";

/// The browser asks each time whether its copy is the current one.
const CACHING: &str = "no-cache";

#[derive(Deserialize, JsonSchema)]
struct FilePath {
    path: Vec<String>,
}

/// A file of the web page. It is in no document: its callers are browsers.
#[endpoint { method = GET, path = "/ui/{path:.*}", operation_id = "page", unpublished = true }]
async fn page(rq: RequestContext<ServerContext>, path: Path<FilePath>) -> Result<Response<Body>, ApiError> {
    let path = path.into_inner().path.join("/");
    let file = files::find(&path).ok_or_else(ApiError::no_such_route)?;
    let asked = rq.request.headers().get_all(IF_NONE_MATCH);
    let has_it = asked.iter().filter_map(|tags| tags.to_str().ok()).any(|tags| file.matches(tags));
    answer(file, has_it)
        .map_err(|error| ApiError::internal(format!("could not answer with the page: {error}")))
}

fn answer(file: &'static File, has_it: bool) -> http::Result<Response<Body>> {
    let answer = Response::builder()
        .header(CONTENT_SECURITY_POLICY, POLICY)
        .header(X_CONTENT_TYPE_OPTIONS, "nosniff")
        .header(X_FRAME_OPTIONS, "DENY")
        .header(REFERRER_POLICY, "no-referrer")
        .header("cross-origin-opener-policy", "same-origin")
        .header("cross-origin-resource-policy", "same-origin")
        .header(CACHE_CONTROL, CACHING)
        .header(ETAG, file.etag());
    if has_it {
        return answer.status(StatusCode::NOT_MODIFIED).body(Body::empty());
    }
    answer.header(CONTENT_TYPE, file.content_type()).body(Body::from(file.served()))
}
