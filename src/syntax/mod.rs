//! From text to syntax tree.
//!
//! Invariant: [`parse`] never fails as a whole. It gives what could be read and says what could not.
//! Nothing here knows what a name means.
#![cfg_attr(
    not(test),
    deny(clippy::unwrap_used, clippy::expect_used, clippy::indexing_slicing, clippy::panic)
)]

mod advice;
pub mod ast;
mod build;
mod error;
mod expr;
mod print;
mod split;
mod words;

pub use print::print;
pub(crate) use print::{expr as print_expr, item as print_item, number as print_number, path as print_path};
pub(crate) use words::nearest;

use crate::diag::Diagnostic;
use crate::source::{FileId, Sources, Span};
use ast::File;
use pest::Parser as _;

/// The parser that pest derives from the grammar; what it generates has no docs of its own.
#[allow(missing_docs)]
mod grammar {
    #[derive(pest_derive::Parser)]
    #[grammar = "../grammar/hyt.pest"]
    pub(super) struct Grammar;
}
use grammar::{Grammar, Rule};

/// Where a piece lies in its file, to turn pest's positions into spans.
#[derive(Clone, Copy)]
pub(crate) struct Place {
    file: FileId,
    offset: usize,
}

impl Place {
    fn span(self, start: usize, end: usize) -> Span {
        let at = |n: usize| u32::try_from(self.offset + n).unwrap_or(u32::MAX);
        Span { file: self.file, start: at(start), end: at(end) }
    }
}

/// A longer text than this is no spec.
const MAX_LENGTH: usize = 1 << 18;

/// Parses one file of the table.
pub fn parse(sources: &Sources, file: FileId) -> (File, Vec<Diagnostic>) {
    let mut tree = File::default();
    let mut found = Vec::new();
    let text = sources.get(file).map_or("", |f| f.text.as_str());
    if text.len() > MAX_LENGTH {
        found.push(error::too_long(Place { file, offset: 0 }.span(0, 0), text.len(), MAX_LENGTH));
        return (tree, found);
    }
    for range in split::split(text) {
        let place = Place { file, offset: range.start };
        parse_piece(text.get(range).unwrap_or(""), place, &mut tree, &mut found);
    }
    (tree, found)
}

/// Parses one piece, normally one item.
fn parse_piece(raw: &str, place: Place, tree: &mut File, found: &mut Vec<Diagnostic>) {
    if let Some(at) = split::too_deep(raw) {
        found.push(error::too_deep(place.span(at, at + 1)));
        tree.lost.extend(first_words(raw));
        return;
    }
    let mut piece = raw.to_string();
    // Strings that do not end: without its quote the line can often be read, and its braces count.
    let strings = split::strings(raw);
    for &at in &strings.open {
        found.push(error::open_string(place.span(at, at + 1)));
        piece.replace_range(at..=at, " ");
    }
    for &at in &strings.escapes {
        found.push(error::bad_escape(place.span(at, at + 1)));
        piece.replace_range(at..=at, " ");
    }
    // Braces are missing: say so, and read on as if they stood at the end of the piece.
    let open = split::unclosed_braces(&piece);
    if let Some((missing, first)) = open {
        found.push(error::unclosed(place.span(first, first + 1), '{'));
        piece += "\n";
        piece += &"}".repeat(missing);
    }
    match Grammar::parse(Rule::chunk, &piece) {
        Ok(pairs) => {
            let mut builder = build::Builder::new(place, &piece, found, &mut tree.lost);
            let items = builder.items(pairs);
            tree.items.extend(items);
        }
        Err(e) => {
            if open.is_none() {
                found.push(error::explain(&e, &piece, place, 0));
            }
            tree.lost.extend(first_words(raw));
        }
    }
}

/// The words at the beginning of something damaged: what it defines is among them.
fn first_words(text: &str) -> impl Iterator<Item = String> + '_ {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').filter(|w| !w.is_empty());
    words.take(2).map(str::to_string)
}
