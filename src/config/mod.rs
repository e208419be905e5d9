pub mod vars;
pub use vars::Vars;
