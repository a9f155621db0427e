//! How it looks: takes the model and a writer, gives tables, trees and JSON.
//!
//! Whatever comes from another process goes through [`text`] before it reaches a terminal. Widths and colours are arguments, so a
//! snapshot test needs no terminal. Not here: asking the system for anything.

#![forbid(unsafe_code)]

pub mod cg;
pub mod column;
pub mod explain;
pub mod inspect;
pub mod json;
pub mod net;
pub mod pid;
pub mod ps;
pub mod row;
pub mod run;
pub mod style;
pub mod table;
pub mod text;

pub use column::{COLUMNS, Column};
pub use row::{Row, View};
pub use style::Style;
pub use table::{Cell, Head, Line, Table};
