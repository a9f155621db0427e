//! What a test says of itself: its needs, and the places where it runs.
//!
//! A test whose needs are not met is never passed silently. It is shown as ignored, and fails where `NSX_TEST_STRICT=1` is set, unless
//! the need itself says that it cannot be met here: that is a skip with a declared reason.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::RwLock;

use libtest_mimic::{Failed, Trial};

/// Where the test binary runs; `NSX_TEST_PLACE` says it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Whatever machine somebody works on. Every module runs there.
    Machine,
    /// A virtual machine of `scripts/vm`: one of several kernels, cgroup v2, nothing but the tests. As root and as an ordinary user.
    Vm,
    /// The virtual machine of `scripts/vm systemd`: a Debian with systemd as PID 1. As root and as a user who is logged in.
    Systemd,
}

impl Place {
    /// Returns the place that this process is in.
    pub fn here() -> Place {
        match std::env::var("NSX_TEST_PLACE").as_deref() {
            Err(_) => Place::Machine,
            Ok(name) => Place::named(name).unwrap_or_else(|| panic!("NSX_TEST_PLACE={name}: no such place")),
        }
    }

    /// Returns the place with this name.
    pub fn named(name: &str) -> Option<Place> {
        match name {
            "machine" => Some(Place::Machine),
            "vm" => Some(Place::Vm),
            "systemd" => Some(Place::Systemd),
            _ => None,
        }
    }
}

/// What a test cannot do without.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// To be root, with all capabilities that containers usually lack.
    Root,
    /// A program on PATH. `scripts/setup` installs it, and `scripts/vm` puts it into its images, with its libraries.
    Tool(&'static str),
    /// A file of the system, such as a device.
    File(&'static str),
    /// A module of the kernel, which `scripts/vm` loads, and knows where there is none. Elsewhere the kernel loads it on demand, so
    /// nothing is asked.
    KernelModule(&'static str),
    /// A kind of link that the kernel can make. A machine's kernel may lack it, with its module; the virtual machines have it.
    LinkKind(&'static str),
    /// A kernel of at least this version, and why. Before it the test is skipped; from it on, what the kernel lacks is a failure.
    Linux(u32, u32, &'static str),
    /// Nothing but cgroup2 at `/sys/fs/cgroup`, as in the virtual machines.
    Cgroup2,
    /// A cgroup controller that a test may use: on v1, or on v2 where it is passed down from the top.
    Controller(&'static str),
    /// A controller that is at home on v1, as no machine of `scripts/vm` has one.
    OnV1(&'static str),
    /// So many disks in the kernel, of any kind. In a virtual machine the module `brd` makes some.
    Disks(usize),
    /// AppArmor in the kernel.
    AppArmor,
    /// systemd as PID 1.
    Systemd,
    /// The `systemd --user` of an ordinary user who is logged in.
    UserManager,
}

impl Need {
    /// Says whether it is met, for tests that do more where it is.
    pub fn is_met(self) -> bool {
        self.unmet().is_none()
    }

    /// Returns why the need is not met.
    fn unmet(self) -> Option<String> {
        match self {
            Need::Root => (!is_root()).then(|| "not root".to_owned()),
            Need::File(path) => (!Path::new(path).exists()).then(|| format!("no {path}")),
            Need::Tool(tool) => {
                let path = std::env::var_os("PATH").unwrap_or_default();
                let found = std::env::split_paths(&path).any(|folder| folder.join(tool).is_file());
                (!found).then(|| format!("no {tool} on PATH (scripts/setup installs it)"))
            }
            Need::KernelModule(module) => {
                let missing = std::fs::read_to_string("/nsx/modules/missing").unwrap_or_default();
                missing.lines().any(|line| line == module).then(|| format!("no kernel module {module}"))
            }
            Need::LinkKind(kind) => {
                // The loopback device is below none of them, and the kernel says so only where it knows the kind.
                let tried = std::process::Command::new("unshare")
                    .args(["-Urn", "ip", "link", "add", "nsx0", "link", "lo", "type", kind])
                    .output();
                let unknown = tried.is_ok_and(|tried| {
                    String::from_utf8_lossy(&tried.stderr).to_ascii_lowercase().contains("unknown device type")
                });
                unknown.then(|| format!("no links of kind {kind} in this kernel"))
            }
            Need::Linux(major, minor, feature) => {
                linux_before(major, minor).then(|| format!("before Linux {major}.{minor}: no {feature}"))
            }
            Need::Cgroup2 => (!is_cgroup2("/sys/fs/cgroup")).then(|| "no cgroup2 at /sys/fs/cgroup".to_owned()),
            Need::Controller(controller) => {
                (!super::cgroup::is_usable(controller)).then(|| format!("no cgroup controller {controller} to be used"))
            }
            Need::OnV1(controller) => {
                (!super::group::is_v1(controller)).then(|| format!("no {controller} on cgroup v1"))
            }
            Need::Disks(count) => (disks().len() < count).then(|| format!("fewer than {count} disks")),
            Need::AppArmor => {
                let on =
                    std::fs::read_to_string("/sys/module/apparmor/parameters/enabled").is_ok_and(|on| on.trim() == "Y");
                (!on).then(|| "no AppArmor in the kernel".to_owned())
            }
            Need::Systemd => (!Path::new("/run/systemd/system").exists()).then(|| "no systemd as PID 1".to_owned()),
            Need::UserManager => {
                let folder = std::env::var_os("XDG_RUNTIME_DIR").unwrap_or_default();
                let there = !is_root() && Path::new(&folder).join("systemd/private").exists();
                (!there).then(|| "no systemd --user of an ordinary user".to_owned())
            }
        }
    }

    /// Says whether a need that is not met is no failure even where nothing may be skipped, because another run of this binary meets it.
    fn is_for_elsewhere(self, place: Place) -> bool {
        match self {
            // In a virtual machine the same tests run as root, too.
            Need::Root => place != Place::Machine,
            Need::Linux(..) => true,
            Need::Cgroup2 | Need::Controller(_) | Need::Disks(_) | Need::LinkKind(_) => place == Place::Machine,
            Need::OnV1(_) => place != Place::Machine,
            Need::AppArmor => place != Place::Vm,
            Need::Systemd => place != Place::Systemd,
            Need::UserManager => place != Place::Systemd || is_root(),
            Need::Tool(_) | Need::File(_) | Need::KernelModule(_) => false,
        }
    }
}

/// Returns the disks that the kernel has: names, and numbers as in `8:0`. No partition is among them.
pub fn disks() -> Vec<(String, String)> {
    let entries = std::fs::read_dir("/sys/block").into_iter().flatten().flatten();
    let mut all: Vec<(String, String)> = entries
        .filter_map(|entry| {
            let numbers = std::fs::read_to_string(entry.path().join("dev")).ok()?;
            Some((entry.file_name().into_string().ok()?, numbers.trim().to_owned()))
        })
        .collect();
    all.sort();
    all
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Says whether a folder is a cgroup of version 2.
pub fn is_cgroup2(path: &str) -> bool {
    use nix::sys::statfs::{CGROUP2_SUPER_MAGIC, statfs};
    statfs(path).is_ok_and(|found| found.filesystem_type() == CGROUP2_SUPER_MAGIC)
}

/// Says whether the kernel is older. Only tests ask for its version: nsx itself tries things out.
pub fn linux_before(major: u32, minor: u32) -> bool {
    let release = std::fs::read_to_string("/proc/sys/kernel/osrelease").expect("a release");
    let mut numbers = release.split(|character: char| !character.is_ascii_digit()).map(|number| number.parse().ok());
    let mut next = || numbers.next().flatten().unwrap_or_else(|| panic!("{release} is no release"));
    (next(), next()) < (major, minor)
}

/// A test and what it declares.
pub struct Test {
    /// Its name, with its module: `live::a_socket_holds`.
    pub name: &'static str,
    needs: &'static [Need],
    alone: bool,
    body: fn(),
}

/// A test that can run beside others.
pub fn test(name: &'static str, needs: &'static [Need], body: fn()) -> Test {
    Test { name, needs, alone: false, body }
}

/// A test that no other test may disturb.
pub fn quiet(name: &'static str, needs: &'static [Need], body: fn()) -> Test {
    Test { name, needs, alone: true, body }
}

impl Test {
    /// The same, but in virtual machines, where it takes long, for root alone, who plays the ordinary user, too; and not on a kernel that is
    /// between two others on which it runs.
    pub fn sparingly_in_vm(self) -> Test {
        let needs: &[Need] = match Place::here() {
            Place::Vm if !is_root() => &[Need::Root],
            Place::Vm if !linux_before(6, 2) && linux_before(7, 0) => {
                &[Need::Linux(7, 0, "root directory that is made in another way than on 6.1")]
            }
            _ => self.needs,
        };
        Test { needs, ..self }
    }
}

/// The tests of one file.
pub struct Module {
    /// The name of the file.
    pub name: &'static str,
    /// Where it runs beside [`Place::Machine`].
    pub places: &'static [Place],
    /// All of them.
    pub tests: Vec<Test>,
}

impl Module {
    /// Says whether the module runs in a place.
    pub fn runs_in(&self, place: Place) -> bool {
        place == Place::Machine || self.places.contains(&place)
    }
}

/// Tests that want the host to themselves take this for writing, all others for reading.
static HOST: RwLock<()> = RwLock::new(());

impl Test {
    /// Makes a trial of it. One that is skipped has the reason in its name.
    pub fn trial(&self) -> Trial {
        let unmet = || self.needs.iter().filter_map(|need| need.unmet().map(|reason| (*need, reason)));
        let reasons: Vec<String> = unmet().map(|(_, reason)| reason).collect();
        if reasons.is_empty() {
            let (alone, body) = (self.alone, self.body);
            return Trial::test(self.name, move || {
                let _shared = (!alone).then(|| HOST.read());
                let _alone = alone.then(|| HOST.write());
                body();
                Ok(())
            });
        }
        let reason = reasons.join(", ");
        let place = Place::here();
        let strict = std::env::var_os("NSX_TEST_STRICT").is_some_and(|value| value == "1");
        // One reason that holds here is enough, whatever else is missing.
        let skipped = !strict || unmet().any(|(need, _)| need.is_for_elsewhere(place));
        let name = format!("{} (needs: {reason})", self.name);
        Trial::test(name, move || Err(Failed::from(reason))).with_ignored_flag(skipped)
    }
}

/// Returns what has to be in an image for the modules of a place, a line each: `tool ip`, `kernel-module fuse`.
pub fn needs<'a>(modules: impl Iterator<Item = &'a Module>) -> BTreeSet<String> {
    let needs = modules.flat_map(|module| &module.tests).flat_map(|test| test.needs);
    needs
        .filter_map(|need| match need {
            Need::Tool(tool) => Some(format!("tool {tool}")),
            Need::KernelModule(module) => Some(format!("kernel-module {module}")),
            Need::Root
            | Need::AppArmor
            | Need::File(_)
            | Need::LinkKind(_)
            | Need::Linux(..)
            | Need::Cgroup2
            | Need::Controller(_)
            | Need::OnV1(_)
            | Need::Disks(_)
            | Need::Systemd
            | Need::UserManager => None,
        })
        .collect()
}
