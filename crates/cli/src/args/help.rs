//! The long ends of `--help`: examples, environment, exit codes.

pub(crate) const TOP: &str = "\
Start here:
  vecdb quickstart
      Loads a sample into ./vecdb-data, asks it three questions and says what to try next.

A database of your own:
  vecdb import points.jsonl -c products --create --metric cosine
  vecdb search -c products '[0.1, 0.2, 0.7]' --filter '{\"price\": {\"$lt\": 50}}'
  vecdb search -c products @query.npy --limit 5 --json

A server, and every command on it in place of a folder:
  vecdb serve --path /var/lib/vecdb
  vecdb search -c products '[0.1, 0.2, 0.7]' --url http://localhost:6333

Measurements on vector files, without a database:
  vecdb flat search --dataset base.fvecs --query query.fvecs --k 10
  vecdb hnsw build --dataset base.fvecs --output base.hnsw --M 16 --efConstruction 200
  vecdb hnsw sweep --index base.hnsw --query query.fvecs --plot recall.svg
  vecdb ivf build --dataset base.fvecs --output base.ivf --clusters 1000
  vecdb ivf sweep --index base.ivf --query query.fvecs --nprobe 1,4,16,64
  vecdb lsh advise --dataset base.fvecs --target-recall 0.9
  vecdb advise --dataset base.fvecs --target-recall 0.95 --memory 2GB
  vecdb pq train --dataset base.fvecs --output base.pq --segments 8 --bits 8

Environment:
  VECDB_PATH     folder of the database, where neither --path nor --url is given
  VECDB_URL      address of a server, where neither --path nor --url is given
  VECDB_API_KEY  API key or token for the server, where --api-key is not given
  VECDB_SIMD     instruction set of the distance kernels: scalar, avx2, avx512 or neon
                 (default: the best this machine has)

Exit codes:
  0  done                          8  data is damaged
  2  the request is wrong          9  of a newer version, or not set up
  3  not found                    10  writes refused after a disk failure
  4  exists already               11  cancelled
  5  in use, or not reachable     12  the operating system refused
  6  disk or memory used up,      13  key missing or not known
     or server busy               14  time limit of a call has passed
  7  permission denied

With --json a command prints one JSON object on stdout; an error is an object on stderr:
{\"error\": {\"kind\", \"message\"}}. docs/cli.md lists every key.";

pub(crate) const QUICKSTART: &str = "\
Examples:
  vecdb quickstart
  vecdb quickstart --path /tmp/try-vecdb
  vecdb quickstart --json | jq .recall_at_10

The sample travels inside the program: 5,000 Debian packages as 384 numbers each, with their
metadata. A second run finds the data again and does not load it.";

pub(crate) const FLAT_SEARCH: &str = "\
Examples:
  vecdb flat search --dataset random_10k_128d.npy --query query.npy --k 10
  vecdb flat search --dataset base.f16.npy --query queries.npy --metric cosine --query-row 3
  vecdb flat search --dataset train-images-idx3-ubyte.gz --query t10k-images-idx3-ubyte.gz \\
        --limit-queries 1000 --ground-truth truth.ivecs --json

One query prints its hits and compares the vector kernels with a plain loop. Several queries are
searched as a batch; the hits of the first are printed, with --json all. Memory does not grow with
the dataset.";

pub(crate) const SERVE: &str = "\
Examples:
  vecdb serve
  vecdb serve --path /var/lib/vecdb --grpc 127.0.0.1:7000
  vecdb serve --config production.yaml --set log.level=debug
  vecdb serve --config production.yaml --print-config
  VECDB_LISTEN_GRPC=0.0.0.0:6333 vecdb serve --config production.yaml

Later ones count more: defaults, the file, variables VECDB_SECTION_KEY, flags. docs/server.md lists
every setting. --path (or VECDB_PATH) sets storage.path. SIGHUP reads the settings again; SIGTERM
and SIGINT end the server once calls under way are done, a second one at once.";

pub(crate) const HNSW_BUILD: &str = "\
Examples:
  vecdb hnsw build --dataset sift_1M.fvecs --output sift.hnsw --M 16 --efConstruction 200
  vecdb hnsw build --dataset base.f16.npy --output base.hnsw --metric cosine --threads 4
  vecdb hnsw build --dataset base.npy --output base.hnsw --threads 1 --seed 7

Prints vectors per layer, build time, bytes of graph and vectors, links per vector and an estimate
of the diameter: the most hops from the entry point to any vector over layer 0, up to twice that.";

pub(crate) const HNSW_SEARCH: &str = "\
Examples:
  vecdb hnsw search --index sift.hnsw --query query.npy --k 10 --ef 50
  vecdb hnsw search --index sift.hnsw --query queries.fvecs --query-row 7 --ef 100
  vecdb hnsw search --index sift.hnsw --query queries.fvecs --ground-truth truth.ivecs --json

Recall counts a hit as right if it is no farther than the k-th true neighbour. Without
--ground-truth the truth of up to 1,000 queries is computed by exact search.";

pub(crate) const HNSW_SWEEP: &str = "\
Examples:
  vecdb hnsw sweep --index sift.hnsw --query queries.fvecs --ground-truth truth.ivecs
  vecdb hnsw sweep --index sift.hnsw --query queries.fvecs --ef 10,20,40,80,160 --plot recall.svg
  vecdb hnsw sweep --dataset base.npy --metric cosine --M 32 --query queries.npy --json

At most 1,000 queries are used unless --limit-queries says otherwise.";

pub(crate) const DISKANN_BUILD: &str = "\
Examples:
  vecdb diskann build --dataset sift_1M.fvecs --output sift.diskann
  vecdb diskann build --dataset base.fvecs --output base.diskann --memory-limit 16GB --R 64 --L 100
  vecdb diskann build --dataset base.npy --output base.diskann --metric cosine --code-bytes 48

The file holds the vectors too: searches need nothing else. With --memory-limit the vectors are
copied to <output>.build, split into parts that overlap, linked part by part and merged; prints how
long each pass took. A build that was interrupted goes on after its last pass when it is started
again with the same arguments.";

pub(crate) const DISKANN_SEARCH: &str = "\
Examples:
  vecdb diskann search --index sift.diskann --query query.npy --k 10 --ef 40
  vecdb diskann search --index sift.diskann --query queries.fvecs --query-row 7 --beam-width 8
  vecdb diskann search --index sift.diskann --query queries.fvecs --ground-truth truth.ivecs --memory-limit 64MB

A hop is a node asked for, a read a page (or as many pages as one node fills). Where the system has
no io_uring or the file system no direct I/O, a note says what is used instead. With a truth file
recall counts rows; without one, up to 100 queries are compared with all vectors of the file.";

pub(crate) const DISKANN_BENCH: &str = "\
Examples:
  vecdb diskann bench --index sift.diskann --query queries.fvecs --queries 10000
  vecdb diskann bench --index sift.diskann --query queries.fvecs --threads 8 --beam-width 2 --json
  vecdb diskann bench --index sift.diskann --query queries.fvecs --io threads --memory-limit 64MB

The cache starts with nothing but the nodes that searches begin at. With fewer queries in the file
than searches to run the same ones come again, and find their nodes in it.";

pub(crate) const DISKANN_SWEEP: &str = "\
Examples:
  vecdb diskann sweep --index sift.diskann --query queries.fvecs --ground-truth truth.ivecs
  vecdb diskann sweep --index sift.diskann --query queries.fvecs --ef 10,20,40,80 --plot recall.svg

At most 1,000 queries are used unless --limit-queries says otherwise.";

pub(crate) const IVF_BUILD: &str = "\
Examples:
  vecdb ivf build --dataset sift_1M.fvecs --output sift.ivf --clusters 1000
  vecdb ivf build --dataset base.f16.npy --output base.ivf --metric cosine --code vector
  vecdb ivf build --dataset base.npy --output base.ivf --nlist 256 --iterations 25 --seed 7
  vecdb ivf build --dataset base.npy --output base.ivf --code pq32x4

Prints how the training went (the objective is the mean squared distance to the nearest centroid),
how full the lists are, build time, bytes, and how many lists a search needs for a recall, measured
on vectors of the dataset that leave themselves out. An imbalance of 1.3 means that the list of a
random vector is 1.3 times as long as the mean list.";

pub(crate) const IVF_SEARCH: &str = "\
Examples:
  vecdb ivf search --index sift.ivf --query query.npy --k 10 --nprobe 10
  vecdb ivf search --index sift.ivf --query queries.fvecs --query-row 7
  vecdb ivf search --index sift.ivf --query queries.fvecs --ground-truth truth.ivecs --json

Brute force is an exact search of the first query by the same kernels on one thread. Recall counts
a hit as right if it is no farther than the k-th true neighbour. Without --ground-truth the truth
of up to 1,000 queries is computed by exact search.";

pub(crate) const IVF_SWEEP: &str = "\
Examples:
  vecdb ivf sweep --index sift.ivf --query queries.fvecs --ground-truth truth.ivecs
  vecdb ivf sweep --index sift.ivf --query queries.fvecs --nprobe 1,2,4,8,16,32 --plot recall.svg
  vecdb ivf sweep --dataset base.npy --metric cosine --clusters 256 --query queries.npy --json

At most 1,000 queries are used unless --limit-queries says otherwise.";

pub(crate) const PQ_TRAIN: &str = "\
Examples:
  vecdb pq train --dataset sift_1M.fvecs --output sift.pq --segments 8 --bits 8
  vecdb pq train --dataset base.npy --output base.pq --segments 16 --bits 4 --opq
  vecdb pq train --dataset base.npy --output base.pq --metric cosine --code rabitq4

128 dimensions of f32 in 8 segments of 8 bits: 512 bytes become 8, 64 times less. The error is the
mean squared distance between a vector and what its code stands for, and its share of the mean
squared distance of vectors to their mean. Recall is that of up to 100 vectors of the dataset that
leave themselves out, by codes alone.";

pub(crate) const PQ_COMPRESS: &str = "\
Examples:
  vecdb pq compress --dataset sift_1M.fvecs --codebook sift.pq --output sift.codes
  vecdb pq compress --dataset later.npy --codebook base.pq --output later.codes --json

Says how much the codes of these vectors lose compared with those that they were trained on. Much
more means that the vectors have changed since: train anew.";

pub(crate) const PQ_SEARCH: &str = "\
Examples:
  vecdb pq search --codes sift.codes --query query.npy --k 10
  vecdb pq search --codes sift.codes --query queries.fvecs --rerank 100
  vecdb pq search --codes sift.codes --query queries.fvecs --ground-truth truth.ivecs --json

Hits are ordered by the distances that codes give; true distances stand beside them. With --rerank
the best candidates by codes are measured by their vectors. Brute force is an exact search of the
first query by the same kernels on one thread. At most 1,000 queries are used unless --limit-queries
says otherwise.";

pub(crate) const LSH_BUILD: &str = "\
Examples:
  vecdb lsh build --dataset sift_1M.fvecs --output sift.lsh --tables 20 --hashes 8
  vecdb lsh build --dataset base.f16.npy --output base.lsh --metric cosine
  vecdb lsh build --dataset fingerprints.npy --output base.lsh --metric jaccard --seed 7

Hash functions by metric: random hyperplanes (cosine, dot), random projections in slots (l2),
thresholds (l1), single bits (hamming), MinHash (jaccard). Prints build time, bytes beside those of
the vectors, how full the buckets are, and how many of them a search needs for a recall, measured on
vectors of the dataset that leave themselves out.";

pub(crate) const LSH_SEARCH: &str = "\
Examples:
  vecdb lsh search --index sift.lsh --query query.npy --k 10
  vecdb lsh search --index sift.lsh --query queries.fvecs --query-row 7 --probes 200
  vecdb lsh search --index sift.lsh --query queries.fvecs --candidates 2000 --json

A table has found a hit if the hit lies in one of its buckets that were looked into. Brute force is
an exact search of the first query by the same kernels on one thread. Recall counts a hit as right
if it is no farther than the k-th true neighbour. Without --ground-truth the truth of up to 1,000
queries is computed by exact search.";

pub(crate) const LSH_SWEEP: &str = "\
Examples:
  vecdb lsh sweep --dataset base.npy --query queries.npy --tables 5,10,20,40 --hashes 4,6,8,10
  vecdb lsh sweep --dataset base.npy --query queries.npy --metric cosine --plot recall.svg
  vecdb lsh sweep --dataset base.npy --query queries.npy --tables 8 --hashes 12 --probes 100 --json

Without --probes a search looks into the one bucket of each table that the query hashes to. At most
1,000 queries are used unless --limit-queries says otherwise.";

pub(crate) const LSH_ADVISE: &str = "\
Examples:
  vecdb lsh advise --dataset base.npy --target-recall 0.9
  vecdb lsh advise --dataset base.f16.npy --metric cosine --json

For each number of hash functions, the fewest tables whose own buckets reach the recall: 1 - (1 - p^k)^L
over the true neighbours of a sample. Candidates are the vectors compared, cost adds the hashing and
the buckets, counted in distance computations. More probes reach a recall with fewer tables.";

pub(crate) const ADVISE: &str = "\
Examples:
  vecdb advise --dataset base.fvecs --target-recall 0.95
  vecdb advise --dataset base.f16.npy --metric cosine --memory 2GB --rows 100000000
  vecdb advise --dataset base.npy --target-recall 0.99 --sample 50000 --json
  vecdb advise --collection packages --memory 20MB
  vecdb advise --collection packages --url localhost:6333

Every kind of index is built over two samples of the vectors, one of four times the size of the
other, and searched with vectors that are in neither. What grows is carried on to all vectors as the
power law through the two. Memory is what searches need there: codes and lists, or graph and vectors.";

pub(crate) const COLLECTION_CREATE: &str = "\
Examples:
  vecdb collection create products --dimension 768 --metric cosine
  vecdb collection create images --dimension 784 --metric l2 --element u8 --M 32
  vecdb collection create texts --dimension 384 --index ivf --nlist 1024
  vecdb collection create prints --dimension 1024 --metric jaccard --index lsh --tables 16
  vecdb collection create news --dimension 384 --field published:datetime --field tags:string[]
  vecdb collection create notes --dimension 384 --field body:text --unindexed body
  vecdb collection create logs --dimension 64 --index flat --durability interval:100";

pub(crate) const COLLECTION_LIST: &str = "\
Examples:
  vecdb collection list
  vecdb collection list --json";

pub(crate) const COLLECTION_INFO: &str = "\
Examples:
  vecdb collection info packages
  vecdb collection info packages --json | jq '.segments | length'";

pub(crate) const COLLECTION_COMPACT: &str = "\
Examples:
  vecdb collection compact packages";

pub(crate) const COLLECTION_CREATE_INDEX: &str = "\
Examples:
  vecdb collection create-index packages installed_size_kb

Every field has an index until it is dropped. The segments that are there have theirs when the
command ends; reads and writes go on meanwhile.";

pub(crate) const COLLECTION_DROP_INDEX: &str = "\
Examples:
  vecdb collection drop-index packages description

Filters on the field match the same points and read each of them. The space of the index is free
once the segments are rewritten, by `collection compact` at the latest.";

pub(crate) const COLLECTION_DROP: &str = "\
Examples:
  vecdb collection drop packages";

pub(crate) const IMPORT: &str = "\
Examples:
  vecdb import points.jsonl -c products --create --metric cosine
  vecdb import base.f16.npy --metadata packages.jsonl.gz -c packages --create --element f16
  vecdb import wiki.parquet -c wiki --create --vector-field emb --id-field url
  vecdb import train-images-idx3-ubyte.gz -c images --create --metric l2 --element u8

A point whose id exists is replaced. Each batch is durable when the next begins; if the import
stops, run it again.";

pub(crate) const INSERT: &str = "\
Examples:
  vecdb insert -c products --id 7 --vector '[0.1, 0.2, 0.7]' --metadata '{\"price\": 20}'
  vecdb insert -c products '{\"id\": \"sku-9\", \"vector\": [0.3, 0.1, 0.6], \"metadata\": {\"price\": 35}}'
  generate-points | vecdb insert -c products - --batch 500 --acks

A point whose id exists is replaced. What was acknowledged is on the disk, whatever happens next.";

pub(crate) const GET: &str = "\
Examples:
  vecdb get -c packages 3dchess
  vecdb get -c products 7 sku-9 --with-vector --json

Ids that do not exist are listed; if none of them does, the exit code is 3.";

pub(crate) const SEARCH: &str = "\
Examples:
  vecdb search -c products '[0.1, 0.2, 0.7]' --limit 5
  vecdb search -c packages @queries.npy --row 3 --filter '{\"section\": \"games\"}'
  vecdb search -c packages --like 3dchess --columns synopsis,section
  vecdb search -c products '[0.1, 0.2, 0.7]' --max-distance 0.4 --ef 200 --json
  vecdb search -c packages --like 3dchess --group-by section --group-size 3
  vecdb search -c products '[0.1, 0.2, 0.7]' --limit 20 --offset 40

Filters: {\"field\": value} or {\"field\": {\"$op\": value}} with $eq $ne $gt $gte $lt $lte $in $nin
$exists, joined by $and, $or and $not. A field that holds an array matches if one of its elements
does.

--max-distance and --min-score make it a search within a radius, of which --limit points are given at
most: ask for more than you expect.";

pub(crate) const RECOMMEND: &str = "\
Examples:
  vecdb recommend -c packages --positive 3dchess gnuchess
  vecdb recommend -c packages --positive 3dchess --negative xboard --limit 5
  vecdb recommend -c products --positive 7 '[0.1, 0.2, 0.7]' --strategy best_score

Points that are examples are no hits. Ids as in `vecdb get`; what begins with [ is a vector.";

pub(crate) const FACETS: &str = "\
Examples:
  vecdb facets -c packages section
  vecdb facets -c packages section --limit 50 --filter '{\"essential\": true}' --json

Of points with an array each element counts once.";

pub(crate) const QUERY: &str = "\
Examples:
  vecdb query \"SELECT id, name, price FROM products WHERE category = 'games' AND price < 50 LIMIT 20\"
  vecdb query \"SELECT id, name, distance FROM products WHERE vector NEAR \\$q AND price < 50 LIMIT 10\" \\
      --param q=@query.npy
  vecdb query 'SELECT * FROM products WHERE vector NEAR (SELECT vector FROM products WHERE id = $1)' \\
      --param 1=sku-9 --json
  vecdb query 'UPDATE products SET price = 5 WHERE id IN ($ids)' --param 'ids=[1, 2, 3]'
  vecdb query 'SHOW COLLECTIONS' --url http://localhost:6333 --csv
  vecdb query --analyze-strategies -c packages
  vecdb query --analyze-strategies -c packages --filter '{\"section\": \"games\"}' --queries 50 --json

Parameters are values: nothing in them is read as SQL. docs/sql.md describes the language.";

pub(crate) const SHELL: &str = "\
Examples:
  vecdb shell
  vecdb shell --url http://localhost:6333
  vecdb shell < statements.sql
  echo 'SHOW COLLECTIONS;' | vecdb shell --json

A statement goes on over as many lines as it needs and ends with a semicolon. Tab completes keywords,
collections and fields; Ctrl-C ends the statement that runs. \\? lists what else there is. From a pipe,
the first error ends it with its exit code.

Environment:
  VECDB_HISTORY  file of what was typed before (default: ~/.local/state/vecdb/history); empty for none";

pub(crate) const DELETE: &str = "\
Examples:
  vecdb delete -c products 7 sku-9
  vecdb delete -c products --filter '{\"price\": {\"$gt\": 1000}}'";

pub(crate) const UPDATE: &str = "\
Examples:
  vecdb update -c products 7 sku-9 --merge '{\"price\": 18}'
  vecdb update -c products 7 --replace '{\"category\": \"games\"}'";

pub(crate) const COUNT: &str = "\
Examples:
  vecdb count -c packages
  vecdb count -c packages --filter '{\"section\": {\"$in\": [\"net\", \"utils\"]}}'";

pub(crate) const SCROLL: &str = "\
Examples:
  vecdb scroll -c packages --limit 50
  vecdb scroll -c packages --filter '{\"essential\": true}' --columns synopsis,priority
  vecdb scroll -c packages --cursor CURSOR
  vecdb scroll -c packages --order-by installed_size_kb --descending

Without --order-by points come in the order of their ids' hashes. The cursor stays valid while points are written.";

pub(crate) const EXPORT: &str = "\
Examples:
  vecdb export -c packages --output packages.jsonl
  vecdb export -c packages --filter '{\"section\": \"games\"}' | head -n 3
  vecdb export -c packages | gzip > packages.jsonl.gz";

pub(crate) const STORAGE_INIT: &str = "\
Examples:
  vecdb storage init --path ./data
  vecdb storage init products --dimension 384 --metric cosine --element f16";

pub(crate) const STORAGE_INSERT: &str = "\
Examples:
  vecdb storage insert --path ./data --count 100000
  vecdb storage insert --path ./data --count 100000 --acknowledged writes.jsonl
  vecdb storage insert -c products --data products.jsonl --batch 500

A batch is one entry of the log and is acknowledged as a whole, as safe as the collection's durability
says. Killed at any moment, nothing of what was acknowledged is lost: `storage recover` checks that.";

pub(crate) const STORAGE_RECOVER: &str = "\
Examples:
  vecdb storage recover --path ./data
  vecdb storage recover --path ./data --acknowledged writes.jsonl
  vecdb storage recover --path ./data --on-corruption skip

Every command that opens the folder recovers; this one shows it. That nothing is lost is said only
after every acknowledged point was found as it was written.";

pub(crate) const STORAGE_COMPACT: &str = "\
Examples:
  vecdb storage compact --path ./data
  vecdb storage compact products --url http://localhost:6333";

pub(crate) const STORAGE_PAUSE_MERGES: &str = "\
Examples:
  vecdb storage pause-merges --url http://localhost:6333
  vecdb collection info products --url http://localhost:6333
  vecdb storage resume-merges --url http://localhost:6333

The pause lasts until it is lifted or the server is started again. `storage compact` merges all the same. Meanwhile
segments gather, each of which costs every search.";

pub(crate) const STORAGE_ARCHIVE: &str = "\
Examples:
  vecdb storage archive --to /backup/log --path ./data
  vecdb storage archive --to s3://bucket/log --path ./data
  vecdb storage archive --path ./data
  vecdb storage archive --verify --path ./data
  vecdb storage archive --verify --archive s3://bucket/log --path ./data
  vecdb storage archive --off --path ./data

Whoever opens the database from then on archives its log, before log files are removed. The place belongs to this
database alone. Snapshots made since, with the archive, lead to any later moment: see `vecdb snapshot restore`.";

pub(crate) const STORAGE_INSPECT: &str = "\
Examples:
  vecdb storage inspect --path ./data
  vecdb storage inspect --path ./data -c products --from 1200 --limit 50
  vecdb storage inspect --path ./data --json

Works on a database that is in use, and on one that does not open.";

pub(crate) const VERIFY: &str = "\
Examples:
  vecdb storage verify
  vecdb storage verify --path /var/lib/vecdb --json
  vecdb storage verify --repair

A segment with a damaged index, field index or id map is written anew from its rows. Of one with damaged
rows those that can be read are kept, and its file is set aside in the collection's folder `quarantine`.";

pub(crate) const SNAPSHOT_CREATE: &str = "\
Examples:
  vecdb snapshot create --store /backup/vecdb
  vecdb snapshot create before-upgrade -c products -c news --store s3://bucket/vecdb
  vecdb snapshot create --url http://localhost:6333

Writes go on meanwhile; what was acknowledged before the command began is in the snapshot.";

pub(crate) const SNAPSHOT_LIST: &str = "\
Examples:
  vecdb snapshot list --store /backup/vecdb
  vecdb snapshot list --url http://localhost:6333 --json";

pub(crate) const SNAPSHOT_RESTORE: &str = "\
Examples:
  vecdb snapshot restore before-upgrade --store s3://bucket/vecdb
  vecdb snapshot restore before-upgrade -c products --as products-old --url http://localhost:6333
  vecdb snapshot restore nightly --path ./data-again --archive /backup/log --to-time 2026-11-30T12:00:00Z
  vecdb snapshot restore nightly -c products --as products-then --to-sequence 1842

To a point of the log goes only what was written while the database archived its log (`vecdb storage archive`), from a
snapshot made since.";

pub(crate) const SNAPSHOT_DELETE: &str = "\
Examples:
  vecdb snapshot delete before-upgrade --store /backup/vecdb";

pub(crate) const STATUS: &str = "\
Examples:
  vecdb status
  vecdb status --url http://localhost:6333 --json";

pub(crate) const COMPLETIONS: &str = "\
Examples:
  vecdb completions bash > ~/.local/share/bash-completion/completions/vecdb
  vecdb completions zsh > ~/.zfunc/_vecdb
  vecdb completions fish > ~/.config/fish/completions/vecdb.fish";
