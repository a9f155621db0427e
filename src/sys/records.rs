//! Small files of somebody else's, read by a process on the side ([`super::aside`]): whoever has made them, they can neither make the
//! caller wait nor make it read without end.
//!
//! Paths are walked below a root directory as if that were `/`. What is found is looked at before it is opened: only a regular file that
//! nobody but its owner may write is read, never a link in its place, a fifo or a device. See openat2(2).

use std::cell::Cell;
use std::ffi::{CStr, CString};
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::time::{Duration, Instant};

use super::aside::{Aside, Heard, Inside, MESSAGE};
use super::dir::{self, DirReader, ShortPath};
use super::error::Errno;
use crate::model::Uid;

/// A file with more is not read at all.
pub const MOST_BYTES: usize = 4 << 20;
/// So many entries of a folder are looked into.
const MOST_ENTRIES: usize = 4096;
/// So much is read of all files together.
const MOST_TOGETHER: usize = 64 << 20;
/// A process that says nothing for so long has met a file system that does not answer.
const PATIENCE_MS: u16 = 1000;

/// All of them together may take so long.
const TOGETHER: Duration = Duration::from_secs(3);

/// Hands out so many bytes of a file from an offset on; `None` where it has less.
pub type Fetch<'a> = &'a dyn Fn(u64, usize) -> Option<Vec<u8>>;

/// What to read.
pub struct Ask {
    /// Below which of the roots.
    pub root: usize,
    /// The file; or, with [`How::Each`], a folder.
    pub path: CString,
    /// What of it.
    pub how: How,
}

/// What of a file to read.
pub enum How {
    /// All of it.
    Whole,
    /// All of the file with this name in each folder of the folder; an empty one stands for the files in the folder themselves.
    Each(CString),
    /// What this makes of some of it. It takes no lock, as all that a process on the side does ([`super::aside`]), and has the file for
    /// whatever it may be: it does not panic. When it makes nothing there is no answer.
    Parts(Box<dyn Fn(Fetch<'_>) -> Vec<u8>>),
}

/// A file that was read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The number of what was asked.
    pub ask: usize,
    /// With [`How::Each`] the name of the folder, or of the file.
    pub entry: Vec<u8>,
    /// Who owns the file.
    pub uid: Uid,
    /// What is in it, or what was made of it.
    pub content: Vec<u8>,
}

/// What stands before each file in the memory that both processes share: what was asked, the owner, the lengths of the entry's name and of
/// the content.
const HEAD: usize = 16;
/// So many bytes are worth a message.
const WORTH: u64 = 256 << 10;
/// What was read longer ago than this is worth one, too: whoever reads on must not be taken for one that hangs.
const BREATH: Duration = Duration::from_millis(50);

/// Reads files below these roots. What is not there, may not be read, or is no plain file, is not among the answers; nor is anything that
/// comes after a file whose file system has not answered for a second.
pub fn read(roots: &[BorrowedFd<'_>], asks: &[Ask]) -> Vec<Answer> {
    let mut answers = Vec::new();
    // Where no process may be made nothing is known of the files, and the rest is done all the same.
    if asks.is_empty() {
        return answers;
    }
    let Some(memory) = memory_file() else { return answers };
    let work = |inside: &Inside| {
        let now = Instant::now();
        let (memory, left) = (memory.as_fd(), MOST_TOGETHER);
        let mut reader = Reader { inside, memory, written: 0, told: 0, when: now, left, full: false };
        reader.work(roots, asks);
    };
    let Ok(aside) = Aside::start(work) else { return answers };
    let mut seen = 0;
    let begin = Instant::now();
    // Files that take nearly that long, one after the other, are given up, too.
    while begin.elapsed() < TOGETHER
        && let Heard::Message(..) = aside.hear(PATIENCE_MS)
    {
        seen += unpack(memory.as_fd(), seen, &mut answers);
    }
    // One that hangs has written, but not told, what it has read just before.
    unpack(memory.as_fd(), seen, &mut answers);
    answers
}

/// Takes up what was written from there on, as far as it is complete, and returns how much that is.
fn unpack(memory: BorrowedFd<'_>, from: u64, answers: &mut Vec<Answer>) -> u64 {
    let Ok(written) = read_at(memory, from) else { return 0 };
    let mut rest = &written[..];
    while let Some((head, more)) = rest.split_at_checked(HEAD) {
        let [ask, uid, entry, content] = [0, 4, 8, 12].map(|place| word(&head[place..]));
        let Some((entry, more)) = more.split_at_checked(entry as usize) else { break };
        let Some((content, more)) = more.split_at_checked(content as usize) else { break };
        answers.push(Answer { ask: ask as usize, entry: entry.to_vec(), uid: Uid(uid), content: content.to_vec() });
        rest = more;
    }
    (written.len() - rest.len()) as u64
}

fn word(bytes: &[u8]) -> u32 {
    bytes.first_chunk().copied().map_or(0, u32::from_ne_bytes)
}

/// The work of the process on the side.
struct Reader<'a> {
    inside: &'a Inside,
    /// What both processes have.
    memory: BorrowedFd<'a>,
    /// How much is in it, and how much of that was told.
    written: u64,
    told: u64,
    /// When something was told last.
    when: Instant,
    left: usize,
    /// There is no more room in the memory.
    full: bool,
}

impl Reader<'_> {
    fn work(&mut self, roots: &[BorrowedFd<'_>], asks: &[Ask]) {
        self.read(roots, asks);
        if self.written > self.told {
            self.tell();
        }
    }

    fn read(&mut self, roots: &[BorrowedFd<'_>], asks: &[Ask]) {
        for (number, ask) in asks.iter().enumerate() {
            let Some(root) = roots.get(ask.root) else { continue };
            let How::Each(each) = &ask.how else {
                if let Ok(found) = dir::open_in_root_no_follow(*root, &ask.path) {
                    self.take(number, b"", found.as_fd(), &ask.how);
                }
                continue;
            };
            let Ok(folder) = dir::open_in_root(*root, &ask.path) else { continue };
            for entry in entries(folder.as_fd()) {
                let below = match each.is_empty() {
                    true => Ok(entry.clone()),
                    false => CString::new([entry.as_bytes(), b"/", each.as_bytes()].concat()),
                };
                let found = below
                    .map_err(|_| Errno::EINVAL)
                    .and_then(|below| dir::open_in_root_no_follow(folder.as_fd(), &below));
                if let Ok(found) = found {
                    self.take(number, entry.as_bytes(), found.as_fd(), &How::Whole);
                }
            }
        }
    }

    /// Reads a file and writes it down.
    fn take(&mut self, ask: usize, entry: &[u8], found: BorrowedFd<'_>, how: &How) {
        let content = match how {
            How::Parts(make) => self.parts(found, make),
            _ => self.content(found),
        };
        let Some((uid, content)) = content.filter(|_| !self.full) else { return };
        let head = [ask as u32, uid, entry.len() as u32, content.len() as u32].map(u32::to_ne_bytes);
        let all = [head.as_flattened(), entry, &content].concat();
        if write_at(self.memory, self.written, &all).is_none() {
            // The rest of what was cut off must not be taken for more of what comes behind something shorter.
            self.full = true;
            return;
        }
        self.written += all.len() as u64;
        if self.written - self.told >= WORTH || self.when.elapsed() >= BREATH {
            self.tell();
        }
    }

    /// Says that there is more in the memory.
    fn tell(&mut self) {
        self.inside.send(&[0; MESSAGE], None);
        self.told = self.written;
        self.when = Instant::now();
    }

    fn content(&mut self, found: BorrowedFd<'_>) -> Option<(u32, Vec<u8>)> {
        let (uid, size) = plain_file_of(found)?;
        let most = MOST_BYTES.min(self.left);
        if size > most {
            return None;
        }
        let opened = reopen(found)?;
        // One byte more tells a file that has grown from one that just fits.
        let mut content = vec![0; size + 1];
        let mut filled = 0;
        loop {
            let more = dir::read(opened.as_fd(), &mut content[filled..]).ok()?.len();
            filled += more;
            if more == 0 || filled == size {
                content.truncate(filled);
                self.left = self.left.saturating_sub(filled);
                return Some((uid, content));
            }
            if filled > most {
                return None;
            }
            if filled == content.len() {
                content.resize((filled * 2).min(most + 1), 0);
            }
        }
    }

    /// Has an answer made of parts of a file.
    fn parts(&mut self, found: BorrowedFd<'_>, make: &dyn Fn(Fetch<'_>) -> Vec<u8>) -> Option<(u32, Vec<u8>)> {
        let (uid, _) = plain_file_of(found)?;
        let opened = File::from(reopen(found)?);
        let left = Cell::new(self.left);
        let content = make(&|offset, length| {
            left.set(left.get().checked_sub(length)?);
            let mut bytes = vec![0; length];
            opened.read_exact_at(&mut bytes, offset).ok()?;
            Some(bytes)
        });
        self.left = left.get();
        (!content.is_empty() && content.len() <= MOST_BYTES).then_some((uid, content))
    }
}

/// Opens what was looked at.
fn reopen(found: BorrowedFd<'_>) -> Option<OwnedFd> {
    let name = ShortPath::new().text("/proc/self/fd/").number(found.as_raw_fd().unsigned_abs());
    dir::open_read_cwd(name.as_c_str()).ok()
}

fn entries(folder: BorrowedFd<'_>) -> Vec<CString> {
    let mut all = Vec::new();
    let Ok(opened) = dir::open_dir(folder, c".") else { return all };
    let mut add = |name: &CStr| {
        if all.len() < MOST_ENTRIES && !matches!(name.to_bytes(), b"." | b"..") {
            all.push(name.to_owned());
        }
    };
    let _ = DirReader::new(32).entries(opened.as_fd(), &mut add);
    all
}

/// Returns who owns a regular file that nobody else may write, and its size; `None` for anything else.
fn plain_file_of(file: BorrowedFd<'_>) -> Option<(u32, usize)> {
    let mut stat = std::mem::MaybeUninit::<libc::stat>::uninit();
    // SAFETY: `stat` is valid for writes of a `struct stat`.
    if unsafe { libc::fstat(file.as_raw_fd(), stat.as_mut_ptr()) } != 0 {
        return None;
    }
    // SAFETY: fstat succeeded and has filled it.
    let stat = unsafe { stat.assume_init() };
    let is_plain = stat.st_mode & libc::S_IFMT == libc::S_IFREG && stat.st_mode & 0o022 == 0;
    is_plain.then_some((stat.st_uid, usize::try_from(stat.st_size).ok()?))
}

/// Returns an empty file in memory.
fn memory_file() -> Option<OwnedFd> {
    // SAFETY: the name ends with NUL.
    let raw = unsafe { libc::memfd_create(c"nsx-records".as_ptr(), libc::MFD_CLOEXEC) };
    // SAFETY: the kernel has just handed out `raw`; nobody else owns it.
    (raw >= 0).then(|| unsafe { OwnedFd::from_raw_fd(raw) })
}

/// Writes all of it, at this place.
fn write_at(file: BorrowedFd<'_>, place: u64, content: &[u8]) -> Option<()> {
    let mut written = 0;
    while written < content.len() {
        let rest = &content[written..];
        let at = libc::off_t::try_from(place + written as u64).ok()?;
        // SAFETY: `rest` is valid for reads of its length.
        let more = unsafe { libc::pwrite(file.as_raw_fd(), rest.as_ptr().cast(), rest.len(), at) };
        written += usize::try_from(more).ok().filter(|more| *more > 0)?;
    }
    Some(())
}

/// Reads what is in a file from this place on.
fn read_at(file: BorrowedFd<'_>, place: u64) -> Result<Vec<u8>, Errno> {
    let mut content = vec![0; WORTH as usize + (64 << 10)];
    let mut filled = 0;
    loop {
        let room = &mut content[filled..];
        let at = libc::off_t::try_from(place + filled as u64).map_err(|_| Errno::EFBIG)?;
        // SAFETY: `room` is valid for writes of its length.
        let more = unsafe { libc::pread(file.as_raw_fd(), room.as_mut_ptr().cast(), room.len(), at) };
        filled += usize::try_from(more).map_err(|_| Errno::last())?;
        if filled < content.len() {
            content.truncate(filled);
            return Ok(content);
        }
        content.resize(filled * 2, 0);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};

    use super::*;

    fn ask(path: &str, each: Option<&str>) -> Ask {
        let text = |text: &str| CString::new(text).expect("no NUL");
        Ask { root: 0, path: text(path), how: each.map_or(How::Whole, |each| How::Each(text(each))) }
    }

    #[test]
    fn plain_files_are_read_and_nothing_else() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        std::fs::create_dir_all(at("all/one")).expect("folders");
        std::fs::create_dir_all(at("all/two")).expect("folders");
        std::fs::write(at("all/one/state.json"), "{}").expect("a file");
        std::fs::write(at("all/file"), "x").expect("a file");
        std::fs::write(at("plain"), "content").expect("a file");
        std::fs::write(at("open"), "x").expect("a file");
        std::fs::set_permissions(at("open"), std::fs::Permissions::from_mode(0o666)).expect("chmod");
        std::fs::write(at("huge"), vec![b'x'; MOST_BYTES + 1]).expect("a file");
        symlink("plain", at("link")).expect("a link");
        symlink("/etc/hostname", at("leads-out")).expect("a link");
        nix::unistd::mkfifo(&at("fifo"), nix::sys::stat::Mode::S_IRWXU).expect("a fifo");
        let root = dir::open_root(&CString::new(folder.path().to_str().expect("UTF-8")).expect("no NUL")).expect("it");
        let asks = [
            ask("fifo", None),
            ask("link", None),
            ask("leads-out", None),
            ask("huge", None),
            ask("open", None),
            ask("all", None),
            ask("not-there", None),
            ask("/plain", None),
            ask("all", Some("state.json")),
            ask("all", Some("")),
        ];
        let mut answers = read(&[root.as_fd()], &asks);
        answers.sort_by(|a, b| (a.ask, &a.entry).cmp(&(b.ask, &b.entry)));
        let found: Vec<(usize, &[u8], &[u8])> =
            answers.iter().map(|answer| (answer.ask, &answer.entry[..], &answer.content[..])).collect();
        assert_eq!(found, [(7, &b""[..], &b"content"[..]), (8, b"one", b"{}"), (9, b"file", b"x")]);
        assert_eq!(answers[0].uid.0, nix::unistd::geteuid().as_raw());
    }

    #[test]
    fn more_than_is_worth_a_message_comes_whole() {
        let folder = tempfile::tempdir().expect("a folder");
        let text = |number: usize| vec![b'a' + (number % 26) as u8; number * 100];
        for number in 0..150 {
            std::fs::write(folder.path().join(number.to_string()), text(number)).expect("a file");
        }
        let root = dir::open_root(&CString::new(folder.path().to_str().expect("UTF-8")).expect("no NUL")).expect("it");
        let mut answers = read(&[root.as_fd()], &[ask("/", Some(""))]);
        let number = |answer: &Answer| String::from_utf8_lossy(&answer.entry).parse::<usize>().expect("a number");
        answers.sort_by_key(number);
        assert_eq!(answers.len(), 150);
        assert!(answers.iter().map(|answer| answer.content.len()).sum::<usize>() as u64 > 2 * WORTH);
        for (place, answer) in answers.iter().enumerate() {
            assert_eq!((number(answer), &answer.content), (place, &text(place)));
        }
    }

    #[test]
    fn parts_of_large_files_are_read() {
        let folder = tempfile::tempdir().expect("a folder");
        let file = std::fs::File::create(folder.path().join("large")).expect("a file");
        file.set_len(1 << 40).expect("a large file");
        file.write_all_at(b"here", 1 << 39).expect("written");
        nix::unistd::mkfifo(&folder.path().join("fifo"), nix::sys::stat::Mode::S_IRWXU).expect("a fifo");
        let root = dir::open_root(&CString::new(folder.path().to_str().expect("UTF-8")).expect("no NUL")).expect("it");
        let part = |path: &str, make: fn(Fetch<'_>) -> Option<Vec<u8>>| {
            let how = How::Parts(Box::new(move |fetch| make(fetch).unwrap_or_default()));
            Ask { how, ..ask(path, None) }
        };
        let asks = [
            part("large", |fetch| fetch(1 << 39, 4)),
            // Neither behind its end, nor without end.
            part("large", |fetch| fetch((1 << 40) - 2, 4)),
            part("large", |fetch| fetch(0, MOST_TOGETHER)),
            part("fifo", |_| Some(b"x".to_vec())),
            part("not-there", |_| Some(b"x".to_vec())),
        ];
        let found: Vec<(usize, Vec<u8>)> =
            read(&[root.as_fd()], &asks).into_iter().map(|answer| (answer.ask, answer.content)).collect();
        assert_eq!(found, [(0, b"here".to_vec())]);
    }
}
