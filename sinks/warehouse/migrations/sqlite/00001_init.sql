-- +goose Up

-- Times are INTEGER microseconds UTC since 1970-01-01. Columns that end in
-- _order and _index hold the order of the record that made the row (its table
-- row's version, then its place among the outputs of that version); run,
-- src_generation, src_partition and src_offset lead back to the message.

-- The fence: updated first in every transaction, so that of two owners of a
-- partition only one can write.
CREATE TABLE sink_offset (
    sink        TEXT    NOT NULL,
    topic       TEXT    NOT NULL,
    generation  TEXT    NOT NULL,
    part        INTEGER NOT NULL,
    next_offset INTEGER NOT NULL,
    PRIMARY KEY (sink, topic, generation, part)
) WITHOUT ROWID;

CREATE TABLE dim_patient (
    patient_id        TEXT    NOT NULL PRIMARY KEY,
    identifier_system TEXT    NOT NULL,
    identifier_value  TEXT    NOT NULL,
    birth_date        TEXT,
    gender            TEXT,
    facts             TEXT    NOT NULL, -- JSON array of the configured facts that hold
    checked_at        INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE fact_vital_pane (
    patient_id     TEXT    NOT NULL,
    encounter_id   TEXT    NOT NULL, -- empty when none
    device_id      TEXT    NOT NULL,
    type           TEXT    NOT NULL,
    name           TEXT    NOT NULL,
    pane_start     INTEGER NOT NULL,
    pane_end       INTEGER NOT NULL,
    n              INTEGER NOT NULL, -- plausible values
    implausible    INTEGER NOT NULL,
    sum            TEXT, -- exact decimal; null when no value is a number
    min            TEXT,
    max            TEXT,
    first_value    TEXT,
    first_at       INTEGER,
    last_value     TEXT,
    last_at        INTEGER,
    final          INTEGER NOT NULL,
    revision       INTEGER NOT NULL,
    row_order      INTEGER NOT NULL,
    row_index      INTEGER NOT NULL,
    run            TEXT    NOT NULL,
    src_generation TEXT    NOT NULL,
    src_partition  INTEGER NOT NULL,
    src_offset     INTEGER NOT NULL,
    PRIMARY KEY (patient_id, encounter_id, device_id, type, name, pane_start)
) WITHOUT ROWID;

CREATE TABLE fact_risk_window (
    patient_id     TEXT    NOT NULL,
    model_id       TEXT    NOT NULL,
    window_start   INTEGER NOT NULL,
    window_end     INTEGER NOT NULL,
    score          REAL, -- null when incomplete
    score_min      REAL    NOT NULL,
    score_max      REAL    NOT NULL,
    risk_level     TEXT, -- null when the bounds disagree
    complete       INTEGER NOT NULL,
    features       TEXT    NOT NULL, -- {"subscores":{},"inputs":{},"missing":[]}
    model_version  TEXT    NOT NULL,
    encounter_id   TEXT    NOT NULL,
    assessment_id  TEXT    NOT NULL, -- of the RiskAssessment
    final          INTEGER NOT NULL,
    revision       INTEGER NOT NULL,
    row_order      INTEGER NOT NULL,
    row_index      INTEGER NOT NULL,
    run            TEXT    NOT NULL,
    src_generation TEXT    NOT NULL,
    src_partition  INTEGER NOT NULL,
    src_offset     INTEGER NOT NULL,
    PRIMARY KEY (patient_id, model_id, window_start, window_end)
) WITHOUT ROWID;

CREATE INDEX fact_risk_window_by_end ON fact_risk_window (window_end);

CREATE TABLE fact_flag (
    flag_id        TEXT    NOT NULL PRIMARY KEY,
    patient_id     TEXT    NOT NULL,
    rule           TEXT    NOT NULL,
    kind           TEXT    NOT NULL CHECK (kind IN ('clinical', 'technical')),
    device_id      TEXT, -- technical rules name the device
    opened_at      INTEGER NOT NULL,
    closed_at      INTEGER,
    max_score      REAL,
    row_order      INTEGER NOT NULL,
    row_index      INTEGER NOT NULL,
    run            TEXT    NOT NULL,
    src_generation TEXT    NOT NULL,
    src_partition  INTEGER NOT NULL,
    src_offset     INTEGER NOT NULL
) WITHOUT ROWID;

CREATE INDEX fact_flag_by_patient ON fact_flag (patient_id, opened_at);
CREATE INDEX fact_flag_open ON fact_flag (patient_id) WHERE closed_at IS NULL;

CREATE TABLE patient_current (
    patient_id   TEXT    NOT NULL,
    model_id     TEXT    NOT NULL,
    window_start INTEGER NOT NULL,
    window_end   INTEGER NOT NULL,
    score        REAL,
    score_min    REAL    NOT NULL,
    score_max    REAL    NOT NULL,
    risk_level   TEXT,
    complete     INTEGER NOT NULL,
    row_order    INTEGER NOT NULL,
    row_index    INTEGER NOT NULL,
    PRIMARY KEY (patient_id, model_id)
) WITHOUT ROWID;

CREATE TABLE fact_dead_letter (
    stage          TEXT    NOT NULL,
    reason         TEXT    NOT NULL,
    topic          TEXT    NOT NULL, -- where the bytes came from
    src_generation TEXT    NOT NULL,
    src_partition  INTEGER NOT NULL,
    src_offset     INTEGER NOT NULL,
    src_index      INTEGER NOT NULL,
    detail         TEXT    NOT NULL,
    action         TEXT    NOT NULL,
    run            TEXT    NOT NULL,
    letter_part    INTEGER NOT NULL, -- position of the first such record in dead-letters
    letter_offset  INTEGER NOT NULL,
    PRIMARY KEY (stage, reason, topic, src_generation, src_partition, src_offset, src_index, detail)
) WITHOUT ROWID;

-- Patients ordered by risk: what a care team looks at first. The trend is the
-- score minus that of the window before, null when either is incomplete.
CREATE VIEW v_worklist AS
SELECT c.patient_id,
       p.identifier_system,
       p.identifier_value,
       c.model_id,
       c.window_start,
       c.window_end,
       c.score,
       c.score_min,
       c.score_max,
       c.risk_level,
       c.complete,
       c.score - (SELECT w.score
                  FROM fact_risk_window w
                  WHERE w.patient_id = c.patient_id
                    AND w.model_id = c.model_id
                    AND w.window_end < c.window_end
                  ORDER BY w.window_start DESC
                  LIMIT 1)                                                            AS trend,
       (SELECT count(*) FROM fact_flag f
        WHERE f.patient_id = c.patient_id AND f.closed_at IS NULL)                    AS open_flags,
       (SELECT min(f.opened_at) FROM fact_flag f
        WHERE f.patient_id = c.patient_id AND f.closed_at IS NULL)                    AS open_since
FROM patient_current c
LEFT JOIN dim_patient p ON p.patient_id = c.patient_id;

-- +goose Down
DROP VIEW v_worklist;
DROP TABLE fact_dead_letter;
DROP TABLE patient_current;
DROP TABLE fact_flag;
DROP TABLE fact_risk_window;
DROP TABLE fact_vital_pane;
DROP TABLE dim_patient;
DROP TABLE sink_offset;
