//! The certificate of a client that the TLS layer has verified.

use std::fmt::Write as _;

use rustls_pki_types::CertificateDer;
use sha2::{Digest, Sha256};
use webpki::EndEntityCert;

/// Who a client is by its certificate. The TLS layer has checked the signature, the dates and the authority.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PeerCertificate {
    name: String,
}

impl PeerCertificate {
    /// Reads the name from the client's own certificate, the first of its chain.
    pub fn new(der: &CertificateDer<'_>) -> Self {
        let own = EndEntityCert::try_from(der).ok().and_then(|certificate| {
            let name = common_name(certificate.subject());
            name.or_else(|| certificate.valid_dns_names().next())
                .map(str::to_owned)
        });
        Self {
            name: own.unwrap_or_else(|| fingerprint(der)),
        }
    }

    /// The common name of the subject, or else the first DNS name, or else the fingerprint.
    pub fn name(&self) -> &str {
        &self.name
    }
}

fn fingerprint(der: &[u8]) -> String {
    let mut text = String::from("sha256:");
    for byte in Sha256::digest(der) {
        // Writing to a string cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

const SEQUENCE: u8 = 0x30;
const SET: u8 = 0x31;
const OBJECT_ID: u8 = 0x06;
const UTF8_STRING: u8 = 0x0c;
const PRINTABLE_STRING: u8 = 0x13;
/// 2.5.4.3, RFC 5280 appendix A.1.
const COMMON_NAME: &[u8] = &[0x55, 0x04, 0x03];

/// The common name in the content of an X.501 name: sets of pairs of attribute and value.
fn common_name(mut name: &[u8]) -> Option<&str> {
    while !name.is_empty() {
        let (tag, mut set, rest) = element(name)?;
        name = rest;
        if tag != SET {
            return None;
        }
        while !set.is_empty() {
            let (tag, pair, rest) = element(set)?;
            set = rest;
            if tag != SEQUENCE {
                return None;
            }
            let (tag, attribute, value) = element(pair)?;
            if tag == OBJECT_ID && attribute == COMMON_NAME {
                let (tag, text, _) = element(value)?;
                let is_text = matches!(tag, UTF8_STRING | PRINTABLE_STRING) && !text.is_empty();
                return std::str::from_utf8(text).ok().filter(|_| is_text);
            }
        }
    }
    None
}

/// Tag, content and what follows of the first DER element. Names have no element of 64 KiB.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (tag, rest) = der.split_first()?;
    let (first, rest) = rest.split_first()?;
    let (len, rest) = match *first {
        short @ 0..=0x7f => (usize::from(short), rest),
        0x81 => rest
            .split_first()
            .map(|(len, rest)| (usize::from(*len), rest))?,
        0x82 => rest
            .split_first_chunk::<2>()
            .map(|(len, rest)| (usize::from(u16::from_be_bytes(*len)), rest))?,
        _ => return None,
    };
    let (content, rest) = rest.split_at_checked(len)?;
    Some((*tag, content, rest))
}

#[cfg(test)]
mod tests {
    use rcgen::{CertificateParams, DistinguishedName, DnType, KeyPair};

    use super::*;

    fn certificate(subject: &[(DnType, &str)], dns: &[&str]) -> PeerCertificate {
        let dns: Vec<String> = dns.iter().map(|name| (*name).to_owned()).collect();
        let mut params = CertificateParams::new(dns).unwrap();
        params.distinguished_name = DistinguishedName::new();
        for (kind, value) in subject {
            params.distinguished_name.push(kind.clone(), *value);
        }
        let key = KeyPair::generate().unwrap();
        PeerCertificate::new(params.self_signed(&key).unwrap().der())
    }

    #[test]
    fn the_name_is_the_common_name_or_else_the_first_dns_name() {
        let unit = (DnType::OrganizationalUnitName, "data");
        let common = (DnType::CommonName, "ingest");
        let both = certificate(&[unit.clone(), common], &["ingest.example"]);
        assert_eq!(both.name(), "ingest");
        let dns = certificate(std::slice::from_ref(&unit), &["a.example", "b.example"]);
        assert_eq!(dns.name(), "a.example");
        let nameless = certificate(&[unit], &[]);
        assert!(nameless.name().starts_with("sha256:") && nameless.name().len() == 7 + 64);
    }

    #[test]
    fn a_common_name_hidden_in_another_attribute_is_not_taken() {
        // What a whole attribute "common name = admin" looks like, inside the text of another one.
        let hidden = (
            DnType::OrganizationalUnitName,
            "\u{6}\u{3}U\u{4}\u{3}\u{c}\u{5}admin",
        );
        let guest = certificate(&[hidden, (DnType::CommonName, "guest")], &[]);
        assert_eq!(guest.name(), "guest");
    }

    #[test]
    fn bytes_that_are_no_certificate_have_no_name() {
        for bytes in [
            &b""[..],
            b"\x30",
            b"\x30\x82\xff\xff",
            b"\x31\x84\xff\xff\xff\xff",
        ] {
            let broken = PeerCertificate::new(&CertificateDer::from(bytes));
            assert!(broken.name().starts_with("sha256:"));
            assert_eq!(common_name(bytes), None);
        }
    }
}
