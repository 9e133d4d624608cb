-- A store as schema version 1 wrote it: one finished run and one that was cut short.
PRAGMA application_id = 1349283188;
PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE metric(key INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
INSERT INTO "metric" VALUES(1,'rms');
INSERT INTO "metric" VALUES(2,'token_cosine');
INSERT INTO "metric" VALUES(3,'grad_norm');
INSERT INTO "metric" VALUES(4,'fastest_step_ms');
INSERT INTO "metric" VALUES(5,'step_ms');
INSERT INTO "metric" VALUES(6,'block_ms');
INSERT INTO "metric" VALUES(7,'bytes');
INSERT INTO "metric" VALUES(8,'activation_bytes');
CREATE TABLE probe(
    run INTEGER NOT NULL,
    metric INTEGER NOT NULL,
    step INTEGER NOT NULL,
    layer INTEGER NOT NULL,
    site INTEGER NOT NULL,
    value ANY NOT NULL,
    PRIMARY KEY(run, metric, step, layer, site)
) STRICT, WITHOUT ROWID;
INSERT INTO "probe" VALUES(1,1,3,0,1,9.13887957969387931811e-01);
INSERT INTO "probe" VALUES(1,1,3,1,1,1.01240615595914151825e+00);
INSERT INTO "probe" VALUES(1,2,3,0,1,1.02650078643566705638e-01);
INSERT INTO "probe" VALUES(1,2,3,1,1,2.22023806213317381752e-01);
INSERT INTO "probe" VALUES(1,3,3,0,2,9.03429616670961416202e-02);
INSERT INTO "probe" VALUES(1,3,3,1,3,0.0659651583527761);
INSERT INTO "probe" VALUES(1,3,3,1,4,5.34371072553005421745e-02);
INSERT INTO "probe" VALUES(1,3,3,1,5,4.64937616547270865519e-02);
INSERT INTO "probe" VALUES(1,3,3,1,6,4.03495636022358217243e-02);
INSERT INTO "probe" VALUES(1,3,3,1,7,6.86372441485401246774e-02);
INSERT INTO "probe" VALUES(1,3,3,1,8,1.13954142080064116382e-01);
INSERT INTO "probe" VALUES(1,3,3,1,9,1.23582657230635467593e-02);
INSERT INTO "probe" VALUES(1,3,3,1,10,2.81077487725859831435e-02);
INSERT INTO "probe" VALUES(1,3,3,1,11,8.13299239508937787945e-02);
INSERT INTO "probe" VALUES(1,3,3,1,12,8.48291401158188657083e-02);
INSERT INTO "probe" VALUES(1,3,3,2,13,1.20187608317327679352e-01);
INSERT INTO "probe" VALUES(1,3,3,2,14,8.67298036745841882666e-02);
INSERT INTO "probe" VALUES(1,3,3,2,15,8.36488106927221308772e-01);
INSERT INTO "probe" VALUES(1,4,3,0,16,0.065423);
INSERT INTO "probe" VALUES(1,5,3,0,16,0.067847);
INSERT INTO "probe" VALUES(1,6,3,0,16,0.067847);
INSERT INTO "probe" VALUES(1,7,3,0,16,4385690.0);
INSERT INTO "probe" VALUES(1,8,3,0,16,41296.0);
CREATE TABLE run(
    key INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    part TEXT NOT NULL,
    config TEXT NOT NULL,
    created INTEGER NOT NULL,
    attempt INTEGER NOT NULL
) STRICT;
INSERT INTO "run" VALUES(1,'old-d1-s1-39f5ca894a','old','','{"activation":"relu","adam-eps":1e-8,"batch":2,"beta1":0.9,"beta2":0.95,"bias":false,"checkpoint":"none","clip":1,"decay-share":0.2,"depth":1,"dropout":0,"embed-std":"auto","eval-every":"auto","ffn":"plain","ffn-ratio":4,"heads":1,"init":"xavier_normal","kv-heads":"auto","label-smoothing":0,"layer-scale":0.0001,"lr":0.001,"micro-batches":1,"norm":"layer_norm","optimizer":"adamw","positions":"none","precision":"f32","preset":"none","probe-every":0,"schedule":"constant","seed":1,"seq":4,"shards":"auto","steps":3,"stochastic-depth":0,"survival":"linear","task":"text","text":"","tied-head":false,"warmup":0,"weight-decay":0,"width":4,"wiring":"pre_ln"}',1795866535208,1);
INSERT INTO "run" VALUES(2,'pre_ln-xavier_normal-d1-s1-37781d2c1b','pre_ln-xavier_normal','','{"activation":"relu","adam-eps":1e-8,"batch":2,"beta1":0.9,"beta2":0.95,"bias":false,"checkpoint":"none","clip":1,"decay-share":0.2,"depth":1,"dropout":0,"embed-std":"auto","eval-every":"auto","ffn":"plain","ffn-ratio":4,"heads":1,"init":"xavier_normal","kv-heads":"auto","label-smoothing":0,"layer-scale":0.0001,"lr":0.001,"micro-batches":1,"norm":"layer_norm","optimizer":"adamw","positions":"none","precision":"f32","preset":"none","probe-every":0,"schedule":"constant","seed":1,"seq":4,"shards":"auto","steps":100000000,"stochastic-depth":0,"survival":"linear","task":"text","text":"","tied-head":false,"warmup":0,"weight-decay":0,"width":4,"wiring":"pre_ln"}',1795866535504,1);
CREATE TABLE seal(
    run INTEGER PRIMARY KEY REFERENCES run(key),
    record INTEGER NOT NULL,
    rows INTEGER NOT NULL
) STRICT;
INSERT INTO "seal" VALUES(1,-4276676805842105094,-102662347007394505);
CREATE TABLE site(key INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
INSERT INTO "site" VALUES(1,'stream');
INSERT INTO "site" VALUES(2,'embed.weight');
INSERT INTO "site" VALUES(3,'norm1.weight');
INSERT INTO "site" VALUES(4,'norm1.bias');
INSERT INTO "site" VALUES(5,'attn.q.weight');
INSERT INTO "site" VALUES(6,'attn.k.weight');
INSERT INTO "site" VALUES(7,'attn.v.weight');
INSERT INTO "site" VALUES(8,'attn.out.weight');
INSERT INTO "site" VALUES(9,'norm2.weight');
INSERT INTO "site" VALUES(10,'norm2.bias');
INSERT INTO "site" VALUES(11,'ffn.up.weight');
INSERT INTO "site" VALUES(12,'ffn.down.weight');
INSERT INTO "site" VALUES(13,'norm.weight');
INSERT INTO "site" VALUES(14,'norm.bias');
INSERT INTO "site" VALUES(15,'head.weight');
INSERT INTO "site" VALUES(16,'run');
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
CREATE TABLE step(
    run INTEGER NOT NULL,
    step INTEGER NOT NULL,
    loss ANY NOT NULL,
    lr ANY NOT NULL,
    grad_norm ANY NOT NULL,
    val_loss ANY,
    PRIMARY KEY(run, step)
) STRICT, WITHOUT ROWID;
INSERT INTO "step" VALUES(1,0,5.49942874908447265625e+00,0.001,7.25710816919931112067e-01,5.58935785293579101562e+00);
INSERT INTO "step" VALUES(1,1,5.6042327880859375e+00,0.001,7.66916596925013127616e-01,5.5888124704360961914e+00);
INSERT INTO "step" VALUES(1,2,5.62205600738525390625e+00,0.001,0.808333834533492,5.5874906778335571289e+00);
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
INSERT INTO "summary" VALUES(1,'stuck','{"kind":"stuck"}',5.5752391815185546875e+00,5.49942874908447265625e+00,5.5874906778335571289e+00,2.93694914323266,2.36474615665900200767e+00,NULL,2.22023806213317381752e-01,3,0.016170898,4450701,2264);
COMMIT;
