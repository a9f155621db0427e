//! The expressions of `--where`: columns compared with values.
//!
//! ```text
//! type == net and (nprocs > 1 or not user == root)
//! command =~ "^nginx"
//! ```
//!
//! Parsing knows no columns: whoever calls it says which names there are. Not here: what a column holds (`render::column`).

use std::cmp::Ordering;
use std::fmt;

use regex_lite::Regex;

/// What a column holds for one row, before it is made pretty.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// Nothing: it does not apply, or is not known.
    Null,
    /// A number.
    Number(u64),
    /// A text.
    Text(String),
}

impl Value {
    /// Orders values: numbers by size, texts by letters, nothing last.
    pub fn order(&self, other: &Value) -> Ordering {
        match (self, other) {
            (Value::Number(a), Value::Number(b)) => a.cmp(b),
            (Value::Text(a), Value::Text(b)) => a.cmp(b),
            (Value::Null, Value::Null) => Ordering::Equal,
            (Value::Null, _) => Ordering::Greater,
            (_, Value::Null) => Ordering::Less,
            (Value::Number(_), Value::Text(_)) => Ordering::Less,
            (Value::Text(_), Value::Number(_)) => Ordering::Greater,
        }
    }

    fn text(&self) -> String {
        match self {
            Value::Null => String::new(),
            Value::Number(number) => number.to_string(),
            Value::Text(text) => text.clone(),
        }
    }
}

/// How a column is compared.
#[derive(Clone, Debug)]
enum Comparison {
    Equal(String),
    Below(String),
    Above(String),
    AtMost(String),
    AtLeast(String),
    Matches(Box<Regex>),
}

/// A parsed expression; columns are numbers that the parser was given.
#[derive(Clone, Debug)]
pub enum Expr {
    /// A comparison of a column.
    Compare(Compare),
    /// Not what is in it.
    Not(Box<Expr>),
    /// Both.
    And(Box<Expr>, Box<Expr>),
    /// Either.
    Or(Box<Expr>, Box<Expr>),
}

/// A column, and what it is compared with.
#[derive(Clone, Debug)]
pub struct Compare {
    column: usize,
    comparison: Comparison,
}

/// Why an expression cannot be parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExprError {
    /// Where in the text, in characters from 0.
    pub at: usize,
    /// What is wrong there.
    pub why: String,
}

impl fmt::Display for ExprError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (at character {})", self.why, self.at + 1)
    }
}

impl std::error::Error for ExprError {}

impl Expr {
    /// Parses an expression. `column` returns the number of a column by its name.
    ///
    /// # Errors
    /// Where the text is no expression, or names a column that is not there.
    pub fn parse(text: &str, column: &dyn Fn(&str) -> Option<usize>) -> Result<Expr, ExprError> {
        let mut parser = Parser { tokens: tokens(text)?, next: 0, end: text.chars().count(), column, depth: 0 };
        let expr = parser.either()?;
        match parser.peek() {
            None => Ok(expr),
            Some((at, token)) => {
                Err(ExprError { at: *at, why: format!("expected `and`, `or` or the end, not {token}") })
            }
        }
    }

    /// Says whether something is true of all columns that are compared.
    pub fn columns_are(&self, is: &dyn Fn(usize) -> bool) -> bool {
        match self {
            Expr::Compare(compare) => is(compare.column),
            Expr::Not(expr) => expr.columns_are(is),
            Expr::And(a, b) | Expr::Or(a, b) => a.columns_are(is) && b.columns_are(is),
        }
    }

    /// Says whether a row fits; `value` returns what its column with this number holds.
    pub fn admits(&self, value: &dyn Fn(usize) -> Value) -> bool {
        match self {
            Expr::Compare(compare) => compare.admits(&value(compare.column)),
            Expr::Not(expr) => !expr.admits(value),
            Expr::And(a, b) => a.admits(value) && b.admits(value),
            Expr::Or(a, b) => a.admits(value) || b.admits(value),
        }
    }
}

impl Compare {
    fn admits(&self, value: &Value) -> bool {
        let order = |operand: &str| match value {
            Value::Number(number) => amount(operand).map(|operand| number.cmp(&operand)),
            Value::Text(text) => Some(text.as_str().cmp(operand)),
            Value::Null => None,
        };
        match &self.comparison {
            Comparison::Equal(operand) => match value {
                Value::Number(_) => order(operand) == Some(Ordering::Equal),
                other => other.text() == *operand,
            },
            Comparison::Below(operand) => order(operand) == Some(Ordering::Less),
            Comparison::Above(operand) => order(operand) == Some(Ordering::Greater),
            Comparison::AtMost(operand) => order(operand).is_some_and(Ordering::is_le),
            Comparison::AtLeast(operand) => order(operand).is_some_and(Ordering::is_ge),
            Comparison::Matches(regex) => *value != Value::Null && regex.is_match(&value.text()),
        }
    }
}

/// Parses a number, which may end in K, M, G or T (powers of 1024); `max` is more than any.
fn amount(operand: &str) -> Option<u64> {
    if operand == "max" {
        return Some(u64::MAX);
    }
    let unit_at = operand.len() - usize::from(operand.ends_with(['K', 'M', 'G', 'T']));
    let (digits, unit) = operand.split_at(unit_at);
    let power = ["", "K", "M", "G", "T"].iter().position(|known| *known == unit)?;
    let plain = !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    digits.parse::<u64>().ok().filter(|_| plain)?.checked_mul(1 << (10 * power))
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Open,
    Close,
    Operator(&'static str),
    Word(String),
    Quoted(String),
}

impl fmt::Display for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Token::Open => write!(f, "`(`"),
            Token::Close => write!(f, "`)`"),
            Token::Operator(operator) => write!(f, "`{operator}`"),
            Token::Word(word) => write!(f, "`{word}`"),
            Token::Quoted(text) => write!(f, "\"{text}\""),
        }
    }
}

/// The operators, longest first where one starts another.
const OPERATORS: [&str; 8] = ["==", "!=", "<=", ">=", "=~", "!~", "<", ">"];

fn tokens(text: &str) -> Result<Vec<(usize, Token)>, ExprError> {
    let characters: Vec<char> = text.chars().collect();
    let mut tokens = Vec::new();
    let mut at = 0;
    while at < characters.len() {
        let start = at;
        match characters[at] {
            character if character.is_whitespace() => at += 1,
            '(' => {
                tokens.push((start, Token::Open));
                at += 1;
            }
            ')' => {
                tokens.push((start, Token::Close));
                at += 1;
            }
            quote @ ('"' | '\'') => {
                let length = characters[at + 1..].iter().position(|&character| character == quote);
                let Some(length) = length else {
                    return Err(ExprError { at: start, why: "this quotation mark has no second one".to_owned() });
                };
                tokens.push((start, Token::Quoted(characters[at + 1..at + 1 + length].iter().collect())));
                at += length + 2;
            }
            '=' | '!' | '<' | '>' => {
                let operator = OPERATORS
                    .into_iter()
                    .find(|operator| operator.chars().eq(characters[at..].iter().take(operator.len()).copied()));
                let Some(operator) = operator else {
                    let why = "expected one of == != < > <= >= =~ !~".to_owned();
                    return Err(ExprError { at: start, why });
                };
                tokens.push((start, Token::Operator(operator)));
                at += operator.len();
            }
            _ => {
                while at < characters.len()
                    && !characters[at].is_whitespace()
                    && !matches!(characters[at], '(' | ')' | '"' | '\'' | '=' | '!' | '<' | '>')
                {
                    at += 1;
                }
                tokens.push((start, Token::Word(characters[start..at].iter().collect())));
            }
        }
    }
    Ok(tokens)
}

struct Parser<'a> {
    tokens: Vec<(usize, Token)>,
    next: usize,
    end: usize,
    column: &'a dyn Fn(&str) -> Option<usize>,
    depth: usize,
}

impl Parser<'_> {
    fn peek(&self) -> Option<&(usize, Token)> {
        self.tokens.get(self.next)
    }

    fn take(&mut self, expected: &str) -> Result<(usize, Token), ExprError> {
        let token = self.peek().cloned();
        self.next += 1;
        token.ok_or_else(|| ExprError { at: self.end, why: format!("expected {expected}, not the end") })
    }

    fn takes_word(&mut self, wanted: &str) -> bool {
        let is_it = matches!(self.peek(), Some((_, Token::Word(word))) if word.eq_ignore_ascii_case(wanted));
        self.next += usize::from(is_it);
        is_it
    }

    fn either(&mut self) -> Result<Expr, ExprError> {
        let mut expr = self.both()?;
        while self.takes_word("or") {
            expr = Expr::Or(Box::new(expr), Box::new(self.both()?));
        }
        Ok(expr)
    }

    fn both(&mut self) -> Result<Expr, ExprError> {
        let mut expr = self.single()?;
        while self.takes_word("and") {
            expr = Expr::And(Box::new(expr), Box::new(self.single()?));
        }
        Ok(expr)
    }

    fn single(&mut self) -> Result<Expr, ExprError> {
        /// Deeper nesting than this is no expression that somebody typed.
        const DEEPEST: usize = 100;
        self.depth += 1;
        if self.depth > DEEPEST {
            let at = self.peek().map_or(self.end, |(at, _)| *at);
            return Err(ExprError { at, why: "this is nested too deeply".to_owned() });
        }
        let expr = if self.takes_word("not") {
            Expr::Not(Box::new(self.single()?))
        } else if matches!(self.peek(), Some((_, Token::Open))) {
            self.next += 1;
            let expr = self.either()?;
            match self.take("`)`")? {
                (_, Token::Close) => expr,
                (at, token) => return Err(ExprError { at, why: format!("expected `)`, not {token}") }),
            }
        } else {
            self.compare()?
        };
        self.depth -= 1;
        Ok(expr)
    }

    fn compare(&mut self) -> Result<Expr, ExprError> {
        let column = match self.take("a column")? {
            (at, Token::Word(word)) => {
                (self.column)(&word).ok_or(ExprError { at, why: format!("there is no column `{word}`") })?
            }
            (at, token) => return Err(ExprError { at, why: format!("expected a column, not {token}") }),
        };
        let operator = match self.take("an operator such as ==")? {
            (_, Token::Operator(operator)) => operator,
            (at, token) => return Err(ExprError { at, why: format!("expected an operator such as ==, not {token}") }),
        };
        let (at, operand) = match self.take("a value")? {
            (at, Token::Word(operand) | Token::Quoted(operand)) => (at, operand),
            (at, token) => return Err(ExprError { at, why: format!("expected a value, not {token}") }),
        };
        let matches = |operand: &str| {
            Regex::new(operand)
                .map(|regex| Comparison::Matches(Box::new(regex)))
                .map_err(|error| ExprError { at, why: format!("this regular expression is not one: {error}") })
        };
        let (comparison, negated) = match operator {
            "==" => (Comparison::Equal(operand), false),
            "!=" => (Comparison::Equal(operand), true),
            "<" => (Comparison::Below(operand), false),
            ">" => (Comparison::Above(operand), false),
            "<=" => (Comparison::AtMost(operand), false),
            ">=" => (Comparison::AtLeast(operand), false),
            "=~" => (matches(&operand)?, false),
            _ => (matches(&operand)?, true),
        };
        let compare = Expr::Compare(Compare { column, comparison });
        Ok(if negated { Expr::Not(Box::new(compare)) } else { compare })
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_may_have_units() {
        for (text, number) in [("7", 7), ("1K", 1024), ("2M", 2 << 20), ("3G", 3 << 30), ("max", u64::MAX)] {
            assert_eq!(amount(text), Some(number), "{text}");
        }
        for text in ["", "K", "-1", "+1", "1.5M", "1KB", "99999999999G", "1k"] {
            assert_eq!(amount(text), None, "{text}");
        }
    }

    fn column(name: &str) -> Option<usize> {
        ["ns", "type", "nprocs", "user", "path"].iter().position(|known| known.eq_ignore_ascii_case(name))
    }

    fn row(index: usize) -> Value {
        match index {
            0 => Value::Number(4_026_531_840),
            1 => Value::Text("net".to_owned()),
            2 => Value::Number(12),
            3 => Value::Text("root".to_owned()),
            _ => Value::Null,
        }
    }

    #[test]
    fn expressions_say_what_they_mean() {
        for (text, fits) in [
            ("type == net", true),
            ("TYPE==net", true),
            ("type != net", false),
            ("nprocs > 9", true),
            ("nprocs < 9", false),
            ("nprocs >= 12 and nprocs <= 12", true),
            ("nprocs == 012", true),
            ("nprocs > x", false),
            ("user =~ ^ro", true),
            ("user =~ '^o'", false),
            ("user !~ '^o'", true),
            ("path == \"\"", true),
            ("path != \"\"", false),
            ("path > 0", false),
            ("path =~ .", false),
            ("type == mnt or user == root", true),
            ("type == mnt or user == root and nprocs == 1", false),
            ("(type == mnt or user == root) and nprocs == 12", true),
            ("not type == mnt", true),
            ("not (type == net and user == root)", false),
            ("not not type == net", true),
        ] {
            let expr = Expr::parse(text, &column).unwrap_or_else(|error| panic!("{text}: {error}"));
            assert_eq!(expr.admits(&row), fits, "{text}");
        }
    }

    #[test]
    fn the_columns_of_an_expression_are_known() {
        let expr = Expr::parse("type == net and not (ns > 1 or user == x)", &column).expect("an expression");
        assert!(expr.columns_are(&|column| column != 2));
        assert!(!expr.columns_are(&|column| column != 3));
    }

    #[test]
    fn errors_name_the_place() {
        for (text, at, why) in [
            ("", 0, "expected a column, not the end"),
            ("type", 4, "expected an operator such as ==, not the end"),
            ("type ==", 7, "expected a value, not the end"),
            ("kind == net", 0, "there is no column `kind`"),
            ("type = net", 5, "expected one of == != < > <= >= =~ !~"),
            ("(type == net", 12, "expected `)`, not the end"),
            ("type == net user == root", 12, "expected `and`, `or` or the end, not `user`"),
            ("type == 'net", 8, "this quotation mark has no second one"),
            ("type =~ '('", 8, "this regular expression is not one: "),
            ("== net", 0, "expected a column, not `==`"),
        ] {
            let error = Expr::parse(text, &column).expect_err(text);
            assert_eq!(error.at, at, "{text}");
            assert!(error.why.starts_with(why), "{text}: {error}");
        }
        let deep = format!("{}type == net", "not ".repeat(5000));
        assert!(Expr::parse(&deep, &column).is_err());
    }

    #[test]
    fn nothing_sorts_last() {
        let mut values = [Value::Null, Value::Number(10), Value::Number(9)];
        values.sort_by(Value::order);
        assert_eq!(values, [Value::Number(9), Value::Number(10), Value::Null]);
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in "\\PC{0,60}") {
            let _ = Expr::parse(&text, &column).map(|expr| expr.admits(&row));
        }

        #[test]
        fn nor_do_words_of_the_language(words in proptest::collection::vec(
            prop_oneof!["type", "nprocs", "and", "or", "not", "==", "=~", "<", "\\(", "\\)", "'a b'", "7"], 0..20))
        {
            let _ = Expr::parse(&words.join(" "), &column).map(|expr| expr.admits(&row));
        }
    }
}
