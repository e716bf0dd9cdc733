//! Expressions: pest gives flat runs of operands and operators, the Pratt parser gives them shape.

use super::ast::{Arg, Binary, Expr, ExprKind, Ident, Segment, Unary};
use super::build::Builder;
use super::grammar::Rule;
use crate::source::Span;
use pest::iterators::Pair;
use pest::pratt_parser::{Assoc, Op, PrattParser};
use std::sync::LazyLock;

static PRATT: LazyLock<PrattParser<Rule>> = LazyLock::new(|| {
    let left = |r| Op::infix(r, Assoc::Left);
    PrattParser::new()
        .op(left(Rule::kw_or))
        .op(left(Rule::kw_and))
        .op(Op::prefix(Rule::kw_not))
        .op(left(Rule::le_op)
            | left(Rule::ge_op)
            | left(Rule::lt_op)
            | left(Rule::gt_op)
            | left(Rule::eq_op)
            | left(Rule::ne_op)
            | left(Rule::kw_divides))
        .op(left(Rule::add_op) | left(Rule::sub_op))
        .op(left(Rule::mul_op) | left(Rule::div_op) | left(Rule::kw_mod))
        .op(Op::prefix(Rule::minus_sign))
});

/// What stands in for an expression that could not be read. Its empty name is never reported as unknown.
pub(super) fn missing(span: Span) -> Expr {
    Expr { kind: ExprKind::Path(vec![Segment::Name(String::new())]), span }
}

/// Values and operators on the way down to the innermost one of an expression. What walks over trees
/// does so recursively, so that this bounds its stack.
const MAX_OPERATORS: usize = 256;

impl Builder<'_> {
    /// An `expr` pair.
    pub(super) fn expr(&mut self, pair: Pair<'_, Rule>) -> Expr {
        let span = self.span(&pair);
        let Some(range) = pair.into_inner().next() else { return missing(span) };
        let mut parts = range.into_inner().filter(|p| p.as_rule() == Rule::sum);
        let Some(low) = parts.next().map(|p| self.sum(p)) else { return missing(span) };
        let Some(high) = parts.next().map(|p| self.sum(p)) else { return low };
        let step = parts.next().map(|p| Box::new(self.sum(p)));
        Expr { kind: ExprKind::Range { low: Box::new(low), high: Box::new(high), step }, span }
    }

    fn sum(&mut self, pair: Pair<'_, Rule>) -> Expr {
        let whole = self.span(&pair);
        let pairs: Vec<Pair<'_, Rule>> = pair.into_inner().collect();
        if pairs.is_empty() {
            return missing(whole);
        }
        let place = self.place;
        let outer = self.depth;
        self.depth += pairs.len();
        if self.depth > MAX_OPERATORS {
            self.depth = outer;
            // The expressions around it would only say so again.
            if !self.found.last().is_some_and(|d| whole.start <= d.span.start && d.span.end <= whole.end) {
                self.found.push(super::error::too_many(whole, MAX_OPERATORS));
            }
            return missing(whole);
        }
        let built = PRATT
            .map_primary(|p| self.primary(p))
            .map_prefix(move |op, x| {
                let s = op.as_span();
                let kind = if op.as_rule() == Rule::minus_sign { Unary::Minus } else { Unary::Not };
                let span = place.span(s.start(), s.end()).to(x.span);
                Expr { kind: ExprKind::Unary(kind, Box::new(x)), span }
            })
            .map_infix(|l, op, r| {
                let span = l.span.to(r.span);
                Expr { kind: ExprKind::Binary(infix(op.as_rule()), Box::new(l), Box::new(r)), span }
            })
            .parse(pairs.into_iter());
        self.depth = outer;
        built
    }

    fn primary(&mut self, pair: Pair<'_, Rule>) -> Expr {
        let span = self.span(&pair);
        let kind = match pair.as_rule() {
            Rule::quantity => {
                let mut value = 0.0;
                let mut unit = None;
                for p in pair.into_inner() {
                    match p.as_rule() {
                        Rule::number => value = self.number(&p),
                        _ => unit = Some(self.ident(&p)),
                    }
                }
                ExprKind::Number { value, unit }
            }
            Rule::string => ExprKind::Text(unescape(&pair)),
            Rule::list => ExprKind::List(self.exprs(pair)),
            Rule::if_ => {
                let mut parts = self.exprs(pair).into_iter();
                match (parts.next(), parts.next(), parts.next()) {
                    (Some(c), Some(a), Some(b)) => ExprKind::If(Box::new(c), Box::new(a), Box::new(b)),
                    _ => return missing(span),
                }
            }
            Rule::choice => {
                let inner: Vec<_> = pair.into_inner().collect();
                let shared = inner.iter().any(|p| p.as_rule() == Rule::kw_shared);
                let args = inner.into_iter().find(|p| p.as_rule() == Rule::args);
                ExprKind::Choice { shared, options: args.map(|a| self.args(a)).unwrap_or_default() }
            }
            Rule::call => {
                let mut name = Ident { name: String::new(), span };
                let mut args = Vec::new();
                for p in pair.into_inner() {
                    match p.as_rule() {
                        Rule::ident => name = self.ident(&p),
                        _ => args = self.args(p),
                    }
                }
                ExprKind::Call(name, args)
            }
            Rule::path => {
                let text = pair.as_str();
                let mut segments: Vec<Segment> = pair
                    .into_inner()
                    .map(|p| match p.as_rule() {
                        Rule::index => Segment::Index(p.as_str().parse().unwrap_or(usize::MAX)),
                        _ => Segment::Name(p.as_str().to_string()),
                    })
                    .collect();
                if segments.is_empty() {
                    segments.push(Segment::Name(text.to_string()));
                }
                ExprKind::Path(segments)
            }
            Rule::paren => {
                let inner = pair.into_inner().find(|p| p.as_rule() == Rule::expr);
                let Some(inner) = inner else { return missing(span) };
                return Expr { span, ..self.expr(inner) };
            }
            _ => return missing(span),
        };
        Expr { kind, span }
    }

    fn exprs(&mut self, pair: Pair<'_, Rule>) -> Vec<Expr> {
        pair.into_inner().filter(|p| p.as_rule() == Rule::expr).map(|p| self.expr(p)).collect()
    }

    /// An `args` pair.
    pub(super) fn args(&mut self, pair: Pair<'_, Rule>) -> Vec<Arg> {
        pair.into_inner()
            .filter(|p| p.as_rule() == Rule::arg)
            .map(|p| {
                let mut name = None;
                let mut value = missing(self.span(&p));
                for part in p.into_inner() {
                    match part.as_rule() {
                        Rule::arg_name => name = Some(self.ident(&part)),
                        Rule::expr => value = self.expr(part),
                        _ => {}
                    }
                }
                Arg { name, value }
            })
            .collect()
    }

    fn number(&mut self, pair: &Pair<'_, Rule>) -> f64 {
        // The grammar only lets digits through; a huge exponent parses as infinity.
        let value: f64 = pair.as_str().replace('_', "").parse().unwrap_or(f64::NAN);
        if !value.is_finite() {
            let d = crate::diag::Diagnostic::error(
                crate::codes::SYNTAX,
                self.span(pair),
                "this number is too large",
            );
            self.found.push(d.help("write a number below 1e308"));
            return 1.0;
        }
        value
    }
}

fn unescape(pair: &Pair<'_, Rule>) -> String {
    let raw = pair.as_str();
    let inner = raw.strip_prefix('"').and_then(|r| r.strip_suffix('"')).unwrap_or(raw);
    let mut out = String::with_capacity(inner.len());
    let mut chars = inner.chars();
    while let Some(c) = chars.next() {
        out.push(if c == '\\' { chars.next().unwrap_or(c) } else { c });
    }
    out
}

fn infix(rule: Rule) -> Binary {
    match rule {
        Rule::add_op => Binary::Add,
        Rule::sub_op => Binary::Sub,
        Rule::mul_op => Binary::Mul,
        Rule::div_op => Binary::Div,
        Rule::kw_mod => Binary::Mod,
        Rule::le_op => Binary::Le,
        Rule::ge_op => Binary::Ge,
        Rule::lt_op => Binary::Lt,
        Rule::gt_op => Binary::Gt,
        Rule::ne_op => Binary::Ne,
        Rule::kw_divides => Binary::Divides,
        Rule::kw_and => Binary::And,
        Rule::kw_or => Binary::Or,
        _ => Binary::Eq,
    }
}
