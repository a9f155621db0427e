//! How long a scan takes, apart from the kernel's `/proc`: on trees of ordinary files that look like it.
//!
//! Run with `cargo bench --bench scan`. Each tree is made once, in a temporary folder, and is gone at the end. Not here: the
//! time that procfs, namespaces and sockets take, which is most of it on a live host (`benches/compare`).

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use divan::Bencher;
use divan::counter::ItemsCount;
use nsx::model::{NsKind, Snapshot};
use nsx::proc::ProcRoot;
use nsx::scan::{ScanOptions, observe};
use tempfile::TempDir;

/// How many processes the trees have.
const SIZES: [usize; 3] = [100, 1_000, 10_000];
/// How many of them are in the same namespaces.
const CONTAINER: usize = 50;
/// The inode of the first namespace; what the kernel gives to new ones starts near it.
const FIRST_INODE: usize = 4_026_531_840;

/// The trees that were made, by size.
static TREES: Mutex<BTreeMap<usize, TempDir>> = Mutex::new(BTreeMap::new());

fn main() {
    divan::main();
    // Statics are never dropped, and the folders would stay.
    TREES.lock().expect("no benchmark panicked").clear();
}

#[divan::bench(args = SIZES, sample_count = 20, sample_size = 1)]
fn scan(bencher: Bencher, processes: usize) {
    let root = root(processes);
    let options = ScanOptions::default();
    let found = nsx::scan::scan(&root, &options).expect("a scan");
    assert_eq!(found.processes.len(), processes);
    assert_eq!(found.namespaces.len(), processes.div_ceil(CONTAINER) * NsKind::ALL.len());
    bencher.counter(ItemsCount::new(processes)).bench_local(|| nsx::scan::scan(&root, &options));
}

#[divan::bench(args = SIZES, sample_count = 50)]
fn build(bencher: Bencher, processes: usize) {
    let observations = observe(&root(processes), &ScanOptions::default()).expect("observations");
    bencher
        .counter(ItemsCount::new(processes))
        .with_inputs(|| observations.clone())
        .bench_local_values(Snapshot::build);
}

/// Opens the tree with so many processes, making it where it is not there yet.
fn root(processes: usize) -> ProcRoot {
    ProcRoot::open(&tree(processes)).expect("the tree")
}

fn tree(processes: usize) -> PathBuf {
    let mut trees = TREES.lock().expect("no benchmark panicked");
    let tree = trees.entry(processes).or_insert_with(|| {
        let tree = tempfile::tempdir().expect("a temporary folder");
        for process in 0..processes {
            make_process(tree.path(), process).expect("a process");
        }
        tree
    });
    tree.path().to_owned()
}

/// Writes what a scan reads of a process: `stat`, the links in `ns`, and five descriptors, one of them on a namespace now and then.
fn make_process(tree: &Path, process: usize) -> io::Result<()> {
    let pid = process + 1;
    let container = process / CONTAINER;
    let leader = container * CONTAINER + 1;
    let parent = if pid == leader { 0 } else { leader };
    let directory = tree.join(pid.to_string());
    let (ns, fd) = (directory.join("ns"), directory.join("fd"));
    fs::create_dir_all(&ns)?;
    fs::create_dir(&fd)?;
    let stat = format!(
        "{pid} (worker {process}) S {parent} {leader} {leader} 0 -1 4194560 200 0 0 0 1 2 0 0 20 0 1 0 {start} 9000000 300 \
         18446744073709551615 1 1 0 0 0 0 0 0 0 0 0 0 17 1 0 0 0 0 0\n",
        start = 1_000 + process,
    );
    fs::write(directory.join("stat"), stat)?;
    for kind in NsKind::ALL {
        let link = ns_link(kind, container);
        if let Some(for_children) = kind.for_children() {
            symlink(&link, ns.join(for_children))?;
        }
        symlink(link, ns.join(kind.name()))?;
    }
    for number in 0..3 {
        symlink("/dev/null", fd.join(number.to_string()))?;
    }
    symlink(format!("pipe:[{}]", 10_000 + process), fd.join("3"))?;
    if pid == leader {
        symlink(ns_link(NsKind::Net, container), fd.join("4"))
    } else {
        symlink("anon_inode:[eventpoll]", fd.join("4"))
    }
}

/// Returns the text of a link to a container's namespace of a kind.
fn ns_link(kind: NsKind, container: usize) -> String {
    format!("{}:[{}]", kind.name(), FIRST_INODE + container * NsKind::ALL.len() + kind.index())
}
