//! What there is many of, in JSON: mounts, addresses, descriptors that lead out.

use serde::Serialize;

use crate::model::isolation::{Address, Mount, Outside, Way};
use crate::render::json::Text;

#[derive(Serialize)]
pub(super) struct MountJson<'a> {
    #[serde(flatten)]
    point: Text<'a>,
    role: &'static str,
    writable: bool,
    #[serde(flatten)]
    fs_type: Text<'a>,
    #[serde(flatten)]
    source: Text<'a>,
    #[serde(flatten)]
    root: Text<'a>,
    #[serde(flatten)]
    options: Text<'a>,
    #[serde(flatten)]
    super_options: Text<'a>,
    #[serde(flatten)]
    propagation: Text<'a>,
    major: u32,
    minor: u32,
    #[serde(flatten)]
    host_path: Text<'a>,
}

pub(super) fn mount(mount: &Mount) -> MountJson<'_> {
    let text = |key, raw_key, bytes| Text { key, raw_key, bytes: Some(bytes) };
    MountJson {
        point: text("point", "point_raw", &mount.point),
        role: mount.role.name(),
        writable: mount.is_writable(),
        fs_type: text("fs_type", "fs_type_raw", &mount.fs_type),
        source: text("source", "source_raw", &mount.source),
        root: text("root", "root_raw", &mount.root),
        options: text("options", "options_raw", &mount.options),
        super_options: text("super_options", "super_options_raw", &mount.super_options),
        propagation: text("propagation", "propagation_raw", &mount.propagation),
        major: mount.device.0,
        minor: mount.device.1,
        host_path: Text { key: "host_path", raw_key: "host_path_raw", bytes: mount.host_path.as_deref() },
    }
}

#[derive(Serialize)]
pub(super) struct AddressJson<'a> {
    address: String,
    prefix: Option<u8>,
    #[serde(flatten)]
    link: Text<'a>,
}

pub(super) fn address(address: &Address) -> AddressJson<'_> {
    AddressJson {
        address: address.address.to_string(),
        prefix: address.prefix,
        link: Text { key: "link", raw_key: "link_raw", bytes: address.link.as_deref() },
    }
}

#[derive(Serialize)]
pub(super) struct OutsideJson<'a> {
    fd: u32,
    kind: &'static str,
    writable: bool,
    #[serde(flatten)]
    link: Text<'a>,
    ns: Option<u32>,
    ns_type: Option<&'static str>,
    pid: Option<u32>,
    block: Option<bool>,
    major: Option<u32>,
    minor: Option<u32>,
}

pub(super) fn outside(outside: &Outside) -> OutsideJson<'_> {
    let mut json = OutsideJson {
        fd: outside.fd,
        kind: outside.way.name(),
        writable: outside.writable,
        link: Text { key: "link", raw_key: "link_raw", bytes: Some(&outside.link) },
        ns: None,
        ns_type: None,
        pid: None,
        block: None,
        major: None,
        minor: None,
    };
    match outside.way {
        Way::Device(block, major, minor) => {
            (json.block, json.major, json.minor) = (Some(block), Some(major), Some(minor));
        }
        Way::Namespace(name) => (json.ns, json.ns_type) = (Some(name.id.inode()), Some(name.kind.name())),
        Way::Socket(id) => (json.ns, json.ns_type) = (Some(id.inode()), Some("net")),
        Way::Process(pid) => json.pid = pid.map(|pid| pid.0),
        Way::File | Way::Directory | Way::Kernel => {}
    }
    json
}
