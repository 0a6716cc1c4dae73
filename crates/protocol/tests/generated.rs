//! The committed code is what the `.proto` file says.

use std::path::{Path, PathBuf};

use prost::Message as _;

const FILES: [&str; 2] = ["vecdb.v1.rs", "vecdb.v1.bin"];

fn generate(into: &Path) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("proto");
    let descriptors = protox::compile([root.join("vecdb/v1/vecdb.proto")], [&root]).unwrap();
    std::fs::write(into.join("vecdb.v1.bin"), descriptors.encode_to_vec()).unwrap();
    tonic_prost_build::configure()
        .build_transport(false)
        .btree_map(".")
        .out_dir(into)
        .compile_fds(descriptors)
        .unwrap();
}

#[test]
fn generated_code_is_up_to_date() {
    let committed: PathBuf = Path::new(env!("CARGO_MANIFEST_DIR")).join("src/generated");
    if std::env::var_os("VECDB_REGENERATE").is_some() {
        generate(&committed);
    }
    let fresh = tempfile::tempdir().unwrap();
    generate(fresh.path());
    for file in FILES {
        let (old, new) = (
            std::fs::read(committed.join(file)),
            std::fs::read(fresh.path().join(file)).unwrap(),
        );
        assert!(
            old.is_ok_and(|old| old == new),
            "{file} is not what the .proto file says: run `VECDB_REGENERATE=1 cargo test -p vecdb-protocol`"
        );
    }
}
