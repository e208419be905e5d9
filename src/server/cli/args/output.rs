//! How much a command prints, and in which form.

use clap::{Args, ValueEnum};

/// The form of a list of things with ids.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Output {
    Table,
    /// A JSON object a line
    Json,
    /// An id a line, as other commands read them with -
    Ids,
}

/// The form of what has no id.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Form {
    Table,
    /// A JSON object a line
    Json,
}

/// How much of a list is printed, and how.
#[derive(Args, Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listed {
    #[command(flatten)]
    pub at_most: AtMost,
    #[command(flatten)]
    pub printed: Printed,
}

/// How much of a list is printed.
#[derive(Args, Clone, Copy, Debug, PartialEq, Eq)]
pub struct AtMost {
    /// The maximum number of lines
    #[arg(long, value_name = "NUMBER", default_value = "100", value_parser = clap::value_parser!(u32).range(1..))]
    pub limit: u32,
}

/// How things with ids are printed.
#[derive(Args, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Printed {
    /// Format [default: table on a terminal, otherwise json]
    #[arg(short, long, value_name = "FORMAT")]
    pub output: Option<Output>,
}

/// How one thing is printed, or what has no id.
#[derive(Args, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Shown {
    /// Format [default: table on a terminal, otherwise json]
    #[arg(short, long, value_name = "FORMAT")]
    pub output: Option<Form>,
}
