//! Prints every namespace of the host with its leader: the library without the command line.

use std::io::Write;
use std::path::Path;

use nsx::model::NsName;
use nsx::proc::ProcRoot;
use nsx::scan::{ScanOptions, scan};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let root = ProcRoot::open(Path::new("/proc"))?;
    let snapshot = scan(&root, &ScanOptions::default())?;
    let mut out = std::io::stdout().lock();
    for namespace in &snapshot.namespaces {
        let name = NsName { kind: namespace.kind, id: namespace.id };
        match namespace.leader {
            Some(pid) => writeln!(out, "{name} is led by process {pid}")?,
            None => writeln!(out, "{name} has no process")?,
        }
    }
    Ok(())
}
