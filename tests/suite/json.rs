//! The JSON document: its shape, its schema, and what a script does with it.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::Value;

use super::harness::{Module, Need, Place, ls_json, quiet, run, test, text};

pub fn module() -> Module {
    let tests = vec![
        quiet("json::the_shape_does_not_depend_on_options", &[], the_shape_stays),
        test("json::members_and_holders_come_with_members", &[], members),
        test("json::the_columns_are_a_document", &[], columns),
        test("json::what_the_readme_shows_works_in_jq", &[Need::Tool("jq")], jq),
        test("json::a_schema_refuses_what_is_not_in_it", &[], the_schema_is_strict),
    ];
    Module { name: "json", places: &[Place::Vm], tests }
}

fn keys(document: &Value) -> Vec<String> {
    let first = document["namespaces"][0].as_object().expect("a namespace");
    first.keys().filter(|key| !key.ends_with("_raw")).cloned().collect()
}

fn the_shape_stays() {
    let plain = keys(&ls_json(&[]));
    for options in [
        &["-o", "NS"][..],
        &["--tree=process"],
        &["--sort", "-NPROCS"],
        &["-t", "net"],
        &["--where", "type == net"],
        &["--threads", "-n"],
        &["-p", "self"],
    ] {
        assert_eq!(keys(&ls_json(options)), plain, "{options:?}");
    }
    let all = ls_json(&[]);
    let initial = all["namespaces"].as_array().expect("all").len();
    assert_eq!(ls_json(&["--tree"])["namespaces"].as_array().expect("all").len(), initial, "a tree nests nothing");
}

fn members() {
    let document = ls_json(&["--members", "-t", "user"]);
    let found = &document["namespaces"][0];
    let members = found["members"].as_array().expect("members");
    assert_eq!(Some(members.len() as u64), found["nprocs"].as_u64());
    assert!(members.windows(2).all(|pair| pair[0].as_u64() < pair[1].as_u64()), "ascending");
    for way in found["held_by"].as_array().expect("ways").iter().filter(|way| way["kind"] != "process") {
        let count =
            found["holders"].as_array().expect("holders").iter().filter(|one| one["kind"] == way["kind"]).count();
        assert_eq!(way["count"], count, "{}", way["kind"]);
    }
}

fn columns() {
    let document: Value = serde_json::from_str(&run(&["ls", "--columns", "--json"])).expect("JSON");
    assert_eq!(document["schema"], "nsx.columns/1");
    let schema: Value = serde_json::from_str(include_str!("../schema/columns.json")).expect("JSON");
    assert!(jsonschema::is_valid(&schema, &document));
    let names: Vec<_> = document["columns"].as_array().expect("columns").iter().map(|column| &column["name"]).collect();
    assert!(names.contains(&&"NS".into()) && names.contains(&&"HELD".into()), "{names:?}");
    let plain = run(&["ls", "--columns"]);
    assert_eq!(plain.lines().count(), names.len());
}

fn jq() {
    let readme = include_str!("../../README.md");
    let filter = ".namespaces[] | select(.type==\"net\")";
    assert!(readme.contains(&format!("nsx ls --json | jq '{filter}'")), "the README shows it");
    let mut jq =
        Command::new("jq").args(["-e", filter]).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("jq");
    jq.stdin.take().expect("a pipe").write_all(run(&["ls", "--json"]).as_bytes()).expect("written");
    let output = jq.wait_with_output().expect("jq");
    assert!(output.status.success());
    assert!(text(&output.stdout).contains("\"type\": \"net\""));
}

fn the_schema_is_strict() {
    let schema: Value = serde_json::from_str(include_str!("../schema/ls.json")).expect("JSON");
    let mut document = ls_json(&["-t", "net"]);
    assert!(jsonschema::is_valid(&schema, &document));
    document["namespaces"][0]["surprise"] = Value::Null;
    assert!(!jsonschema::is_valid(&schema, &document));
}
