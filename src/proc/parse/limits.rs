//! `/proc/PID/limits`, see proc_pid_limits(5).

use crate::model::id::parse_decimal;
use crate::model::isolation::Rlimit;

/// The names of getrlimit(2) and those that the file has for them, in the order of the file.
pub const RLIMITS: [(&str, &str); 16] = [
    ("cpu", "Max cpu time"),
    ("fsize", "Max file size"),
    ("data", "Max data size"),
    ("stack", "Max stack size"),
    ("core", "Max core file size"),
    ("rss", "Max resident set"),
    ("nproc", "Max processes"),
    ("nofile", "Max open files"),
    ("memlock", "Max locked memory"),
    ("as", "Max address space"),
    ("locks", "Max file locks"),
    ("sigpending", "Max pending signals"),
    ("msgqueue", "Max msgqueue size"),
    ("nice", "Max nice priority"),
    ("rtprio", "Max realtime priority"),
    ("rttime", "Max realtime timeout"),
];

/// Returns the limits that the file names, in its order; lines that are none of these are passed over.
pub fn rlimits(text: &[u8]) -> Vec<Rlimit> {
    let lines = text.split(|&byte| byte == b'\n');
    lines
        .filter_map(|line| {
            let &(name, title) = RLIMITS.iter().find(|(_, title)| line.starts_with(title.as_bytes()))?;
            let rest = &line[title.len()..];
            let mut words = rest.split(u8::is_ascii_whitespace).filter(|word| !word.is_empty());
            let mut number = || match words.next()? {
                b"unlimited" => Some(None),
                digits => parse_decimal(digits).map(Some),
            };
            Some(Rlimit { name, soft: number()?, hard: number()?, as_init: None })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn numbers_and_their_absence_are_read() {
        let text = b"Limit                     Soft Limit           Hard Limit           Units     \n\
            Max cpu time              unlimited            unlimited            seconds   \n\
            Max open files            1024                 1048576              files     \n\
            Max nice priority         0                    0                    \n\
            Max processes             x                    1                    processes \n";
        let found = rlimits(text);
        let of = |place: usize| (found[place].name, found[place].soft, found[place].hard);
        assert_eq!(found.len(), 3);
        assert_eq!(of(0), ("cpu", None, None));
        assert_eq!(of(1), ("nofile", Some(1024), Some(1_048_576)));
        assert_eq!(of(2), ("nice", Some(0), Some(0)));
    }

    proptest! {
        #[test]
        fn no_text_makes_the_parser_panic(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            let _ = rlimits(&text);
        }
    }
}
