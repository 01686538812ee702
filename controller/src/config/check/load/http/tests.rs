use serde_json::json;

use super::*;
use crate::config::testing::{GOOD, experiment, lines};
use crate::config::{Overrides, parse};

/// Line 13 of the file and those that follow are `keys` of its load.
fn load(keys: &str) -> Result<HttpRequests, String> {
    let experiment = experiment(&format!("{}\n{keys}\n", GOOD.trim_end()))?;
    Ok(experiment.loads[0].spec.http.clone())
}

#[test]
fn a_load_without_keys_is_the_plain_get() {
    assert!(load("").unwrap().is_plain());
    let only_host = load("host = 'shop.example:8080'").unwrap();
    assert_eq!(
        (only_host.host.as_deref(), only_host.requests.len()),
        (Some("shop.example:8080"), 0)
    );
}

#[test]
fn one_request_in_the_load_itself() {
    let http = load(
        "method = 'POST'\npath = '/a?b'\nheaders = { X-B = 'é', A = '1' }\nbody = '{\"id\": {seq}}'\ntemplate = true\n\
         expect = { status = [200, 201], length = '1KiB', contains = 'a', regex = 'b+', json = { '/x/0' = 7, '' = true }, sha256 = '0A' }\n"
            .replace("0A", &"0A".repeat(32))
            .as_str(),
    );
    let request = &http.unwrap().requests[0];
    assert_eq!(
        (request.method, request.path.as_str(), request.label.as_str()),
        (Method::Post, "/a?b", "")
    );
    assert_eq!(
        request.headers,
        [("A".to_owned(), "1".to_owned()), ("X-B".to_owned(), "é".to_owned())]
    );
    assert_eq!(request.body, Some(Body::Text("{\"id\": {seq}}".to_owned())));
    let expect = request.expect.as_ref().unwrap();
    assert_eq!(
        (expect.status.as_slice(), expect.length),
        ([200, 201].as_slice(), Some(1024))
    );
    assert_eq!(expect.json["/x/0"], json!(7));
    assert_eq!(expect.sha256.as_deref(), Some("0a".repeat(32).as_str()));
    let empty = load("expect = {}").unwrap();
    assert_eq!(empty.requests[0].expect, Some(Expectation::default()));
    let get_with_body = load("body = 'x'").unwrap();
    assert_eq!(get_with_body.requests[0].method, Method::Get);
}

#[test]
fn several_requests_and_their_order() {
    let http = load(
        "order = 'sequence'\n[[load.request]]\npath = '/a'\nweight = 3\n[[load.request]]\nlabel = 'b'\nmethod = 'HEAD'\n[load.request.expect]\nstatus = 204\n\
         [load.tls]\ninsecure = true\nsession_reuse = false",
    );
    let http = http.unwrap();
    assert_eq!(http.order, RequestOrder::Sequence);
    let found: Vec<_> = http
        .requests
        .iter()
        .map(|r| (r.label.as_str(), r.path.as_str(), r.weight))
        .collect();
    assert_eq!(found, [("/a", "/a", 3), ("b", "/", 1)]);
    assert_eq!(http.requests[1].expect.as_ref().unwrap().status, [204]);
    let tls = http.tls.unwrap();
    assert_eq!((tls.trust, tls.session_reuse), (Trust::Insecure, false));
}

#[test]
fn what_a_request_cannot_be() {
    for (keys, says) in [
        (
            "method = 'FETCH'",
            "x.toml:13: [[load]] \"light\": method = 'FETCH': unknown value; write \"GET\" or",
        ),
        ("method = 'get'", "unknown value"),
        (
            "path = 'a'",
            "x.toml:13: [[load]] \"light\": path = 'a': a path begins with /",
        ),
        ("path = '/a b'", "printable ASCII without spaces"),
        ("path = \"/a\\r\\nX: y\"", "printable ASCII without spaces"),
        (
            "headers = { A = \"x\\r\\nB: y\" }",
            "the header field \"A\" is invalid; use letters",
        ),
        ("headers = { 'A B' = 'x' }", "the header field \"A B\" is invalid"),
        ("headers = { A = 1 }", "expected strings by name"),
        (
            "headers = { host = 'x' }",
            "the load generator sets Host itself; write host =",
        ),
        (
            "headers = { Content-Length = '5' }",
            "the load generator sets Content-Length itself; remove it",
        ),
        ("headers = { connection = 'close' }", "write keep_alive ="),
        ("body = 'a'\nbody_file = 'b'", "a request has one body"),
        (
            "body_file = 'none.json'",
            "x.toml:13: [[load]] \"light\": body_file = 'none.json': none.json: this file cannot be read",
        ),
        ("body_file = 'src'", "src: this is a directory"),
        ("body_file = '/dev/zero'", "/dev/zero: this is not a regular file"),
        (
            "template = true\npath = '/{sequ}'",
            "the placeholder {sequ} must be one of {seq}",
        ),
        (
            "template = true\nbody = '{random:9-1}'",
            "x.toml:14: [[load]] \"light\": body = '{random:9-1}': the placeholder {random:9-1} must name a range",
        ),
        (
            "template = true\nheaders = { A = '{letters}' }",
            "the placeholder {letters} must name a number",
        ),
        (
            "expect = { status = 99 }",
            "x.toml:13: [load.expect]: status = 99: a status of a complete reply is 200 to 599",
        ),
        ("expect = { status = [] }", "200 to 599"),
        ("expect = { status = 'ok' }", "expected an integer, or a list of them"),
        ("expect = { length = -1 }", "the length of a body is 0 to"),
        (
            "expect = { regex = 'a(b' }",
            "x.toml:13: [load.expect]: regex = 'a(b': the regular expression \"a(b\" does not compile: unclosed group; correct it",
        ),
        (
            "expect = { json = { 'user' = 1 } }",
            "the JSON pointer \"user\" must be empty or begin with /",
        ),
        (
            "expect = { json = { '/a' = [1] } }",
            "expected strings, numbers, true or false by name",
        ),
        (
            "expect = { sha256 = 'abc' }",
            "the SHA-256 \"abc\" must be 64 hexadecimal digits; take what sha256sum prints",
        ),
        ("expect = { stat = 200 }", "unknown key; did you mean status?"),
        ("expect = 200", "expected a table"),
        (
            "method = 'HEAD'",
            "a reply to HEAD has no body, and the workload's replies do; say what is expected",
        ),
        (
            "method = 'HEAD'\nexpect = { length = 5 }",
            "a reply to HEAD has no body; expect a status only",
        ),
        ("host = 'a b'", "expected a host name or an address"),
        ("host = '::1'", "write e.g. \"shop.example\" or \"[2001:db8::1]:8443\""),
        ("host = ''", "expected a host name or an address"),
        ("order = 'mix'", "there is only one request"),
        ("weight = 2", "the load has one request"),
        (
            "path = '/a'\n[[load.request]]\npath = '/b'",
            "x.toml:13: [[load]] \"light\": path = '/a': the load has [[load.request]]; write it there",
        ),
        (
            "[[load.request]]\npath = '/a'\n[[load.request]]\npath = '/a'\nmethod = 'POST'",
            "x.toml:16: [[load.request]] 2: path = '/a': the label \"/a\" is already taken",
        ),
        ("[[load.request]]\nweight = 0", "a weight is 1 to 1000"),
        ("[[load.mix]]\npath = '/a'", "unknown key"),
        (
            "[load.tls]",
            "x.toml:13: [load.tls]: it does not say which servers are trusted; write ca =",
        ),
        (
            "[load.tls]\ninsecure = false",
            "it does not say which servers are trusted",
        ),
        ("[load.tls]\nca = 'none.pem'", "none.pem: this file cannot be read"),
        ("[load.tls]\nca = 'Cargo.toml'", "the CA file has no certificate"),
    ] {
        let problems = load(keys).expect_err(keys);
        assert!(problems.contains(says), "{keys}\n{problems}");
    }
}

#[test]
fn a_round_is_not_too_long() {
    let requests = |count, weight: fn(u32) -> u32| {
        let one = |index| format!("[[load.request]]\nlabel = 'r{index}'\nweight = {}\n", weight(index));
        load(&(0..count).map(one).collect::<String>())
    };
    assert_eq!(requests(100, |_| 1000).unwrap().requests.len(), 100);
    let long = requests(12, |index| 1000 - index).unwrap_err();
    assert!(long.contains("add up to 11934 without their common factor"), "{long}");
    let many = requests(1001, |_| 1).unwrap_err();
    assert!(
        many.contains("at most 1000 kinds of request; use placeholders"),
        "{many}"
    );
}

#[test]
fn other_kinds_of_load_have_no_requests() {
    for keys in [
        "path = '/a'",
        "expect = {}",
        "[[load.request]]\npath = '/a'",
        "[load.tls]\ninsecure = true",
        "host = 'x'",
    ] {
        let text = GOOD.replace("\"rate\"", "\"httperf\"");
        let problems = experiment(&format!("{}\n{keys}\n", text.trim_end())).unwrap_err();
        let says = [
            "only the HTTP requests of kind",
            "has no such key; remove it; it belongs to kind = \"rate\"",
        ];
        assert!(says.iter().any(|says| problems.contains(says)), "{keys}: {problems}");
    }
}

#[test]
fn files_are_named_relative_to_the_experiment() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("e.toml").display().to_string();
    let write = |name: &str, bytes: &[u8]| std::fs::write(folder.path().join(name), bytes).unwrap();
    let http = |keys: &str| {
        let checked = parse(&file, &format!("{}\n{keys}\n", GOOD.trim_end()), &Overrides::default());
        let checked = checked.map(|checked| checked.experiment.loads[0].spec.http.clone());
        checked.map_err(|problems| lines(&problems))
    };
    write("b.bin", &[0xff, 0, 1]);
    let request = http("method = 'PUT'\nbody_file = 'b.bin'").unwrap().requests.remove(0);
    assert_eq!(request.body, Some(Body::Base64(vec![0xff, 0, 1])));
    write("large", &vec![b'x'; 524_289]);
    let large = http("body_file = 'large'").unwrap_err();
    assert!(
        large.contains("this file is larger than 524288 bytes; use a smaller file"),
        "{large}"
    );
    write("half", &vec![b'x'; 500_000]);
    let two =
        http("[[load.request]]\nbody_file = 'half'\n[[load.request]]\nlabel = 'b'\nbody_file = 'half'").unwrap_err();
    assert!(
        two.contains("and a message to a loader has room for 900000; write fewer or shorter bodies"),
        "{two}"
    );
}

#[test]
fn placeholders_that_are_sent_as_they_are_deserve_a_look() {
    let warnings = |keys: &str| {
        let checked = parse(
            "x.toml",
            &format!("{}\n{keys}\n", GOOD.trim_end()),
            &Overrides::default(),
        )
        .unwrap();
        lines(&checked.warnings)
    };
    let untold = warnings("path = '/{seq}'");
    assert!(
        untold.contains("x.toml:13: warning: [[load]] \"light\": path = '/{seq}': it has a placeholder"),
        "{untold}"
    );
    assert_eq!(warnings("path = '/{seq}'\ntemplate = false"), "");
    let none = warnings("path = '/'\ntemplate = true");
    assert!(none.contains("the request has no placeholder"), "{none}");
}
