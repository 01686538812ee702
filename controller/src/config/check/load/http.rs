//! The HTTP requests of a load: its own keys for one request, or `[[load.request]]`, and `[load.tls]`.

use std::path::Path;

use loader::{expectation, tls};
use protocol::files;
use protocol::load::{Body, Expectation, HttpRequest, HttpRequests, Method, RequestOrder, TlsSpec, Trust};
use protocol::toml::{Fault, Section, TableCheck, value};

use crate::config::raw::{RawExpect, RawLoad, RawRequest, RawRequestKeys, RawTls};

/// The largest file, bytes.
const MAX_FILE: u64 = 512 << 10;

/// The most kinds of request.
const MAX_REQUESTS: usize = 1000;

/// Checks the requests of a load; `None`: a problem is reported.
pub(super) fn check(raw: &RawLoad, is_http: bool, table: &mut TableCheck<'_>) -> Option<HttpRequests> {
    if !is_http {
        return forbid(raw, table);
    }
    let orders = [("mix", RequestOrder::Mix), ("sequence", RequestOrder::Sequence)];
    let order = table.or(&raw.keys.order, RequestOrder::Mix, value::choice(&orders));
    if raw.requests.len() < 2 {
        let what = "there is only one request";
        table.forbid(&raw.keys.order, what, "remove it, or add [[load.request]]");
    }
    let host = table.optional(&raw.keys.host, host);
    let tls = tls_spec(&raw.tls, table);
    let http = HttpRequests {
        requests: requests(raw, table)?,
        order: order?,
        host: host?,
        tls: tls?,
    };
    let bytes = serde_json::to_vec(&http).map_or(usize::MAX, |json| json.len());
    if bytes > HttpRequests::MAX_BYTES {
        let what = format!(
            "its requests take {bytes} bytes, and a message to a loader has room for {}",
            HttpRequests::MAX_BYTES
        );
        table.table_error(Fault::new(what, "write fewer or shorter bodies"));
        return None;
    }
    Some(http)
}

/// Reports requests of a load that has none of its own.
fn forbid(raw: &RawLoad, table: &mut TableCheck<'_>) -> Option<HttpRequests> {
    let (what, remedy) = (
        "only the HTTP requests of kind \"rate\", \"ramp\", \"users\" and \"max\" can be described",
        "remove it",
    );
    let mut is_clean = true;
    for field in raw.request.keys.given() {
        table.error(&field, Fault::new(what, remedy));
        is_clean = false;
    }
    let requests = raw.requests.iter().map(|request| &request.keys.section);
    let tables = requests.chain([&raw.request.expect.section, &raw.tls.section]);
    for section in tables.filter(|section| section.line.is_some()) {
        table.elsewhere(section).table_error(Fault::new(what, remedy));
        is_clean = false;
    }
    is_clean.then(HttpRequests::default)
}

/// All requests; none: the plain `GET /`.
fn requests(raw: &RawLoad, table: &mut TableCheck<'_>) -> Option<Vec<HttpRequest>> {
    let own = raw.request.keys.given();
    if raw.requests.is_empty() {
        let (what, remedy) = ("the load has one request", "write it in [[load.request]], or remove it");
        table.forbid(&raw.request.keys.weight, what, remedy);
        table.forbid(&raw.request.keys.label, what, remedy);
        if own.is_empty() && !raw.request.has_expect() {
            return Some(Vec::new());
        }
        let one = request(&raw.request, table)?;
        return Some(vec![HttpRequest {
            label: String::new(),
            ..one
        }]);
    }
    let (what, remedy) = ("the load has [[load.request]]", "write it there, in each of them");
    for field in &own {
        table.error(field, Fault::new(what, remedy));
    }
    if raw.request.has_expect() {
        table
            .elsewhere(&raw.request.expect.section)
            .table_error(Fault::new(what, remedy));
    }
    if raw.requests.len() > MAX_REQUESTS {
        let what = format!("a load has at most {MAX_REQUESTS} kinds of request");
        table.table_error(Fault::new(
            what,
            "use placeholders (template = true) for requests that differ in values",
        ));
        return None;
    }
    let mut all = Vec::new();
    for raw in &raw.requests {
        let mut table = table.elsewhere(&raw.keys.section);
        let checked = request(raw, &mut table);
        all.extend(checked.filter(|request| is_free(&raw.keys, request, &all, &mut table)));
    }
    if all.len() < raw.requests.len() {
        return None;
    }
    let round = HttpRequest::weights(&all).iter().sum::<u32>();
    if round > HttpRequests::MAX_ROUND {
        let what = format!(
            "the weights of its requests add up to {round} without their common factor, and a round has at most {}",
            HttpRequests::MAX_ROUND
        );
        table.table_error(Fault::new(what, "write smaller or rounder weights"));
        return None;
    }
    Some(all)
}

/// Whether the label of a request is free.
fn is_free(keys: &RawRequestKeys, request: &HttpRequest, known: &[HttpRequest], table: &mut TableCheck<'_>) -> bool {
    let is_taken = known.iter().any(|other| other.label == request.label);
    if is_taken {
        let field = if keys.label.is_absent() {
            &keys.path
        } else {
            &keys.label
        };
        let what = format!("the label {:?} is already taken", request.label);
        table.error(field, Fault::new(what, "give each request a label of its own"));
    }
    !is_taken
}

fn request(raw: &RawRequest, table: &mut TableCheck<'_>) -> Option<HttpRequest> {
    let keys = &raw.keys;
    let methods = Method::ALL.map(|method| (method.as_str(), method));
    let method = table.or(&keys.method, Method::Get, value::choice(&methods));
    let path = table.or(&keys.path, "/".to_owned(), path);
    let label = table.optional(&keys.label, label);
    let weight = table.or(&keys.weight, 1, value::integer("a weight", 1..=1000, 1));
    let headers = table.or(&keys.headers, Vec::new(), |fields| headers(fields));
    let body = body(keys, table);
    let template = table.or(&keys.template, false, value::any);
    let expect = if raw.has_expect() {
        expect(&raw.expect, method, &mut table.elsewhere(&raw.expect.section)).map(Some)
    } else {
        Some(None)
    };
    let (method, path, template) = (method?, path?, template?);
    if method == Method::Head && !raw.has_expect() {
        let what = "a reply to HEAD has no body, and the workload's replies do";
        table.error(
            &keys.method,
            Fault::new(what, "say what is expected: expect = { status = 200 }"),
        );
        return None;
    }
    let request = HttpRequest {
        label: label?.unwrap_or_else(|| path.clone()),
        method,
        path,
        headers: headers?,
        body: body?,
        template,
        weight: weight?,
        expect: expect?,
    };
    placeholders(keys, &request, table)?;
    Some(request)
}

/// Checks the placeholders of a request, and warns of those that would be sent as they are.
fn placeholders(keys: &RawRequestKeys, request: &HttpRequest, table: &mut TableCheck<'_>) -> Option<()> {
    let body = request.body.iter().map(|body| {
        let field = if keys.body.is_absent() {
            keys.body_file.bare()
        } else {
            keys.body.bare()
        };
        (field, body.as_bytes())
    });
    let headers = request
        .headers
        .iter()
        .map(|(_, value)| (keys.headers.bare(), value.as_bytes()));
    let path = std::iter::once((keys.path.bare(), request.path.as_bytes()));
    let (mut found, mut is_right) = (0, true);
    for (field, text) in path.chain(headers).chain(body) {
        match loader::placeholders(text) {
            Ok(count) => found += count,
            Err(error) if request.template => {
                table.error(
                    &field,
                    Fault::new(error.to_string(), "correct it, or write template = false"),
                );
                is_right = false;
            }
            Err(_) => {}
        }
        if found > 0 && !request.template {
            let what = "it has a placeholder, which is sent as it is";
            let remedy = "write template = true, or template = false to send it so";
            if keys.template.is_absent() {
                table.warn(&field, Fault::new(what, remedy));
            }
            return Some(());
        }
    }
    if request.template && found == 0 && is_right {
        let what = "the request has no placeholder";
        table.warn(
            &keys.template,
            Fault::new(what, "remove it, or write e.g. {seq} in path, headers or body"),
        );
    }
    is_right.then_some(())
}

fn body(keys: &RawRequestKeys, table: &mut TableCheck<'_>) -> Option<Option<Body>> {
    if !keys.body.is_absent() {
        let what = "a request has one body";
        table.forbid(&keys.body_file, what, "remove `body` or `body_file`");
    }
    let text = table.optional(&keys.body, value::any)?;
    let file = table.optional(&keys.body_file, |file| read(&keys.section, file))?;
    Some(text.map(Body::Text).or_else(|| file.map(Body::of)))
}

/// A file that is named relative to the folder of the experiment's.
fn read(section: &Section, name: &str) -> Result<Vec<u8>, Fault> {
    if name.is_empty() || name.contains('\0') {
        return Err(Fault::new("invalid path", "write the path of a file"));
    }
    let folder = Path::new(&section.file).parent().unwrap_or(Path::new(""));
    let path = folder.join(name);
    files::read_small(&path, MAX_FILE).map_err(|error| {
        let remedy = match error {
            files::FileError::TooLarge(_) => {
                "use a smaller file; it travels in a message to loaders and is part of the results"
            }
            _ => "write a path relative to the folder of the experiment file",
        };
        Fault::new(format!("{}: {error}", path.display()), remedy)
    })
}

fn headers(fields: &[(String, String)]) -> Result<Vec<(String, String)>, Fault> {
    for (name, value) in fields {
        if let Some(own) = loader::OWN_FIELDS.iter().find(|own| own.eq_ignore_ascii_case(name)) {
            let remedy = match *own {
                "Host" => "write host = \"...\" in [[load]] instead",
                "Connection" | "Keep-Alive" => "write keep_alive = true or false in [[load]] instead",
                _ => "remove it",
            };
            return Err(Fault::new(format!("the load generator sets {own} itself"), remedy));
        }
        if loader::check_field(name, value).is_err() {
            let what = format!("the header field {name:?} is invalid");
            let remedy =
                "use letters, digits, - and _ in names, and no line breaks or other control characters in values";
            return Err(Fault::new(what, remedy));
        }
    }
    Ok(fields.to_vec())
}

fn expect(raw: &RawExpect, method: Option<Method>, table: &mut TableCheck<'_>) -> Option<Expectation> {
    let fault = |remedy| move |error: loader::LoadError| Fault::new(error.to_string(), remedy);
    let status = table.or(&raw.status, vec![200], |all| statuses(all));
    let length = table.optional(&raw.length, value::integer("the length of a body", 0..=i64::MAX, 1000));
    let body = table.optional(&raw.body, value::any);
    let contains = table.optional(&raw.contains, value::any);
    let regex = table.optional(&raw.regex, |text| {
        let compiled = expectation::regex(text).map(|_| text.clone());
        compiled.map_err(fault("correct it; docs.rs/regex describes the syntax"))
    });
    let json = table.or(&raw.json, Vec::new(), |values| {
        for (pointer, _) in values {
            expectation::check_pointer(pointer).map_err(fault("write e.g. { \"/user/id\" = 7 }"))?;
        }
        Ok(values.clone())
    });
    let sha256 = table.optional(&raw.sha256, |text| {
        let digest = expectation::digest(text).map(|_| text.to_ascii_lowercase());
        digest.map_err(fault("take what sha256sum prints"))
    });
    let expectation = Expectation {
        status: status?,
        length: length?,
        body: body?,
        contains: contains?,
        regex: regex?,
        json: json?.into_iter().collect(),
        sha256: sha256?,
    };
    if method == Some(Method::Head) && expectation::has_body(&expectation) {
        let fault = Fault::new("a reply to HEAD has no body", "expect a status only");
        table.table_error(fault);
        return None;
    }
    Some(expectation)
}

fn statuses(all: &[i64]) -> Result<Vec<u16>, Fault> {
    let status = |&status: &i64| u16::try_from(status).ok().filter(|status| (200..600).contains(status));
    let statuses: Option<Vec<u16>> = all.iter().map(status).collect();
    statuses.filter(|statuses| !statuses.is_empty()).ok_or_else(|| {
        Fault::new(
            "a status of a complete reply is 200 to 599",
            "write e.g. 200 or [200, 204]",
        )
    })
}

/// TLS, if the table is there.
fn tls_spec(raw: &RawTls, table: &mut TableCheck<'_>) -> Option<Option<TlsSpec>> {
    if raw.section.line.is_none() {
        return Some(None);
    }
    let mut table = table.elsewhere(&raw.section);
    let ca = table.optional(&raw.ca, |file| authorities(&raw.section, file));
    let insecure = table.or(&raw.insecure, false, value::any);
    let session_reuse = table.or(&raw.session_reuse, true, value::any);
    let trust = match (ca?, insecure?) {
        (Some(pem), false) => Trust::Ca(pem),
        (None, true) => Trust::Insecure,
        (Some(_), true) => {
            let what = "either certificates are checked, or every one is accepted";
            table.error(&raw.insecure, Fault::new(what, "remove `ca` or `insecure`"));
            return None;
        }
        (None, false) => {
            let what = "it does not say which servers are trusted";
            let remedy =
                "write ca = \"ca.pem\", the certificate of the authority that signed the service's, or insecure = true";
            table.table_error(Fault::new(what, remedy));
            return None;
        }
    };
    Some(Some(TlsSpec {
        trust,
        session_reuse: session_reuse?,
    }))
}

fn authorities(section: &Section, file: &str) -> Result<String, Fault> {
    let pem = read(section, file)?;
    let pem = String::from_utf8_lossy(&pem).into_owned();
    let remedy = "name a PEM file with the certificate of the authority that signed the service's";
    tls::roots(&pem).map_err(|error| Fault::new(error.to_string(), remedy))?;
    Ok(pem)
}

/// A host name or address, with or without a port.
#[expect(
    clippy::ptr_arg,
    reason = "fields hold a String, and a check takes what a field holds"
)]
fn host(text: &String) -> Result<String, Fault> {
    let is_ascii = text.bytes().all(|byte| byte.is_ascii_graphic());
    // An IPv6 address needs brackets in a header field.
    let is_bare = text.matches(':').count() > 1 && !text.starts_with('[');
    if is_ascii && !is_bare && tls::server_name(text).is_ok() {
        return Ok(text.clone());
    }
    let what = "expected a host name or an address, with or without a port";
    Err(Fault::new(
        what,
        "write e.g. \"shop.example\" or \"[2001:db8::1]:8443\"",
    ))
}

#[expect(
    clippy::ptr_arg,
    reason = "fields hold a String, and a check takes what a field holds"
)]
fn path(text: &String) -> Result<String, Fault> {
    if text.starts_with('/') && text.len() <= 4096 && text.bytes().all(|b| b.is_ascii_graphic()) {
        Ok(text.clone())
    } else {
        let what = "a path begins with / and consists of printable ASCII without spaces";
        Err(Fault::new(what, "write e.g. \"/users?page=1\""))
    }
}

#[expect(
    clippy::ptr_arg,
    reason = "fields hold a String, and a check takes what a field holds"
)]
fn label(text: &String) -> Result<String, Fault> {
    if (1..=63).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_graphic()) {
        Ok(text.clone())
    } else {
        let what = "a label is 1 to 63 printable ASCII characters without spaces";
        Err(Fault::new(what, "write e.g. \"login\""))
    }
}

#[cfg(test)]
mod tests;
