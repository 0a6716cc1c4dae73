//! Files that are wrong in one known way: the error names the file, the place and what would be right.

use std::path::Path;

use crate::files::{self, Folder};
use parquet::basic::Compression;
use vecdb_dataset::{
    DatasetError, PointOptions, open_points, open_vectors, read_ids, read_labels, read_vectors,
};

/// The error text must name the file and hold all the parts.
fn expect<T>(result: Result<T, DatasetError>, path: &Path, parts: &[&str]) {
    let Err(error) = result else {
        panic!("{path:?} was read; expected an error with {parts:?}");
    };
    assert_eq!(error.path(), path);
    let text = error.to_string();
    let name = path.file_name().unwrap().to_str().unwrap();
    for part in parts.iter().chain([&name]) {
        assert!(text.contains(part), "'{part}' is not in: {text}");
    }
}

fn points_error(path: &Path) -> Result<(), DatasetError> {
    open_points(path, &PointOptions::default())?
        .find_map(Result::err)
        .map_or(Ok(()), Err)
}

#[test]
fn npy_types_orders_and_shapes() {
    let folder = Folder::new();
    let data = [0u8; 48];
    for (descr, shape, parts) in [
        (">f4", "(4, 3)", &["big endian", "<f4"][..]),
        ("|O", "(4, 3)", &["Python objects"]),
        ("<i4", "(4, 3)", &["row numbers"]),
        ("<c8", "(2, 3)", &["'<c8'", "float32"]),
        ("<U3", "(4, 1)", &["'<U3'"]),
        ("", "(4, 1)", &["element type ''"]),
        ("é", "(4, 1)", &["no end"]),
        ("<f4", "()", &["0 dimensions"]),
        ("<f4", "(2, 2, 3)", &["3 dimensions", "[2, 2, 3]"]),
        ("<f4", "(12, 0)", &["rows of 0 elements"]),
        ("<f4", "(1, 70000)", &["70000", "65536"]),
        ("<f4", "(5, 3)", &["5 rows x 3", "60 bytes", "48 bytes"]),
        ("<f4", "(3, 3)", &["36 bytes", "48 bytes"]),
        (
            "<f4",
            "(1000000000000000, 3)",
            &["1000000000000000 rows", "48 bytes follow"],
        ),
        (
            "<f4",
            "(18446744073709551615, 3)",
            &["18446744073709551615", "more bytes than a file"],
        ),
    ] {
        let path = folder.write("base.npy", &files::npy(descr, shape, &data));
        expect(read_vectors(&path), &path, parts);
    }
    let fortran = "{'descr': '<f4', 'fortran_order': True, 'shape': (4, 3), }";
    let path = folder.write("base.npy", &files::npy_of_header(1, fortran, &data));
    expect(
        read_vectors(&path),
        &path,
        &["Fortran", "ascontiguousarray"],
    );
    let path = folder.write("base.npy", &files::npy_of_header(4, fortran, &data));
    expect(read_vectors(&path), &path, &["version 4.0", "byte 6"]);
    let path = folder.write("base.npy", b"\x93NUMPY\x02\x00\xff\xff\xff\xff{'descr'");
    expect(
        read_vectors(&path),
        &path,
        &["header of 4294967295 bytes", "65536"],
    );
    let path = folder.write("base.npy", b"PK\x03\x04 this is a zip");
    expect(read_vectors(&path), &path, &["not an npy file", "byte 0"]);
}

#[test]
fn a_promise_behind_gzip_costs_no_memory() {
    let folder = Folder::new();
    let file = files::npy("<f4", "(1000000000000000, 3)", &[0; 48]);
    let path = folder.write("base.npy.gz", &files::gzip(&file));
    assert_eq!(
        open_vectors(&path).unwrap().info().rows,
        Some(1_000_000_000_000_000)
    );
    expect(read_vectors(&path), &path, &["4 of 1000000000000000 rows"]);
}

#[test]
fn a_double_beyond_f32_is_refused() {
    let folder = Folder::new();
    let data: Vec<u8> = [1.0, 2.0, 3.0, 1e300]
        .iter()
        .flat_map(|value: &f64| value.to_le_bytes())
        .collect();
    let path = folder.write("base.npy", &files::npy("<f8", "(2, 2)", &data));
    expect(
        read_vectors(&path),
        &path,
        &["row 1", "element 1", "32-bit"],
    );
}

#[test]
fn row_prefixed_formats() {
    let folder = Folder::new();
    let words =
        |words: &[i32]| -> Vec<u8> { words.iter().flat_map(|word| word.to_le_bytes()).collect() };
    for (name, bytes, parts) in [
        ("a.fvecs", vec![], &["empty"][..]),
        ("a.fvecs", vec![3, 0], &["2 bytes are too few"]),
        ("a.fvecs", words(&[-1, 0]), &["rows of -1 elements"]),
        ("a.fvecs", words(&[i32::MAX, 0]), &["2147483647", "65536"]),
        (
            "a.fvecs",
            words(&[2, 0, 0, 2, 0]),
            &["20 bytes", "rows of 2 elements (12 bytes"],
        ),
        (
            "a.fvecs",
            words(&[2, 0, 0, 1, 0, 0]),
            &["row 1", "1 elements", "2"],
        ),
        (
            "a.fvecs.gz",
            files::gzip(&words(&[2, 0, 0, 2, 0])),
            &["ends within a row"],
        ),
        (
            "a.ivecs",
            words(&[2, 0, 0]),
            &["row numbers (ground truth), not vectors"],
        ),
    ] {
        let path = folder.write(name, &bytes);
        expect(read_vectors(&path), &path, parts);
    }
    for (bytes, parts) in [
        (words(&[2, 0]), &["8 bytes needed, 4 there"][..]),
        (words(&[1, -5]), &["-5 is not a row number"]),
        (words(&[i32::MAX, 1]), &["2147483647"]),
        (words(&[1]), &["ends before the 1 elements of row 0"]),
    ] {
        let path = folder.write("truth.ivecs", &bytes);
        expect(read_ids(&path), &path, parts);
    }
    let path = folder.write(
        "base.npy",
        &files::npy("<f4", "(4, 3)", &files::encoded("<f4")),
    );
    expect(read_ids(&path), &path, &["int32 or int64"]);
}

#[test]
fn idx_headers() {
    let folder = Folder::new();
    let with = |at: usize, byte: u8| {
        let mut bytes = files::idx3();
        bytes[at] = byte;
        bytes
    };
    for (bytes, parts) in [
        (with(0, 1), &["starts with 1, 0"][..]),
        (with(2, 0x0d), &["0x0d", "0x08"]),
        (with(3, 0), &["0 IDX dimensions"]),
        (with(3, 9), &["9 IDX dimensions"]),
        (with(7, 5), &["5 rows of 3 bytes (15 bytes)", "12 bytes"]),
        (with(4, 255), &["rows of 3 bytes", "12 bytes follow"]),
        (files::idx1(&[1, 2]), &["labels, not vectors"]),
        (vec![0, 0, 8, 3, 0, 0], &["ends within the IDX sizes"]),
        (
            [&[0, 0, 8, 4][..], &[255; 16]].concat(),
            &["more bytes than a file"],
        ),
    ] {
        let path = folder.write("images-idx3-ubyte", &bytes);
        expect(read_vectors(&path), &path, parts);
    }
    let path = folder.write("labels-idx1-ubyte", &files::idx3());
    expect(read_labels(&path), &path, &["images, not labels"]);
}

#[test]
fn json_lines() {
    let folder = Folder::new();
    for (second, parts) in [
        ("{\"vector\": [1, 2", &["line 2"][..]),
        (
            "[1, 2, 3]",
            &["line 2", "object with id, vector and metadata"],
        ),
        ("{\"vector\": [1, NaN]}", &["line 2", "column"]),
        ("{\"vector\": [1, 1e40]}", &["element 1", "32-bit"]),
        ("{\"vector\": [1, \"2\"]}", &["line 2", "string"]),
        ("{\"vector\": \"abc\"}", &["array of numbers"]),
        ("{\"vector\": [1, 2]} x", &["line 2", "trailing"]),
        (
            "{\"vector\": [1], \"vector\": [1]}",
            &["'vector' comes twice"],
        ),
        ("{\"a\": 1, \"a\": 2}", &["'a' comes twice"]),
        (
            "{\"vector\": [1, 2], \"metadata\": {}, \"color\": 1}",
            &["'color' beside 'metadata'"],
        ),
        ("{\"vector\": [1, 2], \"metadata\": 5}", &["line 2"]),
        ("\u{1}", &["line 2"]),
    ] {
        let path = folder.write(
            "points.jsonl",
            format!("{{\"vector\": [1, 2]}}\n{second}\n").as_bytes(),
        );
        expect(points_error(&path), &path, parts);
    }
    for (text, parts) in [
        ("", &["no lines"][..]),
        ("{\"id\": 1}", &["line 1", "no key 'vector'"]),
        ("{\"vector\": []}", &["rows of 0 elements"]),
        (
            "{\"vector\": [1, 2]}\n{\"vector\": [1]}",
            &["line 2", "1 elements", "2"],
        ),
    ] {
        let path = folder.write("points.jsonl", text.as_bytes());
        expect(read_vectors(&path), &path, parts);
    }
    let endless = format!("{{\"text\": \"{}\"}}", "x".repeat(5 << 20));
    let path = folder.write("points.jsonl", endless.as_bytes());
    expect(
        points_error(&path),
        &path,
        &["line 1", "longer than 4194304 bytes"],
    );
    let deep = "[".repeat(100_000);
    let path = folder.write("points.jsonl", format!("{{\"a\": {deep}").as_bytes());
    expect(points_error(&path), &path, &["line 1", "recursion"]);
}

#[test]
fn parquet_columns() {
    let folder = Folder::new();
    let write = |columns| {
        folder.write(
            "points.parquet",
            &files::parquet(columns, Compression::SNAPPY),
        )
    };
    let ids = || files::point_columns().swap_remove(0);

    let path = write(vec![ids()]);
    expect(
        read_vectors(&path),
        &path,
        &["no column is a list of floats", "id (Utf8)"],
    );
    let path = write(vec![
        ("a", files::list_column("f32")),
        ("b", files::list_column("f64")),
    ]);
    expect(read_vectors(&path), &path, &["several columns", "a, b"]);
    let wanted = |name: &str| PointOptions {
        vector_field: Some(name.to_owned()),
        ..PointOptions::default()
    };
    expect(
        open_points(&path, &wanted("c")),
        &path,
        &["no column 'c'", "a ("],
    );
    let named = open_points(&path, &wanted("b"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap();
    assert_eq!(named.vector, Some(vec![0.0, 1.0, 2.0]));
    let left = PointOptions {
        skip: vec!["a".to_owned()],
        ..PointOptions::default()
    };
    let point = open_points(&path, &left).unwrap().next().unwrap().unwrap();
    assert!(
        point.vector.is_some() && point.metadata.is_empty(),
        "the other list is the vector"
    );
    let path = write(vec![ids(), ("vector", files::list_column("f32"))]);
    expect(
        open_points(&path, &wanted("id")),
        &path,
        &["'id' has type Utf8"],
    );

    let row: &[Option<f32>] = &[Some(1.0), Some(2.0)];
    for (second, parts) in [
        (None, &["row 1", "no vector"][..]),
        (
            Some(&[Some(1.0), None][..]),
            &["row 1", "element 1", "null"],
        ),
        (Some(&[Some(1.0)]), &["row 1", "1 elements"]),
        (Some(&[]), &["row 1", "0 elements"]),
    ] {
        let path = write(vec![("vector", files::float_lists(&[Some(row), second]))]);
        expect(read_vectors(&path), &path, parts);
    }
    let path = write(vec![("vector", files::float_lists(&[]))]);
    expect(read_vectors(&path), &path, &["no rows"]);

    let blob: arrow_array::ArrayRef =
        std::sync::Arc::new(arrow_array::BinaryArray::from_vec(vec![b"x"; 4]));
    let path = write(vec![("vector", files::list_column("f32")), ("blob", blob)]);
    expect(points_error(&path), &path, &["'blob'", "Binary", "skip"]);
    let skipping = PointOptions {
        skip: vec!["blob".to_owned()],
        ..PointOptions::default()
    };
    assert_eq!(open_points(&path, &skipping).unwrap().count(), 4);
    let path = folder.write("points.parquet", b"PAR1 nothing else");
    expect(read_vectors(&path), &path, &["not a sound Parquet file"]);
}

#[test]
fn missing_files_folders_and_unknown_formats() {
    let folder = Folder::new();
    let path = folder.path().join("absent.npy");
    expect(read_vectors(&path), &path, &["No such file"]);
    let path = folder.write("notes.txt", b"hello");
    expect(read_vectors(&path), &path, &[".npy, .fvecs", ".parquet"]);
    expect(read_ids(&path), &path, &[".npy, .fvecs"]);
    assert!(matches!(
        read_vectors(folder.path()),
        Err(DatasetError::Unsupported { .. } | DatasetError::Io { .. })
    ));
}
