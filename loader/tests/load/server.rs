//! An HTTP/1.1 server that records every request and answers as a test says, with or without TLS.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};
use rustls::crypto::ring;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned, SupportedProtocolVersion};

/// A request as it arrived.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Received {
    /// Request line and header fields, with their line breaks.
    pub head: String,
    pub body: Vec<u8>,
}

impl Received {
    pub fn method(&self) -> &str {
        self.head.split(' ').next().unwrap()
    }

    pub fn path(&self) -> &str {
        self.head.split(' ').nth(1).unwrap()
    }

    /// The value of a header field.
    pub fn field(&self, name: &str) -> Option<&str> {
        let mut fields = self.head.lines().filter_map(|line| line.split_once(": "));
        fields
            .find(|(field, _)| field.eq_ignore_ascii_case(name))
            .map(|(_, value)| value)
    }
}

/// A reply with this status and body; to HEAD only its header.
pub fn reply(to: &Received, status: u16, body: &str) -> Vec<u8> {
    let body_sent = if to.method() == "HEAD" { "" } else { body };
    format!(
        "HTTP/1.1 {status} X\r\nContent-Length: {}\r\n\r\n{body_sent}",
        body.len()
    )
    .into_bytes()
}

type Answer = dyn Fn(&Received) -> Vec<u8> + Send + Sync;

pub struct Server {
    pub address: SocketAddr,
    received: Arc<Mutex<Vec<Received>>>,
    stop: Arc<AtomicBool>,
}

impl Server {
    /// A server at any port of 127.0.0.1.
    pub fn start(answer: impl Fn(&Received) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::listen("127.0.0.1:0", None, Arc::new(answer))
    }

    /// A server at this address.
    pub fn at(address: &str, answer: impl Fn(&Received) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::listen(address, None, Arc::new(answer))
    }

    /// A server with TLS.
    pub fn with_tls(config: ServerConfig, answer: impl Fn(&Received) -> Vec<u8> + Send + Sync + 'static) -> Self {
        Self::listen("127.0.0.1:0", Some(Arc::new(config)), Arc::new(answer))
    }

    fn listen(address: &str, tls: Option<Arc<ServerConfig>>, answer: Arc<Answer>) -> Self {
        let listener = TcpListener::bind(address).unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            received: Arc::default(),
            stop: Arc::default(),
        };
        let (received, stop) = (Arc::clone(&server.received), Arc::clone(&server.stop));
        std::thread::spawn(move || {
            for client in listener.incoming() {
                if stop.load(Ordering::Relaxed) {
                    return;
                }
                let Ok(client) = client else { continue };
                let (tls, answer, received) = (tls.clone(), Arc::clone(&answer), Arc::clone(&received));
                std::thread::spawn(move || match tls {
                    None => serve(client, &*answer, &received),
                    Some(config) => {
                        let mut stream = StreamOwned::new(ServerConnection::new(config).unwrap(), client);
                        serve(&mut stream, &*answer, &received);
                        stream.conn.send_close_notify();
                        let _ = stream.flush();
                    }
                });
            }
        });
        server
    }

    /// All requests so far.
    pub fn received(&self) -> Vec<Received> {
        self.received.lock().unwrap().clone()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect_timeout(&self.address, Duration::from_millis(100));
    }
}

/// Answers requests until the client closes the connection, or until it or the answer asks to close it.
fn serve(mut client: impl Read + Write, answer: &Answer, received: &Mutex<Vec<Received>>) {
    while let Some(request) = read_request(&mut client) {
        received.lock().unwrap().push(request.clone());
        let reply = answer(&request);
        let closes = request.field("Connection") == Some("close") || contains(&reply, b"Connection: close");
        if client.write_all(&reply).and_then(|()| client.flush()).is_err() || closes {
            return;
        }
    }
}

fn contains(bytes: &[u8], part: &[u8]) -> bool {
    bytes.windows(part.len()).any(|window| window == part)
}

fn read_request(client: &mut impl Read) -> Option<Received> {
    let mut bytes = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        if let Some(end) = bytes.windows(4).position(|window| window == b"\r\n\r\n") {
            let head = String::from_utf8(bytes[..end + 2].to_vec()).unwrap();
            let request = Received { head, body: Vec::new() };
            let length: usize = request
                .field("Content-Length")
                .map_or(0, |length| length.parse().unwrap());
            if bytes.len() >= end + 4 + length {
                let body = bytes[end + 4..].to_vec();
                assert_eq!(body.len(), length, "bytes after the request");
                return Some(Received { body, ..request });
            }
        }
        match client.read(&mut buffer) {
            Ok(read) if read > 0 => bytes.extend_from_slice(&buffer[..read]),
            _ => return None,
        }
    }
}

/// An authority, and a certificate by it.
pub struct Identity {
    /// The authority's certificate, PEM.
    pub ca: String,
    /// The server's certificate, PEM.
    pub certificate: String,
    /// Its key, PEM.
    pub key: String,
    certificate_der: CertificateDer<'static>,
    key_der: PrivateKeyDer<'static>,
}

impl Identity {
    /// For a server with these names or addresses.
    pub fn of(names: &[&str]) -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let name = format!("the authority of {names:?}");
        params.distinguished_name.push(DnType::CommonName, name);
        let ca_key = KeyPair::generate().unwrap();
        let ca = params.self_signed(&ca_key).unwrap();
        let issuer = Issuer::new(params, ca_key);
        let names: Vec<_> = names.iter().map(|&name| name.to_owned()).collect();
        let key = KeyPair::generate().unwrap();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &issuer).unwrap();
        Self {
            ca: ca.pem(),
            certificate: certificate.pem(),
            key: key.serialize_pem(),
            certificate_der: certificate.der().clone(),
            key_der: PrivateKeyDer::Pkcs8(key.serialize_der().into()),
        }
    }

    /// The configuration of a server that speaks one version; `tickets`: sessions that it issues for each connection, with TLS 1.3.
    pub fn server(&self, version: &'static SupportedProtocolVersion, tickets: usize) -> ServerConfig {
        let builder = ServerConfig::builder_with_provider(Arc::new(ring::default_provider()));
        let builder = builder
            .with_protocol_versions(&[version])
            .unwrap()
            .with_no_client_auth();
        let chain = vec![self.certificate_der.clone()];
        let mut config = builder.with_single_cert(chain, self.key_der.clone_key()).unwrap();
        config.send_tls13_tickets = tickets;
        config
    }
}
