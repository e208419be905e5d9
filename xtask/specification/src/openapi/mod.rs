//! OpenAPI documents, compared by what they mean.
//!
//! ```text
//!  files ──▶ bundle: one document of several files
//!                │     spelling: 3.1 as 3.0 would put it
//!                ▼
//!           document: JSON, its operations, its references
//!                │
//!                ▼
//!           canon: one object of it as a Shape, in which what is only
//!                │  another spelling is gone
//!                ▼
//!           diff: two documents, walked side by side, shape by shape
//! ```

mod bundle;
mod canon;
mod diff;
mod document;
mod spelling;

pub use bundle::bundle;
pub use bundle::files;
pub use canon::is_prose;
pub use diff::{Comparison, Difference, compare};
pub use document::Document;
pub use document::{Node, escaped};
