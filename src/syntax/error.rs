//! What is said when text does not follow the grammar.

use super::advice::advice;
use super::split::{brackets, Brackets, MAX_DEPTH};
use super::{Grammar, Place, Rule};
use crate::codes;
use crate::diag::Diagnostic;
use crate::source::Span;
use pest::error::{Error, ErrorVariant, InputLocation};
use pest::Parser as _;

/// Brackets nested beyond reason.
pub(super) fn too_deep(span: Span) -> Diagnostic {
    Diagnostic::error(codes::SYNTAX, span, format!("brackets are nested more than {MAX_DEPTH} deep"))
        .help("split the expression with `let`, or the structure with `block`")
}

/// A text that no person has written.
pub(super) fn too_long(span: Span, length: usize, limit: usize) -> Diagnostic {
    Diagnostic::error(codes::SYNTAX, span, format!("the file has {length} bytes, at most {limit} are read"))
        .help("move blocks into files of their own, and name them by `use`")
}

/// An expression of too many parts.
pub(super) fn too_many(span: Span, limit: usize) -> Diagnostic {
    Diagnostic::error(
        codes::SYNTAX,
        span,
        format!("this expression has more than {limit} values and operators within each other"),
    )
    .help("give parts of it names with `let`")
}

/// A string whose line ends before it does.
pub(super) fn open_string(span: Span) -> Diagnostic {
    Diagnostic::error(codes::SYNTAX, span, "this text does not end")
        .label("opened here")
        .help("add `\"` where it ends; a text stands on one line, and `\\\"` is a quote within it")
}

/// A backslash before anything but a quote or a backslash.
pub(super) fn bad_escape(span: Span) -> Diagnostic {
    Diagnostic::error(codes::SYNTAX, span, "this escape does not exist")
        .help("within a text, `\\\"` is a quote and `\\\\` a backslash; paths are written with `/`")
}

/// A bracket without its partner.
pub(super) fn unclosed(span: Span, bracket: char) -> Diagnostic {
    let close = match bracket {
        '(' => ')',
        '[' => ']',
        _ => '}',
    };
    Diagnostic::error(codes::SYNTAX, span, format!("this `{bracket}` is never closed"))
        .label("opened here")
        .help(format!("add `{close}` where it should end"))
}

/// A diagnostic for a line that was swallowed by recovery: parse it again to learn why. `start..end`
/// is the damaged text within the piece; `rule` is what it should have been.
pub(super) fn damaged(rule: Rule, piece: &str, place: Place, start: usize, end: usize) -> Diagnostic {
    let text = piece.get(start..end).unwrap_or("").trim_end();
    match Grammar::parse(rule, text) {
        Err(e) => {
            // At the end of the line it is nearly always a bracket that is not closed on it.
            if let (Brackets::Unclosed(open, c), true) = (brackets(text), position(&e) >= text.len()) {
                return unclosed(place.span(start + open, start + open + c.len_utf8()), c);
            }
            explain(&e, piece, place, start)
        }
        Ok(_) => {
            let what = text.split_whitespace().next().unwrap_or("this");
            let span = place.span(start, start + what.len());
            Diagnostic::error(codes::SYNTAX, span, format!("unexpected `{what}`"))
                .help("remove it, or put it where a statement can begin")
        }
    }
}

fn position(e: &Error<Rule>) -> usize {
    match e.location {
        InputLocation::Pos(p) | InputLocation::Span((p, _)) => p,
    }
}

/// Turns pest's error into one of ours. `shift` is where the parsed text begins in the piece.
pub(super) fn explain(e: &Error<Rule>, piece: &str, place: Place, shift: usize) -> Diagnostic {
    let at = shift + position(e);
    let found = found_word(piece, at);
    // An error at the end of the piece is nearly always a bracket that is never closed.
    if at >= piece.trim_end().len() {
        if let Brackets::Unclosed(open, c) = brackets(piece) {
            return unclosed(place.span(open, open + c.len_utf8()), c);
        }
    }
    if let Brackets::Unopened(close, c) = brackets(piece.get(..at + found.len()).unwrap_or("")) {
        return Diagnostic::error(
            codes::SYNTAX,
            place.span(close, close + c.len_utf8()),
            format!("this `{c}` closes nothing"),
        )
        .help("remove it, or add the bracket that it should close");
    }
    let wanted = match &e.variant {
        ErrorVariant::ParsingError { positives, .. } => expected(positives),
        ErrorVariant::CustomError { message } => message.clone(),
    };
    // Where the next thing stands on a later line, point behind the last thing that was read.
    let before = piece.get(..at).unwrap_or("");
    let read = before.get(..last_token_end(before)).unwrap_or("");
    if let Some(d) = no_value(found, read, place) {
        return d;
    }
    // A statement begins on a line of its own; anything else was missing on the line before.
    let begins = ["a statement", STAGE, "`maximize`", ITEM].iter().any(|w| wanted.contains(w));
    let gap = before.get(read.len()..).unwrap_or("");
    let next_line = !read.is_empty() && (found.is_empty() || (gap.contains('\n') && !begins));
    let (start, end) = match read.chars().next_back() {
        Some(last) if next_line => (read.len() - last.len_utf8(), read.len()),
        _ => (at, at + found.len()),
    };
    let reserved = RESERVED.contains(&found) && !next_line;
    let name = reserved && (wanted.contains("a name") || piece.get(at + found.len()..).is_some_and(labels));
    let message = if found.is_empty() {
        format!("expected {wanted}, found the end of the line")
    } else if name {
        format!("expected {wanted}, but `{found}` is a word of the language")
    } else {
        format!("expected {wanted}, found `{found}`")
    };
    let label =
        if next_line { format!("expected {wanted} after this") } else { format!("expected {wanted}") };
    let mut d = Diagnostic::error(codes::SYNTAX, place.span(start, end), message).label(label);
    d.help =
        if name { format!("choose another name, for instance `{found}_`") } else { advice(found, read, e) };
    d
}

/// Whether a label's colon comes next.
fn labels(rest: &str) -> bool {
    rest.trim_start_matches([' ', '\t']).starts_with(':')
}

/// `a =` with nothing behind it takes the next line's name for its value, and then stumbles over
/// that line's `=`.
fn no_value(found: &str, read: &str, place: Place) -> Option<Diagnostic> {
    let word = read.trim_end_matches(|c: char| c.is_ascii_alphanumeric() || c == '_');
    let gap = word.trim_end();
    if found != "="
        || word.len() == read.len()
        || !gap.ends_with('=')
        || !word.get(gap.len()..)?.contains('\n')
    {
        return None;
    }
    let d = Diagnostic::error(codes::SYNTAX, place.span(gap.len() - 1, gap.len()), "the value is missing");
    Some(d.label("expected a value after this").help("write it on the same line"))
}

/// Every keyword of the grammar.
pub(super) const RESERVED: [&str; 36] = [
    "use", "task", "block", "space", "device", "goal", "search", "evaluate", "final", "emit", "let", "where",
    "residual", "parallel", "repeat", "one_of", "optional", "when", "else", "if", "then", "choice", "shared",
    "in", "as", "on", "step", "and", "or", "not", "mod", "divides", "maximize", "minimize", "require",
    "pick",
];

/// The end of the last token before trailing white space and comments.
fn last_token_end(text: &str) -> usize {
    let mut end = text.trim_end().len();
    loop {
        let head = text.get(..end).unwrap_or("");
        let line_start = head.rfind('\n').map_or(0, |n| n + 1);
        let line = head.get(line_start..).unwrap_or("");
        match line.find("//") {
            Some(c) => end = head.get(..line_start + c).unwrap_or("").trim_end().len(),
            None => return end,
        }
    }
}

/// The word or sign at a position.
fn found_word(text: &str, at: usize) -> &str {
    let rest = text.get(at..).unwrap_or("");
    let word = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
    let sign = ["==", "<=", ">=", "!=", "->", "=>", "||", "&&", "|>", "..", "/*", "--"];
    let sign = sign.iter().find(|s| rest.starts_with(**s)).map_or(0, |s| s.len());
    let end = if word > 0 {
        word
    } else if sign > 0 {
        sign
    } else {
        rest.chars().next().map_or(0, char::len_utf8)
    };
    rest.get(..end).filter(|w| !w.trim().is_empty()).unwrap_or("")
}

/// The rules that would have fitted, as a person names them, without repetition.
fn expected(rules: &[Rule]) -> String {
    let mut names: Vec<&str> = Vec::new();
    for rule in rules {
        let name = name_of(*rule);
        for name in name.split('|').filter(|n| !n.is_empty()) {
            if !names.contains(&name) {
                names.push(name);
            }
        }
    }
    // An operator may follow every value; to list them all helps nobody. A stage is a statement.
    if names.len() > 1 {
        names.retain(|n| *n != "an operator");
    }
    if names.contains(&"a statement") {
        names.retain(|n| *n != STAGE);
    }
    if names.len() > 5 {
        names.truncate(5);
        return format!("{} or something similar", names.join(", "));
    }
    match names.split_last() {
        None => "the end of the item".to_string(),
        Some((only, [])) => (*only).to_string(),
        Some((last, rest)) => format!("{} or {last}", rest.join(", ")),
    }
}

const ITEM: &str = "an item (`task`, `space`, `block`, `goal`, ...)";
const STAGE: &str = "an operator or block such as `conv(8, 3)`";

fn name_of(rule: Rule) -> &'static str {
    match rule {
        Rule::chunk
        | Rule::use_item
        | Rule::task_item
        | Rule::block_item
        | Rule::space_item
        | Rule::device_item
        | Rule::goal_item
        | Rule::search_item
        | Rule::evaluate_item
        | Rule::final_item
        | Rule::emit_item
        | Rule::kw_use
        | Rule::kw_task
        | Rule::kw_block
        | Rule::kw_space
        | Rule::kw_device
        | Rule::kw_goal
        | Rule::kw_search
        | Rule::kw_evaluate
        | Rule::kw_final
        | Rule::kw_emit => ITEM,
        Rule::ident
        | Rule::arg_name
        | Rule::part
        | Rule::label
        | Rule::param
        | Rule::setting
        | Rule::returns
        | Rule::returns_key
        | Rule::whole_setting
        | Rule::whole_evaluation => "a name",
        Rule::unit_name => "a unit",
        Rule::expr
        | Rule::range
        | Rule::sum
        | Rule::quantity
        | Rule::number
        | Rule::path
        | Rule::call
        | Rule::list
        | Rule::paren
        | Rule::if_
        | Rule::choice
        | Rule::minus_sign
        | Rule::kw_not
        | Rule::kw_choice
        | Rule::kw_shared
        | Rule::kw_if
        | Rule::arg
        | Rule::open_bracket => "a value",
        Rule::string | Rule::text => "a text in double quotes",
        Rule::assign => "`=`",
        Rule::comma => "`,`",
        Rule::colon => "`:`",
        Rule::open_paren | Rule::args | Rule::params => "`(`",
        Rule::close_paren => "`)`",
        Rule::close_bracket => "`]`",
        Rule::open_brace | Rule::body | Rule::settings | Rule::evaluation | Rule::branches => "`{`",
        Rule::close_brace => "`}`",
        Rule::then => "`>`",
        Rule::comparison => "`<=` or `>=`",
        Rule::kw_on | Rule::on_device => "`on`",
        Rule::kw_then => "`then`",
        Rule::kw_else => "`else`",
        Rule::kw_in => "`in`",
        Rule::kw_as => "`as`",
        Rule::kw_step => "`step`",
        Rule::dots
        | Rule::add_op
        | Rule::sub_op
        | Rule::mul_op
        | Rule::div_op
        | Rule::kw_mod
        | Rule::le_op
        | Rule::ge_op
        | Rule::lt_op
        | Rule::gt_op
        | Rule::eq_op
        | Rule::ne_op
        | Rule::kw_divides
        | Rule::kw_and
        | Rule::kw_or => "an operator",
        Rule::element
        | Rule::stage
        | Rule::chain
        | Rule::group
        | Rule::residual
        | Rule::parallel
        | Rule::repeat
        | Rule::one_of
        | Rule::optional
        | Rule::when
        | Rule::kw_residual
        | Rule::kw_parallel
        | Rule::kw_repeat
        | Rule::kw_one_of
        | Rule::kw_optional
        | Rule::kw_when
        | Rule::branch
        | Rule::whole_branch => STAGE,
        Rule::whole_statement | Rule::let_ | Rule::where_ | Rule::kw_let | Rule::kw_where => "a statement",
        Rule::whole_goal
        | Rule::objective
        | Rule::require
        | Rule::pick
        | Rule::kw_maximize
        | Rule::kw_minimize
        | Rule::kw_require
        | Rule::kw_pick => "`maximize`|`minimize`|`require`|`pick`",
        Rule::measure | Rule::returned => "a metric",
        Rule::kw_best => "`best`",
        _ => "",
    }
}
