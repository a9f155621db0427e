//! The report of `scripts/vm`: whatever a virtual machine leaves out is a failure.

use super::harness::report::{Boot, faults, skips, table};
use super::harness::{Module, test};

pub fn module() -> Module {
    let tests = vec![
        test("matrix::what_is_whole_is_good", &[], whole),
        test("matrix::what_is_missing_is_a_failure", &[], missing),
        test("matrix::a_skip_has_a_reason", &[], skipped),
        test("matrix::a_failure_is_named", &[], failed),
        test("matrix::tests_do_not_speak_for_the_machine", &[], markers),
    ];
    Module { name: "matrix", places: &[], tests }
}

const PLAN: &str = "root live\nuser live\n";

const GOOD: &str = "@boot 6.1.0-50-cloud-amd64
@begin root live
@test live::a_socket_holds
@test live::listns (needs: before Linux 6.19: no listns(2))

running 2 tests
test live::a_socket_holds                                     ... ok
test live::listns (needs: before Linux 6.19: no listns(2))    ... ignored

test result: ok. 1 passed; 0 failed; 1 ignored; 0 measured; 95 filtered out; finished in 0.10s
@end root live 0 1.25
@begin user live
@test live::a_socket_holds
test live::a_socket_holds (needs: not root) ... ignored
@end user live 0 0.50
@done
";

fn all_faults(log: &str) -> Vec<String> {
    faults(PLAN, &["6.1.0-50-cloud-amd64"], &[Boot::read("6.1", log)])
}

fn whole() {
    assert_eq!(all_faults(GOOD), [""; 0]);
    let boots = [Boot::read("6.1", GOOD), Boot::read("6.12", "")];
    assert_eq!(
        table(PLAN, &boots),
        "                          6.1.0-50          did not boot\n\
         MODULE  AS    PASS FAIL SKIP   SEC  PASS FAIL SKIP   SEC\n\
         live    root     1    0    1   1.2     -    -    -     -\n\
         live    user     0    0    1   0.5     -    -    -     -\n"
    );
    // What root has run counts as run, and of several reasons the plainest is given.
    let as_user = "test live::listns (needs: not root, before Linux 6.19: no listns(2)) ... ignored\n@end user";
    let log = GOOD.replace("@end user", as_user);
    assert_eq!(skips(&[Boot::read("6.1", &log)]), "skipped on 6.1: before Linux 6.19: no listns(2): live::listns\n");
    let log = GOOD.replace("@begin user live", "@begin user live\ntest live::other (needs: not root) ... ignored");
    let both = skips(&[Boot::read("6.1", &log), Boot::read("6.12", &log)]);
    assert!(both.ends_with("skipped on 6.1, 6.12: not root: live::other\n"), "{both}");
}

fn missing() {
    assert_eq!(
        all_faults(""),
        ["6.1: did not boot", "6.1: live as root: did not run", "6.1: live as user: did not run"]
    );
    let other = GOOD.replace("6.1.0-50", "6.1.0-49");
    assert_eq!(all_faults(&other), ["6.1: 6.1.0-49-cloud-amd64 ran instead of 6.1.0-50-cloud-amd64"]);
    // Cut off after each line: nothing but the whole is good.
    let lines: Vec<&str> = GOOD.lines().collect();
    for length in 0..lines.len() {
        let cut = lines[..length].join("\n");
        assert!(!all_faults(&cut).is_empty(), "{cut}");
    }
    assert_eq!(
        all_faults(GOOD.split("@begin user").next().expect("the first half")),
        ["6.1: live as user: did not run", "6.1: stopped before its end"]
    );
    let hangs = GOOD.split("@end root").next().expect("the beginning");
    assert!(all_faults(hangs).contains(&"6.1: live as root: did not come to an end".to_owned()));
    let silent = GOOD.replace("test live::a_socket_holds (needs: not root) ... ignored\n", "");
    assert_eq!(all_faults(&silent), ["6.1: live as user: ended with 0; nothing was heard of live::a_socket_holds"]);
    let none = silent.replace("live\n@test live::a_socket_holds\n@end", "live\n@end");
    assert_eq!(all_faults(&none), ["6.1: live as user: there is no such test"]);
    assert_eq!(all_faults(&GOOD.replace("@done", "@fault no veth.ko\n@done")), ["6.1: no veth.ko"]);
}

fn skipped() {
    let silent = GOOD.replace("live::a_socket_holds (needs: not root)", "live::a_socket_holds");
    assert_eq!(all_faults(&silent), ["6.1: live as user: live::a_socket_holds was skipped without a declared reason"]);
}

fn failed() {
    let bad = GOOD.replace("holds                                     ... ok", "holds ... FAILED");
    assert_eq!(all_faults(&bad), ["6.1: live as root: failed: live::a_socket_holds"]);
    // Also one that dies before it says so.
    assert_eq!(
        all_faults(&GOOD.replace("@end root live 0 1.25", "@end root live 134 1.25")),
        ["6.1: live as root: ended with 134"]
    );
}

fn markers() {
    let forged = GOOD.replace("running 2 tests", "@done\n@begin user live\n@boot 1.2.3");
    assert_eq!(all_faults(&forged), [""; 0], "within a module only its end counts");
    let ended = GOOD.replace("running 2 tests", "@end root live 0 0.1");
    let faults = all_faults(&ended);
    assert!(faults.iter().any(|fault| fault.contains("said out of turn: test live::a_socket_holds")), "{faults:?}");
    assert!(
        faults.iter().any(|fault| fault.contains("live as root: ended with 0; nothing was heard of")),
        "{faults:?}"
    );
    // One that leaves in the middle.
    let left = GOOD.replace("test live::a_socket_holds                                     ... ok\n", "");
    assert_eq!(all_faults(&left), ["6.1: live as root: ended with 0; nothing was heard of live::a_socket_holds"]);
}
