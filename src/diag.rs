//! Diagnostics: data first, rendered last.
//!
//! Every stage reports what is wrong as [`Diagnostic`] values, several per run. Nothing in the core
//! prints. [`render`] turns them into the text a person reads, [`to_json`] into what a program reads.

use crate::source::{Sources, Span};
use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde::Serialize;

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Severity {
    /// The spec can be used, but probably does not say what its author meant.
    Warning,
    /// The spec cannot be used.
    Error,
}

/// A secondary place with a short remark.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Label {
    /// Where.
    pub span: Span,
    /// What is to be seen there.
    pub text: String,
}

/// One finding: what is wrong, where, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Diagnostic {
    /// Error or warning.
    pub severity: Severity,
    /// Stable code, `E0101` or `W0301`; the first two digits name the stage (see [`crate::codes`]).
    pub code: &'static str,
    /// Where.
    pub span: Span,
    /// What is wrong, in one sentence without a final full stop.
    pub message: String,
    /// A few words written under the marked place; may be empty.
    pub label: String,
    /// Other places that matter.
    pub labels: Vec<Label>,
    /// What to write instead; may be empty only where nothing can be said.
    pub help: String,
}

impl Diagnostic {
    /// An error.
    pub fn error(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Diagnostic {
            severity: Severity::Error,
            code,
            span,
            message: message.into(),
            label: String::new(),
            labels: Vec::new(),
            help: String::new(),
        }
    }

    /// A warning.
    pub fn warning(code: &'static str, span: Span, message: impl Into<String>) -> Self {
        Diagnostic { severity: Severity::Warning, ..Diagnostic::error(code, span, message) }
    }

    /// Sets the words under the marked place.
    #[must_use]
    pub fn label(mut self, text: impl Into<String>) -> Self {
        self.label = text.into();
        self
    }

    /// Adds another place.
    #[must_use]
    pub fn also(mut self, span: Span, text: impl Into<String>) -> Self {
        self.labels.push(Label { span, text: text.into() });
        self
    }

    /// Sets the advice.
    #[must_use]
    pub fn help(mut self, text: impl Into<String>) -> Self {
        self.help = text.into();
        self
    }

    /// Whether this is an error.
    pub fn is_error(&self) -> bool {
        self.severity == Severity::Error
    }
}

/// Whether any of them is an error.
pub fn has_errors(diagnostics: &[Diagnostic]) -> bool {
    diagnostics.iter().any(Diagnostic::is_error)
}

/// Sorts by place and drops exact repetitions, so that output does not depend on the order in which
/// stages found things.
pub fn tidy(diagnostics: &mut Vec<Diagnostic>) {
    diagnostics.sort_by(|a, b| {
        (a.span.file, a.span.start, a.code, &a.message).cmp(&(b.span.file, b.span.start, b.code, &b.message))
    });
    diagnostics.dedup();
}

/// Renders diagnostics as text in the manner of rustc.
pub fn render(diagnostics: &[Diagnostic], sources: &Sources, color: bool) -> String {
    let renderer = if color { Renderer::styled() } else { Renderer::plain() };
    let mut out = String::new();
    for d in diagnostics {
        let level = match d.severity {
            Severity::Error => Level::ERROR,
            Severity::Warning => Level::WARNING,
        };
        let mut group = Group::with_title(level.primary_title(&d.message).id(d.code));
        if let Some(file) = sources.get(d.span.file) {
            let mut snippet = Snippet::source(file.text.as_str())
                .path(file.name.as_str())
                .annotation(AnnotationKind::Primary.span(clamp(d.span, &file.text)).label(d.label.as_str()));
            for l in d.labels.iter().filter(|l| l.span.file == d.span.file) {
                snippet = snippet.annotation(
                    AnnotationKind::Context.span(clamp(l.span, &file.text)).label(l.text.as_str()),
                );
            }
            group = group.element(snippet);
            for l in d.labels.iter().filter(|l| l.span.file != d.span.file) {
                if let Some(other) = sources.get(l.span.file) {
                    group = group.element(
                        Snippet::source(other.text.as_str()).path(other.name.as_str()).annotation(
                            AnnotationKind::Context.span(clamp(l.span, &other.text)).label(l.text.as_str()),
                        ),
                    );
                }
            }
        }
        if !d.help.is_empty() {
            group = group.element(Level::HELP.message(d.help.as_str()));
        }
        out.push_str(&renderer.render(&[group]));
        out.push_str("\n\n");
    }
    out
}

/// A span cut to the text and to character boundaries: rendering must never panic.
fn clamp(span: Span, text: &str) -> std::ops::Range<usize> {
    let floor = |mut at: usize| {
        at = at.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let start = floor(span.start as usize);
    let end = floor((span.end as usize).max(start));
    start..end.max(start)
}

/// Diagnostics as a JSON array of `{severity, code, message, label, help, file, line, column, end_line,
/// end_column, span, labels}`: lines and columns from 1, columns in characters, the end behind the last
/// one, `span` in bytes from 0; `labels` are the other places, each with its `text`.
pub fn to_json(diagnostics: &[Diagnostic], sources: &Sources) -> serde_json::Value {
    let place = |span: Span| {
        let (line, column) = sources.line_column(span);
        let (end_line, end_column) = sources.line_column(Span { start: span.end, ..span });
        let mut map = serde_json::Map::new();
        map.insert("file".into(), sources.get(span.file).map(|f| f.name.as_str()).into());
        map.insert("line".into(), line.into());
        map.insert("column".into(), column.into());
        map.insert("end_line".into(), end_line.into());
        map.insert("end_column".into(), end_column.into());
        map.insert("span".into(), vec![span.start, span.end].into());
        map
    };
    let one = |d: &Diagnostic| {
        let mut map = place(d.span);
        let labels = d.labels.iter().map(|l| {
            let mut map = place(l.span);
            map.insert("text".into(), l.text.as_str().into());
            serde_json::Value::Object(map)
        });
        map.insert("labels".into(), labels.collect());
        map.insert("severity".into(), serde_json::to_value(d.severity).unwrap_or_default());
        for (key, text) in [("code", d.code), ("message", &d.message), ("label", &d.label), ("help", &d.help)]
        {
            map.insert(key.into(), text.into());
        }
        serde_json::Value::Object(map)
    };
    diagnostics.iter().map(one).collect()
}
