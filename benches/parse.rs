//! How long the parsers take: one benchmark for each, on text as a live host has it.
//!
//! Run with `cargo bench --bench parse`. Not here: reading the files, which is where a scan spends its time (`benches/scan.rs`).

use divan::counter::BytesCount;
use divan::{Bencher, black_box};
use nsx::model::NsName;
use nsx::proc::{Users, parse};
use nsx::select::Expr;

const STAT: &[u8] = b"4242 (tmux: server (1)) S 1 4242 4242 0 -1 4194560 200913 5133280 117 1802 3391 1204 20817 9954 20 0 5 0 \
    987654 21708800 2311 18446744073709551615 94228310753280 94228311310325 140726402195504 0 0 0 0 528386 134433281 0 0 0 17 1 \
    0 0 0 0 0 94228311424912 94228311498192 94228338294784 140726402198219 140726402198242 140726402198242 140726402203615 0\n";

const MOUNTINFO: &[u8] = b"\
    21 28 0:20 / /sys rw,nosuid,nodev,noexec,relatime shared:7 - sysfs sysfs rw\n\
    22 28 0:21 / /proc rw,nosuid,nodev,noexec,relatime shared:13 - proc proc rw,hidepid=invisible\n\
    23 28 0:5 / /dev rw,nosuid,relatime shared:2 - devtmpfs udev rw,size=4006644k,nr_inodes=1001661,mode=755,inode64\n\
    24 23 0:22 / /dev/pts rw,nosuid,noexec,relatime shared:3 - devpts devpts rw,gid=5,mode=620,ptmxmode=000\n\
    25 28 0:23 / /run rw,nosuid,nodev,noexec,relatime shared:5 - tmpfs tmpfs rw,size=805620k,mode=755,inode64\n\
    28 1 254:1 / / rw,relatime shared:1 - ext4 /dev/vda1 rw,errors=remount-ro\n\
    31 21 0:27 / /sys/fs/cgroup rw,nosuid,nodev,noexec,relatime shared:9 - cgroup2 cgroup2 rw,nsdelegate,memory_recursiveprot\n\
    96 25 0:4 net:[4026532184] /run/netns/blue\\040one rw shared:9 - nsfs nsfs rw\n\
    97 25 0:4 mnt:[4026532301] /run/snapd/ns/lxd.mnt rw - nsfs nsfs rw\n\
    412 28 0:61 / /var/lib/docker/overlay2/9c1e/merged rw,relatime shared:230 master:1 propagate_from:7 - overlay overlay \
    rw,lowerdir=/var/lib/docker/overlay2/l/AAAA:/var/lib/docker/overlay2/l/BBBB,upperdir=/d/9c1e/diff,workdir=/d/9c1e/work\n";

const ESCAPED: &[u8] = b"/run/netns/blue\\040one";

const CGROUP: &[u8] = b"\
    12:cpuset:/docker/3f2a0c5b9d\n11:pids:/docker/3f2a0c5b9d\n10:memory:/docker/3f2a0c5b9d\n9:devices:/docker/3f2a0c5b9d\n\
    8:cpu,cpuacct:/docker/3f2a0c5b9d\n7:freezer:/docker/3f2a0c5b9d\n1:name=systemd:/docker/3f2a0c5b9d\n0::/\n";

const STATUS: &[u8] = b"\
    Name:\tnginx\nUmask:\t0022\nState:\tS (sleeping)\nTgid:\t811\nNgid:\t0\nPid:\t811\nPPid:\t810\nTracerPid:\t0\n\
    Uid:\t33\t33\t33\t33\nGid:\t33\t33\t33\t33\nFDSize:\t64\nGroups:\t33 \nNStgid:\t811\t7\nNSpid:\t811\t7\n\
    VmPeak:\t   11552 kB\nVmRSS:\t    3320 kB\nThreads:\t1\nSigQ:\t0/31365\nSeccomp:\t2\n";

const PASSWD: &[u8] = b"\
    root:x:0:0:root:/root:/bin/bash\ndaemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin\nbin:x:2:2:bin:/bin:/usr/sbin/nologin\n\
    www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin\nnobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin\n\
    sshd:x:101:65534::/run/sshd:/usr/sbin/nologin\nann:x:1000:1000:Ann,,,:/srv/ann:/bin/zsh\n";

const WHERE: &str = r#"type == net and (nprocs > 1 or not user == root) and command =~ "^nginx""#;

fn main() {
    divan::main();
}

#[divan::bench]
fn stat(bencher: Bencher) {
    bencher.counter(BytesCount::new(STAT.len())).bench(|| parse::stat(black_box(STAT)));
}

#[divan::bench]
fn mountinfo(bencher: Bencher) {
    let bind_mounts = || parse::mountinfo(black_box(MOUNTINFO)).filter(|mount| mount.fs_type == b"nsfs").count();
    assert_eq!(bind_mounts(), 2);
    bencher.counter(BytesCount::new(MOUNTINFO.len())).bench(bind_mounts);
}

#[divan::bench]
fn unescape_octal(bencher: Bencher) {
    bencher.bench(|| parse::unescape_octal(black_box(ESCAPED)));
}

#[divan::bench]
fn cgroup(bencher: Bencher) {
    bencher.counter(BytesCount::new(CGROUP.len())).bench(|| parse::cgroup(black_box(CGROUP)));
}

#[divan::bench]
fn effective_uid(bencher: Bencher) {
    bencher.counter(BytesCount::new(STATUS.len())).bench(|| parse::effective_uid(black_box(STATUS)));
}

/// The link of a namespace, and two of the many links of descriptors that are none.
#[divan::bench(args = ["net:[4026531840]", "pipe:[1234567]", "anon_inode:[eventpoll]"])]
fn ns_name(bencher: Bencher, link: &str) {
    bencher.bench(|| NsName::parse(black_box(link.as_bytes())));
}

#[divan::bench]
fn users(bencher: Bencher) {
    bencher.counter(BytesCount::new(PASSWD.len())).bench(|| Users::parse(black_box(PASSWD)));
}

#[divan::bench]
fn expr(bencher: Bencher) {
    let column = |name: &str| ["type", "nprocs", "user", "command"].into_iter().position(|column| column == name);
    assert!(Expr::parse(WHERE, &column).is_ok());
    bencher.bench(|| Expr::parse(black_box(WHERE), &column));
}
