//! Writes the BPF program that nsx runs over all tasks to a file, raw instructions of eight bytes each, and prints the
//! number of the kernel's type that it is run over. Both are good for the kernel that this runs on, and for no other.
//!
//! `benches/floors/iterate.c` loads what is written here.

use std::io::Write;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    // `nsx ls` looks at descriptors, too, `nsx ps` does not.
    let (fds, file) = match words[..] {
        ["ls", file] => (true, file),
        ["ps", file] => (false, file),
        _ => return Err("usage: iterator_program ls|ps FILE".into()),
    };
    let (over, program) = nsx::scan::iterator_program(fds)?;
    std::fs::write(file, program)?;
    writeln!(std::io::stdout(), "{over}")?;
    Ok(())
}
