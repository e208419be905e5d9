//! Calls of a coordinator with JSON as it was written, and the answer as it came.
//! The generated methods know only what the standard has: they drop every other
//! member silently, and lack the parameters that are our own.

use progenitor_client::{ClientHooks, ClientInfo, Error, OperationInfo, ResponseValue};
use serde_json::Value;

use super::{CallError, run_coordinator::Client};
use crate::types::ErrorEnvelope;

/// `path` begins with a slash and is encoded.
pub async fn get(client: &Client, path: &str, operation: &'static str) -> Result<Value, CallError> {
    let request = client.client().get(format!("{}{path}", client.baseurl()));
    body(client, send(client, request, operation).await?).await
}

/// `path` begins with a slash and is encoded.
pub async fn post(
    client: &Client,
    path: &str,
    operation: &'static str,
    json: &Value,
) -> Result<Value, CallError> {
    let request = client.client().post(format!("{}{path}", client.baseurl())).json(json);
    body(client, send(client, request, operation).await?).await
}

/// Sends a request as every generated method does.
pub(super) async fn send(
    client: &Client,
    request: reqwest::RequestBuilder,
    operation: &'static str,
) -> Result<reqwest::Response, CallError> {
    let answered: Result<_, Error<ErrorEnvelope>> = async {
        let mut request = request.header("api-version", Client::api_version()).build()?;
        let info = OperationInfo { operation_id: operation };
        client.pre(&mut request, &info).await?;
        let answer = client.exec(request, &info).await?;
        match answer.status().as_u16() {
            200 => Ok(answer),
            400..=599 => Err(Error::ErrorResponse(ResponseValue::from_response(answer).await?)),
            _ => Err(Error::UnexpectedResponse(answer)),
        }
    }
    .await;
    answered.map_err(|error| client.failed(error))
}

async fn body(client: &Client, answer: reqwest::Response) -> Result<Value, CallError> {
    client.call(ResponseValue::from_response(answer)).await
}
