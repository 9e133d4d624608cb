//! The tables, and the two header fields that say whose they are.

/// The `application_id` of the header: `Plmt` in ASCII.
pub(super) const APPLICATION_ID: u32 = 0x506c_6d74;

/// The newest schema version this build reads and the one it writes.
pub(super) const VERSION: i64 = 3;

/// Selects the reference losses of a store of before version 3, which had a column for each.
macro_rules! former_references {
    () => {
        "SELECT run, 0 AS place, 'unigram' AS name, unigram_entropy AS nats FROM summary
         UNION ALL SELECT run, 1, 'bigram', bigram_entropy FROM summary
         UNION ALL SELECT run, 2, 'bayes', floor FROM summary WHERE floor IS NOT NULL"
    };
}
pub(super) const FORMER_REFERENCES: &str = former_references!();

/// What each later version changes, from version 1 on. Rows of before have NULL in the new columns
/// of version 2; version 3 keeps the reference losses by name, in the order of `place`.
pub(super) const CHANGES: [&str; VERSION as usize - 1] = [
    "
ALTER TABLE summary ADD COLUMN passes ANY;
ALTER TABLE summary ADD COLUMN trend TEXT;
ALTER TABLE summary ADD COLUMN measure TEXT;
ALTER TABLE summary ADD COLUMN val_unigram ANY;
",
    concat!(
        "
CREATE TABLE reference(
    run INTEGER NOT NULL REFERENCES run(key),
    place INTEGER NOT NULL,
    name TEXT NOT NULL,
    nats ANY NOT NULL,
    PRIMARY KEY(run, place)
) STRICT, WITHOUT ROWID;
INSERT INTO reference ",
        former_references!(),
        ";
ALTER TABLE summary DROP COLUMN unigram_entropy;
ALTER TABLE summary DROP COLUMN bigram_entropy;
ALTER TABLE summary DROP COLUMN floor;
ALTER TABLE summary RENAME COLUMN val_unigram TO val_baseline;
ALTER TABLE summary ADD COLUMN baseline TEXT NOT NULL DEFAULT 'unigram';
"
    ),
];

/// The tables that stay small however many rows the runs have, each with the version that it came
/// with.
pub(super) const SMALL_TABLES: [(&str, i64); 7] = [
    ("run", 1),
    ("summary", 1),
    ("seal", 1),
    ("site", 1),
    ("metric", 1),
    ("snapshot", 1),
    ("reference", 3),
];

/// Creates the tables of version 1.
///
/// The rows live in `WITHOUT ROWID` tables: the primary key is the storage
/// order, so a row costs its values and no separate index. Sites and metrics
/// are interned because their names are longer than the values they label.
/// Probe rows are ordered by metric first, since a chart reads one metric of a
/// run; a read at one step visits each metric once.
///
/// A run is finished exactly when it has a `summary` row. `attempt` counts how
/// often the run was begun; a writer whose attempt is not the newest has been
/// replaced. The snapshot is cut in parts because SQLite limits one blob to
/// 10^9 bytes. `seal` holds the checksums of a finished run.
pub(super) const CREATE: &str = "
CREATE TABLE run(
    key INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    part TEXT NOT NULL,
    config TEXT NOT NULL,
    created INTEGER NOT NULL,
    attempt INTEGER NOT NULL
) STRICT;
CREATE TABLE summary(
    run INTEGER PRIMARY KEY REFERENCES run(key),
    kind TEXT NOT NULL,
    outcome TEXT NOT NULL,
    loss ANY NOT NULL,
    initial_loss ANY NOT NULL,
    val_loss ANY NOT NULL,
    unigram_entropy ANY NOT NULL,
    bigram_entropy ANY NOT NULL,
    floor ANY,
    token_cosine ANY NOT NULL,
    steps INTEGER NOT NULL,
    seconds ANY NOT NULL,
    peak_bytes INTEGER NOT NULL,
    parameters INTEGER NOT NULL
) STRICT;
CREATE TABLE site(key INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE metric(key INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE step(
    run INTEGER NOT NULL,
    step INTEGER NOT NULL,
    loss ANY NOT NULL,
    lr ANY NOT NULL,
    grad_norm ANY NOT NULL,
    val_loss ANY,
    PRIMARY KEY(run, step)
) STRICT, WITHOUT ROWID;
CREATE TABLE probe(
    run INTEGER NOT NULL,
    metric INTEGER NOT NULL,
    step INTEGER NOT NULL,
    layer INTEGER NOT NULL,
    site INTEGER NOT NULL,
    value ANY NOT NULL,
    PRIMARY KEY(run, metric, step, layer, site)
) STRICT, WITHOUT ROWID;
CREATE TABLE snapshot(
    run INTEGER PRIMARY KEY REFERENCES run(key),
    step INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    hash INTEGER NOT NULL
) STRICT;
CREATE TABLE snapshot_part(
    run INTEGER NOT NULL,
    part INTEGER NOT NULL,
    body BLOB NOT NULL,
    PRIMARY KEY(run, part)
) STRICT;
CREATE TABLE seal(
    run INTEGER PRIMARY KEY REFERENCES run(key),
    record INTEGER NOT NULL,
    rows INTEGER NOT NULL
) STRICT;
";
