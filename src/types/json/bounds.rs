//! The bounds of a JSON text, checked in the one pass that reads it.
//!
//! **Invariant:** a text within its bounds pays a comparison per value and
//! nothing else: the place of what exceeds them is put together on the way out of
//! the failed reading.

use std::cell::{Cell, RefCell};

use serde::de;

/// The bounds of a text that is read.
pub struct Bounds {
    levels: u32,
    string_bytes: usize,
    items: u64,
    values_left: Cell<u64>,
    exceeded: Cell<Option<Exceeded>>,
    /// The place of what exceeded them, from the inside out.
    place: RefCell<Vec<Step>>,
}

/// The bound that was exceeded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exceeded {
    Levels,
    Values,
    /// The length of a string.
    String,
    /// The length of the name of a member.
    Name,
    /// The items of an array.
    Items,
    /// The members of an object.
    Members,
}

/// One step from a value to a value in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    Member(String),
    Index(usize),
}

impl Bounds {
    /// Bounds the levels of nesting and nothing else.
    pub fn levels(levels: u32) -> Self {
        Self::new(levels, u64::MAX)
    }

    /// Bounds the levels of nesting and the number of values.
    pub fn new(levels: u32, values: u64) -> Self {
        Self {
            levels,
            string_bytes: usize::MAX,
            items: u64::MAX,
            values_left: Cell::new(values),
            exceeded: Cell::new(None),
            place: RefCell::default(),
        }
    }

    /// Bounds the length of each string, in bytes; names of members are strings.
    #[must_use]
    pub fn string_bytes(self, string_bytes: usize) -> Self {
        Self { string_bytes, ..self }
    }

    /// Bounds the number of items of each array and of members of each object.
    #[must_use]
    pub fn items(self, items: u64) -> Self {
        Self { items, ..self }
    }

    /// The bound that made reading fail, if one did, and where.
    pub fn exceeded(&self) -> Option<(Exceeded, Vec<Step>)> {
        let exceeded = self.exceeded.get()?;
        Some((exceeded, self.place.borrow().iter().rev().cloned().collect()))
    }

    /// Counts a value.
    pub(crate) fn count<E: de::Error>(&self) -> Result<(), E> {
        match self.values_left.get().checked_sub(1) {
            Some(left) => {
                self.values_left.set(left);
                Ok(())
            }
            None => Err(self.exceed(Exceeded::Values)),
        }
    }

    /// Enters a level of nesting below `depth`; 0 is the top.
    pub(crate) fn enter<E: de::Error>(&self, depth: u32) -> Result<u32, E> {
        if depth < self.levels { Ok(depth + 1) } else { Err(self.exceed(Exceeded::Levels)) }
    }

    /// Checks a string.
    pub(crate) fn string<E: de::Error>(&self, text: &str) -> Result<(), E> {
        if text.len() <= self.string_bytes { Ok(()) } else { Err(self.exceed(Exceeded::String)) }
    }

    /// Checks the name of a member.
    pub(crate) fn name<E: de::Error>(&self, name: &str) -> Result<(), E> {
        if name.len() <= self.string_bytes { Ok(()) } else { Err(self.exceed(Exceeded::Name)) }
    }

    /// Checks whether an array may have an item after `items` others.
    pub(crate) fn item<E: de::Error>(&self, items: usize) -> Result<(), E> {
        if (items as u64) < self.items { Ok(()) } else { Err(self.exceed(Exceeded::Items)) }
    }

    /// Checks whether an object may have a member after `members` others.
    pub(crate) fn member<E: de::Error>(&self, members: usize) -> Result<(), E> {
        if (members as u64) < self.items { Ok(()) } else { Err(self.exceed(Exceeded::Members)) }
    }

    /// Adds a step to the place of what failed inside, if it exceeded a bound.
    pub(crate) fn within<E>(&self, failed: E, step: impl FnOnce() -> Step) -> E {
        if self.exceeded.get().is_some() {
            self.place.borrow_mut().push(step());
        }
        failed
    }

    fn exceed<E: de::Error>(&self, what: Exceeded) -> E {
        self.exceeded.set(Some(what));
        E::custom(match what {
            Exceeded::Levels => "nested too deeply",
            Exceeded::Values => "too many values",
            Exceeded::String => "a string is too long",
            Exceeded::Name => "a name is too long",
            Exceeded::Items => "an array is too long",
            Exceeded::Members => "an object has too many members",
        })
    }
}
