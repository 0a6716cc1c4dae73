//! Every format and element type: what is written comes back.

use std::path::Path;

use crate::files::{self, Folder, ROWS};
use parquet::basic::Compression;
use serde_json::{Value, json};
use vecdb_dataset::{
    PointOptions, RawPoint, open_points, open_vectors, read_ids, read_labels, read_vectors,
    zip_metadata,
};
use vecdb_vector::ElementType;

fn check_vectors(path: &Path, element: ElementType) {
    let vectors = read_vectors(path).unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(vectors.info.element, element, "{path:?}");
    assert_eq!((vectors.rows(), vectors.info.dim), (4, 3), "{path:?}");
    assert_eq!(vectors.to_f32(), files::values(), "{path:?}");
    assert_eq!(vectors.bytes.len(), 4 * element.bytes(3), "{path:?}");
    assert_eq!(vectors.as_rows().len(), 4);

    // One row at a time gives the same bytes, and 0 at the end stays 0.
    let mut reader = open_vectors(path).unwrap();
    assert!(reader.info().rows.is_none_or(|rows| rows == 4), "{path:?}");
    let mut bytes = Vec::new();
    for _ in 0..4 {
        assert_eq!(reader.read(1, &mut bytes).unwrap(), 1, "{path:?}");
    }
    assert_eq!(reader.read(1, &mut bytes).unwrap(), 0, "{path:?}");
    assert_eq!(reader.read(1, &mut bytes).unwrap(), 0, "{path:?}");
    assert_eq!(bytes, vectors.bytes, "{path:?}");

    let points: Vec<RawPoint> = open_points(path, &PointOptions::default())
        .unwrap()
        .map(|point| point.unwrap())
        .collect();
    assert_eq!(points.len(), 4);
    assert!(
        points
            .iter()
            .zip(ROWS)
            .all(|(point, row)| point.vector.as_deref() == Some(&row[..]))
    );
}

#[test]
fn npy_of_every_element_type_and_version() {
    let folder = Folder::new();
    for (descr, element) in [
        ("<f2", ElementType::F16),
        ("<f4", ElementType::F32),
        ("<f8", ElementType::F32),
        ("|u1", ElementType::U8),
        ("|i1", ElementType::I8),
    ] {
        let file = files::npy(descr, "(4, 3)", &files::encoded(descr));
        check_vectors(&folder.write("base.npy", &file), element);
        check_vectors(&folder.write("base.npy.gz", &files::gzip(&file)), element);
        check_vectors(&folder.write("no-extension", &file), element);
    }
    for version in [1, 2, 3] {
        let header = "{'descr': '<f4', 'fortran_order': False, 'shape': (4, 3), }";
        let file = files::npy_of_header(version, header, &files::encoded("<f4"));
        check_vectors(&folder.write("base.npy", &file), ElementType::F32);
    }
}

#[test]
fn a_one_dimensional_npy_is_one_row() {
    let folder = Folder::new();
    let path = folder.write(
        "query.npy",
        &files::npy("<f4", "(12,)", &files::encoded("<f4")),
    );
    let query = read_vectors(&path).unwrap();
    assert_eq!((query.rows(), query.info.dim), (1, 12));
    assert_eq!(query.to_f32(), files::values());
}

#[test]
fn an_npy_without_rows_is_empty() {
    let folder = Folder::new();
    let empty = read_vectors(&folder.write("base.npy", &files::npy("<f4", "(0, 3)", &[]))).unwrap();
    assert_eq!(
        (empty.rows(), empty.info.dim, empty.info.rows),
        (0, 3, Some(0))
    );
    assert_eq!(empty.as_rows().len(), 0);
}

#[test]
fn fvecs_bvecs_and_idx() {
    let folder = Folder::new();
    check_vectors(
        &folder.write("base.fvecs", &files::vecs("<f4")),
        ElementType::F32,
    );
    check_vectors(
        &folder.write("base.bvecs", &files::vecs("|u1")),
        ElementType::U8,
    );
    check_vectors(
        &folder.write("base.fvecs.gz", &files::gzip(&files::vecs("<f4"))),
        ElementType::F32,
    );
    check_vectors(
        &folder.write("train-images-idx3-ubyte", &files::idx3()),
        ElementType::U8,
    );
    let zipped = files::gzip(&files::idx3());
    check_vectors(
        &folder.write("train-images-idx3-ubyte.gz", &zipped),
        ElementType::U8,
    );
    check_vectors(&folder.write("images", &files::idx3()), ElementType::U8);
    let labels = folder.write(
        "labels-idx1-ubyte.gz",
        &files::gzip(&files::idx1(&[9, 0, 3])),
    );
    assert_eq!(read_labels(&labels).unwrap(), [9, 0, 3]);
}

#[test]
fn ids_of_every_format() {
    let folder = Folder::new();
    let expected = ROWS.map(|row| row.map(|value| value as u32).to_vec());
    let ivecs = folder.write("truth.ivecs", &files::vecs("<i4"));
    assert_eq!(read_ids(&ivecs).unwrap(), expected);
    for descr in ["<i4", "<i8"] {
        let path = folder.write(
            "truth.npy",
            &files::npy(descr, "(4, 3)", &files::encoded(descr)),
        );
        assert_eq!(read_ids(&path).unwrap(), expected);
    }
    // Rows of an .ivecs file may differ in length, down to none.
    let uneven: Vec<u8> = [1i32, 7, 0, 2, 8, 9]
        .iter()
        .flat_map(|value| value.to_le_bytes())
        .collect();
    let path = folder.write("uneven.ivecs", &uneven);
    assert_eq!(read_ids(&path).unwrap(), [vec![7], vec![], vec![8, 9]]);
}

#[test]
fn json_lines_nested_flat_and_gzipped() {
    let folder = Folder::new();
    check_vectors(
        &folder.write("points.jsonl", &files::jsonl()),
        ElementType::F32,
    );
    check_vectors(
        &folder.write("points.ndjson.gz", &files::gzip(&files::jsonl())),
        ElementType::F32,
    );

    let text = "\u{feff}{\"id\": 7, \"vector\": [1, -2.5e1], \"metadata\": {\"a\": null}}\r\n\
                \n\
                {\"id\": \"x\", \"vector\": null, \"color\": \"red\", \"sizes\": [1, 2]}\n\
                {\"vector\": [3, 4]}";
    let path = folder.write("points.jsonl", text.as_bytes());
    let points: Vec<RawPoint> = open_points(&path, &PointOptions::default())
        .unwrap()
        .map(|point| point.unwrap())
        .collect();
    assert_eq!(points.len(), 3);
    assert_eq!(points[0].id, Some(json!(7)));
    assert_eq!(points[0].vector, Some(vec![1.0, -25.0]));
    assert_eq!(Value::from(points[0].metadata.clone()), json!({"a": null}));
    assert_eq!(
        (&points[1].id, &points[1].vector),
        (&Some(json!("x")), &None)
    );
    assert_eq!(
        Value::from(points[1].metadata.clone()),
        json!({"color": "red", "sizes": [1, 2]})
    );
    assert_eq!((&points[2].id, points[2].metadata.len()), (&None, 0));
}

#[test]
fn keys_can_be_named_and_skipped() {
    let folder = Folder::new();
    let line = br#"{"isbn": 3, "emb": [1, 2], "junk": {"deep": 1}, "title": "t"}"#;
    let options = PointOptions {
        vector_field: Some("emb".to_owned()),
        id_field: Some("isbn".to_owned()),
        skip: vec!["junk".to_owned()],
    };
    let mut points = open_points(&folder.write("books.jsonl", line), &options).unwrap();
    let point = points.next().unwrap().unwrap();
    assert_eq!(
        (point.id, point.vector),
        (Some(json!(3)), Some(vec![1.0, 2.0]))
    );
    assert_eq!(Value::from(point.metadata), json!({"title": "t"}));
    assert!(points.next().is_none());
}

#[test]
fn parquet_of_every_element_type_and_compression() {
    let folder = Folder::new();
    for (name, element) in [
        ("f16", ElementType::F16),
        ("f32", ElementType::F32),
        ("f64", ElementType::F32),
        ("u8", ElementType::U8),
        ("i8", ElementType::I8),
    ] {
        let columns = || vec![("vector", files::list_column(name))];
        for compression in [
            Compression::UNCOMPRESSED,
            Compression::SNAPPY,
            Compression::ZSTD(Default::default()),
        ] {
            let path = folder.write("base.parquet", &files::parquet(columns(), compression));
            check_vectors(&path, element);
        }
    }
}

#[test]
fn parquet_of_fixed_size_and_large_lists() {
    use arrow_array::cast::AsArray as _;
    use arrow_array::types::Float32Type;
    use arrow_array::{FixedSizeListArray, LargeListArray};
    let folder = Folder::new();
    let rows = || ROWS.map(|row| Some(row.map(Some)));
    let fixed = FixedSizeListArray::from_iter_primitive::<Float32Type, _, _>(rows(), 3);
    assert_eq!(
        fixed.value(1).as_primitive::<Float32Type>().values(),
        &[3.0, 4.0, 5.0]
    );
    let large = LargeListArray::from_iter_primitive::<Float32Type, _, _>(rows());
    for column in [
        std::sync::Arc::new(fixed) as arrow_array::ArrayRef,
        std::sync::Arc::new(large),
    ] {
        let file = files::parquet(vec![("vector", column)], Compression::SNAPPY);
        check_vectors(&folder.write("base.parquet", &file), ElementType::F32);
    }
}

#[test]
fn parquet_metadata_of_every_type() {
    let folder = Folder::new();
    let file = files::parquet(files::point_columns(), Compression::SNAPPY);
    let path = folder.write("points.parquet", &file);
    let reader = open_points(&path, &PointOptions::default()).unwrap();
    assert_eq!(reader.rows(), Some(4));
    let points: Vec<RawPoint> = reader.map(|point| point.unwrap()).collect();
    let ids: Vec<Value> = points.iter().filter_map(|point| point.id.clone()).collect();
    assert_eq!(ids, [json!("a"), json!("b"), json!("c"), json!("d")]);
    assert!(
        points
            .iter()
            .zip(ROWS)
            .all(|(point, row)| point.vector.as_deref() == Some(&row[..]))
    );
    let expected = [
        json!({"price": 1.5, "count": 1, "sold": true, "name": "é", "made": "1970-01-01T00:00:00Z", "tags": ["x", "y"]}),
        json!({"price": null, "count": -2, "sold": false, "name": "", "made": "2023-11-14T22:13:20.123456Z", "tags": []}),
        json!({"price": null, "count": i64::MAX, "sold": null, "name": "c", "made": null, "tags": null}),
        json!({"price": -2.0, "count": 4, "sold": true, "name": "d", "made": "1969-12-31T23:59:59Z", "tags": ["z"]}),
    ];
    for (point, expected) in points.iter().zip(expected) {
        assert_eq!(Value::from(point.metadata.clone()), expected);
    }
}

#[test]
fn a_vector_file_and_lines_of_metadata_are_zipped() {
    let folder = Folder::new();
    let vectors = folder.write("base.fvecs", &files::vecs("<f4"));
    let lines = |count: usize| -> String {
        (0..count)
            .map(|row| format!("{{\"id\": \"r{row}\", \"row\": {row}}}\n"))
            .collect()
    };
    let zip = |count: usize| -> Vec<Result<RawPoint, String>> {
        let options = PointOptions::default();
        let path = folder.write("metadata.jsonl.gz", &files::gzip(lines(count).as_bytes()));
        zip_metadata(open_points(&vectors, &options).unwrap(), &path, &options)
            .unwrap()
            .map(|point| point.map_err(|error| error.to_string()))
            .collect()
    };
    let points: Vec<RawPoint> = zip(4).into_iter().map(|point| point.unwrap()).collect();
    assert_eq!(points.len(), 4);
    assert_eq!(points[3].id, Some(json!("r3")));
    assert_eq!(points[3].vector, Some(ROWS[3].to_vec()));
    assert_eq!(Value::from(points[3].metadata.clone()), json!({"row": 3}));

    let short = zip(3).pop().unwrap().unwrap_err();
    assert!(
        short.contains("metadata for 3 rows, but the vectors go on"),
        "{short}"
    );
    let long = zip(5).pop().unwrap().unwrap_err();
    assert!(
        long.contains("line 5") && long.contains("after the 4 rows"),
        "{long}"
    );
}
