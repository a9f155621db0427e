//! Databases of bbolt, in which containerd and podman keep what they know of containers: reading, and no more than that. Pure.
//!
//! A database is a file of pages. Two of them, written in turns, are *meta* pages: each has the number of the transaction that wrote it, where
//! the tree of that moment begins, and a checksum. The others are trees of *branch* and *leaf* pages with sorted keys. A value may be a
//! *bucket*, a tree of its own; a small one has its only page *inline*, within the value. A page with more than fits has the pages
//! behind it, too (*overflow*).
//!
//! Whoever owns the database may write to it meanwhile. No page of the newest transaction is written over before the next one has been
//! committed: so what was read counts if the same transaction is the newest afterwards, and is read again otherwise.
//!
//! Pages have no checksum, and the file may be anybody's. So a page is looked at as a whole before anything in it is believed, and how much
//! is read, how deep and how often is bounded. The format: documentation of the Go package go.etcd.io/bbolt.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::ops::{Range, RangeInclusive};
use std::rc::Rc;

/// Hands out so many bytes of a file from an offset on; `None` where it has less.
pub type Fetch<'a> = &'a dyn Fn(u64, usize) -> Option<Vec<u8>>;

/// So often a database is read that is written to meanwhile.
const TRIES: usize = 4;
/// So much is read of a database.
const MOST_BYTES: usize = 32 << 20;
/// So many keys and pages are looked at.
const MOST_STEPS: usize = 1 << 20;
/// No tree of branches is deeper: eight levels of pages with a hundred keys each are more than any file.
const MOST_LEVELS: usize = 16;

/// The length of the head of a page: number, kind, count of keys, count of overflow pages.
const HEAD: usize = 16;
/// The length of a meta page behind its head.
const META: usize = 64;
/// What the checksum of a meta page is made of.
const SUMMED: usize = 56;
const MAGIC: u32 = 0xED0C_DAED;
const VERSION: u32 = 2;

const BRANCH: u16 = 0x01;
const LEAF: u16 = 0x02;
const META_PAGE: u16 = 0x04;

/// The sizes that pages may have: those of the machine that made the file.
const PAGE_SIZES: RangeInclusive<u32> = 1024..=64 << 10;

/// There is something in a database that cannot be, or it has more than is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Odd;

/// Returns what `look` finds in the buckets of a database, all of it of one moment; `None` where there is no database, or something that
/// cannot be, or it is written to all the time.
pub fn read<T>(fetch: Fetch<'_>, look: impl Fn(&Bucket<'_>) -> Result<T, Odd>) -> Option<T> {
    let left = Cell::new(MOST_BYTES);
    let steps = Cell::new(MOST_STEPS);
    let mut meta = newest(fetch)?;
    for _ in 0..TRIES {
        let snapshot = Snapshot { fetch, meta, pages: RefCell::default(), left: &left, steps: &steps };
        let found = look(&Bucket { snapshot: &snapshot, root: Root::Page(meta.root) });
        let now = newest(fetch)?;
        if now == meta {
            return found.ok();
        }
        meta = now;
    }
    None
}

fn word16(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn word32(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

fn word64(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_ne_bytes(*bytes.get(at..)?.first_chunk()?))
}

/// What a meta page says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Meta {
    page_size: u32,
    /// The page with which the outermost bucket begins.
    root: u64,
    /// No page has this number, or a higher one.
    end: u64,
    transaction: u64,
}

/// Returns what the last committed transaction has written.
fn newest(fetch: Fetch<'_>) -> Option<Meta> {
    let at = |number: u64, page_size: u32| {
        let bytes = fetch(number * u64::from(page_size), HEAD + META)?;
        meta(&bytes, number).filter(|meta| number == 0 || meta.page_size == page_size)
    };
    match at(0, 0) {
        Some(first) => match at(1, first.page_size) {
            Some(second) if second.transaction > first.transaction => Some(second),
            _ => Some(first),
        },
        // It is the first one that is just being written, or that was when the machine died. Only the other knows how far in that is.
        None => [4096, 8192, 16_384, 32_768, 65_536].into_iter().find_map(|page_size| at(1, page_size)),
    }
}

fn meta(bytes: &[u8], number: u64) -> Option<Meta> {
    let said = bytes.get(HEAD..HEAD + META)?;
    let is_meta = word64(bytes, 0)? == number && word16(bytes, 8)? == META_PAGE;
    let is_known = word32(said, 0)? == MAGIC && word32(said, 4)? == VERSION;
    if !is_meta || !is_known || word64(said, SUMMED)? != checksum(&said[..SUMMED]) {
        return None;
    }
    let meta = Meta {
        page_size: word32(said, 8)?,
        root: word64(said, 16)?,
        end: word64(said, 40)?,
        transaction: word64(said, 48)?,
    };
    // What is multiplied later on stays far below the largest offset.
    let is_sound = PAGE_SIZES.contains(&meta.page_size) && meta.page_size.is_power_of_two() && meta.end < 1 << 40;
    is_sound.then_some(meta)
}

/// FNV-1a with 64 bits.
fn checksum(bytes: &[u8]) -> u64 {
    let step = |sum: u64, byte: &u8| (sum ^ u64::from(*byte)).wrapping_mul(0x0100_0000_01b3);
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, step)
}

/// A database at one moment.
struct Snapshot<'a> {
    fetch: Fetch<'a>,
    meta: Meta,
    /// The pages that were read: those near the root are needed again for every key.
    pages: RefCell<BTreeMap<u64, Rc<Page>>>,
    left: &'a Cell<usize>,
    steps: &'a Cell<usize>,
}

impl Snapshot<'_> {
    fn step(&self, count: usize) -> Result<(), Odd> {
        self.steps.set(self.steps.get().checked_sub(count).ok_or(Odd)?);
        Ok(())
    }

    fn bytes(&self, number: u64, count: u64) -> Result<Vec<u8>, Odd> {
        let page_size = u64::from(self.meta.page_size);
        let length = usize::try_from(count * page_size).map_err(|_| Odd)?;
        self.left.set(self.left.get().checked_sub(length).ok_or(Odd)?);
        (self.fetch)(number * page_size, length).filter(|bytes| bytes.len() == length).ok_or(Odd)
    }

    fn page(&self, number: u64) -> Result<Rc<Page>, Odd> {
        self.step(1)?;
        if let Some(page) = self.pages.borrow().get(&number) {
            return Ok(Rc::clone(page));
        }
        // The first two are the meta pages.
        if !(2..self.meta.end).contains(&number) {
            return Err(Odd);
        }
        let mut bytes = self.bytes(number, 1)?;
        let overflow = u64::from(word32(&bytes, 12).ok_or(Odd)?);
        if word64(&bytes, 0) != Some(number) || number + overflow >= self.meta.end {
            return Err(Odd);
        }
        if overflow > 0 {
            bytes.extend(self.bytes(number + 1, overflow)?);
        }
        let page = Rc::new(page(bytes).ok_or(Odd)?);
        self.pages.borrow_mut().insert(number, Rc::clone(&page));
        Ok(page)
    }
}

/// A page that was found to be sound.
struct Page {
    bytes: Vec<u8>,
    entries: Vec<Entry>,
}

/// A key of a page.
struct Entry {
    key: Range<usize>,
    what: What,
}

#[derive(Clone)]
enum What {
    /// The page with this key and those behind it.
    Child(u64),
    Value(Range<usize>),
    Bucket(Range<usize>),
}

impl Page {
    fn key(&self, place: usize) -> &[u8] {
        &self.bytes[self.entries[place].key.clone()]
    }

    fn is_branch(&self) -> bool {
        matches!(self.entries.first(), Some(Entry { what: What::Child(_), .. }))
    }

    /// Returns the place of a key, or else where it would have to stand.
    fn search(&self, key: &[u8]) -> Result<usize, usize> {
        self.entries.binary_search_by(|entry| self.bytes[entry.key.clone()].cmp(key))
    }
}

/// Looks at all of a branch or leaf page; `None` where something cannot be.
fn page(bytes: Vec<u8>) -> Option<Page> {
    let (kind, count) = (word16(&bytes, 8)?, usize::from(word16(&bytes, 10)?));
    if !matches!(kind, BRANCH | LEAF) || kind == BRANCH && count == 0 {
        return None;
    }
    let table_end = HEAD + HEAD * count;
    // An offset counts from the entry that has it.
    let range = |from: usize, length: u32| {
        let end = from.checked_add(length as usize)?;
        (from >= table_end && end <= bytes.len()).then_some(from..end)
    };
    let mut entries: Vec<Entry> = Vec::with_capacity(count);
    for at in (HEAD..table_end).step_by(HEAD) {
        let word = |place: usize| word32(&bytes, at + 4 * place);
        let entry = if kind == BRANCH {
            let key = range(at.checked_add(word(0)? as usize)?, word(1)?)?;
            Entry { key, what: What::Child(word64(&bytes, at + 8)?) }
        } else {
            let key = range(at.checked_add(word(1)? as usize)?, word(2)?)?;
            let value = range(key.end, word(3)?)?;
            match word(0)? {
                0 => Entry { key, what: What::Value(value) },
                1 => Entry { key, what: What::Bucket(value) },
                _ => return None,
            }
        };
        let is_behind = entries.last().is_none_or(|last| bytes[last.key.clone()] < bytes[entry.key.clone()]);
        if entry.key.is_empty() || !is_behind {
            return None;
        }
        entries.push(entry);
    }
    Some(Page { bytes, entries })
}

/// A bucket: keys with values, and further buckets.
pub struct Bucket<'a> {
    snapshot: &'a Snapshot<'a>,
    root: Root,
}

enum Root {
    Page(u64),
    Inline(Rc<Page>),
}

impl<'a> Bucket<'a> {
    fn page(&self) -> Result<Rc<Page>, Odd> {
        match &self.root {
            Root::Page(number) => self.snapshot.page(*number),
            Root::Inline(page) => Ok(Rc::clone(page)),
        }
    }

    fn find(&self, key: &[u8]) -> Result<Option<(Rc<Page>, What)>, Odd> {
        let mut page = self.page()?;
        for _ in 0..MOST_LEVELS {
            if !page.is_branch() {
                let found = page.search(key).ok();
                return Ok(found.map(|place| (Rc::clone(&page), page.entries[place].what.clone())));
            }
            let place = match page.search(key) {
                Ok(place) => place,
                // Before the first one there is nothing.
                Err(0) => return Ok(None),
                Err(behind) => behind - 1,
            };
            page = self.child(&page, place)?;
        }
        Err(Odd)
    }

    fn child(&self, page: &Page, place: usize) -> Result<Rc<Page>, Odd> {
        let What::Child(number) = page.entries[place].what else { return Err(Odd) };
        let child = self.snapshot.page(number)?;
        // A branch has the first key of each child; there is none without keys.
        let first = child.entries.first().map(|_| child.key(0)).ok_or(Odd)?;
        let ends_before =
            page.entries.get(place + 1).is_none_or(|_| child.key(child.entries.len() - 1) < page.key(place + 1));
        if first < page.key(place) || !ends_before { Err(Odd) } else { Ok(child) }
    }

    /// Returns the value of a key.
    ///
    /// # Errors
    /// Where something cannot be.
    pub fn value(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Odd> {
        Ok(self.find(key)?.and_then(|(page, what)| match what {
            What::Value(range) => Some(page.bytes[range].to_vec()),
            _ => None,
        }))
    }

    /// Returns the bucket with this name.
    ///
    /// # Errors
    /// Where something cannot be.
    pub fn bucket(&self, name: &[u8]) -> Result<Option<Bucket<'a>>, Odd> {
        let Some((page, What::Bucket(range))) = self.find(name)? else { return Ok(None) };
        let value = &page.bytes[range];
        let root = match word64(value, 0).ok_or(Odd)? {
            0 => Root::Inline(Rc::new(inline(value).ok_or(Odd)?)),
            number => Root::Page(number),
        };
        Ok(Some(Bucket { snapshot: self.snapshot, root }))
    }

    /// Returns the innermost of buckets that are within each other.
    ///
    /// # Errors
    /// Where something cannot be.
    pub fn path(&self, names: &[&[u8]]) -> Result<Option<Bucket<'a>>, Odd> {
        let Some((first, rest)) = names.split_first() else { return Ok(None) };
        let Some(mut bucket) = self.bucket(first)? else { return Ok(None) };
        for name in rest {
            match bucket.bucket(name)? {
                Some(inner) => bucket = inner,
                None => return Ok(None),
            }
        }
        Ok(Some(bucket))
    }

    /// Hands out all keys with their values, but for buckets, in their order.
    ///
    /// # Errors
    /// Where something cannot be.
    pub fn each(&self, visit: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), Odd> {
        self.walk(&*self.page()?, MOST_LEVELS, visit)
    }

    fn walk(&self, page: &Page, levels: usize, visit: &mut dyn FnMut(&[u8], &[u8])) -> Result<(), Odd> {
        self.snapshot.step(page.entries.len())?;
        let below = levels.checked_sub(1).ok_or(Odd)?;
        for (place, entry) in page.entries.iter().enumerate() {
            match &entry.what {
                What::Child(_) => self.walk(&*self.child(page, place)?, below, visit)?,
                What::Value(range) => visit(page.key(place), &page.bytes[range.clone()]),
                What::Bucket(_) => {}
            }
        }
        Ok(())
    }
}

/// Returns the page that a bucket has within its value: a leaf, without buckets.
fn inline(value: &[u8]) -> Option<Page> {
    let page = page(value.get(HEAD..)?.to_vec())?;
    page.entries.iter().all(|entry| matches!(entry.what, What::Value(_))).then_some(page)
}

#[cfg(test)]
pub(crate) mod tests;
