use std::fs;
use std::path::Path;

use super::*;
use crate::disk::Blob;

const BLOCK: usize = 2 * PAGE_BYTES;
const BLOCKS: u64 = 40;

/// Two pages of something else, then the blocks: each byte tells its block.
fn write(path: &Path) -> BlockLayout {
    let mut bytes = vec![0xee; 2 * PAGE_BYTES];
    for block in 0..BLOCKS {
        bytes.extend(std::iter::repeat_n(block as u8, BLOCK));
    }
    fs::write(path, bytes).unwrap();
    BlockLayout {
        offset: 2 * PAGE_BYTES as u64,
        blocks: BLOCKS,
        block_bytes: BLOCK,
    }
}

fn sources(path: &Path, layout: BlockLayout) -> Vec<OpenedPages> {
    let bytes = fs::read(path).unwrap();
    let blob = Blob::from_vec(bytes[layout.offset as usize..].to_vec());
    vec![
        OpenedPages {
            source: std::sync::Arc::new(MappedPages::new(blob, BLOCK).unwrap()),
            notices: Vec::new(),
        },
        open_pages(path, layout, PageIo::Threads).unwrap(),
        open_pages(path, layout, PageIo::Uring).unwrap(),
    ]
}

#[test]
fn every_source_reads_the_same_blocks() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pages");
    let layout = write(&path);
    for opened in sources(&path, layout) {
        let mut reader = opened.source.reader(4).unwrap();
        assert!(reader.wait().unwrap().is_none(), "nothing on its way");
        let mut asked = [None; 4];
        let (mut next, mut got) = (0, 0);
        while got < BLOCKS {
            for (slot, asked) in asked.iter_mut().enumerate() {
                if asked.is_none() && next < BLOCKS {
                    let block = (next * 7) % BLOCKS;
                    reader.submit(slot, block).unwrap();
                    assert!(reader.bytes(slot).is_empty(), "not there yet");
                    assert!(reader.submit(slot, 0).is_err(), "on its way");
                    *asked = Some(block);
                    next += 1;
                }
            }
            let completion = reader.wait().unwrap().unwrap();
            completion.result.unwrap();
            let block = asked[completion.slot].take().unwrap();
            let bytes = reader.bytes(completion.slot);
            assert!(bytes.len() == BLOCK && bytes.iter().all(|&byte| u64::from(byte) == block));
            got += 1;
        }
        assert!(reader.submit(0, BLOCKS).is_err(), "no such block");
        assert!(reader.submit(4, 0).is_err(), "no such slot");
        // A reader may go with reads on their way.
        reader.submit(0, 3).unwrap();
        drop(reader);
    }
}

#[test]
fn a_file_cut_short_is_refused_or_told() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("pages");
    let layout = write(&path);
    let opened = sources(&path, layout);
    let file = fs::OpenOptions::new().write(true).open(&path).unwrap();
    file.set_len(layout.offset + 5 * BLOCK as u64 + 100)
        .unwrap();
    for opened in opened.iter().skip(1) {
        let mut reader = opened.source.reader(2).unwrap();
        reader.submit(0, 4).unwrap();
        assert!(reader.wait().unwrap().unwrap().result.is_ok());
        for block in [5, 9] {
            reader.submit(1, block).unwrap();
            let completion = reader.wait().unwrap().unwrap();
            assert!(completion.result.is_err(), "block {block}");
            assert!(reader.bytes(1).is_empty());
        }
    }
    for io in [PageIo::Threads, PageIo::Uring] {
        let error = open_pages(&path, layout, io).unwrap_err().to_string();
        assert!(error.contains("do not lie in the file"), "{error}");
        let odd = BlockLayout {
            offset: 100,
            blocks: 1,
            ..layout
        };
        assert!(open_pages(&path, odd, io).is_err());
    }
    assert!(MappedPages::new(Blob::from_vec(vec![0; 100]), BLOCK).is_err());
}
