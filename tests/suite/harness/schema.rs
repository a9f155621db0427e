//! Documents and the schemas that they name.

use std::collections::HashMap;
use std::sync::LazyLock;

use jsonschema::Validator;
use serde_json::Value;

/// Every schema of a document that nsx prints.
const SCHEMAS: [&str; 14] = [
    include_str!("../../schema/cg-change.json"),
    include_str!("../../schema/cg-ls.json"),
    include_str!("../../schema/cg-path.json"),
    include_str!("../../schema/cg-procs.json"),
    include_str!("../../schema/cg-show.json"),
    include_str!("../../schema/columns.json"),
    include_str!("../../schema/enter.json"),
    include_str!("../../schema/inspect.json"),
    include_str!("../../schema/ls.json"),
    include_str!("../../schema/ps.json"),
    include_str!("../../schema/pid.json"),
    include_str!("../../schema/net.json"),
    include_str!("../../schema/run-report.json"),
    include_str!("../../schema/run.json"),
];

const REPORT: &str = include_str!("../../schema/run-report.json");
const EVENTS: &str = include_str!("../../schema/run-events.json");

/// What an event says of the end is the report, whose schema is written once.
struct Report;

impl jsonschema::Retrieve for Report {
    fn retrieve(
        &self,
        uri: &jsonschema::Uri<String>,
    ) -> Result<Value, Box<dyn std::error::Error + Send + Sync + 'static>> {
        if uri.path().as_str().ends_with("/nsx.run.report/1") {
            return Ok(serde_json::from_str(REPORT)?);
        }
        Err(format!("there is no schema {uri}").into())
    }
}

/// Parses a line of `--status-fd`, and holds it against the schema of events.
pub fn event(line: &str) -> Value {
    static VALIDATOR: LazyLock<Validator> = LazyLock::new(|| {
        let schema: Value = serde_json::from_str(EVENTS).expect("the schema is JSON");
        jsonschema::options().with_retriever(Report).build(&schema).expect("the schema is one")
    });
    let event: Value = serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
    let errors: Vec<String> = VALIDATOR.iter_errors(&event).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{event} is no event: {errors:#?}");
    event
}

/// Parses a document, and holds it against the schema that its key `schema` names.
pub fn document(json: &str) -> Value {
    static VALIDATORS: LazyLock<HashMap<String, Validator>> = LazyLock::new(|| {
        let validator = |text: &&str| {
            let schema: Value = serde_json::from_str(text).expect("the schema is JSON");
            let name = schema["properties"]["schema"]["const"].as_str().expect("a schema says what it is for");
            (name.to_owned(), jsonschema::validator_for(&schema).expect("the schema is one"))
        };
        SCHEMAS.iter().map(validator).collect()
    });
    let document: Value = serde_json::from_str(json).unwrap_or_else(|error| panic!("{error}: {json}"));
    let name = document["schema"].as_str().unwrap_or_else(|| panic!("names no schema: {json}"));
    let validator = VALIDATORS.get(name).unwrap_or_else(|| panic!("there is no schema {name}"));
    let errors: Vec<String> =
        validator.iter_errors(&document).map(|error| format!("{}: {error}", error.instance_path())).collect();
    assert!(errors.is_empty(), "against the schema {name}: {errors:#?}");
    document
}
