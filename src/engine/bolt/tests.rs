//! Databases that are written here, sound and spoiled ones.

use proptest::prelude::*;

use super::*;

/// A key's value, or a bucket.
#[derive(Clone, Debug)]
pub(crate) enum Node {
    Value(Vec<u8>),
    Bucket(BTreeMap<Vec<u8>, Node>),
}

/// Returns a bucket with these keys.
pub(crate) fn bucket<const N: usize>(nodes: [(&str, Node); N]) -> Node {
    Node::Bucket(nodes.into_iter().map(|(key, node)| (key.as_bytes().to_vec(), node)).collect())
}

/// Returns a value.
pub(crate) fn value(text: &str) -> Node {
    Node::Value(text.as_bytes().to_vec())
}

/// Writes a database, with so many keys to a page.
struct Writer {
    page_size: usize,
    keys: usize,
    pages: Vec<u8>,
}

/// Returns the file of a database with these buckets: with few keys to a page, so that there are branches.
pub(crate) fn file(root: &Node, page_size: usize, keys: usize) -> Vec<u8> {
    let mut writer = Writer { page_size, keys, pages: vec![0; 2 * page_size] };
    let Node::Bucket(root) = root else { panic!("a value is no database") };
    let root = writer.tree(root);
    let end = (writer.pages.len() / page_size) as u64;
    for number in [0, 1] {
        let head = writer.meta(number, root, end, 7 + number);
        writer.pages[number as usize * page_size..][..head.len()].copy_from_slice(&head);
    }
    writer.pages
}

fn head(number: u64, kind: u16, count: usize, overflow: usize) -> Vec<u8> {
    let (count, overflow) = (count as u16, overflow as u32);
    [&number.to_ne_bytes()[..], &kind.to_ne_bytes(), &count.to_ne_bytes(), &overflow.to_ne_bytes()].concat()
}

fn words(words: [usize; 4]) -> Vec<u8> {
    words.into_iter().flat_map(|word| (word as u32).to_ne_bytes()).collect()
}

impl Writer {
    fn meta(&self, number: u64, root: u64, end: u64, transaction: u64) -> Vec<u8> {
        let mut said = words([MAGIC as usize, VERSION as usize, self.page_size, 0]);
        for word in [root, 0, u64::MAX, end, transaction] {
            said.extend(word.to_ne_bytes());
        }
        let sum = checksum(&said);
        [head(number, META_PAGE, 0, 0), said, sum.to_ne_bytes().to_vec()].concat()
    }

    /// Puts a page behind the others.
    fn add(&mut self, kind: u16, count: usize, content: &[u8]) -> u64 {
        let number = self.pages.len() / self.page_size;
        let all = (HEAD + content.len()).div_ceil(self.page_size);
        self.pages.extend(head(number as u64, kind, count, all - 1));
        self.pages.extend(content);
        self.pages.resize((number + all) * self.page_size, 0);
        number as u64
    }

    fn tree(&mut self, nodes: &BTreeMap<Vec<u8>, Node>) -> u64 {
        let all: Vec<_> = nodes.iter().collect();
        let mut level: Vec<(Vec<u8>, u64)> = Vec::new();
        for some in all.chunks(self.keys) {
            let content = self.leaf(some);
            level.push((some[0].0.clone(), self.add(LEAF, some.len(), &content)));
        }
        if level.is_empty() {
            return self.add(LEAF, 0, &[]);
        }
        while level.len() > 1 {
            let mut above = Vec::new();
            for some in level.chunks(self.keys.max(2)) {
                let (mut table, mut keys) = (Vec::new(), Vec::new());
                for (place, (key, number)) in some.iter().enumerate() {
                    let offset = HEAD * (some.len() - place) + keys.len();
                    table.extend([(offset as u32).to_ne_bytes(), (key.len() as u32).to_ne_bytes()].concat());
                    table.extend(number.to_ne_bytes());
                    keys.extend(key);
                }
                above.push((some[0].0.clone(), self.add(BRANCH, some.len(), &[table, keys].concat())));
            }
            level = above;
        }
        level[0].1
    }

    fn leaf(&mut self, nodes: &[(&Vec<u8>, &Node)]) -> Vec<u8> {
        let (mut table, mut rest) = (Vec::new(), Vec::new());
        for (place, (key, node)) in nodes.iter().enumerate() {
            let (flag, value) = match node {
                Node::Value(value) => (0, value.clone()),
                Node::Bucket(nodes) => (1, self.bucket(nodes)),
            };
            table.extend(words([flag, HEAD * (nodes.len() - place) + rest.len(), key.len(), value.len()]));
            rest.extend(key.iter().chain(&value));
        }
        [table, rest].concat()
    }

    fn bucket(&mut self, nodes: &BTreeMap<Vec<u8>, Node>) -> Vec<u8> {
        let is_flat = nodes.values().all(|node| matches!(node, Node::Value(_)));
        if is_flat {
            let all: Vec<_> = nodes.iter().collect();
            let content = self.leaf(&all);
            if content.len() < self.page_size / 4 {
                return [vec![0; 16], head(0, LEAF, all.len(), 0), content].concat();
            }
        }
        [self.tree(nodes).to_ne_bytes(), [0; 8]].concat()
    }
}

/// Returns what hands out the bytes of a file.
pub(crate) fn from(file: &[u8]) -> impl Fn(u64, usize) -> Option<Vec<u8>> {
    move |offset, length| {
        let from = usize::try_from(offset).ok()?;
        Some(file.get(from..from.checked_add(length)?)?.to_vec())
    }
}

/// Returns all that is in a bucket.
fn dump(bucket: &Bucket<'_>, names: &[&str]) -> Result<BTreeMap<String, String>, Odd> {
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let names: Vec<&[u8]> = names.iter().map(|name| name.as_bytes()).collect();
    let mut all = BTreeMap::new();
    let inner = bucket.path(&names)?.ok_or(Odd)?;
    inner.each(&mut |key, value| {
        all.insert(text(key), text(value));
    })?;
    Ok(all)
}

fn example(count: usize) -> Node {
    let many = (0..count).map(|number| (format!("key{number:03}").into_bytes(), value(&format!("value {number}"))));
    let deep = bucket([("labels", bucket([("a", value("b")), ("c", value(""))])), ("long", value(&"x".repeat(9000)))]);
    bucket([("many", Node::Bucket(many.collect())), ("deep", deep), ("empty", bucket([])), ("plain", value("text"))])
}

#[test]
fn keys_are_found_wherever_they_are() {
    for (page_size, keys) in [(1024, 1), (1024, 3), (4096, 40), (65_536, 1000)] {
        let file = file(&example(300), page_size, keys);
        let fetch = from(&file);
        let found = read(&fetch, |root| {
            let many = root.bucket(b"many")?.ok_or(Odd)?;
            assert_eq!(many.value(b"key000")?.as_deref(), Some(&b"value 0"[..]));
            assert_eq!(many.value(b"key299")?.as_deref(), Some(&b"value 299"[..]));
            for missing in [&b"key"[..], b"key0000", b"key300", b"\0", b"\xff"] {
                assert_eq!(many.value(missing)?, None);
            }
            // A bucket is no value, and a value no bucket.
            assert_eq!(root.value(b"many")?, None);
            assert!(root.bucket(b"plain")?.is_none() && root.path(&[b"deep", b"no", b"labels"])?.is_none());
            let long = root.path(&[b"deep"])?.ok_or(Odd)?.value(b"long")?;
            assert_eq!(long.map(|long| long.len()), Some(9000));
            assert_eq!(dump(root, &["empty"])?, BTreeMap::new());
            let labels = [("a".to_owned(), "b".to_owned()), ("c".to_owned(), String::new())];
            assert_eq!(dump(root, &["deep", "labels"])?, BTreeMap::from(labels));
            dump(root, &["many"]).map(|many| many.len())
        });
        assert_eq!(found, Some(300), "{page_size} {keys}");
    }
}

#[test]
fn the_newest_sound_meta_page_counts() {
    let sound = file(&bucket([("key", value("new"))]), 4096, 10);
    let get = |file: &[u8]| {
        let fetch = from(file);
        read(&fetch, |root| root.value(b"key")).flatten().map(|value| String::from_utf8(value).expect("UTF-8"))
    };
    let spoiled = |at: usize| {
        let mut file = sound.clone();
        file[at] ^= 1;
        file
    };
    assert_eq!(get(&sound).as_deref(), Some("new"));
    // Number, kind, magic, version, size, root, end, transaction, sum: of each of the two.
    for field in [0, 8, 16, 20, 24, 32, 56, 64, 72] {
        assert_eq!(get(&spoiled(field)).as_deref(), Some("new"), "{field}");
        assert_eq!(get(&spoiled(4096 + field)).as_deref(), Some("new"), "{field}");
        let mut both = spoiled(field);
        both[4096 + field] ^= 1;
        assert_eq!(get(&both), None, "{field}");
    }
    // An older one with another root counts for nothing.
    let writer = Writer { page_size: 4096, keys: 1, pages: Vec::new() };
    let mut file = sound.clone();
    file[..HEAD + META].copy_from_slice(&writer.meta(0, 1, 3, 6));
    assert_eq!(get(&file).as_deref(), Some("new"));
    file[..HEAD + META].copy_from_slice(&writer.meta(0, 1, 3, 9));
    assert_eq!(get(&file), None);
}

#[test]
fn what_is_written_meanwhile_is_read_again() {
    let states: Vec<Vec<u8>> = (0..8)
        .map(|number| {
            let mut file = file(&bucket([("key", value(&format!("state {number}")))]), 4096, 10);
            let writer = Writer { page_size: 4096, keys: 1, pages: Vec::new() };
            let meta = writer.meta(number % 2, 2, 3, 100 + number);
            let other = writer.meta(1 - number % 2, 2, 3, 99 + number);
            file[number as usize % 2 * 4096..][..meta.len()].copy_from_slice(&meta);
            file[(1 - number as usize % 2) * 4096..][..other.len()].copy_from_slice(&other);
            file
        })
        .collect();
    // A transaction is committed behind each of the first so many pages that are read.
    let get = |commits: usize| {
        let number = Cell::new(0);
        let fetch = |offset: u64, length: usize| {
            let found = from(&states[number.get()])(offset, length);
            if offset >= 8192 && number.get() < commits {
                number.set(number.get() + 1);
            }
            found
        };
        read(&fetch, |root| root.value(b"key")).flatten().map(|value| String::from_utf8(value).expect("UTF-8"))
    };
    assert_eq!(get(0).as_deref(), Some("state 0"));
    assert_eq!(get(1).as_deref(), Some("state 1"));
    assert_eq!(get(3).as_deref(), Some("state 3"));
    assert_eq!(get(7), None);
}

#[test]
fn trees_without_end_have_one() {
    // Branches whose children are themselves, each a hundred times.
    let children = 100;
    let keys: Vec<String> = (0..children).map(|number| format!("{number:03}")).collect();
    let mut writer = Writer { page_size: 4096, keys: 1, pages: vec![0; 8192] };
    let mut content = Vec::new();
    for place in 0..children {
        content.extend(((HEAD * (children - place) + 3 * place) as u32).to_ne_bytes());
        content.extend(3u32.to_ne_bytes());
        content.extend(2u64.to_ne_bytes());
    }
    content.extend(keys.concat().into_bytes());
    writer.add(BRANCH, children, &content);
    let meta = writer.meta(0, 2, 3, 1);
    writer.pages[..meta.len()].copy_from_slice(&meta);
    let fetch = from(&writer.pages);
    assert_eq!(read(&fetch, |root| root.each(&mut |_, _| {})), None);
    assert_eq!(read(&fetch, |root| root.value(b"000")), None);
    // A bucket that is in itself can be gone into as far as there are names, and no further.
    let mut own = file(&bucket([("own", Node::Bucket(BTreeMap::from([(vec![b'x'; 2000], value(""))])))]), 1024, 1);
    let root = newest(&from(&own)).expect("a database").root as usize;
    let at = root * 1024 + HEAD + HEAD + 3;
    own[at..at + 8].copy_from_slice(&(root as u64).to_ne_bytes());
    let fetch = from(&own);
    assert_eq!(read(&fetch, |bucket| Ok(bucket.path(&[b"own", b"own", b"own"])?.is_some())), Some(true));
}

#[test]
fn pages_that_cannot_be_are_not_believed() {
    let keys: BTreeMap<Vec<u8>, Node> =
        (0..6).map(|number| (format!("k{number}").into_bytes(), value(&format!("v{number}")))).collect();
    let sound = file(&Node::Bucket(keys), 1024, 2);
    let all = |file: &[u8]| {
        let fetch = from(file);
        read(&fetch, |root| {
            let mut all = Vec::new();
            root.each(&mut |key, _| all.push(key.to_vec()))?;
            Ok(all.len())
        })
    };
    assert_eq!(all(&sound), Some(6));
    let leaf = 2 * 1024;
    for (what, at, byte) in [
        ("a number that is another's", leaf, 3),
        ("a kind that there is not", leaf + 8, 4),
        ("a meta page in its place", leaf + 8, META_PAGE as u8),
        ("more keys than there is room", leaf + 11, 0xff),
        ("pages behind the last", leaf + 12, 0xff),
        ("a flag that there is not", leaf + HEAD, 2),
        ("an offset into the table", leaf + HEAD + 4, 0),
        ("an offset out of the page", leaf + HEAD + 6, 1),
        ("a key out of the page", leaf + HEAD + 10, 1),
        ("a key without a byte", leaf + HEAD + 8, 0),
        ("a value out of the page", leaf + HEAD + 14, 1),
        ("keys that do not ascend", leaf + HEAD * 3 + 1, b'9'),
        ("a first key before its branch", leaf + HEAD * 3, b'a'),
    ] {
        let mut file = sound.clone();
        file[at] = byte;
        assert_eq!(all(&file), None, "{what}");
    }
    // The children of a branch, exchanged.
    let mut file = sound.clone();
    let root = newest(&from(&sound)).expect("a database").root as usize * 1024;
    let child = |place: usize| root + HEAD + HEAD * place + 8;
    let (first, second) = (sound[child(0)], sound[child(1)]);
    (file[child(0)], file[child(1)]) = (second, first);
    assert_eq!(all(&file), None);
    file[child(0)] = 200;
    assert_eq!(all(&file), None);
}

/// Reads all there is, in a way; what matters is that it ends.
fn exercise(file: &[u8]) -> usize {
    let read_bytes = Cell::new(0);
    let fetch = |offset: u64, length: usize| {
        let found = from(file)(offset, length)?;
        read_bytes.set(read_bytes.get() + length);
        Some(found)
    };
    let _ = read(&fetch, |root| {
        for name in ["many", "deep", "empty"] {
            let _ = dump(root, &[name]);
        }
        dump(root, &["deep", "labels"])
    });
    read_bytes.get()
}

#[test]
fn what_is_cut_short_or_spoiled_ends() {
    let sound = file(&example(30), 1024, 3);
    assert!(exercise(&sound) < 4 * sound.len());
    for length in (0..sound.len()).step_by(257) {
        exercise(&sound[..length]);
    }
    let mut spoiled = sound.clone();
    for at in 0..sound.len() {
        spoiled[at] ^= 1 << (at % 8);
        // Nothing is read that was read before, but for another try.
        assert!(exercise(&spoiled) <= TRIES * (sound.len() + (MOST_LEVELS << 10)), "{at}");
        spoiled[at] = sound[at];
    }
}

proptest! {
    #[test]
    fn no_bytes_make_it_panic(bytes in proptest::collection::vec(any::<u8>(), 0..3000)) {
        exercise(&bytes);
        let _ = page(bytes.clone());
        let _ = inline(&bytes);
        // Behind meta pages that are sound.
        let mut file = file(&bucket([]), 1024, 1);
        let length = bytes.len().min(1024);
        file[2048..][..length].copy_from_slice(&bytes[..length]);
        file[2048..2056].copy_from_slice(&2u64.to_ne_bytes());
        exercise(&file);
    }

    #[test]
    fn no_spoiled_pages_make_it_panic(places in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..30)) {
        let mut file = file(&example(30), 1024, 3);
        for (place, byte) in places {
            // Meta pages have sums.
            let at = 2048 + place.index(file.len() - 2048);
            file[at] = byte;
        }
        exercise(&file);
    }

    #[test]
    fn what_was_written_is_read(keys in proptest::collection::btree_map("[a-c]{1,6}", "[x-z]{0,40}", 0..60), count in 1_usize..9) {
        let nodes = keys.iter().map(|(key, text)| (key.as_bytes().to_vec(), value(text))).collect();
        let file = file(&bucket([("all", Node::Bucket(nodes))]), 1024, count);
        let fetch = from(&file);
        let all = read(&fetch, |root| dump(root, &["all"]));
        prop_assert_eq!(all.as_ref(), Some(&keys));
        for (key, text) in &keys {
            let found = read(&fetch, |root| root.bucket(b"all")?.ok_or(Odd)?.value(key.as_bytes()));
            prop_assert_eq!(found.flatten(), Some(text.as_bytes().to_vec()));
        }
    }
}
