//! From pest's pairs to the tree.

use super::ast::*;
use super::expr::missing;
use super::{error, Place, Rule};
use crate::diag::Diagnostic;
use crate::source::Span;
use pest::iterators::{Pair, Pairs};

/// First and last byte within the piece.
type Extent = (usize, usize);

/// Builds the items of one piece.
pub(super) struct Builder<'a> {
    pub(super) place: Place,
    pub(super) text: &'a str,
    pub(super) found: &'a mut Vec<Diagnostic>,
    /// Names that damaged lines seem to define.
    pub(super) lost: &'a mut Vec<String>,
    /// Operators and values around the expression being built.
    pub(super) depth: usize,
}

impl<'a> Builder<'a> {
    pub(super) fn new(
        place: Place,
        text: &'a str,
        found: &'a mut Vec<Diagnostic>,
        lost: &'a mut Vec<String>,
    ) -> Self {
        Builder { place, text, found, lost, depth: 0 }
    }
}

impl Builder<'_> {
    pub(super) fn span(&self, pair: &Pair<'_, Rule>) -> Span {
        let s = pair.as_span();
        // White space and comments that the rule swallowed at its end do not belong to it.
        let text = s.as_str();
        let kept = text.lines().next_back().is_some_and(|l| l.contains("//"));
        let end = if kept { s.end() } else { s.start() + text.trim_end().len() };
        self.place.span(s.start(), end)
    }

    pub(super) fn ident(&self, pair: &Pair<'_, Rule>) -> Ident {
        Ident { name: pair.as_str().trim().to_string(), span: self.span(pair) }
    }

    fn nothing(&self, span: Span) -> Ident {
        Ident { name: String::new(), span }
    }

    /// Reports a swallowed line. `rule` is what should stand there; `good` is the last good one of its
    /// kind, the last of `all`. If that is on the same line, the grammar took the beginning of the
    /// damaged one for it: it is forgotten.
    fn damaged<T>(&mut self, rule: Rule, pair: &Pair<'_, Rule>, good: Option<Extent>, all: &mut Vec<T>) {
        let s = pair.as_span();
        let gap = good.and_then(|g| self.text.get(g.1..s.start()));
        let part = gap.is_some_and(|gap| !gap.contains('\n'));
        let start = good.filter(|_| part).map_or(s.start(), |g| g.0);
        self.lost.extend(super::first_words(self.text.get(start..).unwrap_or("")));
        self.lost.extend(super::first_words(s.as_str()));
        self.found.push(error::damaged(rule, self.text, self.place, start, s.end()));
        if part {
            all.pop();
        }
    }

    /// Where a pair begins and ends, without white space behind it.
    fn extent(&self, pair: &Pair<'_, Rule>) -> Extent {
        let s = pair.as_span();
        (s.start(), s.start() + s.as_str().trim_end().len())
    }

    pub(super) fn items(&mut self, pairs: Pairs<'_, Rule>) -> Vec<Item> {
        let mut items = Vec::new();
        for chunk in pairs {
            for pair in chunk.into_inner().filter(|p| p.as_rule() != Rule::EOI) {
                items.extend(self.item(pair));
            }
        }
        items
    }

    fn item(&mut self, pair: Pair<'_, Rule>) -> Option<Item> {
        let whole = self.span(&pair);
        let rule = pair.as_rule();
        // Items with a body are marked by their first word: the body may be long.
        let keyword = pair.as_str().find(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let end = whole.start + keyword.unwrap_or(0) as u32;
        let span = match rule {
            Rule::use_item | Rule::device_item => whole,
            _ => Span { end, ..whole },
        };
        let mut name = None;
        let mut section = Section { settings: Vec::new(), span };
        let mut body = None;
        let mut params = Vec::new();
        let mut value = None;
        let mut text = None;
        let mut goals = Vec::new();
        let (mut args, mut returns) = (Vec::new(), Vec::new());
        let mut before = None;
        for p in pair.into_inner() {
            match p.as_rule() {
                Rule::ident => name = Some(self.ident(&p)),
                Rule::args => args = self.args(p),
                Rule::evaluation => (section.settings, returns) = self.evaluation(p),
                Rule::settings => section.settings = self.settings(p).settings,
                Rule::body => body = Some(self.body(p)),
                Rule::params => params = self.params(p),
                Rule::expr => value = Some(self.expr(p)),
                Rule::string => {
                    let s = self.span(&p);
                    let inner = p.into_inner().next().map(|t| t.as_str().to_string());
                    text = Some(Ident { name: inner.unwrap_or_default(), span: s });
                }
                Rule::objective | Rule::require | Rule::pick => {
                    before = Some(self.extent(&p));
                    goals.extend(self.goal(p));
                }
                Rule::bad_line => self.damaged(Rule::whole_goal, &p, before.take(), &mut goals),
                _ => {}
            }
        }
        Some(match rule {
            Rule::use_item => Item::Use { path: text?, span },
            Rule::task_item => Item::Task(section),
            Rule::block_item => Item::Block(Block { name: name?, params, body: body?, span }),
            Rule::space_item => {
                let b = body?;
                Item::Space(Body { span: span.to(b.span), ..b })
            }
            Rule::device_item => Item::Device { name: name?, profile: value?, span },
            Rule::goal_item => Item::Goal { goals, span },
            Rule::search_item => Item::Search { algorithm: name?, section },
            Rule::evaluate_item => Item::Evaluate { kind: name?, args, returns, section },
            Rule::final_item => Item::Final(section),
            Rule::emit_item => Item::Emit { target: name?, section },
            _ => return None,
        })
    }

    fn settings(&mut self, pair: Pair<'_, Rule>) -> Section {
        let span = self.span(&pair);
        let mut settings = Vec::new();
        let mut before = None;
        for p in pair.into_inner() {
            match p.as_rule() {
                Rule::setting => {
                    before = Some(self.extent(&p));
                    settings.extend(self.setting(p));
                }
                Rule::bad_line => self.damaged(Rule::whole_setting, &p, before.take(), &mut settings),
                _ => {}
            }
        }
        Section { settings, span }
    }

    fn setting(&mut self, pair: Pair<'_, Rule>) -> Option<Setting> {
        let mut key = self.nothing(self.span(&pair));
        let mut device = None;
        let mut value = None;
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::ident => key = self.ident(&part),
                Rule::key_device => device = self.on_device(part),
                Rule::settings => value = Some(SettingValue::Section(self.settings(part))),
                Rule::expr => value = Some(SettingValue::Expr(self.expr(part))),
                _ => {}
            }
        }
        Some(Setting { key, device, value: value? })
    }

    /// The settings of `evaluate`, and what it returns.
    fn evaluation(&mut self, pair: Pair<'_, Rule>) -> (Vec<Setting>, Vec<(Vec<Returned>, Span)>) {
        let mut settings = Vec::new();
        let mut returns = Vec::new();
        let mut before = None;
        for p in pair.into_inner() {
            match p.as_rule() {
                Rule::setting => {
                    before = Some(self.extent(&p));
                    settings.extend(self.setting(p));
                }
                Rule::returns => {
                    let mut key = self.span(&p);
                    let mut all = Vec::new();
                    for part in p.into_inner() {
                        match part.as_rule() {
                            Rule::returns_key => key = self.span(&part),
                            Rule::returned => all.push(self.returned(part)),
                            _ => {}
                        }
                    }
                    returns.push((all, key));
                }
                Rule::bad_line => self.damaged(Rule::whole_evaluation, &p, before.take(), &mut settings),
                _ => {}
            }
        }
        (settings, returns)
    }

    fn returned(&mut self, pair: Pair<'_, Rule>) -> Returned {
        let nothing = Measure { metric: self.nothing(self.span(&pair)), device: None };
        let mut out = Returned { measure: nothing, unit: None };
        for part in pair.into_inner() {
            match part.as_rule() {
                Rule::measure => out.measure = self.measure(part),
                Rule::unit_name => out.unit = Some(self.ident(&part)),
                _ => {}
            }
        }
        out
    }

    fn goal(&mut self, pair: Pair<'_, Rule>) -> Option<Goal> {
        let span = self.span(&pair);
        let rule = pair.as_rule();
        let mut maximize = false;
        let mut measure = None;
        let mut name = None;
        let mut device = None;
        let mut comparison = None;
        let mut limit = None;
        for p in pair.into_inner() {
            match p.as_rule() {
                Rule::kw_maximize => maximize = true,
                Rule::measure => measure = Some(self.measure(p)),
                Rule::ident => name = Some(self.ident(&p)),
                Rule::on_device => device = self.on_device(p),
                Rule::comparison => comparison = Some(self.ident(&p)),
                Rule::expr => limit = Some(self.expr(p)),
                Rule::preferred => {
                    limit = p.into_inner().find(|q| q.as_rule() == Rule::expr).map(|q| self.expr(q))
                }
                _ => {}
            }
        }
        Some(match rule {
            Rule::objective => Goal::Objective { maximize, measure: measure?, range: limit, span },
            Rule::require => Goal::Require {
                measure: Measure { metric: name?, device },
                comparison: comparison?,
                limit: limit?,
                span,
            },
            _ => match measure {
                Some(measure) => Goal::PickBest { measure, span },
                None => Goal::Pick { rule: name?, span },
            },
        })
    }

    fn measure(&mut self, pair: Pair<'_, Rule>) -> Measure {
        let mut metric = self.nothing(self.span(&pair));
        let mut device = None;
        for p in pair.into_inner() {
            match p.as_rule() {
                Rule::ident => metric = self.ident(&p),
                Rule::on_device => device = self.on_device(p),
                _ => {}
            }
        }
        Measure { metric, device }
    }

    fn on_device(&self, pair: Pair<'_, Rule>) -> Option<Ident> {
        pair.into_inner().find(|p| p.as_rule() == Rule::ident).map(|p| self.ident(&p))
    }

    fn params(&mut self, pair: Pair<'_, Rule>) -> Vec<Param> {
        let mut params = Vec::new();
        for p in pair.into_inner().filter(|p| p.as_rule() == Rule::param) {
            let mut names = Vec::new();
            let mut default = None;
            for part in p.into_inner() {
                match part.as_rule() {
                    Rule::ident | Rule::type_name => names.push(self.ident(&part)),
                    Rule::expr => default = Some(self.expr(part)),
                    _ => {}
                }
            }
            let mut names = names.into_iter();
            if let Some(name) = names.next() {
                params.push(Param { name, ty: names.next(), default });
            }
        }
        params
    }

    fn body(&mut self, pair: Pair<'_, Rule>) -> Body {
        let span = self.span(&pair);
        let mut statements = Vec::new();
        let mut before = None;
        for p in pair.into_inner() {
            let here = self.span(&p);
            if matches!(p.as_rule(), Rule::let_ | Rule::where_ | Rule::chain) {
                before = Some(self.extent(&p));
            }
            match p.as_rule() {
                Rule::let_ => {
                    let mut name = self.nothing(here);
                    let mut value = missing(here);
                    for part in p.into_inner() {
                        match part.as_rule() {
                            Rule::ident => name = self.ident(&part),
                            Rule::expr => value = self.expr(part),
                            _ => {}
                        }
                    }
                    statements.push(Statement::Let { name, value });
                }
                Rule::where_ => {
                    let condition = p.into_inner().find(|q| q.as_rule() == Rule::expr).map(|q| self.expr(q));
                    statements.push(Statement::Where {
                        condition: condition.unwrap_or_else(|| missing(here)),
                        span: here,
                    });
                }
                Rule::chain => statements.push(Statement::Chain(self.chain(p))),
                Rule::bad_line => self.damaged(Rule::whole_statement, &p, before.take(), &mut statements),
                _ => {}
            }
        }
        Body { statements, span }
    }

    fn chain(&mut self, pair: Pair<'_, Rule>) -> Chain {
        let span = self.span(&pair);
        let elements = pair
            .into_inner()
            .filter(|p| p.as_rule() == Rule::element)
            .filter_map(|p| self.element(p))
            .collect();
        Chain { elements, span }
    }

    fn element(&mut self, pair: Pair<'_, Rule>) -> Option<Element> {
        let mut span = self.span(&pair);
        let whole = pair.as_span();
        let mut label = None;
        let mut kind = None;
        for p in pair.into_inner() {
            match p.as_rule() {
                Rule::label => label = Some(self.ident(&p)),
                Rule::colon => {}
                _ => {
                    let body = |q: &Pair<'_, Rule>| matches!(q.as_rule(), Rule::body | Rule::branches);
                    if let Some(b) = p.clone().into_inner().find(body).map(|b| b.as_span().start()) {
                        let from = whole.start();
                        let head = self.text.get(from..b).map_or(0, |t| t.trim_end().len());
                        // A group has nothing before its brace.
                        span = self.place.span(from, (from + head).max(from + 1));
                    }
                    kind = self.element_kind(p);
                }
            }
        }
        Some(Element { label, kind: kind?, span })
    }

    fn element_kind(&mut self, pair: Pair<'_, Rule>) -> Option<ElementKind> {
        let rule = pair.as_rule();
        let mut names = Vec::new();
        let mut exprs = Vec::new();
        let mut bodies = Vec::new();
        let mut branches = Vec::new();
        let mut args = Vec::new();
        let (mut searched, mut index) = (false, None);
        let mut inner = pair.into_inner();
        while let Some(p) = inner.next() {
            match p.as_rule() {
                Rule::ident => names.push(self.ident(&p)),
                Rule::expr => exprs.push(self.expr(p)),
                Rule::body => bodies.push(self.body(p)),
                Rule::branches => branches = self.branches(p),
                Rule::args => args = self.args(p),
                Rule::kw_in => searched = true,
                Rule::kw_as => index = inner.next().map(|i| self.ident(&i)),
                _ => {}
            }
        }
        let mut names = names.into_iter();
        let mut exprs = exprs.into_iter();
        let mut bodies = bodies.into_iter();
        Some(match rule {
            Rule::stage => ElementKind::Stage { name: names.next()?, args },
            Rule::residual => ElementKind::Residual { condition: exprs.next(), body: bodies.next()? },
            Rule::parallel => ElementKind::Parallel { join: names.next()?, branches },
            Rule::repeat => ElementKind::Repeat {
                name: if searched { names.next() } else { None },
                count: exprs.next()?,
                index,
                body: bodies.next()?,
            },
            Rule::one_of => ElementKind::OneOf { name: names.next()?, branches },
            Rule::optional => ElementKind::Optional { name: names.next()?, body: bodies.next()? },
            Rule::when => {
                ElementKind::When { condition: exprs.next()?, then: bodies.next()?, otherwise: bodies.next() }
            }
            Rule::group => ElementKind::Group(bodies.next()?),
            _ => return None,
        })
    }

    fn branches(&mut self, pair: Pair<'_, Rule>) -> Vec<Branch> {
        let mut branches = Vec::new();
        let mut before = None;
        for p in pair.into_inner() {
            match p.as_rule() {
                Rule::branch => {
                    before = Some(self.extent(&p));
                    let mut label = None;
                    let mut chain = None;
                    for part in p.into_inner() {
                        match part.as_rule() {
                            Rule::label => label = Some(self.ident(&part)),
                            Rule::chain => chain = Some(self.chain(part)),
                            _ => {}
                        }
                    }
                    branches.extend(chain.map(|chain| Branch { label, chain }));
                }
                Rule::bad_line => self.damaged(Rule::whole_branch, &p, before.take(), &mut branches),
                _ => {}
            }
        }
        branches
    }
}
