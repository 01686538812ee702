//! Checks the schemas of the API table against the encoder of `kafka-protocol`.

use kafka_protocol::messages::*;

use super::{APIS, Api, schema};

/// A request with non-empty arrays for every field that exists in the version.
fn sample(key: ApiKey, version: i16) -> RequestKind {
    let mut bytes = bytes::Bytes::from(sample_body(key, version));
    RequestKind::decode(key, &mut bytes, version).unwrap()
}

/// A body that matches the schema: arrays have two elements, strings three letters.
fn sample_body(key: ApiKey, version: i16) -> Vec<u8> {
    let api = Api::find(key as i16).unwrap();
    let mut out = Vec::new();
    structure(api.schema, version, api.flexible(version), &mut out);
    out
}

fn structure(text: &str, version: i16, flexible: bool, out: &mut Vec<u8>) {
    fields(text, version, flexible, out);
    if flexible {
        out.push(0);
    }
}

fn length(count: u8, width: usize, flexible: bool, out: &mut Vec<u8>) {
    if flexible {
        out.push(count + 1);
    } else {
        out.extend(vec![0; width - 1]);
        out.push(count);
    }
}

fn fields(text: &str, version: i16, flexible: bool, out: &mut Vec<u8>) {
    let mut rest = text;
    while let Some(letter) = rest.chars().next() {
        let mut used = 1;
        match letter {
            'b' => out.push(0),
            'h' => out.extend([0; 2]),
            'i' => out.extend([0; 4]),
            'l' => out.extend([0; 8]),
            'u' => out.extend([0; 16]),
            's' | 'x' => {
                length(3, if letter == 's' { 2 } else { 4 }, flexible, out);
                out.extend(b"abc");
            }
            '[' | '(' | '{' => {
                used = matching(rest);
                let inner = &rest[1..used - 1];
                if letter == '{' {
                    let (versions, inner) = inner.split_once(' ').unwrap();
                    let (low, high) = versions.split_once('-').unwrap();
                    if (low.parse().unwrap()..=high.parse::<i16>().unwrap()).contains(&version) {
                        fields(inner, version, flexible, out);
                    }
                } else {
                    length(2, 4, flexible, out);
                    for _ in 0..2 {
                        if letter == '[' {
                            structure(inner, version, flexible, out);
                        } else {
                            fields(inner, version, flexible, out);
                        }
                    }
                }
            }
            _ => {}
        }
        rest = &rest[used..];
    }
}

fn matching(text: &str) -> usize {
    let mut depth = 0;
    for (at, letter) in text.char_indices() {
        match letter {
            '[' | '(' | '{' => depth += 1,
            ']' | ')' | '}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at + 1;
        }
    }
    panic!("unbalanced schema {text}")
}

/// Decoding a body built from the schema and encoding it again must give the same bytes.
#[test]
fn schemas_match_the_encoder() {
    for api in APIS {
        for version in api.min..=api.max {
            let built = sample_body(api.key, version);
            let mut encoded = bytes::BytesMut::new();
            sample(api.key, version).encode(&mut encoded, version).unwrap();
            assert_eq!(&encoded[..], &built[..], "{:?} v{version}", api.key);
            let consumed = schema::check(api.schema, version, api.flexible(version), &built);
            assert_eq!(consumed, Ok(built.len()), "{:?} v{version}", api.key);
            for length in 0..built.len() {
                let cut = schema::check(api.schema, version, api.flexible(version), &built[..length]);
                assert!(cut.is_err(), "{:?} v{version} cut to {length}", api.key);
            }
        }
    }
}
