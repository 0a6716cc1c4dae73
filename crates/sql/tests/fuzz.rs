//! The parser against texts that are almost statements: it says what is wrong, and never panics or hangs.

use std::time::{Duration, Instant};

use vecdb_sql::{Params, Statement, split};

const STATEMENTS: [&str; 17] = [
    "SELECT id, name AS \"the name\", distance FROM products p WHERE vector NEAR $1 AND p.category = 'electronics' \
     AND price < 100 AND rating >= 4.0 ORDER BY distance LIMIT 10 OFFSET 5 WITH (ef = 200, exact = TRUE)",
    "SELECT * FROM c WHERE vector NEAR (SELECT vector FROM c WHERE id = 'x') AND id <> 'x' AND distance < 0.4",
    "SELECT a, id FROM c WHERE vector NEAR [1] GROUP BY a ORDER BY distance LIMIT 3 PER GROUP LIMIT 5 OFFSET 1",
    "SELECT COUNT(*) FROM c WHERE a IN (1, -2.5, 'x''y') OR NOT (b BETWEEN 1 AND 2 AND c IS NOT NULL)",
    "SELECT a.b, metadata.id FROM \"my c\" WHERE name NOT LIKE '%x%' AND match(words, 'a b*') AND EXISTS (z)",
    "SELECT * FROM c WHERE geo_within(at, 52.5, 13.4, 1000) AND starts_with(a, 'x') AND flag AND 5 > n",
    "INSERT INTO c (id, vector, name, tags) VALUES ('a', [1, 2], NULL, ['p', 'q']), (7, $1, TRUE, []);",
    "UPDATE c SET price = -5, old = NULL WHERE id IN (1, 'b') AND x = DATE '2026-01-31'",
    "DELETE FROM c WHERE TRUE",
    "CREATE COLLECTION IF NOT EXISTS c (dimension 3, metric l2, index hnsw (m = 8), durability interval_ms (20), a float[] UNINDEXED)",
    "CREATE TABLE c (vector VECTOR(4), name VARCHAR(20), b double precision)",
    "DROP COLLECTION IF EXISTS c",
    "CREATE INDEX IF NOT EXISTS ON c (size.kb)",
    "DROP INDEX ON \"my c\" (metadata.id)",
    "SHOW FIELDS FROM c -- a comment",
    "DESCRIBE /* another */ c",
    "EXPLAIN ANALYZE SELECT id FROM c WHERE vector NEAR [0.5, 1e-3] AND score > 0.5",
];

const PIECES: [&str; 44] = [
    "(",
    ")",
    "[",
    "]",
    ",",
    ";",
    ".",
    "'",
    "\"",
    "`",
    "$",
    "$1",
    "?",
    "=",
    "<>",
    "!=",
    "<",
    ">=",
    "-",
    "+",
    "*",
    "/",
    "--",
    "/*",
    "*/",
    "::",
    "||",
    "@",
    "#",
    "\\",
    "NULL",
    "NOT",
    "AND",
    "OR",
    "SELECT",
    "FROM",
    "WHERE",
    "NEAR",
    "1e999",
    "99999999999999999999",
    "\0",
    "\u{1f600}",
    "\u{301}",
    "\n",
];

/// SplitMix64.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: usize) -> usize {
        (self.next() % bound.max(1) as u64) as usize
    }
}

fn place(random: &mut Random, text: &str) -> usize {
    text.floor_char_boundary(random.below(text.len() + 1))
}

/// One to four changes: a piece put in, a stretch cut out or doubled, another statement in the middle.
fn mutated(random: &mut Random) -> String {
    let mut text = STATEMENTS[random.below(STATEMENTS.len())].to_owned();
    for _ in 0..1 + random.below(4) {
        let (a, b) = (place(random, &text), place(random, &text));
        let (from, to) = (a.min(b), a.max(b).min(a.min(b) + 30));
        let to = text.floor_char_boundary(to);
        match random.below(5) {
            0 => text.insert_str(a, PIECES[random.below(PIECES.len())]),
            1 => text.replace_range(from..to, ""),
            2 => {
                let again = text[from..to].to_owned();
                text.insert_str(from, &again);
            }
            3 => text.replace_range(from..to, PIECES[random.below(PIECES.len())]),
            _ => {
                let other = STATEMENTS[random.below(STATEMENTS.len())];
                let cut = place(random, other);
                text.insert_str(a, &other[..cut]);
            }
        }
    }
    text
}

#[test]
fn statements_that_were_changed_at_random_are_read_or_refused() {
    let params = [
        Params::default(),
        Params::positional([vec![0.5, 1.5]]),
        Params::named([("1", vec![0.5]), ("q", vec![1.5])]),
    ];
    let (mut read, mut refused) = (0, 0);
    for seed in 0..6_000 {
        let mut random = Random(seed);
        let text = mutated(&mut random);
        match Statement::parse(&text, &params[random.below(params.len())]) {
            Ok(_) => read += 1,
            Err(error) => {
                refused += 1;
                assert!(!error.to_string().is_empty(), "seed {seed}: {text}");
            }
        }
        // Statements and what is between them are the text again.
        for statement in split(&text).0 {
            assert!(
                !statement.is_empty() && text.contains(statement),
                "seed {seed}: {text}"
            );
        }
    }
    assert!(
        read > 50 && refused > 1_000,
        "{read} read, {refused} refused"
    );
}

#[test]
fn every_beginning_of_a_statement_is_read_or_refused() {
    for text in STATEMENTS {
        for end in text.char_indices().map(|(at, _)| at) {
            let _ = Statement::parse(&text[..end], &Params::positional([vec![0.5]]));
        }
    }
}

#[test]
fn no_text_takes_long() {
    let repeated = |piece: &str| piece.repeat((1 << 18) / piece.len());
    let begun = Instant::now();
    for piece in [
        "(",
        "NOT ",
        "[",
        "a = 1 OR ",
        "a = 1 AND ",
        "case ",
        "x-not-b.",
        "if(current_time(",
        "a.",
        "'",
        "\"",
        "-",
        "1,",
        "$1,",
        "EXISTS(",
        "f(",
        "/*",
        "\n",
        "SELECT ",
        ";",
        "NEAR (SELECT ",
    ] {
        for before in [
            "SELECT * FROM c WHERE ",
            "SELECT ",
            "SELECT * FROM c WHERE a IN (",
            "",
        ] {
            let text = format!("{before}{}", repeated(piece));
            // Even a row of quotes can be a name.
            let _ = Statement::parse(&text, &Params::default());
        }
    }
    assert!(
        begun.elapsed() < Duration::from_secs(60),
        "{:?}",
        begun.elapsed()
    );
}
