//! The Artifact Store: bytes that never change, each under an id that the store
//! chose (contract §16).
//!
//! ```text
//!   put ──▶ stored, size and SHA-256 compared ──▶ Artifact
//!   metadata, head ──▶ Artifact ──▶ get ──▶ bytes, size and SHA-256 compared
//! ```
//!
//! Every put makes another artifact, so a put is not repeated lightly. Nothing
//! can be deleted.

use bytes::Bytes;
use futures::TryStreamExt;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, ETAG, HeaderMap, HeaderName};
use progenitor_client::Error;
use serde_json::Map;
use sha2::{Digest, Sha256};

use super::Patience;
use crate::{
    clients::{
        CallError, Service,
        artifact_store::{Client, types::ArtifactRef},
    },
    time::Timestamp,
    types::{ArtifactId, ErrorEnvelope, ResourceRef},
};

/// The `type` of a ResourceRef that refers to an artifact.
const ARTIFACT: &str = "artifact";

/// The Artifact Store, as its callers want it.
#[derive(Clone)]
pub struct ArtifactStore {
    client: Client,
    patience: Patience,
}

/// What is known about an artifact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    pub id: ArtifactId,
    /// As it was put.
    pub content_type: Option<String>,
    pub size_bytes: u64,
    /// 64 lower-case hex digits.
    pub sha256: Option<String>,
    /// `head` does not say.
    pub created_at: Option<Timestamp>,
}

impl ArtifactStore {
    pub fn new(client: Client, patience: Patience) -> Self {
        Self { client, patience }
    }

    /// Whether it answers at all.
    pub async fn reach(&self) -> Result<(), CallError> {
        self.call(self.client.health()).await.map(drop)
    }

    /// Stores bytes. What the store says that it has stored is what was sent.
    pub async fn put(&self, bytes: Bytes, content_type: &str) -> Result<Artifact, CallError> {
        let sent = bytes.clone();
        let stored = self.call(self.client.create_artifact(Some(content_type), bytes)).await?;
        let artifact = Artifact::from(stored.into_inner());
        artifact.check(&sent)?;
        Ok(artifact)
    }

    /// The bytes of an artifact that `metadata` or `head` told about: no more
    /// of them than it said, and the same.
    pub async fn get(&self, artifact: &Artifact) -> Result<Bytes, CallError> {
        let id = in_path(&artifact.id)?;
        let read = async {
            let mut stream = self.client.get_artifact(id).await?.into_inner_stream();
            let mut bytes = Vec::new();
            while let Some(part) = stream.try_next().await.map_err(Error::ResponseBodyError)? {
                bytes.extend_from_slice(&part);
                if bytes.len() as u64 > artifact.size_bytes {
                    break;
                }
            }
            Ok(Bytes::from(bytes))
        };
        let bytes = self.call(read).await?;
        artifact.check(&bytes)?;
        Ok(bytes)
    }

    pub async fn metadata(&self, id: &ArtifactId) -> Result<Artifact, CallError> {
        let answer = self.call(self.client.get_metadata(in_path(id)?)).await?;
        let artifact = Artifact::from(answer.into_inner());
        if artifact.id != *id {
            return Err(broken("it answered with another artifact"));
        }
        Ok(artifact)
    }

    /// Size, type and checksum, as headers. The store does not look whether the
    /// bytes are there.
    pub async fn head(&self, id: &ArtifactId) -> Result<Artifact, CallError> {
        let answer = self.call(self.client.head_artifact(in_path(id)?)).await?;
        let headers = answer.headers();
        let size_bytes = text(headers, &CONTENT_LENGTH).and_then(|length| length.parse().ok());
        let size_bytes = size_bytes.ok_or_else(|| broken("the answer to HEAD has no length"))?;
        Ok(Artifact {
            id: id.clone(),
            content_type: text(headers, &CONTENT_TYPE).map(str::to_owned),
            size_bytes,
            sha256: text(headers, &ETAG).map(str::to_owned),
            created_at: None,
        })
    }

    async fn call<T>(
        &self,
        call: impl Future<Output = Result<T, Error<ErrorEnvelope>>>,
    ) -> Result<T, CallError> {
        self.patience.call(Service::ArtifactStore, call).await.map_err(coded)
    }
}

impl Artifact {
    /// How a NodeRun refers to it: never by the store's `uri`, which is a path
    /// on the store's disk.
    pub fn reference(&self) -> ResourceRef {
        let mut extensions = Map::from_iter([("jarvis.size_bytes".into(), self.size_bytes.into())]);
        for (key, value) in
            [("jarvis.content_type", &self.content_type), ("jarvis.checksum_sha256", &self.sha256)]
        {
            if let Some(value) = value {
                extensions.insert(key.into(), value.as_str().into());
            }
        }
        ResourceRef {
            type_: ARTIFACT.into(),
            id: self.id.to_string(),
            uri: None,
            extensions: Some(extensions.into()),
        }
    }

    /// Whether it is these bytes, as far as it says.
    fn check(&self, bytes: &[u8]) -> Result<(), CallError> {
        let size = bytes.len() as u64;
        if self.size_bytes != size {
            return Err(broken("it has another size"));
        }
        let same = |sha256: &String| sha256.eq_ignore_ascii_case(&hex_sha256(bytes));
        match self.sha256.as_ref().is_none_or(same) {
            true => Ok(()),
            false => Err(broken("it has another checksum")),
        }
    }
}

impl From<ArtifactRef> for Artifact {
    fn from(artifact: ArtifactRef) -> Self {
        Self {
            id: ArtifactId::new(artifact.artifact_id),
            content_type: artifact.content_type,
            size_bytes: artifact.size_bytes,
            sha256: artifact.checksum_sha256,
            created_at: Some(artifact.created_at),
        }
    }
}

/// An id as part of a path. Dot segments would be taken away on the way, and
/// another question be asked.
fn in_path(id: &ArtifactId) -> Result<&str, CallError> {
    match id.as_str() {
        "" | "." | ".." => Err(coded(CallError {
            status: Some(422),
            never_sent: true,
            retryable: false,
            ..CallError::unavailable(Service::ArtifactStore, "this is no artifact id")
        })),
        id => Ok(id),
    }
}

fn hex_sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn text<'h>(headers: &'h HeaderMap, name: &HeaderName) -> Option<&'h str> {
    headers.get(name)?.to_str().ok()
}

/// The store answered, and contradicts itself.
fn broken(reason: &str) -> CallError {
    let error = CallError::unavailable(Service::ArtifactStore, reason);
    coded(CallError { status: Some(200), retryable: false, ..error })
}

/// With the code of contract §16: `artifact_store_unavailable` is for a store
/// that did not answer.
fn coded(error: CallError) -> CallError {
    let code = match error.status {
        None => return error,
        Some(404) => "artifact_not_found",
        Some(_) => "artifact_store_error",
    };
    CallError { code: code.into(), ..error }
}
