//! Pages of a list: where one begins, how long it is, and the token of the next.
//!
//! ```text
//!   first page ──▶ {items, next_page} ──▶ the same filters, page_token=next_page ──▶ … ──▶ {items}
//! ```
//!
//! A token is the place behind the last record that was looked at, as text: it holds
//! no filter and grants nothing. One that a caller makes up selects another place of
//! the same list, of which the caller sees what it may see.

use dropshot::{EmptyScanParams, HttpResponseOk, PaginationParams, RequestContext, ResultsPage, WhichPage};
use schemars::JsonSchema;
use serde::{Serialize, de::DeserializeOwned};

use crate::http_server::{ApiError, ServerContext};

/// A page of a list
//
// Dropshot's own has a null where there is no next page.
#[derive(Serialize, JsonSchema)]
#[schemars(rename = "{T}Page")]
pub(super) struct Page<T> {
    items: Vec<T>,
    /// Absent on the last page
    #[serde(skip_serializing_if = "Option::is_none")]
    next_page: Option<String>,
}

type Params<Place> = PaginationParams<EmptyScanParams, Place>;

/// The number of items that a page may have.
pub(super) fn limit<Place: Serialize + DeserializeOwned>(
    rq: &RequestContext<ServerContext>,
    params: &Params<Place>,
    max: u32,
) -> Result<u32, ApiError> {
    Ok(rq.page_limit(params)?.get().min(max))
}

/// The place behind which the page begins; `None`: the first page.
pub(super) fn after<Place: Serialize + DeserializeOwned, T>(
    params: Params<Place>,
    read: impl FnOnce(Place) -> Option<T>,
) -> Result<Option<T>, ApiError> {
    match params.page {
        WhichPage::First(EmptyScanParams {}) => Ok(None),
        WhichPage::Next(place) => read(place).map(Some).ok_or_else(|| {
            ApiError::invalid_at("value_error", &["query", "page_token"], "Not a token of this list")
        }),
    }
}

/// A page, and the token of the next, if there is more.
pub(super) fn page<T, Place>(items: Vec<T>, next: Option<Place>) -> Result<HttpResponseOk<Page<T>>, ApiError>
where
    T: Serialize + JsonSchema + Send + Sync + 'static,
    Place: Clone + Serialize + DeserializeOwned,
{
    Ok(HttpResponseOk(Page { items, next_page: next_page(next)? }))
}

/// The token of the page behind a place.
pub(super) fn next_page<Place>(next: Option<Place>) -> Result<Option<String>, ApiError>
where
    Place: Clone + Serialize + DeserializeOwned,
{
    // Dropshot makes tokens from the last item; ours may not be an item.
    match next {
        Some(place) => {
            Ok(ResultsPage::new(vec![place], &EmptyScanParams {}, |place, _| place.clone())?.next_page)
        }
        None => Ok(None),
    }
}
