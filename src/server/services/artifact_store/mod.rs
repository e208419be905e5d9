//! The Artifact Store: bytes that never change, each under an id that the store
//! chose (contract §16).
//!
//! ```text
//!   put ──▶ stored, size and SHA-256 compared ──▶ Artifact ──▶ reference in a NodeRun
//! ```
//!
//! The coordinator only writes: readers of a NodeRun fetch artifacts from the
//! store themselves. Every put makes another artifact, so a put is not repeated
//! lightly. Nothing can be deleted.

mod offload;

use bytes::Bytes;
use progenitor_client::{Error, ResponseValue};
use serde_json::Map;
use sha2::{Digest, Sha256};

pub use offload::{OffloadSkipped, OutputOffload};

use crate::{
    clients::{
        CallError, CallTimeout, Service,
        artifact_store::{Client, types::ArtifactRef},
    },
    types::{ArtifactId, ErrorEnvelope, ResourceRef},
};

/// The `type` of a ResourceRef that refers to an artifact.
const ARTIFACT: &str = "artifact";

/// A client of the Artifact Store.
#[derive(Clone)]
pub struct ArtifactStore {
    client: Client,
    timeout: CallTimeout,
}

/// A stored artifact.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Artifact {
    pub id: ArtifactId,
    /// As it was put.
    pub content_type: Option<String>,
    pub size_bytes: u64,
    /// 64 lower-case hex digits.
    pub sha256: Option<String>,
}

impl ArtifactStore {
    pub fn new(client: Client, timeout: CallTimeout) -> Self {
        Self { client, timeout }
    }

    /// Checks that the store answers.
    pub async fn reach(&self) -> Result<(), CallError> {
        self.call(self.client.health()).await.map(drop)
    }

    /// Stores bytes, and checks that the store has what was sent.
    pub async fn put(&self, bytes: Bytes, content_type: &str) -> Result<Artifact, CallError> {
        let sent = bytes.clone();
        let artifact =
            Artifact::from(self.call(self.client.create_artifact(Some(content_type), bytes)).await?);
        artifact.check(&sent)?;
        Ok(artifact)
    }

    fn call<T>(
        &self,
        call: impl Future<Output = Result<ResponseValue<T>, Error<ErrorEnvelope>>>,
    ) -> impl Future<Output = Result<T, CallError>> {
        self.timeout.call(Service::ArtifactStore, self.client.call(call))
    }
}

impl Artifact {
    /// How a NodeRun refers to it: not by the store's `uri`, which is a path on
    /// the store's disk.
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

    /// Compares it with the bytes that were sent. The store may leave out the
    /// checksum.
    fn check(&self, bytes: &[u8]) -> Result<(), CallError> {
        let same = |sha256: &String| sha256.eq_ignore_ascii_case(&hex_sha256(bytes));
        if self.size_bytes != bytes.len() as u64 {
            Err(CallError::malformed(Service::ArtifactStore, "the artifact has another size"))
        } else if !self.sha256.as_ref().is_none_or(same) {
            Err(CallError::malformed(Service::ArtifactStore, "the artifact has another checksum"))
        } else {
            Ok(())
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
        }
    }
}

fn hex_sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}
