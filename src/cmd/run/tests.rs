//! Typed lines, and what is asked for by them or what is said of them.

mod refused;

use std::os::unix::ffi::OsStringExt;
use std::time::Duration;

use clap::FromArgMatches;
use proptest::prelude::*;

use super::*;
use crate::cgroup::change::Asked;
use crate::cgroup::change::value::Value;
use crate::launch::Timeout;
use crate::launch::run::{Bind, NameOrId, Net, Rlimit, Root, TimeOffset, Tmpfs, User, UserNs};
use crate::model::{CapSet, KindSet, NsName};
use crate::select::Target;

fn definition() -> clap::Command {
    RunArgs::augment_args(clap::Command::new("run"))
}

fn parse(words: impl IntoIterator<Item = OsString>) -> Result<RunArgs, String> {
    let matches = definition().try_get_matches_from([OsString::from("run")].into_iter().chain(words));
    matches.and_then(|matches| RunArgs::from_arg_matches(&matches)).map_err(|error| error.to_string())
}

/// Splits at spaces; `␣` is one within a word, `∅` an empty word, `␀` a NUL byte, `␛` an ESC.
fn words(typed: &str) -> Vec<OsString> {
    let word = |word: &str| word.replace('␣', " ").replace('∅', "").replace('␀', "\0").replace('␛', "\x1b").into();
    typed.split_whitespace().map(word).collect()
}

fn request(typed: &str) -> Result<RunRequest, String> {
    parse(words(typed))?.request().map_err(|error| error.to_string())
}

type Change = fn(&mut RunRequest);

/// Checks what is asked for by each line: the default request, changed.
fn check(rows: &[(&str, Change)]) {
    for (typed, change) in rows {
        let mut wanted = RunRequest::default();
        change(&mut wanted);
        let got = request(typed).unwrap_or_else(|error| panic!("{typed}: {error}"));
        assert_eq!(format!("{got:#?}"), format!("{wanted:#?}"), "{typed}");
    }
}

fn knobs(all: &[&str]) -> Vec<Asked> {
    all.iter().map(|text| text.parse().unwrap_or_else(|error| panic!("{text}: {error}"))).collect()
}

fn rlimit(resource: u32, name: &'static str, soft: Option<u64>, hard: Option<u64>) -> Rlimit {
    Rlimit { resource, name, soft, hard }
}

fn caps(text: &str) -> CapSet {
    CapSet::parse(text).expect("capabilities")
}

#[test]
fn the_definition_holds_together() {
    definition().debug_assert();
}

#[test]
fn limits_become_knobs() {
    check(&[
        ("", |_| {}),
        ("--mem 256M", |r| r.limits.asked = knobs(&["memory.max=256M"])),
        ("--mem=1.5GiB --mem-high 1G --swap 0", |r| {
            r.limits.asked = knobs(&["memory.max=1.5GiB", "memory.high=1G", "memory.swap.max=0"]);
        }),
        ("--swap max", |r| r.limits.asked = knobs(&["memory.swap.max=max"])),
        ("--cpus 1.5 --cpu-weight 200 --cpuset 0-3,8", |r| {
            r.limits.asked = knobs(&["cpu.max=1.5", "cpu.weight=200", "cpuset.cpus=0-3,8"]);
        }),
        ("--cpus 50%", |r| r.limits.asked = knobs(&["cpu.max=50%"])),
        ("--pids 100", |r| r.limits.asked = knobs(&["pids.max=100"])),
        ("--io 8:0:rbps=10M,wiops=max --io 8:16:riops=5", |r| {
            r.limits.asked = knobs(&["io.max=8:0 rbps=10M wiops=max", "io.max=8:16 riops=5"]);
        }),
        ("--io /dev/disk/by-path/a:b:wbps=1M", |r| {
            r.limits.asked = knobs(&["io.max=0:0 wbps=1M"]);
            let Value::Device(name, _) = &mut r.limits.asked[0].value else { panic!("no device") };
            "/dev/disk/by-path/a:b".clone_into(name);
        }),
        ("--hugetlb 2MB:64M --hugetlb 1G:max", |r| {
            r.limits.asked = knobs(&["hugetlb.2MB.max=64M", "hugetlb.1GB.max=max"]);
        }),
        ("--cgroup-set memory.oom.group=1 --cgroup-set cpu.max=20000␣100000", |r| {
            r.limits.asked = knobs(&["memory.oom.group=1", "cpu.max=20000 100000"]);
        }),
        ("--cgroup-parent /system.slice/", |r| r.limits.parent = Some("/system.slice".into())),
        ("--ulimit nofile=1024:4096 --ulimit core=0 --ulimit as=1G:unlimited --ulimit nproc=unlimited", |r| {
            r.rlimits = vec![
                rlimit(7, "nofile", Some(1024), Some(4096)),
                rlimit(4, "core", Some(0), Some(0)),
                rlimit(9, "as", Some(1 << 30), None),
                rlimit(6, "nproc", None, None),
            ];
        }),
        ("--oom-score-adj -500", |r| r.oom_score_adj = Some(-500)),
    ]);
}

#[test]
fn isolation_is_on_and_can_be_loosened() {
    check(&[
        ("--share ipc,uts --share time", |r| {
            r.share = [NsKind::Ipc, NsKind::Uts, NsKind::Time].into_iter().collect();
        }),
        ("--share net", |r| (r.net, r.share) = (Net::Host, KindSet::NONE.with(NsKind::Net))),
        ("--net host", |r| (r.net, r.share) = (Net::Host, KindSet::NONE.with(NsKind::Net))),
        ("--net host --share net", |r| (r.net, r.share) = (Net::Host, KindSet::NONE.with(NsKind::Net))),
        ("--net self", |r| (r.net, r.share) = (Net::Host, KindSet::NONE.with(NsKind::Net))),
        ("--net none", |_| {}),
        ("--net 4242", |r| r.net = Net::Target(Target::Number(4242))),
        ("--net netns:blue", |r| r.net = Net::Target(Target::Netns("blue".into()))),
        ("--net /run/netns/blue", |r| r.net = Net::Target(Target::File("/run/netns/blue".into()))),
        ("--net net:[4026532184]", |r| {
            r.net = Net::Target(Target::Namespace(NsName::parse(b"net:[4026532184]").expect("a name")));
        }),
        ("--userns host", |r| r.userns = UserNs::Host),
        ("--userns keep", |r| r.userns = UserNs::Keep),
        ("--userns root", |r| r.userns = UserNs::Root),
        ("--userns map=0:100000:65536,65536:1000:1", |r| {
            let map = vec![[0, 100_000, 65536], [65536, 1000, 1]];
            r.userns = UserNs::Map { uids: map.clone(), gids: map };
        }),
        ("--userns map=0:1000:1 --gid-map 0:100:1", |r| {
            r.userns = UserNs::Map { uids: vec![[0, 1000, 1]], gids: vec![[0, 100, 1]] };
        }),
        ("--userns map=0:4294967294:1", |r| {
            r.userns = UserNs::Map { uids: vec![[0, 4_294_967_294, 1]], gids: vec![[0, 4_294_967_294, 1]] };
        }),
        ("--user 0", |r| r.user = Some(User { user: NameOrId::Id(0), group: None })),
        ("--user www-data:4294967294", |r| {
            r.user = Some(User { user: NameOrId::Name("www-data".into()), group: Some(NameOrId::Id(4_294_967_294)) });
        }),
        ("--time-offset +1d", |r| {
            let day = 86_400_000_000_000;
            r.time_offset = Some(TimeOffset { monotonic_nsec: day, boottime_nsec: day });
        }),
        ("--time-offset -2h", |r| {
            r.time_offset = Some(TimeOffset { monotonic_nsec: -7_200_000_000_000, boottime_nsec: -7_200_000_000_000 });
        }),
        ("--time-offset boottime=-1500ms --time-offset monotonic=30", |r| {
            r.time_offset = Some(TimeOffset { monotonic_nsec: 30_000_000_000, boottime_nsec: -1_500_000_000 });
        }),
        ("--time-offset boottime=0 --time-offset=monotonic=-1s", |r| {
            r.time_offset = Some(TimeOffset { monotonic_nsec: -1_000_000_000, boottime_nsec: 0 });
        }),
        ("--time-offset 40000d", |r| {
            let long = 40_000 * 86_400_000_000_000;
            r.time_offset = Some(TimeOffset { monotonic_nsec: long, boottime_nsec: long });
        }),
        ("--hostname box.example", |r| r.hostname = Some("box.example".into())),
        ("--cap-add NET_ADMIN,cap_sys_ptrace --cap-add Sys_Admin --cap-drop net_raw", |r| {
            (r.cap_add, r.cap_drop) = (caps("net_admin,sys_ptrace,sys_admin"), caps("net_raw"));
        }),
        ("--cap-drop ALL", |r| r.cap_drop = CapSet::ALL),
        ("--cap-drop all --cap-add chown", |r| (r.cap_add, r.cap_drop) = (caps("chown"), CapSet::ALL & !caps("chown"))),
        ("--cap-add ALL --cap-drop sys_admin", |r| {
            (r.cap_add, r.cap_drop) = (CapSet::ALL & !CapSet::SYS_ADMIN, CapSet::SYS_ADMIN);
        }),
        ("--allow-new-privs --seccomp none --unmask", |r| {
            (r.no_new_privs, r.seccomp, r.mask) = (false, false, false);
        }),
        ("--seccomp default", |_| {}),
    ]);
}

#[test]
fn files_are_the_hosts_or_others() {
    check(&[
        ("--home", |r| r.root = Root::Host { home: true }),
        ("--rootfs tree", |r| r.root = Root::Directory { path: "tree".into(), read_only: false }),
        ("--rootfs /srv/tree --read-only", |r| {
            r.root = Root::Directory { path: "/srv/tree".into(), read_only: true };
        }),
        ("-v .:/src:ro --volume=/a␣b://mnt/./x/ -v /dev/fuse:/dev/fuse:rw", |r| {
            let bind = |source: &str, target: &str, read_only| Bind {
                source: source.into(),
                target: target.into(),
                read_only,
            };
            r.binds =
                vec![bind(".", "/src", true), bind("/a b", "/mnt/x", false), bind("/dev/fuse", "/dev/fuse", false)];
        }),
        ("--tmpfs /scratch --tmpfs /cache:size=64m", |r| {
            r.tmpfs = vec![
                Tmpfs { target: "/scratch".into(), size_bytes: None },
                Tmpfs { target: "/cache".into(), size_bytes: Some(64 << 20) },
            ];
        }),
        ("-w /src", |r| r.directory = Some("/src".into())),
    ]);
}

#[test]
fn the_command_has_a_life() {
    check(&[
        ("sh -c exit␣3", |r| r.command = vec!["sh".into(), "-c".into(), "exit 3".into()]),
        ("--pids 5 ls --mem 1 -- -d", |r| {
            r.limits.asked = knobs(&["pids.max=5"]);
            r.command = words("ls --mem 1 -- -d");
        }),
        ("-- -x --help", |r| r.command = words("-x --help")),
        ("--name web-1.a_b -d", |r| (r.name, r.detach) = (Some("web-1.a_b".into()), true)),
        ("--timeout 1.5s,300ms", |r| {
            r.timeout = Some(Timeout { after: Duration::from_millis(1500), grace: Duration::from_millis(300) });
        }),
        ("--no-init --stats --status-fd 3 -J", |r| (r.init, r.watched) = (false, true)),
        ("--explain -J", |_| {}),
        ("-e A=1 -e A= -e TERM --env=B=a=b --clear-env", |r| {
            let some = |text: &str| Some(OsString::from(text));
            r.environment.clear = true;
            r.environment.set =
                vec![("A".into(), some("1")), ("A".into(), some("")), ("TERM".into(), None), ("B".into(), some("a=b"))];
        }),
        ("--keep-fd 3 --keep-fd 7", |r| r.keep_fds = vec![3, 7]),
    ]);
}

#[test]
fn paths_and_words_need_not_be_utf_8() {
    let raw = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
    let typed = ["-v", "--env"].map(OsString::from);
    let [v, e] = typed;
    let args = parse([v, raw(b"/\xff:/\xfe:ro"), e, raw(b"A=\xff"), raw(b"\xfd")]).expect("parsed");
    let request = args.request().expect("a request");
    assert_eq!(request.binds[0].source.as_os_str(), raw(b"/\xff"));
    assert_eq!(request.binds[0].target.as_os_str(), raw(b"/\xfe"));
    assert_eq!(request.environment.set, [("A".into(), Some(raw(b"\xff")))]);
    assert_eq!(request.command, [raw(b"\xfd")]);
}

#[test]
fn what_is_in_files_comes_before_what_is_typed() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        path.into_os_string()
    };
    let looked_up = |files: &[OsString]| {
        let options = files.iter().flat_map(|file| ["--env-file".into(), file.clone()]);
        let args = parse(words("-e A=3").into_iter().chain(options)).expect("parsed");
        let mut request = args.request().expect("a request");
        args.look_up(&mut request).map(|()| request.environment.set).map_err(|error| error.to_string())
    };
    let (one, two) = (file("one", "A=1\nB\n"), file("two", "A=2"));
    let set = looked_up(&[one, two]).expect("read");
    let set: Vec<_> =
        set.iter().map(|(name, value)| (name.to_str(), value.as_ref().and_then(|v| v.to_str()))).collect();
    assert_eq!(set, [(Some("A"), Some("1")), (Some("B"), None), (Some("A"), Some("2")), (Some("A"), Some("3"))]);
    assert!(looked_up(&[file("bad", "A=1\nB B=2")]).is_err_and(|error| error.contains("bad, line 2: the name")));
    assert!(
        looked_up(&["/nowhere\u{1b}/x".into()]).is_err_and(|error| error.contains("cannot read /nowhere\\u{1b}/x"))
    );
    assert!(looked_up(&["/dev/zero".into()]).is_err_and(|error| error.contains("larger than")));
}

#[test]
fn a_disk_is_asked_for_its_numbers() {
    for (device, said) in [("/dev/null", "/dev/null is no block device"), ("/nowhere", "cannot look at /nowhere")] {
        let args = parse(words(&format!("--io {device}:rbps=1M"))).expect("parsed");
        let error = args.look_up(&mut args.request().expect("a request")).expect_err(device);
        assert!(error.to_string().contains(said), "{error}");
    }
}

/// The examples of the man pages are there to be typed.
#[test]
fn the_examples_of_the_man_page_make_sense() {
    let pages = [include_str!("../../../man/prose/nsx-run.roff"), include_str!("../../../man/prose/nsx-kill.roff")];
    let lines = pages.iter().flat_map(|page| page.split("EXAMPLES\n").nth(1).unwrap_or_default().lines());
    let mut count = 0;
    for line in lines.filter_map(|line| line.strip_prefix("\\fBnsx run ")?.strip_suffix("\\fR")) {
        // What stands in quotation marks is one word, and what follows is the shell's.
        let line = line.replace("\\-", "-");
        let mut typed: Vec<OsString> = Vec::new();
        for (index, part) in line.split("\\(aq").enumerate() {
            match index % 2 {
                0 => typed.extend(part.split_whitespace().take_while(|word| !word.contains('>')).map(OsString::from)),
                _ => typed.push(part.into()),
            }
        }
        let parsed = parse(typed).and_then(|args| args.request().map_err(|error| error.to_string()));
        assert!(parsed.is_ok(), "{line}: {parsed:?}");
        count += 1;
    }
    assert!(count > 10, "{count}");
}

proptest! {
    #[test]
    fn no_text_makes_the_parsers_panic(text in "\\PC{0,30}", typed in "[a-z0-9:=,./%KMGB+-]{0,24}") {
        for text in [&text, &typed] {
            let _ = (limits::memory_max(text), limits::memory_high(text), limits::swap(text), limits::cpus(text));
            let _ = (limits::cpu_weight(text), limits::cpuset(text), limits::pids(text), limits::knob(text));
            let _ = (limits::io(text), limits::io(&format!("8:0:{text}")), limits::hugetlb(text));
            let _ = (limits::hugetlb(&format!("2MB:{text}")), limits::ulimit(text), limits::ulimit(&format!("as={text}")));
            let _ = (value::bytes(text), value::name(text), value::caps(text), value::user(text));
            let _ = (value::userns(text), value::userns(&format!("map={text}")), value::id_map(text));
            let _ = (value::time_offset(text), value::time_offset(&format!("boottime={text}")));
        }
    }

    #[test]
    fn no_numbers_make_the_map_panic(numbers in proptest::collection::vec(any::<u32>(), 0..9)) {
        let text: Vec<String> = numbers.chunks(3)
            .map(|three| three.iter().map(u32::to_string).collect::<Vec<_>>().join(":"))
            .collect();
        let _ = value::id_map(&text.join(","));
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn no_bytes_make_the_command_line_panic(text in proptest::collection::vec(any::<u8>(), 0..24)) {
        for option in ["--volume", "--tmpfs", "--hostname", "--env", "--rootfs", "--workdir", "--net", "--share"] {
            let _ = parse([option.into(), OsString::from_vec(text.clone())]).map(|args| args.request().is_ok());
        }
    }
}
