//! OpenAPI documents, compared by what they mean.
//!
//! ```text
//!  file ──▶ document: JSON, its operations, its references
//!                │
//!                ▼
//!           canon: one object of it as a Shape, in which what is only
//!                │  another spelling is gone
//!                ▼
//!           diff: two documents, walked side by side, shape by shape
//! ```

mod canon;
mod diff;
mod document;

pub use diff::{Comparison, Difference, compare};
pub use document::Document;
