mod rejection;
pub use rejection::{Disagreement, Limit, Rejection};
