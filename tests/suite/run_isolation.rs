//! Commands that attack the sandbox that `nsx run` has put them into: one test for each attack that concerns a launcher, as root, as an
//! ordinary user, and with all capabilities where that makes sense.
//!
//! The attempts are those of `harness/fixture/probe`; what is expected of each is here. An attack runs inside a sandbox, and what it would
//! reach outside is a canary: files of the test's own, which are to be what they were. Not here: targets that attack who enters them
//! (`hostile_enter`).

mod descriptors;
mod findings;
mod ids;
mod impostors;
mod init;
mod limits;
mod mounts;
mod paths;
mod peers;
mod place;
mod powers;
mod race;
mod roots;
mod sight;
mod terminals;

use super::harness::{Module, Place, Test};

pub fn module() -> Module {
    let tests: Vec<Test> = [
        descriptors::tests(),
        findings::tests(),
        ids::tests(),
        impostors::tests(),
        init::tests(),
        limits::tests(),
        mounts::tests(),
        paths::tests(),
        peers::tests(),
        powers::tests(),
        race::tests(),
        roots::tests(),
        sight::tests(),
        terminals::tests(),
    ]
    .into_iter()
    .flatten()
    .map(Test::sparingly_in_vm)
    .collect();
    Module { name: "run_isolation", places: &[Place::Vm], tests }
}
