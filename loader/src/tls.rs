//! TLS under HTTP/1.1: rustls over the non-blocking sockets of an event loop.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream as StdStream};
use std::sync::Arc;
use std::time::Duration;

use mio::net::TcpStream;
use protocol::load::{HttpRequests, TlsSpec, TlsStats, Trust};
use rustls::client::Resumption;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, ring, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{
    ClientConfig, ClientConnection, DigitallySignedStruct, Error, HandshakeKind, RootCertStore, SignatureScheme,
};

use super::error::LoadError;

/// Sessions that a thread remembers, one server's at most 8.
const SESSIONS: usize = 256;

/// TLS of a load, checked; each thread makes a [`TlsClient`] of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tls {
    spec: TlsSpec,
    /// The name that certificates must have; `None`: the address.
    name: Option<ServerName<'static>>,
}

impl Tls {
    /// TLS with servers whose certificate has the name of `host`, which may end with a port.
    ///
    /// # Errors
    /// [`LoadError::Tls`].
    pub fn new(spec: &TlsSpec, host: Option<&str>) -> Result<Self, LoadError> {
        if let Trust::Ca(pem) = &spec.trust {
            roots(pem)?;
        }
        Ok(Self {
            spec: spec.clone(),
            name: host.map(server_name).transpose()?,
        })
    }

    /// A client with sessions of its own.
    ///
    /// # Errors
    /// [`LoadError::Tls`].
    pub fn client(&self) -> Result<TlsClient, LoadError> {
        let provider = Arc::new(ring::default_provider());
        let builder = ClientConfig::builder_with_provider(Arc::clone(&provider)).with_safe_default_protocol_versions();
        let builder = builder.map_err(|error| fault("the TLS library", error))?;
        let mut config = match &self.spec.trust {
            Trust::Ca(pem) => builder.with_root_certificates(roots(pem)?),
            Trust::Insecure => builder
                .dangerous()
                .with_custom_certificate_verifier(Arc::new(AnyServer(provider))),
        }
        .with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        config.resumption = if self.spec.session_reuse {
            Resumption::in_memory_sessions(SESSIONS)
        } else {
            Resumption::disabled()
        };
        Ok(TlsClient {
            config: Arc::new(config),
            name: self.name.clone(),
        })
    }
}

/// Checks that a server completes a handshake, if the load is over TLS. Blocks for at most a few seconds.
///
/// # Errors
/// A message with the problem and the remedy.
pub fn check_handshake(http: &HttpRequests, address: SocketAddr, timeout: Duration) -> Result<(), String> {
    let Some(spec) = &http.tls else { return Ok(()) };
    let client = Tls::new(spec, http.host.as_deref()).and_then(|tls| tls.client());
    let client = client.map_err(|error| error.to_string())?;
    let handshake = || {
        let stream = StdStream::connect_timeout(&address, timeout)?;
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        client.handshake(address, &stream)
    };
    handshake().map(drop).map_err(|error| {
        format!(
            "the TLS handshake with {address} failed ({error}): check that the service speaks TLS there; set `ca` in [load.tls] to the certificate of the \
             authority that signed the service's, and `host` of the load to the name in it; or set `insecure = true`"
        )
    })
}

/// The name in a certificate for `host`, which may end with a port.
///
/// # Errors
/// [`LoadError::Tls`]: it is no name and no address.
pub fn server_name(host: &str) -> Result<ServerName<'static>, LoadError> {
    let name = match host.parse::<SocketAddr>() {
        Ok(address) => address.ip().to_string(),
        Err(_) => match host.rsplit_once(':') {
            Some((name, port)) if port.parse::<u16>().is_ok() && !name.contains(':') => name.to_owned(),
            _ => host.trim_start_matches('[').trim_end_matches(']').to_owned(),
        },
    };
    ServerName::try_from(name).map_err(|_| fault(format!("the host {host:?}"), "is no host name and no address"))
}

/// The authorities in a PEM text.
///
/// # Errors
/// [`LoadError::Tls`].
pub fn roots(pem: &str) -> Result<RootCertStore, LoadError> {
    let mut store = RootCertStore::empty();
    for certificate in CertificateDer::pem_slice_iter(pem.as_bytes()) {
        let certificate = certificate.map_err(|error| fault("the CA file", format!("is not PEM: {error}")))?;
        let added = store.add(certificate);
        added.map_err(|error| fault("the CA file", format!("has an invalid certificate: {error}")))?;
    }
    if store.is_empty() {
        return Err(fault("the CA file", "has no certificate (BEGIN CERTIFICATE)"));
    }
    Ok(store)
}

fn fault(what: impl Into<String>, why: impl ToString) -> LoadError {
    LoadError::Tls {
        what: what.into(),
        why: why.to_string(),
    }
}

/// Opens sessions; each thread has its own, so that threads share no memory of sessions.
#[derive(Debug, Clone)]
pub struct TlsClient {
    config: Arc<ClientConfig>,
    name: Option<ServerName<'static>>,
}

impl TlsClient {
    /// A session over a socket that is not connected yet.
    pub fn open(&self, address: SocketAddr, tcp: TcpStream) -> io::Result<TlsStream> {
        Ok(TlsStream {
            tcp,
            session: self.session(address)?,
        })
    }

    /// A session over a connected, blocking socket, whose handshake is complete on return.
    pub fn handshake(&self, address: SocketAddr, stream: &StdStream) -> io::Result<ClientConnection> {
        let (mut session, mut stream) = (self.session(address)?, stream);
        while session.is_handshaking() {
            session.complete_io(&mut stream)?;
        }
        Ok(session)
    }

    fn session(&self, address: SocketAddr) -> io::Result<ClientConnection> {
        let name = self.name.clone();
        let name = name.unwrap_or_else(|| ServerName::IpAddress(address.ip().into()));
        let session = ClientConnection::new(Arc::clone(&self.config), name);
        let mut session = session.map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))?;
        // A request is encrypted at once; what the socket does not take waits in the session.
        session.set_buffer_limit(None);
        Ok(session)
    }
}

/// An encrypted connection over a non-blocking socket.
#[derive(Debug)]
pub struct TlsStream {
    /// The socket.
    pub tcp: TcpStream,
    session: ClientConnection,
}

impl TlsStream {
    /// A connection whose handshake is complete.
    pub const fn established(tcp: TcpStream, session: ClientConnection) -> Self {
        Self { tcp, session }
    }

    /// Continues the handshake; `true`: it is complete.
    pub fn handshake(&mut self) -> io::Result<bool> {
        loop {
            self.flush()?;
            if !self.session.is_handshaking() {
                return Ok(true);
            }
            match self.receive() {
                Ok(0) => {
                    return Err(io::Error::new(
                        io::ErrorKind::InvalidData,
                        "closed during the handshake",
                    ));
                }
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(false),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads decrypted bytes like a socket: `Ok(0)` at the end, an error of kind `UnexpectedEof` if the peer did not announce the end.
    pub fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.session.reader().read(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                other => return other,
            }
            self.receive()?;
        }
    }

    /// Encrypts all of `bytes`, and sends as much as the socket takes.
    pub fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let written = self.session.writer().write(bytes)?;
        self.flush()?;
        Ok(written)
    }

    /// Whether encrypted bytes wait for the socket.
    pub fn wants_write(&self) -> bool {
        self.session.wants_write()
    }

    /// Sends encrypted bytes until none are left or the socket takes no more.
    pub fn flush(&mut self) -> io::Result<()> {
        while self.session.wants_write() {
            match self.session.write_tls(&mut self.tcp) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => drop(other?),
            }
        }
        Ok(())
    }

    /// Reads from the socket once and decrypts; 0: the peer has closed the connection.
    fn receive(&mut self) -> io::Result<usize> {
        let read = self.session.read_tls(&mut self.tcp)?;
        if let Err(error) = self.session.process_new_packets() {
            // Tells the peer why, if the socket takes it.
            let _ = self.flush();
            return Err(io::Error::new(io::ErrorKind::InvalidData, error));
        }
        if self.session.wants_write() {
            self.flush()?;
        }
        Ok(read)
    }

    /// Counts the completed handshake.
    pub fn count(&self, stats: &mut TlsStats) {
        count(&self.session, stats);
    }
}

/// Counts the completed handshake of a session.
fn count(session: &ClientConnection, stats: &mut TlsStats) {
    match session.handshake_kind() {
        Some(HandshakeKind::Resumed) => stats.resumed += 1,
        _ => stats.full += 1,
    }
    let version = session.protocol_version().and_then(|version| version.as_str());
    let suite = session
        .negotiated_cipher_suite()
        .and_then(|suite| suite.suite().as_str());
    let (version, suite) = (version.unwrap_or("TLS"), suite.unwrap_or("unknown suite"));
    // Almost always known already; allocates nothing then.
    let known = stats
        .suites
        .iter_mut()
        .find(|(name, _)| name.strip_prefix(version).and_then(|rest| rest.strip_prefix(' ')) == Some(suite));
    match known {
        Some((_, count)) => *count += 1,
        None => drop(stats.suites.insert(format!("{version} {suite}"), 1)),
    }
}

/// Accepts every certificate; signatures are still verified, so that the handshake costs the same.
#[derive(Debug)]
struct AnyServer(Arc<CryptoProvider>);

impl ServerCertVerifier for AnyServer {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls12_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, Error> {
        verify_tls13_signature(
            message,
            certificate,
            signature,
            &self.0.signature_verification_algorithms,
        )
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_may_have_a_port() {
        for (host, name) in [
            ("shop.example", "shop.example"),
            ("shop.example:8443", "shop.example"),
            ("10.0.0.2:8443", "10.0.0.2"),
            ("[::1]:8443", "::1"),
            ("[::1]", "::1"),
            ("::1", "::1"),
        ] {
            assert_eq!(server_name(host).unwrap().to_str(), name, "{host}");
        }
        assert!(server_name("not a name").is_err());
    }

    #[test]
    fn an_unusable_authority_is_named() {
        let none = roots("hello").unwrap_err().to_string();
        assert!(none.contains("no certificate"), "{none}");
        let broken = roots("-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n").unwrap_err();
        assert!(broken.to_string().contains("invalid certificate"), "{broken}");
        let cut = roots("-----BEGIN CERTIFICATE-----\nAAAA\n").unwrap_err().to_string();
        assert!(cut.contains("PEM"), "{cut}");
    }
}
