//! Keys and tokens through the [`Authority`], good ones and all bad ones.

use std::path::PathBuf;
use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};
use serde_json::{Value, json};
use vecdb_engine::ErrorKind;

use super::*;
use crate::config::{ApiKey, Auth, Config, Jwt, Secret};
use crate::gateway::Access;

const KEY: &str = "reader-key-0123456789";
const SECRET: &str = "a secret that the issuer and the server share";

/// Made by OpenSSL; the private key is gone. `sub` ada, `access` write, `exp` 2100.
const RSA_PUBLIC: &str = "-----BEGIN PUBLIC KEY-----
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAsG+cPhq5vhawFaV8Sn8R
Fb3a54NMSzQA+wb23tN9Mnka1dzlbdU3m4VPMzAi6bNX9oeB6K38JsqWJdjnS21F
w1oRr2vm7y4aq10TkhPUFOC3iwN0bEekfWXH2iaeNW9V8Rb8JIH8iIFAJL8gLGS6
Z357EAiWBXMpvwdahbe6gzpN1g8dzHKexIv6U9bmdecD3GckNwda5rtc224lLFSs
7RodhPTitwexUWI99clfCydHzI6Q3kUs0nndcYvDS2wf55Frl0g0phUBj/1M/9cj
JfanxTBYuP2fY4fuWe4mn9onfekwewQG3PJA7tkZ6yTLmkqnUHF2UrzmajCKwDr2
mwIDAQAB
-----END PUBLIC KEY-----
";
const RSA_TOKEN: &str = "eyJhbGciOiJSUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiJhZGEiLCJleHAiOjQxMDI0NDQ4MDAsImFjY2VzcyI6IndyaXRlIn0.n64CdG42NwMhiNqLTXkCO0zvBmZo5Adfe-nX4rGglfqjqk09okPPGriB4tk3mA5zjrjjcHixPpiGuxOh7sQwK288PH5DBY7Yne3OjyzcxNoevPj2_SdtZ6dbY9HI8a3qXo6CMtNh-3VxkLFgxwo0aMEODHA1tmjGqXeThKRq6mdWQLYPq6lxVCgOOF960TsSMlncwh9XAehBt7SCnechlfycmPZPENN7v6zCrPcKv3_pjvFHqcmjaY8kWQiM2H63GgeTE2XxFyo4MHQOcSlkPFJr6c15tTTyB0hGi22go87PHA78qgnNAemmswHVMjgqCVuAZdLnv3W0ViH7hGG6HA";

fn keys(access: Access, collections: &[&str]) -> Auth {
    Auth {
        keys: vec![ApiKey {
            name: "the-key".to_owned(),
            key: Secret::new(KEY),
            access,
            collections: collections.iter().map(|name| (*name).to_owned()).collect(),
        }],
        jwt: None,
    }
}

fn tokens(jwt: Jwt) -> Auth {
    Auth {
        keys: Vec::new(),
        jwt: Some(jwt),
    }
}

fn shared_secret() -> Jwt {
    Jwt {
        secret: Some(Secret::new(SECRET)),
        ..Jwt::default()
    }
}

/// A folder that holds the public key of an issuer, and the settings that name it.
fn issuer(algorithm: &str, public: &str) -> (tempfile::TempDir, Jwt) {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join("issuer.pem");
    std::fs::write(&path, public).unwrap();
    let jwt = Jwt {
        public_key: Some(path),
        algorithm: Some(algorithm.to_owned()),
        ..Jwt::default()
    };
    (folder, jwt)
}

fn seconds_from_now(seconds: i64) -> i64 {
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs();
    now as i64 + seconds
}

fn token(claims: &Value) -> String {
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    jsonwebtoken::encode(&Header::new(Algorithm::HS256), claims, &key).unwrap()
}

fn shown(secret: &str) -> Credentials {
    Credentials {
        secret: Some(secret.to_owned()),
    }
}

fn read(authority: &Authority, secret: &str) -> Result<String, (ErrorKind, String)> {
    let caller = authority.check(&shown(secret), None, Access::Read, "products");
    caller
        .map(|caller| caller.name().to_owned())
        .map_err(|error| (error.kind(), error.to_string()))
}

#[track_caller]
fn refused(authority: &Authority, secret: &str, why: &str) {
    let (kind, message) = read(authority, secret).unwrap_err();
    assert_eq!(kind, ErrorKind::Unauthenticated, "{message}");
    assert!(message.contains(why), "{message:?} does not say {why:?}");
    if secret.len() > 4 {
        assert!(!message.contains(secret), "{message:?} shows the secret");
    }
}

#[test]
fn without_keys_and_tokens_everybody_may_do_everything() {
    let authority = Authority::new(&Auth::default()).unwrap();
    assert!(authority.is_open());
    let caller = authority
        .check(&Credentials::default(), None, Access::Admin, "")
        .unwrap();
    assert_eq!(caller.name(), "anyone");
}

#[test]
fn a_key_gives_its_rights_and_no_more() {
    let authority = Authority::new(&keys(Access::Write, &["products", "team-*"])).unwrap();
    assert!(!authority.is_open());
    let check = |access, collection| {
        authority
            .check(&shown(KEY), None, access, collection)
            .map_err(|error| (error.kind(), error.to_string()))
    };
    assert_eq!(check(Access::Write, "products").unwrap().name(), "the-key");
    assert!(check(Access::Read, "team-a").is_ok() && check(Access::Read, "").is_ok());

    let (kind, message) = check(Access::Admin, "products").unwrap_err();
    assert_eq!(kind, ErrorKind::PermissionDenied);
    assert_eq!(
        message,
        "this needs the right \"admin\" on the collection \"products\"; \"the-key\" has write"
    );
    let (kind, message) = check(Access::Read, "secret").unwrap_err();
    assert_eq!(kind, ErrorKind::PermissionDenied);
    assert!(
        message.contains("\"read\" on the collection \"secret\"") && message.contains("has none")
    );
    let (_, message) = check(Access::Admin, "").unwrap_err();
    assert!(message.contains("the database as a whole"), "{message}");
}

#[test]
fn nothing_empty_and_unknown_are_told_apart() {
    let authority = Authority::new(&keys(Access::Read, &[])).unwrap();
    let nothing = authority
        .check(&Credentials::default(), None, Access::Read, "products")
        .unwrap_err();
    assert_eq!(nothing.kind(), ErrorKind::Unauthenticated);
    assert!(nothing.to_string().contains("x-api-key"));
    refused(&authority, "", "is empty");
    refused(&authority, &KEY[..KEY.len() - 1], "not known");
    refused(&authority, &format!("{KEY}x"), "not known");
    // Without an issuer a token is a key like any other.
    refused(
        &authority,
        &token(&json!({"exp": seconds_from_now(60)})),
        "not known",
    );
}

#[test]
fn a_reload_takes_new_keys_and_keeps_the_old_ones_when_it_cannot() {
    let authority = Authority::new(&keys(Access::Read, &[])).unwrap();
    let mut broken = keys(Access::Read, &[]);
    broken.keys[0].key = Secret::new("short");
    assert!(Authority::prepare(&broken).is_err());
    assert!(read(&authority, KEY).is_ok());

    let mut other = keys(Access::Read, &[]);
    other.keys[0].key = Secret::new("another-key-0123456789");
    authority.take_over(Authority::prepare(&other).unwrap());
    refused(&authority, KEY, "not known");
    assert!(read(&authority, "another-key-0123456789").is_ok());
}

#[test]
fn the_claims_of_a_token_are_its_rights() {
    let authority = Authority::new(&tokens(shared_secret())).unwrap();
    let exp = seconds_from_now(60);
    let may = |claims: Value, access, collection| {
        let caller = authority.check(&shown(&token(&claims)), None, access, collection);
        match caller {
            Ok(caller) => {
                assert_eq!(caller.name(), "ada");
                true
            }
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::PermissionDenied, "{error}");
                false
            }
        }
    };
    let all = json!({"sub": "ada", "exp": exp, "access": "write"});
    assert!(may(all.clone(), Access::Write, "a") && !may(all, Access::Admin, "a"));
    let each = json!({"sub": "ada", "exp": exp, "collections": {"products": "write", "*": "read"}});
    assert!(may(each.clone(), Access::Write, "products"));
    assert!(may(each.clone(), Access::Read, "b") && !may(each, Access::Write, "b"));
    let list = json!({"sub": "ada", "exp": exp, "access": "admin", "collections": ["team-*"]});
    assert!(may(list.clone(), Access::Admin, "team-a") && !may(list, Access::Read, "b"));
    assert!(!may(json!({"sub": "ada", "exp": exp}), Access::Read, "a"));
}

#[test]
fn unclear_rights_are_refused() {
    let authority = Authority::new(&tokens(shared_secret())).unwrap();
    let exp = seconds_from_now(60);
    let cases = [
        (
            json!({"exp": exp, "access": "admin", "collections": {"a": "read"}}),
            "must not say it again",
        ),
        (
            json!({"exp": exp, "collections": ["a"]}),
            "\"access\" has to say",
        ),
        (
            json!({"exp": exp, "access": "read", "collections": ["a*b"]}),
            "\"a*b\"",
        ),
        (json!({"exp": exp, "access": "root"}), "malformed"),
        (
            json!({"exp": exp, "collections": {"a": "all"}}),
            "malformed",
        ),
    ];
    for (claims, why) in cases {
        refused(&authority, &token(&claims), why);
    }
}

#[test]
fn a_token_needs_its_dates() {
    let authority = Authority::new(&tokens(shared_secret())).unwrap();
    let good = json!({"exp": seconds_from_now(60), "nbf": seconds_from_now(-60), "access": "read"});
    assert!(read(&authority, &token(&good)).is_ok());
    let cases = [
        (
            json!({"exp": seconds_from_now(-60), "access": "read"}),
            "has expired",
        ),
        (
            json!({"exp": seconds_from_now(60), "nbf": seconds_from_now(60), "access": "read"}),
            "not valid yet",
        ),
        (json!({"access": "read"}), "exp"),
        (json!({"exp": "tomorrow", "access": "read"}), "malformed"),
        (json!({"exp": -1, "access": "read"}), "exp"),
        (json!({"exp": null, "access": "read"}), "malformed"),
        (
            json!({"exp": seconds_from_now(60), "nbf": "now", "access": "read"}),
            "nbf",
        ),
    ];
    for (claims, why) in cases {
        refused(&authority, &token(&claims), why);
    }
}

#[test]
fn a_remembered_token_still_ends() {
    let authority = Authority::new(&tokens(shared_secret())).unwrap();
    // Within the leeway of 30 s: believed now, and for one second more.
    let ending = token(&json!({"exp": seconds_from_now(-28), "access": "read"}));
    assert!(read(&authority, &ending).is_ok());
    let begun = std::time::Instant::now();
    while read(&authority, &ending).is_ok() {
        assert!(begun.elapsed().as_secs() < 6, "believed for ever");
        std::thread::sleep(std::time::Duration::from_millis(50));
    }
    refused(&authority, &ending, "has expired");
}

#[test]
fn issuer_and_audience_are_compared_and_required() {
    let jwt = Jwt {
        issuer: Some("https://id.example".to_owned()),
        audience: Some("vecdb".to_owned()),
        ..shared_secret()
    };
    let authority = Authority::new(&tokens(jwt)).unwrap();
    let claims = |iss: Value, aud: Value| {
        token(&json!({"exp": seconds_from_now(60), "iss": iss, "aud": aud, "access": "read"}))
    };
    let (iss, aud) = (json!("https://id.example"), json!("vecdb"));
    assert!(read(&authority, &claims(iss.clone(), aud.clone())).is_ok());
    assert!(read(&authority, &claims(iss.clone(), json!(["other", "vecdb"]))).is_ok());
    refused(
        &authority,
        &claims(json!("https://evil.example"), aud.clone()),
        "another issuer",
    );
    refused(
        &authority,
        &claims(iss.clone(), json!("other")),
        "another audience",
    );
    refused(&authority, &claims(Value::Null, aud), "iss");
    refused(&authority, &claims(iss, Value::Null), "aud");

    let without = Authority::new(&tokens(shared_secret())).unwrap();
    refused(
        &without,
        &claims(Value::Null, json!("vecdb")),
        "no auth.jwt.audience",
    );
}

#[test]
fn the_token_does_not_choose_its_algorithm() {
    let authority = Authority::new(&tokens(shared_secret())).unwrap();
    let claims = json!({"exp": seconds_from_now(60), "access": "admin"});
    let good = token(&claims);
    let parts: Vec<&str> = good.split('.').collect();
    let (payload, signature) = (parts[1], parts[2]);
    // {"alg":"none"}, with and without a signature.
    refused(
        &authority,
        &format!("eyJhbGciOiJub25lIn0.{payload}."),
        "malformed",
    );
    refused(
        &authority,
        &format!("eyJhbGciOiJub25lIn0.{payload}.{signature}"),
        "malformed",
    );
    let key = EncodingKey::from_secret(SECRET.as_bytes());
    let longer = jsonwebtoken::encode(&Header::new(Algorithm::HS512), &claims, &key).unwrap();
    refused(&authority, &longer, "not signed with HS256");

    // The old trick: the public key, which everybody knows, taken for a shared secret.
    let (_folder, jwt) = issuer("RS256", RSA_PUBLIC);
    let authority = Authority::new(&tokens(jwt)).unwrap();
    let public = EncodingKey::from_secret(RSA_PUBLIC.as_bytes());
    let forged = jsonwebtoken::encode(&Header::new(Algorithm::HS256), &claims, &public).unwrap();
    refused(&authority, &forged, "not signed with RS256");
}

#[test]
fn a_tampered_token_is_refused_wherever_it_was_changed() {
    let authority = Authority::new(&tokens(shared_secret())).unwrap();
    let good = token(&json!({"exp": seconds_from_now(60), "access": "read"}));
    let more = token(&json!({"exp": seconds_from_now(60), "access": "admin"}));
    let of = |token: &str| token.split('.').map(str::to_owned).collect::<Vec<_>>();
    let (good, more) = (of(&good), of(&more));
    refused(
        &authority,
        &format!("{}.{}.{}", good[0], more[1], good[2]),
        "signature is wrong",
    );
    refused(
        &authority,
        &format!("{}.{}.", good[0], good[1]),
        "signature is wrong",
    );
    let (begin, end) = good[2].split_at(20);
    let turned = if end.starts_with('A') { "B" } else { "A" };
    let signature = format!("{begin}{turned}{}", &end[1..]);
    refused(
        &authority,
        &format!("{}.{}.{signature}", good[0], good[1]),
        "signature is wrong",
    );
    for broken in [
        "ey..",
        "eyJ.eyJ.x",
        "ey\u{e9}.a.b",
        "eyJhbGciOiJIUzI1NiJ9.!!!.AAAA",
    ] {
        refused(&authority, broken, "refused");
    }
    refused(&authority, "a.b.c", "not known");
}

#[test]
fn public_keys_of_every_kind_verify_and_others_do_not() {
    let (_folder, jwt) = issuer("RS256", RSA_PUBLIC);
    let authority = Authority::new(&tokens(jwt)).unwrap();
    assert_eq!(read(&authority, RSA_TOKEN).as_deref(), Ok("ada"));
    let turned = RSA_TOKEN.replace("n64CdG42", "n64CdG43");
    refused(&authority, &turned, "signature is wrong");

    let claims = json!({"sub": "ada", "exp": seconds_from_now(60), "access": "read"});
    for (algorithm, name, kind) in [
        (Algorithm::ES256, "ES256", &PKCS_ECDSA_P256_SHA256),
        (Algorithm::EdDSA, "EdDSA", &PKCS_ED25519),
    ] {
        let sign = |pair: &KeyPair| {
            let private = pair.serialize_der();
            let key = match algorithm {
                Algorithm::EdDSA => EncodingKey::from_ed_der(&private),
                _ => EncodingKey::from_ec_der(&private),
            };
            jsonwebtoken::encode(&Header::new(algorithm), &claims, &key).unwrap()
        };
        let pair = KeyPair::generate_for(kind).unwrap();
        let (_folder, jwt) = issuer(name, &pair.public_key_pem());
        let authority = Authority::new(&tokens(jwt)).unwrap();
        assert_eq!(read(&authority, &sign(&pair)).as_deref(), Ok("ada"));
        let other = KeyPair::generate_for(kind).unwrap();
        refused(&authority, &sign(&other), "signature is wrong");
        refused(&authority, RSA_TOKEN, "not signed with");
    }
}

#[test]
fn settings_that_cannot_work_are_refused_at_once() {
    let p384 = KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap();
    let (_a, wrong_curve) = issuer("ES256", &p384.public_key_pem());
    let (_b, wrong_kind) = issuer("ES256", RSA_PUBLIC);
    let (_c, no_key) = issuer("RS256", "no key");
    let (_d, symmetric) = issuer("HS256", RSA_PUBLIC);
    let with = |secret: Option<&str>, algorithm: Option<&str>| Jwt {
        secret: secret.map(Secret::new),
        algorithm: algorithm.map(str::to_owned),
        ..Jwt::default()
    };
    let missing = Jwt {
        public_key: Some(PathBuf::from("/nowhere/issuer.pem")),
        ..Jwt::default()
    };
    let cases = [
        (wrong_curve, "no public key for ES256"),
        (wrong_kind, "no public key for ES256"),
        (no_key, "no public key for RS256"),
        (symmetric, "needs auth.jwt.secret"),
        (with(Some("too short a secret"), None), "18 bytes"),
        (
            with(Some(SECRET), Some("RS256")),
            "needs auth.jwt.public_key",
        ),
        (with(Some(SECRET), Some("none")), "\"none\" is not known"),
        (with(None, None), "exactly one"),
        (missing, "/nowhere/issuer.pem"),
    ];
    for (jwt, part) in cases {
        let error = Authority::new(&tokens(jwt)).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::InvalidArgument);
        let message = error.to_string();
        assert!(
            message.contains("auth.jwt.") && message.contains(part),
            "{message}"
        );
        assert!(
            !message.contains(SECRET) && !message.contains("too short"),
            "{message}"
        );
    }
}

#[test]
fn names_from_tokens_cannot_forge_log_lines() {
    let authority = Authority::new(&tokens(shared_secret())).unwrap();
    let name = format!(
        "eve\n2026-01-01 admin logged in\u{1b}[31m{}",
        "x".repeat(500)
    );
    let claims = json!({"sub": name, "exp": seconds_from_now(60), "access": "read"});
    let name = read(&authority, &token(&claims)).unwrap();
    assert!(name.starts_with("eve2026") && name.len() == 128 && !name.contains('\u{1b}'));
}

#[test]
fn nothing_secret_is_printed() {
    let mut auth = keys(Access::Read, &[]);
    auth.jwt = Some(shared_secret());
    let authority = Authority::new(&auth).unwrap();
    let caller = authority
        .check(&shown(KEY), None, Access::Read, "a")
        .unwrap();
    let printed = format!("{auth:?} {authority:?} {caller:?} {:?}", shown(KEY));
    assert!(printed.contains("***"));
    assert!(
        !printed.contains(KEY) && !printed.contains(SECRET),
        "{printed}"
    );
}

#[test]
fn keys_and_secrets_may_lie_in_files_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, text).unwrap();
        path.display().to_string()
    };
    let key = write("key", &format!("{KEY}\n"));
    let secret = write("secret", &format!("{SECRET}\n"));
    let load = |auth: String| {
        let file = write("config.yaml", &format!("auth: {auth}\n"));
        Config::load(Some(file.as_ref()), [], &[])
    };
    let config = load(format!(
        "{{keys: [{{name: a, key_file: {key}}}], jwt: {{secret_file: {secret}}}}}"
    ));
    let authority = Authority::new(&config.unwrap().auth).unwrap();
    assert_eq!(read(&authority, KEY).as_deref(), Ok("a"));
    let claims = json!({"sub": "ada", "exp": seconds_from_now(60), "access": "read"});
    assert_eq!(read(&authority, &token(&claims)).as_deref(), Ok("ada"));

    let empty = write("empty", "\n");
    for (auth, part) in [
        (
            format!("{{keys: [{{name: a, key: {KEY}, key_file: {key}}}]}}"),
            "one of them",
        ),
        (
            format!("{{keys: [{{name: a, key_file: {empty}}}]}}"),
            "is empty",
        ),
        (
            format!("{{jwt: {{secret_file: {empty}-no}}}}"),
            "cannot read",
        ),
    ] {
        let error = load(auth).unwrap_err().to_string();
        assert!(error.contains(part) && error.contains("auth."), "{error}");
        assert!(!error.contains(KEY), "{error}");
    }
}
