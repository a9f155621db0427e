//! What the command finds around it: its environment, and the programs that its name may mean. Pure, but for the caller's own environment.
//!
//! Not here: namespaces, directories, ids (`plan`). See environ(7), execvp(3), ld.so(8).

use std::ffi::{CString, OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

use super::enter::EnterError;
use super::facts::Held;
use super::plan::Plan;
use super::request::Request;
use crate::sys::{Call, Errno, SysError};

/// Where programs are looked for in a root directory that is not the caller's, after the directories of PATH: a PATH that fits the host
/// need not fit it.
pub(super) const STANDARD_PATH: &[u8] = b"/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// Variables by which an environment makes programs load files that nobody asked for: a target's do not count where the files are the caller's.
///
/// Those that ld.so(8) forgets in secure execution, and those of shells and interpreters.
const LOADING: [&[u8]; 27] = [
    b"LD_",
    b"GLIBC_TUNABLES=",
    b"GCONV_PATH=",
    b"GETCONF_DIR=",
    b"HOSTALIASES=",
    b"LOCALDOMAIN=",
    b"LOCPATH=",
    b"MALLOC_",
    b"NIS_PATH=",
    b"NLSPATH=",
    b"RESOLV_HOST_CONF=",
    b"RES_OPTIONS=",
    b"TMPDIR=",
    b"TZDIR=",
    b"BASH_",
    b"ENV=",
    b"SHELLOPTS=",
    b"BASHOPTS=",
    b"PS4=",
    b"IFS=",
    b"PYTHON",
    b"PERL",
    b"RUBY",
    b"NODE_",
    b"JAVA_",
    b"TERMINFO",
    b"PATH=",
];

/// Shells to try in a root directory that is not the caller's.
const SHELLS: [&str; 2] = ["/bin/bash", "/bin/sh"];

/// What the command finds.
pub struct Surroundings {
    /// The environment, variable by variable.
    pub(super) environment: Vec<CString>,
    path: Vec<u8>,
}

impl Surroundings {
    /// Puts the environment together: the target's, or the caller's.
    pub fn new(request: &Request, plan: &Plan, held: &Held) -> Surroundings {
        let mut variables: Vec<Vec<u8>> = match &held.environment {
            Some(theirs) => {
                let is_one = |variable: &&[u8]| variable.iter().position(|&byte| byte == b'=').is_some_and(|at| at > 0);
                theirs.split(|&byte| byte == 0).filter(is_one).map(<[u8]>::to_vec).collect()
            }
            None => std::env::vars_os()
                .map(|(name, value)| {
                    let mut variable = name.into_vec();
                    variable.push(b'=');
                    variable.extend_from_slice(value.as_bytes());
                    variable
                })
                .collect(),
        };
        let find =
            |variables: &[Vec<u8>], start: &[u8]| variables.iter().position(|variable| variable.starts_with(start));
        if held.environment.is_some() && plan.terminal && find(&variables, b"TERM=").is_none() {
            // What kind of terminal the caller has is no matter of the target's.
            variables.extend(std::env::var_os("TERM").map(|term| [b"TERM=", term.as_bytes()].concat()));
        }
        if held.environment.is_some() && (!plan.other_root || request.tools.is_some()) {
            // The programs are the caller's, and so is what says where they and their parts are found.
            let names_files = |variable: &Vec<u8>| LOADING.iter().any(|start| variable.starts_with(start));
            variables.retain(|variable| !names_files(variable));
            variables.extend(std::env::var_os("PATH").map(|path| [b"PATH=", path.as_bytes()].concat()));
        }
        let at = find(&variables, b"PATH=");
        let mut path = at.map(|at| variables[at][b"PATH=".len()..].to_vec());
        if plan.other_root && request.tools.is_none() && held.environment.is_none() {
            let mut all = path.unwrap_or_default();
            for folder in STANDARD_PATH.split(|&byte| byte == b':') {
                if !all.split(|&byte| byte == b':').any(|known| known == folder) {
                    if !all.is_empty() {
                        all.push(b':');
                    }
                    all.extend_from_slice(folder);
                }
            }
            let variable = [b"PATH=", &all[..]].concat();
            match at {
                Some(at) => variables[at] = variable,
                None => variables.push(variable),
            }
            path = Some(all);
        }
        let environment = variables.into_iter().filter_map(|variable| CString::new(variable).ok()).collect();
        Surroundings { environment, path: path.unwrap_or_else(|| STANDARD_PATH.to_vec()) }
    }
}

impl Surroundings {
    /// An environment, and where programs are looked for: where its PATH says, else in the usual places.
    pub(super) fn of(environment: Vec<CString>) -> Surroundings {
        let path = environment.iter().find_map(|variable| variable.to_bytes().strip_prefix(b"PATH="));
        Surroundings { path: path.unwrap_or(STANDARD_PATH).to_vec(), environment }
    }
}

/// Returns the programs to try, with their arguments.
pub(super) fn candidates(
    command: &[OsString],
    surroundings: &Surroundings,
    other_root: bool,
    by_shell: Option<&CString>,
) -> Result<Vec<(CString, Vec<CString>)>, EnterError> {
    let Some((name, _)) = command.split_first() else {
        let own = std::env::var_os("SHELL").filter(|shell| shell.as_bytes().starts_with(b"/"));
        let more = if other_root { &SHELLS[..] } else { &["/bin/sh"] };
        let mut paths: Vec<OsString> = own.into_iter().collect();
        paths.extend(more.iter().map(OsString::from).filter(|shell| !paths.contains(shell)).collect::<Vec<_>>());
        return paths
            .into_iter()
            .map(|path| {
                let file = path.as_bytes().rsplit(|&byte| byte == b'/').next().unwrap_or_default();
                // A login shell, as nsenter(1) starts it.
                Ok((text(&path)?, vec![text(OsStr::from_bytes(&[b"-", file].concat()))?]))
            })
            .collect();
    };
    let mut words = command.iter().map(|word| text(word)).collect::<Result<Vec<_>, _>>()?;
    if let Some(script) = by_shell {
        words.splice(0..1, [text(OsStr::new("sh"))?, script.clone()]);
        return Ok(vec![(text(OsStr::new("/bin/sh"))?, words)]);
    }
    // There is no program without a name, in whatever directory.
    if name.is_empty() || name.as_bytes().contains(&b'/') {
        return Ok(vec![(text(name)?, words)]);
    }
    let mut folders: Vec<&[u8]> = Vec::new();
    for folder in surroundings.path.split(|&byte| byte == b':') {
        let folder = if folder.is_empty() { b"." } else { folder };
        if !folders.contains(&folder) {
            folders.push(folder);
        }
    }
    folders
        .into_iter()
        .map(|folder| Ok((text(OsStr::from_bytes(&[folder, b"/", name.as_bytes()].concat()))?, words.clone())))
        .collect()
}

/// A path or word as the kernel takes it.
pub(super) fn text(bytes: &OsStr) -> Result<CString, EnterError> {
    CString::new(bytes.as_bytes()).map_err(|_| {
        let call = Call::Execve(bytes.as_bytes().to_vec());
        EnterError::Failed("a word has a NUL in it".to_owned(), SysError::new(call, Errno::EINVAL))
    })
}
