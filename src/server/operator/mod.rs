//! The operator API: what people and machines ask that look after the server
//! (contract §25).
//!
//! ```text
//!   http_server ──▶ endpoints ──▶ coordinator
//!                     take the request apart, wrap the answer
//!                     └─ approvals, attempts, audit, bulk, dispatch, evidence, explain, holds, records,
//!                        runs, steering, system, webhooks, work, with model and paging
//!   ui                the web page, which is their caller
//!   openapi           the document, from which the client of the commands is made
//! ```
//!
//! A second server in the same process, on a listener of its own: the first serves
//! the standard's API and nothing else, and the network can fence this one.
//!
//! **Invariant:** what a caller may not do through the API, it may not do here.

mod approvals;
mod attempts;
mod audit;
mod bulk;
mod bulk_results;
mod dispatch;
mod endpoints;
mod evidence;
mod explain;
mod holds;
mod model;
pub mod openapi;
mod paging;
mod records;
mod reruns;
mod runs;
mod steering;
mod system;
pub mod ui;
mod webhooks;
mod work;

pub(crate) use self::endpoints::endpoints;
