//! The syntax tree: what was written, with a span on everything, before it means anything.

use crate::source::Span;

/// A name where it was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ident {
    /// The name.
    pub name: String,
    /// Where.
    pub span: Span,
}

/// One file.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct File {
    /// Its items in order.
    pub items: Vec<Item>,
    /// Names that damaged lines seem to define: not finding those is no news.
    pub lost: Vec<String>,
}

/// A top-level item.
#[derive(Debug, Clone, PartialEq)]
pub enum Item {
    /// `use "file.hyt"`
    Use {
        /// The path as written.
        path: Ident,
        /// The whole item.
        span: Span,
    },
    /// `task { .. }`
    Task(Section),
    /// `block name(params) { .. }`
    Block(Block),
    /// `space { .. }`
    Space(Body),
    /// `device name = "profile"`
    Device {
        /// The name in this file.
        name: Ident,
        /// A string.
        profile: Expr,
        /// The whole item.
        span: Span,
    },
    /// `goal { .. }`
    Goal {
        /// Its statements.
        goals: Vec<Goal>,
        /// The whole item.
        span: Span,
    },
    /// `search mobo { .. }`
    Search {
        /// The algorithm.
        algorithm: Ident,
        /// Its settings.
        section: Section,
    },
    /// `evaluate command("python3", "train.py") { .. }`
    Evaluate {
        /// `command`.
        kind: Ident,
        /// What stands in its parentheses.
        args: Vec<Arg>,
        /// `metrics = [..]`, as often as it is there, each with the place of its key.
        returns: Vec<(Vec<Returned>, Span)>,
        /// Its other settings.
        section: Section,
    },
    /// `final { .. }`
    Final(Section),
    /// `emit rust { .. }`
    Emit {
        /// `onnx` or `rust`.
        target: Ident,
        /// Its settings.
        section: Section,
    },
}

/// `latency on board in ms`
#[derive(Debug, Clone, PartialEq)]
pub struct Returned {
    /// What is returned.
    pub measure: Measure,
    /// In which unit.
    pub unit: Option<Ident>,
}

/// `{ key = value .. }`
#[derive(Debug, Clone, PartialEq)]
pub struct Section {
    /// The settings in order.
    pub settings: Vec<Setting>,
    /// The item it belongs to.
    pub span: Span,
}

/// `key = value` or `key { .. }`
#[derive(Debug, Clone, PartialEq)]
pub struct Setting {
    /// The key.
    pub key: Ident,
    /// The device behind it: `latency on board = ..`.
    pub device: Option<Ident>,
    /// The value.
    pub value: SettingValue,
}

/// The right side of a setting.
#[derive(Debug, Clone, PartialEq)]
pub enum SettingValue {
    /// `= expr`
    Expr(Expr),
    /// `{ .. }`
    Section(Section),
}

/// A statement of `goal`.
#[derive(Debug, Clone, PartialEq)]
pub enum Goal {
    /// `maximize m` or `minimize m`, perhaps with a preferred range
    Objective {
        /// Which of the two.
        maximize: bool,
        /// Of what.
        measure: Measure,
        /// `in low..high`
        range: Option<Expr>,
        /// The statement.
        span: Span,
    },
    /// `require m <= limit`
    Require {
        /// Of what.
        measure: Measure,
        /// `<=`, `>=`, `<`, `>` or `==`, with its place.
        comparison: Ident,
        /// The limit.
        limit: Expr,
        /// The statement.
        span: Span,
    },
    /// `pick best m`
    PickBest {
        /// By what.
        measure: Measure,
        /// The statement.
        span: Span,
    },
    /// `pick knee`
    Pick {
        /// The rule's name.
        rule: Ident,
        /// The statement.
        span: Span,
    },
}

/// `latency on board`
#[derive(Debug, Clone, PartialEq)]
pub struct Measure {
    /// The metric.
    pub metric: Ident,
    /// The device.
    pub device: Option<Ident>,
}

/// `block name(params) { .. }`
#[derive(Debug, Clone, PartialEq)]
pub struct Block {
    /// Its name.
    pub name: Ident,
    /// Its parameters.
    pub params: Vec<Param>,
    /// What it makes.
    pub body: Body,
    /// The whole item.
    pub span: Span,
}

/// `width: int = 8`
#[derive(Debug, Clone, PartialEq)]
pub struct Param {
    /// Its name.
    pub name: Ident,
    /// Its type, if written.
    pub ty: Option<Ident>,
    /// Its default, if any.
    pub default: Option<Expr>,
}

/// `{ statements }`
#[derive(Debug, Clone, PartialEq)]
pub struct Body {
    /// In order.
    pub statements: Vec<Statement>,
    /// With the braces; of `space` with its keyword.
    pub span: Span,
}

/// A statement of a space or block.
#[derive(Debug, Clone, PartialEq)]
pub enum Statement {
    /// `let name = value`
    Let {
        /// The name.
        name: Ident,
        /// Its value.
        value: Expr,
    },
    /// `where condition`
    Where {
        /// The condition.
        condition: Expr,
        /// The statement.
        span: Span,
    },
    /// `a > b > c`
    Chain(Chain),
}

/// Elements one after the other.
#[derive(Debug, Clone, PartialEq)]
pub struct Chain {
    /// In order.
    pub elements: Vec<Element>,
    /// All of it.
    pub span: Span,
}

/// Something that takes a value and gives one.
#[derive(Debug, Clone, PartialEq)]
pub struct Element {
    /// `label:` before it.
    pub label: Option<Ident>,
    /// What it is.
    pub kind: ElementKind,
    /// With the label; of an element with a body what stands before it.
    pub span: Span,
}

/// Kinds of elements.
#[derive(Debug, Clone, PartialEq)]
pub enum ElementKind {
    /// `conv(8, 3)`: an operator, a block, or a name that stands for one.
    Stage {
        /// Its name.
        name: Ident,
        /// Its arguments; `None` without parentheses.
        args: Vec<Arg>,
    },
    /// `residual when c { .. }`
    Residual {
        /// Without it always.
        condition: Option<Expr>,
        /// What the input is added to.
        body: Body,
    },
    /// `parallel add { .. }`
    Parallel {
        /// `add`, `mul`, `concat`, `matmul`.
        join: Ident,
        /// The branches.
        branches: Vec<Branch>,
    },
    /// `repeat name in count as i { .. }`
    Repeat {
        /// The decision's name; none where the count is not searched.
        name: Option<Ident>,
        /// A number, a range or a choice.
        count: Expr,
        /// Counts from 1.
        index: Option<Ident>,
        /// What is repeated.
        body: Body,
    },
    /// `one_of name { a: .. b: .. }`
    OneOf {
        /// The decision's name.
        name: Ident,
        /// The alternatives.
        branches: Vec<Branch>,
    },
    /// `optional name { .. }`
    Optional {
        /// The decision's name.
        name: Ident,
        /// Made or left out.
        body: Body,
    },
    /// `when c { .. } else { .. }`
    When {
        /// The condition.
        condition: Expr,
        /// If it holds.
        then: Body,
        /// If not.
        otherwise: Option<Body>,
    },
    /// `{ .. }`
    Group(Body),
}

/// One branch of `parallel` or `one_of`.
#[derive(Debug, Clone, PartialEq)]
pub struct Branch {
    /// Its label.
    pub label: Option<Ident>,
    /// What it makes.
    pub chain: Chain,
}

/// `name = value` or `value` between parentheses.
#[derive(Debug, Clone, PartialEq)]
pub struct Arg {
    /// The parameter's name, if written; of `point(..)` a path.
    pub name: Option<Ident>,
    /// Its value.
    pub value: Expr,
}

/// An expression.
#[derive(Debug, Clone, PartialEq)]
pub struct Expr {
    /// What it is.
    pub kind: ExprKind,
    /// Where.
    pub span: Span,
}

/// Kinds of expressions.
#[derive(Debug, Clone, PartialEq)]
pub enum ExprKind {
    /// `96 KiB`
    Number {
        /// As written, without the unit.
        value: f64,
        /// The unit, if written.
        unit: Option<Ident>,
    },
    /// `"text"`
    Text(String),
    /// `w1`, `in.channels`, `local[2].expand`
    Path(Vec<Segment>),
    /// `[a, b]`
    List(Vec<Expr>),
    /// `-x`, `not x`
    Unary(Unary, Box<Expr>),
    /// `a + b`
    Binary(Binary, Box<Expr>, Box<Expr>),
    /// `if c then a else b`
    If(Box<Expr>, Box<Expr>, Box<Expr>),
    /// `min(a, b)`, `image(28, 28, 1)`, `mbconv(8)`
    Call(Ident, Vec<Arg>),
    /// `choice(a, b)`
    Choice {
        /// Made once for all iterations of the `repeat`s around it.
        shared: bool,
        /// The alternatives.
        options: Vec<Arg>,
    },
    /// `1..4`, `8..64 step 8`; both ends belong to it.
    Range {
        /// First.
        low: Box<Expr>,
        /// Last.
        high: Box<Expr>,
        /// Distance, 1 if not written.
        step: Option<Box<Expr>>,
    },
}

/// A part of a path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
    /// `.name`
    Name(String),
    /// `[2]`
    Index(usize),
}

/// Prefix operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Unary {
    /// `-`
    Minus,
    /// `not`
    Not,
}

/// Infix operators.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[allow(missing_docs)] // their spelling is `symbol`
pub enum Binary {
    Add,
    Sub,
    Mul,
    Div,
    Mod,
    Le,
    Ge,
    Lt,
    Gt,
    Eq,
    Ne,
    Divides,
    And,
    Or,
}

impl Binary {
    /// The spelling.
    pub fn symbol(self) -> &'static str {
        match self {
            Binary::Add => "+",
            Binary::Sub => "-",
            Binary::Mul => "*",
            Binary::Div => "/",
            Binary::Mod => "mod",
            Binary::Le => "<=",
            Binary::Ge => ">=",
            Binary::Lt => "<",
            Binary::Gt => ">",
            Binary::Eq => "==",
            Binary::Ne => "!=",
            Binary::Divides => "divides",
            Binary::And => "and",
            Binary::Or => "or",
        }
    }
}
