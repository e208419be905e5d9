//! `Prefer: wait=SECONDS` (RFC 7240): an answer with a run comes when the run has
//! ended, or the time is up, with `Preference-Applied`.
//!
//! ```text
//!   Prefer ──▶ PreferWait ──▶ Waiting (a place among the streams) ──▶ the run ends │ time is up │ server stops
//!                 none: the answer comes at once                          └──────────▶ RunAnswer
//! ```
//!
//! A request that waits is counted as a stream, and no more as a request: waiting is
//! what streams do, and callers that wait must not keep others from being served.

use std::time::Duration;

use async_trait::async_trait;
use dropshot::{
    ApiEndpointBodyContentType, ApiEndpointResponse, Body, ExtensionMode, ExtractorMetadata, HttpError,
    HttpResponse, HttpResponseOk, RequestContext, ServerContext as DropshotContext, SharedExtractor,
};
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode};

use super::{
    context::ServerContext, errors::ApiError, limits::StreamPermit, request_scope, request_scope::Caller,
};
use crate::types::{Run, RunId};

const PREFER: HeaderName = HeaderName::from_static("prefer");
const PREFERENCE_APPLIED: HeaderName = HeaderName::from_static("preference-applied");

/// How long the caller wants to wait for the end of a run. The standard has no such
/// header, so it is not in the document.
pub(crate) struct PreferWait(Option<u64>);

#[async_trait]
impl SharedExtractor for PreferWait {
    async fn from_request<C: DropshotContext>(rqctx: &RequestContext<C>) -> Result<Self, HttpError> {
        Ok(Self(wanted(rqctx.request.headers())))
    }

    fn metadata(_: ApiEndpointBodyContentType) -> ExtractorMetadata {
        ExtractorMetadata { extension_mode: ExtensionMode::None, parameters: Vec::new() }
    }
}

/// The seconds of the first preference `wait`. One that cannot be read is ignored, as
/// the RFC demands.
fn wanted(headers: &HeaderMap) -> Option<u64> {
    let given = headers.get_all(PREFER);
    let preferences = given.iter().filter_map(|value| value.to_str().ok()).flat_map(|value| value.split(','));
    let named = preferences.filter_map(|preference| {
        // Parameters of a preference follow a semicolon.
        let (name, value) = preference.split(';').next()?.split_once('=')?;
        name.trim().eq_ignore_ascii_case("wait").then(|| value.trim().trim_matches('"'))
    });
    let seconds = { named }.next()?;
    seconds.bytes().all(|byte| byte.is_ascii_digit()).then(|| seconds.parse().ok())?
}

impl PreferWait {
    /// Takes a place for the wait, before anything is done that could not be answered
    /// without. `None`: the caller does not want to wait, or waiting is switched off.
    pub(crate) async fn begin(
        self,
        rq: &RequestContext<ServerContext>,
        caller: &Caller,
    ) -> Result<Option<Waiting>, ApiError> {
        let most = rq.context().front.max_wait.as_secs();
        match self.0.map(|wanted| wanted.min(most)) {
            None | Some(0) => Ok(None),
            Some(seconds) => {
                let permit = Box::pin(ServerContext::stream_permit(rq, caller)).await?;
                Ok(Some(Waiting { seconds, permit }))
            }
        }
    }
}

/// A caller that waits.
pub(crate) struct Waiting {
    seconds: u64,
    permit: StreamPermit,
}

impl Waiting {
    /// How long the caller waits at most.
    pub(crate) fn seconds(&self) -> u64 {
        self.seconds
    }

    /// Notes on an answer what was applied.
    pub(crate) fn applied(headers: &mut HeaderMap, seconds: u64) {
        if let Ok(applied) = HeaderValue::from_str(&format!("wait={seconds}")) {
            headers.insert(PREFERENCE_APPLIED, applied);
        }
    }

    /// Waits for something that ends in time by itself. `None`: the server begins to
    /// stop.
    pub(crate) async fn until<T, E>(
        self,
        rq: &RequestContext<ServerContext>,
        work: impl Future<Output = Result<T, E>>,
    ) -> Result<Option<T>, ApiError>
    where
        ApiError: From<E>,
    {
        request_scope::release_place();
        tokio::select! {
            biased;
            done = work => Ok(Some(done?)),
            () = rq.context().stopping.cancelled() => Ok(None),
        }
    }

    /// Returns when the run has ended, or the time is up, or the server begins to stop.
    /// The seconds say what was applied.
    pub(crate) async fn for_end(
        self,
        rq: &RequestContext<ServerContext>,
        run: &RunId,
    ) -> Result<u64, ApiError> {
        let Self { seconds, permit } = self;
        request_scope::release_place();
        let context = rq.context();
        let end = Box::pin(context.coordinator.run_ended(run, Duration::from_secs(seconds)));
        tokio::select! {
            biased;
            ended = end => ended?,
            () = context.stopping.cancelled() => {}
        }
        drop(permit);
        Ok(seconds)
    }
}

/// A run, and the wait that was applied.
pub(crate) struct RunAnswer {
    pub(crate) run: Run,
    pub(crate) waited: Option<u64>,
}

impl HttpResponse for RunAnswer {
    fn to_result(self) -> Result<Response<Body>, HttpError> {
        let mut response = HttpResponseOk(self.run).to_result()?;
        let applied = self.waited.map(|seconds| HeaderValue::try_from(format!("wait={seconds}")));
        if let Some(Ok(applied)) = applied {
            response.headers_mut().insert(PREFERENCE_APPLIED, applied);
        }
        Ok(response)
    }

    fn response_metadata() -> ApiEndpointResponse {
        HttpResponseOk::<Run>::response_metadata()
    }

    fn status_code(&self) -> StatusCode {
        StatusCode::OK
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn preference_is_read_as_the_rfc_has_it() {
        for (headers, expected) in [
            (&["wait=10"][..], Some(10)),
            (&["respond-async, wait=10"], Some(10)),
            (&["WAIT = \"7\" ; strict"], Some(7)),
            (&["return=minimal", "wait=3, wait=4"], Some(3)),
            (&["wait=0"], Some(0)),
            (&[], None),
            (&["wait"], None),
            (&["wait="], None),
            (&["wait=-1"], None),
            (&["wait=1.5"], None),
            (&["wait=99999999999999999999"], None),
            (&["await=3"], None),
        ] {
            let mut map = HeaderMap::new();
            for value in headers {
                map.append(PREFER, HeaderValue::from_static(value));
            }
            assert_eq!(wanted(&map), expected, "{headers:?}");
        }
    }
}
