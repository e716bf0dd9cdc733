//! What to write instead, by what was found and what would have fitted.

use super::error::RESERVED;
use super::Rule;
use pest::error::{Error, ErrorVariant};

/// The words that something of a rule can begin with.
fn spellings(rule: Rule) -> &'static [&'static str] {
    match rule {
        Rule::chunk | Rule::kw_task | Rule::task_item => &super::split::ITEMS,
        Rule::whole_goal | Rule::objective | Rule::kw_maximize => {
            &["maximize", "minimize", "require", "pick"]
        }
        Rule::whole_statement | Rule::let_ | Rule::kw_let => &["let", "where"],
        Rule::kw_then => &["then"],
        Rule::kw_else => &["else"],
        Rule::kw_on => &["on"],
        Rule::kw_in => &["in"],
        Rule::kw_as => &["as"],
        Rule::kw_step => &["step"],
        _ => &[],
    }
}

/// Advice for the mistakes that are made most often.
pub(super) fn advice(found: &str, before: &str, e: &Error<Rule>) -> String {
    let positives: &[Rule] = match &e.variant {
        ErrorVariant::ParsingError { positives, .. } => positives,
        ErrorVariant::CustomError { .. } => &[],
    };
    let last = before.trim_end();
    // A word of the language with a slip of the pen.
    let words: Vec<&str> = positives.iter().flat_map(|r| spellings(*r)).copied().collect();
    if let Some(word) = super::nearest(found, words).filter(|w| *w != found) {
        return format!("did you mean `{word}`?");
    }
    let by_sign = match found {
        ";" => "statements end with the line; remove the `;`",
        "'" => "texts stand in double quotes: \"...\"",
        "#" | "/" | "/*" => "comments begin with `//` and end with the line",
        "->" | "=>" | "|>" | "|" => "join stages with `>`: conv(8, 3) > batch_norm > relu",
        "||" => "write `or`",
        "&&" => "write `and`",
        "!" => "write `not x`, or `!=` without a space",
        "==" => "`=` gives a value, `==` compares",
        "=" if last.ends_with(['<', '>', '!', '=']) => "write the comparison without a space",
        "=" if !positives.contains(&Rule::assign) => "`==` compares, `=` gives a value",
        ">" => "`>` stands between two stages",
        "else" => "`else` follows the `}` of its `when`",
        "." if last.ends_with(|c: char| c.is_ascii_digit()) => "a number has one point: 3.14",
        "." => "write a digit before the point: 0.5",
        _ if found.chars().any(char::is_control) => "this does not look like a text file",
        _ if !found.is_ascii() => {
            "names and signs are ASCII: letters, digits, `_`; other characters may stand in texts and comments"
        }
        _ if last.ends_with('=') && found.is_empty() => {
            "write the value behind the `=`: a number, a text, `choice(8, 16)`"
        }
        _ if last.ends_with("else") => "`else` is followed by `{`; nest the other `when` in it",
        _ if last.ends_with(">") => "`>` stands between two stages; remove it, or write the stage that follows",
        _ => "",
    };
    if !by_sign.is_empty() {
        return by_sign.into();
    }
    if positives.contains(&Rule::kw_else) || positives.contains(&Rule::kw_then) {
        return "a conditional value is written `if a == 1 then 8 else 16`".into();
    }
    if positives.contains(&Rule::close_paren) || positives.contains(&Rule::close_bracket) {
        return "separate values with `,` and close the bracket".into();
    }
    if positives.contains(&Rule::assign) {
        return "settings are written `key = value` or `key { .. }`, names are given values with `=`".into();
    }
    let goals = [Rule::whole_goal, Rule::objective, Rule::kw_maximize, Rule::comparison, Rule::measure];
    if positives.iter().any(|r| goals.contains(r)) {
        return "for instance `maximize accuracy` or `require ram <= 96 KiB on board`".into();
    }
    if positives.iter().any(|r| matches!(r, Rule::chunk | Rule::task_item | Rule::kw_task)) {
        if last.ends_with('}') {
            return "the item before this has ended with its `}`; remove that, or begin the next item: `task`, `block`, `space`, `device`, `goal`, `search`, `evaluate`, `final`, `emit`".into();
        }
        return "a file consists of `use`, `task`, `block`, `space`, `device`, `goal`, `search`, `evaluate`, `final` and `emit`"
            .into();
    }
    let opener = last.rsplit(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap_or("");
    let statements = ["let", "where", "repeat", "residual", "parallel", "one_of", "optional", "when"];
    if !RESERVED.contains(&opener) {
        if let Some(word) = super::nearest(opener, statements) {
            return format!("did you mean `{word}` instead of `{opener}`?");
        }
    }
    let by_word = match opener {
        "parallel" => "name how branches are joined: `parallel add { .. }`, `mul`, `concat` or `matmul`",
        "one_of" => "name the decision: `one_of mixer { a: .. b: .. }`",
        "optional" => "name the decision: `optional extra { .. }`",
        "use" => "the file's path stands in double quotes: `use \"blocks.hyt\"`",
        _ => "",
    };
    if !by_word.is_empty() {
        return by_word.into();
    }
    let open = positives.contains(&Rule::open_paren) || positives.contains(&Rule::params);
    if open && last.lines().next_back().is_some_and(|l| l.starts_with("block ")) {
        return "a block has its parameters in parentheses, `block name(width, stride = 1) { .. }`, also if there are none".into();
    }
    if positives.contains(&Rule::open_brace) || positives.contains(&Rule::body) {
        return "what belongs to it stands in braces: `repeat 3 { .. }`, `when a == 1 { .. }`".into();
    }
    "see docs/language.md for the grammar".into()
}
