//! Rust text in the shape that rustfmt gives it in its default style.

/// Columns of a line.
const WIDTH: usize = 100;
/// Columns that the arguments of a call or the elements of an array may take on one line.
const SHORT: usize = 60;

/// Text under construction.
#[derive(Debug, Default)]
pub(super) struct Text(pub(super) String);

impl Text {
    /// Adds one line.
    pub(super) fn line(&mut self, line: impl AsRef<str>) {
        self.0.push_str(line.as_ref());
        self.0.push('\n');
    }

    /// A call as a statement in the body of a function.
    pub(super) fn call(&mut self, function: &str, args: &[String]) {
        let joined = args.join(", ");
        let line = format!("    {function}({joined});");
        if joined.len() <= SHORT && line.len() <= WIDTH {
            return self.line(line);
        }
        self.line(format!("    {function}("));
        for a in args {
            self.line(format!("        {a},"));
        }
        self.line("    );");
    }

    /// A struct literal bound to a name in the body of a function.
    pub(super) fn literal(&mut self, name: &str, kind: &str, fields: &[(&str, String)]) {
        self.line(format!("    let {name} = {kind} {{"));
        for (field, value) in fields {
            match field == value {
                true => self.line(format!("        {field},")),
                false => self.line(format!("        {field}: {value},")),
            }
        }
        self.line("    };");
    }

    /// An array constant.
    pub(super) fn array(&mut self, head: &str, items: &[String]) {
        let joined = items.join(", ");
        if joined.len() <= SHORT && head.len() + joined.len() + 6 <= WIDTH {
            return self.line(format!("{head} = [{joined}];"));
        }
        self.line("#[rustfmt::skip]");
        self.line(format!("{head} = ["));
        for i in items {
            self.line(format!("    {i},"));
        }
        self.line("];");
    }

    /// `use path::{items};` with the items in order.
    pub(super) fn import(&mut self, path: &str, items: &[&str]) {
        let one = match items {
            [item] => format!("use {path}::{item};"),
            _ => format!("use {path}::{{{}}};", items.join(", ")),
        };
        if one.len() <= WIDTH {
            return self.line(one);
        }
        self.line(format!("use {path}::{{"));
        let mut line = String::new();
        for item in items {
            if !line.is_empty() && 4 + line.len() + item.len() + 2 > WIDTH {
                self.line(format!("    {}", line.trim_end()));
                line.clear();
            }
            line += &format!("{item}, ");
        }
        self.line(format!("    {}", line.trim_end()));
        self.line("};");
    }
}

/// A name made fit for a comment on one line.
pub(super) fn plain(name: &str) -> String {
    name.chars().map(|c| if c.is_control() || c == '`' { '_' } else { c }).collect()
}

/// The shortest literal that is this f32 exactly.
pub(super) fn float(x: f32) -> String {
    format!("{x:?}")
}
