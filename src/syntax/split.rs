//! Cuts a file into pieces that are parsed on their own.
//!
//! A piece begins at a line whose first column holds an item's keyword. A missing brace then costs
//! one item, not the rest of the file.

use std::ops::Range;

pub(super) const ITEMS: [&str; 10] =
    ["use", "task", "block", "space", "device", "goal", "search", "evaluate", "final", "emit"];

/// Deeper nesting of brackets than this is refused, so that parsing cannot exhaust the stack.
pub(super) const MAX_DEPTH: usize = 64;

/// The byte ranges of the pieces; together they are the whole text.
///
/// A line of an item's keyword begins a piece wherever it stands. Any other line that is not indented
/// does so only behind a finished item: it is an item whose keyword is damaged.
pub(super) fn split(text: &str) -> Vec<Range<usize>> {
    let mut starts = vec![0];
    let mut at = 0;
    let mut depth = 0usize;
    let mut finished = false;
    for line in text.split_inclusive('\n') {
        let word = line.split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or("");
        let item = ITEMS.contains(&word);
        let flush = !line.starts_with(char::is_whitespace) && !line.starts_with("//");
        if at > 0 && (item || (flush && finished && depth == 0)) {
            starts.push(at);
            depth = 0;
        }
        let mut last = None;
        for (_, c) in signs(line) {
            match c {
                '{' => depth += 1,
                '}' => depth = depth.saturating_sub(1),
                _ => {}
            }
            if !c.is_whitespace() {
                last = Some(c);
            }
        }
        if let Some(c) = last {
            let words = line.split_whitespace().count();
            finished = depth == 0 && (matches!(c, '}' | '"') || (word == "emit" && words > 1));
        }
        at += line.len();
    }
    let ends: Vec<usize> = starts.iter().skip(1).copied().chain([text.len()]).collect();
    starts.into_iter().zip(ends).map(|(a, b)| a..b).collect()
}

/// The characters outside strings and comments, with their places. Of a string only the quotes are
/// given; one that is not closed ends with its line.
fn signs(text: &str) -> impl Iterator<Item = (usize, char)> + '_ {
    let mut in_string = false;
    let mut in_comment = false;
    let mut previous = '\0';
    text.char_indices().filter(move |&(_, c)| {
        let before = std::mem::replace(&mut previous, c);
        match c {
            '\n' => {
                (in_string, in_comment) = (false, false);
                true
            }
            _ if in_comment => false,
            '"' if !in_string || before != '\\' => {
                in_string = !in_string;
                true
            }
            _ if in_string => {
                if before == '\\' {
                    // An escaped character escapes nothing itself.
                    previous = '\0';
                }
                false
            }
            '/' if before == '/' => {
                in_comment = true;
                false
            }
            _ => true,
        }
    })
}

/// Where brackets are nested too deep, if they are.
pub(super) fn too_deep(text: &str) -> Option<usize> {
    // Counted apart: a wrong closing bracket of one kind must not hide the depth of the other.
    let (mut braces, mut others) = (0usize, 0usize);
    for (at, c) in signs(text) {
        match c {
            '{' => (braces, others) = (braces + 1, 0),
            '}' => (braces, others) = (braces.saturating_sub(1), 0),
            '(' | '[' => others += 1,
            ')' | ']' => others = others.saturating_sub(1),
            _ => {}
        }
        if braces > MAX_DEPTH || others > MAX_DEPTH {
            return Some(at);
        }
    }
    None
}

/// What is wrong with the strings of a text.
#[derive(Default)]
pub(super) struct Strings {
    /// The opening quotes of those that do not end on their line.
    pub(super) open: Vec<usize>,
    /// Backslashes before anything but a quote or a backslash.
    pub(super) escapes: Vec<usize>,
}

/// Looks at the strings.
pub(super) fn strings(text: &str) -> Strings {
    let mut out = Strings::default();
    let mut open = None;
    for (at, c) in signs(text).chain([(text.len(), '\n')]) {
        match (c, open) {
            ('\n', Some(quote)) => {
                out.open.push(quote);
                open = None;
            }
            ('"', None) => open = Some(at),
            ('"', Some(quote)) => {
                let mut escaped = false;
                for (i, c) in text.get(quote + 1..at).unwrap_or("").char_indices() {
                    if escaped && !matches!(c, '"' | '\\') {
                        out.escapes.push(quote + i);
                    }
                    escaped = c == '\\' && !escaped;
                }
                open = None;
            }
            _ => {}
        }
    }
    out
}

/// What the brackets of a piece look like.
pub(super) enum Brackets {
    /// All is well.
    Balanced,
    /// The bracket at this byte is never closed.
    Unclosed(usize, char),
    /// The bracket at this byte was never opened.
    Unopened(usize, char),
}

/// Looks at the brackets outside strings and comments.
pub(super) fn brackets(text: &str) -> Brackets {
    let mut open: Vec<(usize, char)> = Vec::new();
    for (at, c) in signs(text) {
        match c {
            '(' | '[' | '{' => open.push((at, c)),
            ')' | ']' | '}' => {
                let wanted = match c {
                    ')' => '(',
                    ']' => '[',
                    _ => '{',
                };
                match open.last() {
                    Some(&(_, kind)) if kind == wanted => {
                        open.pop();
                    }
                    // A brace closes whatever was left open inside it.
                    Some(&(inner, kind)) if c == '}' => return Brackets::Unclosed(inner, kind),
                    _ => return Brackets::Unopened(at, c),
                }
            }
            _ => {}
        }
    }
    match open.first() {
        Some(&(at, c)) => Brackets::Unclosed(at, c),
        None => Brackets::Balanced,
    }
}

/// How many braces are still open at the end, and which of them was most likely forgotten: one
/// whose partner, by the indentation, closes something further out.
pub(super) fn unclosed_braces(text: &str) -> Option<(usize, usize)> {
    let mut open: Vec<(usize, usize)> = Vec::new();
    let mut suspect = None;
    let (mut indent, mut first) = (0, true);
    for (at, c) in signs(text) {
        match c {
            '\n' => (indent, first) = (0, true),
            ' ' | '\t' | '\r' if first => indent += 1,
            '{' => open.push((at, indent)),
            '}' => {
                if let Some((inner, deeper)) = open.pop() {
                    if first && deeper > indent && open.iter().any(|o| o.1 == indent) {
                        suspect = suspect.or(Some(inner));
                    }
                }
            }
            _ => {}
        }
        first &= c.is_whitespace();
    }
    let outermost = open.first()?.0;
    Some((open.len(), suspect.unwrap_or(outermost)))
}
