//! Variables of the environment, as they are typed and as files have them. Pure. The format of files is that of docker-run(1).

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

use clap::builder::{OsStringValueParser, TypedValueParser};

/// A variable, and its value; without one it is the caller's.
pub type Variable = (OsString, Option<OsString>);

/// Returns the parser of `--env`.
pub fn variable() -> impl TypedValueParser<Value = Variable> {
    OsStringValueParser::new().try_map(|text| parse(text.as_bytes()).map_err(str::to_owned))
}

/// Parses `NAME=VALUE` or `NAME`.
///
/// # Errors
/// Where there is no name, or a NUL byte.
pub fn parse(text: &[u8]) -> Result<Variable, &'static str> {
    if text.contains(&0) {
        return Err("a variable cannot have a NUL byte in it");
    }
    let equals = text.iter().position(|&byte| byte == b'=');
    let name = &text[..equals.unwrap_or(text.len())];
    if name.is_empty() {
        return Err("not NAME or NAME=VALUE");
    }
    let own = |bytes: &[u8]| OsStr::from_bytes(bytes).to_owned();
    Ok((own(name), equals.map(|equals| own(&text[equals + 1..]))))
}

/// Parses a file of variables.
///
/// # Errors
/// The number of a line, from 1, and what is wrong with it.
pub fn parse_file(text: &[u8]) -> Result<Vec<Variable>, (usize, &'static str)> {
    let text = text.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(text);
    let mut variables = Vec::new();
    for (index, line) in text.split(|&byte| byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line).trim_ascii_start();
        if line.is_empty() || line.starts_with(b"#") {
            continue;
        }
        let variable = parse(line).map_err(|wrong| (index + 1, wrong))?;
        if variable.0.as_bytes().iter().any(u8::is_ascii_whitespace) {
            return Err((index + 1, "the name of a variable has a space in it"));
        }
        variables.push(variable);
    }
    Ok(variables)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn variables(all: &[(&str, Option<&str>)]) -> Vec<Variable> {
        all.iter().map(|(name, value)| (OsString::from(name), value.map(OsString::from))).collect()
    }

    #[test]
    fn a_file_has_a_variable_on_each_line() {
        for (text, expected) in [
            ("", variables(&[])),
            ("A=1\nB=two words\n", variables(&[("A", Some("1")), ("B", Some("two words"))])),
            ("# A=1\n\n  #B\n  C=3", variables(&[("C", Some("3"))])),
            ("TERM\nEMPTY=\n", variables(&[("TERM", None), ("EMPTY", Some(""))])),
            (
                "A=\"1\" # not a comment\r\nB=a=b\r\n",
                variables(&[("A", Some("\"1\" # not a comment")), ("B", Some("a=b"))]),
            ),
            ("\u{feff}A=1", variables(&[("A", Some("1"))])),
        ] {
            assert_eq!(parse_file(text.as_bytes()), Ok(expected), "{text:?}");
        }
    }

    #[test]
    fn a_wrong_line_is_named_by_its_number() {
        for (text, line) in [("A=1\n=2\n", 2), ("A B=1", 1), ("\n\nA=\0", 3), ("A =1", 1), ("export A=1", 1)] {
            assert_eq!(parse_file(text.as_bytes()).map_err(|(line, _)| line), Err(line), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in proptest::collection::vec(any::<u8>(), 0..60)) {
            let _ = parse(&text);
            let _ = parse_file(&text);
        }
    }
}
