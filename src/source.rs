//! Source texts and positions in them.
//!
//! A [`Span`] names a byte range of one file of a [`Sources`] table; everything that comes out of
//! the parser carries one, and keeps it through the whole pipeline, so that an error found while
//! planning memory can still point at the line of the spec it comes from.

use std::sync::Arc;

/// Index of a file in [`Sources`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct FileId(pub u16);

/// A byte range `start..end` in one source file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Span {
    /// The file.
    pub file: FileId,
    /// First byte.
    pub start: u32,
    /// One past the last byte.
    pub end: u32,
}

impl Span {
    /// The smallest span that holds both; `self` if they lie in different files.
    #[must_use]
    pub fn to(self, other: Span) -> Span {
        if self.file != other.file {
            return self;
        }
        Span { file: self.file, start: self.start.min(other.start), end: self.end.max(other.end) }
    }
}

/// One source text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// The name shown in diagnostics, usually the path as the user wrote it.
    pub name: String,
    /// The text.
    pub text: String,
}

/// All source texts of one compilation, the user's file first. Cheap to clone.
#[derive(Debug, Clone, Default)]
pub struct Sources {
    files: Vec<Arc<Source>>,
}

impl Sources {
    /// Adds a file and returns its id.
    pub fn add(&mut self, name: impl Into<String>, text: impl Into<String>) -> FileId {
        let id = FileId(u16::try_from(self.files.len()).unwrap_or(u16::MAX));
        self.files.push(Arc::new(Source { name: name.into(), text: text.into() }));
        id
    }

    /// The file with this id.
    pub fn get(&self, id: FileId) -> Option<&Source> {
        self.files.get(usize::from(id.0)).map(Arc::as_ref)
    }

    /// The names of all files, in the order of their ids.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.files.iter().map(|f| f.name.as_str())
    }

    /// The id of the file with this name.
    pub fn find(&self, name: &str) -> Option<FileId> {
        let i = self.files.iter().position(|f| f.name == name)?;
        u16::try_from(i).ok().map(FileId)
    }

    /// The text a span covers; empty if the span lies outside the file.
    pub fn text(&self, span: Span) -> &str {
        self.get(span.file).and_then(|f| f.text.get(span.start as usize..span.end as usize)).unwrap_or("")
    }

    /// The byte at which the line begins that a span begins on.
    pub fn line_start(&self, span: Span) -> usize {
        let before = self.get(span.file).and_then(|f| f.text.get(..span.start as usize));
        before.and_then(|b| b.rfind('\n')).map_or(0, |n| n + 1)
    }

    /// One-based line and column (in characters) of the start of a span.
    pub fn line_column(&self, span: Span) -> (usize, usize) {
        let Some(before) = self.get(span.file).and_then(|f| f.text.get(..span.start as usize)) else {
            return (1, 1);
        };
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or("").chars().count() + 1;
        (line, column)
    }
}
