//! What `nsx net --dot` prints, drawn by graphviz, which reads plugins that are in no virtual machine.

use super::harness::{Module, Need, test};
use super::net::picture;

pub fn module() -> Module {
    let needs: &[Need] = &[
        Need::Root,
        Need::Tool("unshare"),
        Need::Tool("mount"),
        Need::Tool("nsenter"),
        Need::Tool("ip"),
        Need::KernelModule("veth"),
        Need::KernelModule("bridge"),
        Need::Tool("dot"),
    ];
    Module { name: "net_picture", places: &[], tests: vec![test("net_picture::graphviz_draws_it", needs, picture)] }
}
