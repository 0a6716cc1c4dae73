//! A reader made from `docs/format.md` alone: it shares no code with the engine and finds every point that was written.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::Value as Json;
use vecdb_engine::{CollectionConfig, Database, ElementType, Metric, Options, Point, PointId};

/// CRC-32C, bit by bit; `crc(s, b)` continues from `s`.
fn crc(before: u32, bytes: &[u8]) -> u32 {
    let mut register = !before;
    for byte in bytes {
        register ^= u32::from(*byte);
        for _ in 0..8 {
            let low = register & 1;
            register = (register >> 1) ^ if low == 1 { 0x82f6_3b78 } else { 0 };
        }
    }
    !register
}

struct Reader<'a> {
    bytes: &'a [u8],
}

impl<'a> Reader<'a> {
    fn take(&mut self, count: usize) -> &'a [u8] {
        let (taken, rest) = self.bytes.split_at(count);
        self.bytes = rest;
        taken
    }

    fn u8(&mut self) -> u8 {
        self.take(1)[0]
    }

    fn u16(&mut self) -> u16 {
        u16::from_le_bytes(self.take(2).try_into().unwrap())
    }

    fn u32(&mut self) -> u32 {
        u32::from_le_bytes(self.take(4).try_into().unwrap())
    }

    fn u64(&mut self) -> u64 {
        u64::from_le_bytes(self.take(8).try_into().unwrap())
    }

    fn varint(&mut self) -> u64 {
        let (mut value, mut shift) = (0, 0);
        loop {
            let byte = self.u8();
            value |= u64::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                return value;
            }
        }
    }

    fn zigzag(&mut self) -> i64 {
        let value = self.varint();
        (value >> 1) as i64 ^ -((value & 1) as i64)
    }

    fn sized(&mut self) -> &'a [u8] {
        let count = self.varint();
        self.take(count as usize)
    }

    fn str(&mut self) -> String {
        String::from_utf8(self.sized().to_vec()).unwrap()
    }

    fn value(&mut self) -> Json {
        match self.u8() {
            0 => Json::Null,
            1 => false.into(),
            2 => true.into(),
            3 | 5 => self.zigzag().into(),
            4 => f64::from_le_bytes(self.take(8).try_into().unwrap()).into(),
            6 => self.str().into(),
            7 => (0..self.varint()).map(|_| self.value()).collect(),
            8 => [self.zigzag(), self.zigzag()]
                .map(|steps| steps as f64 / 1e7)
                .to_vec()
                .into(),
            tag => panic!("a value of tag {tag}"),
        }
    }

    fn metadata(&mut self) -> BTreeMap<String, Json> {
        (0..self.varint())
            .map(|_| (self.str(), self.value()))
            .collect()
    }
}

fn read(path: &Path) -> Vec<u8> {
    std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn id(bytes: &[u8]) -> String {
    match (bytes[0], &bytes[1..]) {
        (1, number) => u64::from_be_bytes(number.try_into().unwrap()).to_string(),
        (2, uuid) => uuid.iter().map(|byte| format!("{byte:02x}")).collect(),
        (3, text) => String::from_utf8(text.to_vec()).unwrap(),
        (tag, _) => panic!("an id of tag {tag}"),
    }
}

fn document(path: &Path) -> Json {
    let bytes = read(path);
    assert_eq!(&bytes[..8], b"VECDBDOC");
    let mut head = Reader {
        bytes: &bytes[8..20],
    };
    let (version, length, checksum) = (head.u32(), head.u32(), head.u32());
    let body = &bytes[20..];
    assert_eq!((version, length as usize), (1, body.len()));
    assert_eq!(checksum, crc(crc(0, &bytes[8..16]), body));
    serde_json::from_slice(body).unwrap()
}

/// The payloads of a log file by position.
fn log_file(path: &Path) -> Vec<(u64, Vec<u8>)> {
    let bytes = read(path);
    assert_eq!(&bytes[..8], b"VECDBWAL");
    assert_eq!(crc(0, &bytes[..76]).to_le_bytes(), bytes[76..80]);
    let uuid = &bytes[16..32];
    let serial = Reader {
        bytes: &bytes[32..],
    }
    .u64();
    assert!(path.ends_with(format!("{serial:020}.wal")));
    let mut next = Reader {
        bytes: &bytes[40..],
    }
    .u64();
    let (mut at, mut chain) = (80, crc(0, &bytes[..76]));
    let mut payloads = Vec::new();
    while at < bytes.len() {
        let mut head = Reader {
            bytes: &bytes[at..],
        };
        let (length, frame, previous, own) = (head.u32(), head.u32(), head.u32(), head.u32());
        let (position, _durable) = (head.u64(), head.u64());
        let sealed = length == u32::MAX;
        let payload = head.take(if sealed { 0 } else { length as usize });
        let lead = [&bytes[at..at + 4], &bytes[at + 16..at + 32]].concat();
        assert_eq!((previous, position), (chain, next), "the chain at {at}");
        assert_eq!(frame, crc(crc(chain, &lead), payload));
        let seed = crc(crc(0, uuid), &(at as u64).to_le_bytes());
        let lead = [&bytes[at..at + 12], &bytes[at + 16..at + 32]].concat();
        assert_eq!(own, crc(seed, &lead));
        if sealed {
            break;
        }
        payloads.push((position, payload.to_vec()));
        (at, chain, next) = (at + 32 + payload.len(), frame, next + 1);
    }
    payloads
}

/// Sections by name, every block checked.
fn sections(path: &Path, kind: &[u8; 4]) -> BTreeMap<String, Vec<u8>> {
    let bytes = read(path);
    assert_eq!((&bytes[..8], &bytes[12..16]), (&b"VECDBSEC"[..], &kind[..]));
    assert_eq!(crc(0, &bytes[..4092]).to_le_bytes(), bytes[4092..4096]);
    let uuid = &bytes[20..36];
    let seed = |offset: u64| crc(crc(0, uuid), &offset.to_le_bytes());
    let footer = &bytes[bytes.len() - 64..];
    assert_eq!(&footer[52..60], b"VECDBEND");
    assert_eq!(crc(0, &footer[..60]).to_le_bytes(), footer[60..64]);
    let mut fields = Reader { bytes: footer };
    let (table_at, table_len, table_crc) = (fields.u64(), fields.u64(), fields.u32());
    let table = &bytes[table_at as usize..][..table_len as usize];
    assert_eq!(table_crc, crc(seed(table_at), table));
    assert_eq!(fields.take(16), uuid);
    assert_eq!(fields.u64(), bytes.len() as u64);
    let mut table = Reader { bytes: table };
    let mut found = BTreeMap::new();
    for _ in 0..table.u32() {
        let name_len = table.u16();
        let name = String::from_utf8(table.take(name_len.into()).to_vec()).unwrap();
        let (offset, length) = (table.u64(), table.u64());
        assert!(offset.is_multiple_of(4096), "{name}");
        let section = &bytes[offset as usize..][..length as usize];
        for (block, part) in section.chunks(64 << 10).enumerate() {
            let at = offset + (block as u64 * (64 << 10));
            assert_eq!(table.u32(), crc(seed(at), part), "{name}, block {block}");
        }
        found.insert(name, section.to_vec());
    }
    found
}

fn item<'a>(sections: &'a BTreeMap<String, Vec<u8>>, column: &str, row: usize) -> &'a [u8] {
    let mut offsets = Reader {
        bytes: &sections[&format!("{column}.offsets")][row * 8..],
    };
    let (start, end) = (offsets.u64(), offsets.u64());
    &sections[&format!("{column}.bytes")][start as usize..end as usize]
}

type Points = BTreeMap<String, (Vec<f32>, BTreeMap<String, Json>)>;

fn floats(bytes: &[u8]) -> Vec<f32> {
    let values = bytes.chunks_exact(4);
    values
        .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
        .collect()
}

/// The live points of one segment.
fn segment(folder: &Path, entry: &Json, dimension: usize, points: &mut Points) {
    let file = |key: &str| {
        let name = entry[key]["name"].as_str()?;
        let path = folder.join(name);
        assert_eq!(entry[key]["bytes"], read(&path).len(), "{name}");
        Some(path)
    };
    let rows = sections(&file("rows_file").unwrap(), b"ROWS");
    if let Some(index) = file("index_file") {
        assert!(!sections(&index, b"INDX").is_empty());
    }
    let live = file("live_file").map(|path| sections(&path, b"LIVE").remove("live").unwrap());
    let meta: Json = serde_json::from_slice(&rows["meta"]).unwrap();
    let stride = meta["stride"].as_u64().unwrap() as usize;
    let count = entry["rows"].as_u64().unwrap() as usize;
    let mut map = Reader {
        bytes: &rows["id.map"],
    };
    let mut last = 0;
    for _ in 0..count {
        let (hash, row) = (map.u64(), map.u32() as usize);
        assert_eq!(hash, xxhash_rust::xxh3::xxh3_64(item(&rows, "id", row)));
        assert!(hash >= last);
        last = hash;
    }
    for row in 0..count {
        let is_live = live
            .as_ref()
            .is_none_or(|live| live[row / 8] >> (row % 8) & 1 == 1);
        if is_live {
            let vector = floats(&rows["vectors:"][row * stride..][..dimension * 4]);
            let metadata = Reader {
                bytes: item(&rows, "metadata", row),
            }
            .metadata();
            let id = id(item(&rows, "id", row));
            assert!(points.insert(id, (vector, metadata)).is_none());
        }
    }
}

/// What a write does to the points.
fn replay(payload: &[u8], collection: u64, points: &mut Points) {
    let mut batch = Reader { bytes: payload };
    assert_eq!(batch.u8(), 1);
    if u64::from(batch.u32()) != collection {
        return;
    }
    let _time = batch.u64();
    for _ in 0..batch.varint() {
        let (kind, id) = (batch.u8(), id(batch.sized()));
        if kind == 2 {
            points.remove(&id);
            continue;
        }
        assert_eq!(
            (kind, batch.varint(), batch.str(), batch.u8()),
            (1, 1, String::new(), 0)
        );
        let vector = floats(batch.sized());
        let metadata = Reader {
            bytes: batch.sized(),
        }
        .metadata();
        points.insert(id, (vector, metadata));
    }
    assert!(batch.bytes.is_empty());
}

fn points_of(database: &Path) -> BTreeMap<String, Points> {
    let catalog = document(&database.join("CATALOG"));
    let mut log = Vec::new();
    let mut files: Vec<PathBuf> = std::fs::read_dir(database.join("wal"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files.iter().for_each(|file| log.extend(log_file(file)));
    let mut all = BTreeMap::new();
    for entry in catalog["collections"].as_array().unwrap() {
        let number = entry["id"].as_u64().unwrap();
        let folder = database.join("collections").join(format!("{number:08}"));
        let manifest = document(&folder.join("MANIFEST"));
        let field = &manifest["config"]["vectors"][""];
        let dimension = field["dimension"].as_u64().unwrap() as usize;
        let mut points = Points::new();
        for entry in manifest["segments"].as_array().unwrap() {
            segment(&folder, entry, dimension, &mut points);
        }
        for (position, payload) in &log {
            if *position > manifest["flushed"].as_u64().unwrap() {
                replay(payload, number, &mut points);
            }
        }
        all.insert(entry["name"].as_str().unwrap().to_owned(), points);
    }
    all
}

#[test]
fn an_independent_reader_finds_every_point() {
    let folder = tempfile::tempdir().unwrap();
    let options = Options {
        background: false,
        index_rows_min: 100,
        ..Options::default()
    };
    let db = Database::open(folder.path(), options).unwrap();
    let mut expected = BTreeMap::new();
    for (name, metric) in [("a", Metric::Cosine), ("b", Metric::L2)] {
        let config = CollectionConfig::new(5, metric).element(ElementType::F32);
        let c = db.create_collection(name, config).unwrap();
        let mut points = Points::new();
        let mut write = |ids: std::ops::Range<u64>, salt: u64| {
            let point = |number: u64| {
                let id: PointId = match number % 3 {
                    0 => number.into(),
                    1 => PointId::parse(&format!("{number:08x}-0000-4000-8000-000000000001"))
                        .unwrap(),
                    _ => format!("näme {number}").into(),
                };
                let vector = (0..5).map(|at| (number * 7 + at + salt) as f32 / 3.0 + 1.0);
                Point::new(id, vector.collect())
                    .with("number", -(number as i64))
                    .with("half", number as f64 / 2.0)
                    .with("text", "x".repeat((number % 40) as usize))
                    .with("even", number.is_multiple_of(2))
            };
            let written: Vec<_> = ids.map(point).collect();
            for point in &written {
                let metadata = point.metadata.iter();
                let metadata = metadata.map(|(key, value)| (key.clone(), value.to_json()));
                let id = match &point.id {
                    PointId::Uuid(uuid) => uuid.simple().to_string(),
                    id => id.to_string(),
                };
                points.insert(id, (point.vector.clone(), metadata.collect()));
            }
            c.upsert(written).unwrap();
        };
        write(0..700, 0);
        c.compact().unwrap();
        write(600..900, 5);
        c.flush().unwrap();
        write(890..950, 9);
        let gone: Vec<PointId> = [0u64, 3, 6, 891].map(PointId::from).to_vec();
        c.delete(&gone).unwrap();
        gone.iter()
            .for_each(|id| drop(points.remove(&id.to_string())));
        expected.insert(name.to_owned(), points);
    }
    // Entries in the log, dead rows in memory only; then everything in segments, dead rows in live files.
    assert_eq!(points_of(folder.path()), expected, "while it is open");
    db.close().unwrap();
    assert_eq!(points_of(folder.path()), expected, "closed");
}
