-- A store as schema version 2 wrote it: two finished runs, of markov and text, and one that was cut short.
PRAGMA application_id = 1349283188;
PRAGMA user_version = 2;
BEGIN TRANSACTION;
CREATE TABLE run(
    key INTEGER PRIMARY KEY,
    id TEXT NOT NULL UNIQUE,
    name TEXT NOT NULL,
    part TEXT NOT NULL,
    config TEXT NOT NULL,
    created INTEGER NOT NULL,
    attempt INTEGER NOT NULL
) STRICT;
INSERT INTO run VALUES(1,'old-d1-s1-6290bf10f5','old','','{"activation":"relu","adam-eps":1e-8,"batch":2,"beta1":0.9,"beta2":0.95,"bias":false,"checkpoint":"none","clip":1,"decay-share":0.2,"depth":1,"dropout":0,"embed-std":"auto","eval-every":"auto","ffn":"plain","ffn-ratio":4,"heads":1,"init":"xavier_normal","kv-heads":"auto","label-smoothing":0,"lr":0.001,"micro-batches":1,"norm":"layer_norm","optimizer":"adamw","positions":"none","precision":"f32","preset":"none","probe-every":0,"schedule":"constant","seed":1,"seq":4,"shards":"auto","steps":3,"stochastic-depth":0,"survival":"linear","task":"markov","text":"","tied-head":false,"warmup":0,"weight-decay":0,"width":4,"wiring":"pre_ln"}',1795930577446,1);
INSERT INTO run VALUES(2,'pre_ln-xavier_normal-d1-s1-39f5ca894a','pre_ln-xavier_normal','','{"activation":"relu","adam-eps":1e-8,"batch":2,"beta1":0.9,"beta2":0.95,"bias":false,"checkpoint":"none","clip":1,"decay-share":0.2,"depth":1,"dropout":0,"embed-std":"auto","eval-every":"auto","ffn":"plain","ffn-ratio":4,"heads":1,"init":"xavier_normal","kv-heads":"auto","label-smoothing":0,"lr":0.001,"micro-batches":1,"norm":"layer_norm","optimizer":"adamw","positions":"none","precision":"f32","preset":"none","probe-every":0,"schedule":"constant","seed":1,"seq":4,"shards":"auto","steps":3,"stochastic-depth":0,"survival":"linear","task":"text","text":"","tied-head":false,"warmup":0,"weight-decay":0,"width":4,"wiring":"pre_ln"}',1795930577473,1);
INSERT INTO run VALUES(3,'pre_ln-xavier_normal-d1-s1-37781d2c1b','pre_ln-xavier_normal','','{"activation":"relu","adam-eps":1e-8,"batch":2,"beta1":0.9,"beta2":0.95,"bias":false,"checkpoint":"none","clip":1,"decay-share":0.2,"depth":1,"dropout":0,"embed-std":"auto","eval-every":"auto","ffn":"plain","ffn-ratio":4,"heads":1,"init":"xavier_normal","kv-heads":"auto","label-smoothing":0,"lr":0.001,"micro-batches":1,"norm":"layer_norm","optimizer":"adamw","positions":"none","precision":"f32","preset":"none","probe-every":0,"schedule":"constant","seed":1,"seq":4,"shards":"auto","steps":100000000,"stochastic-depth":0,"survival":"linear","task":"text","text":"","tied-head":false,"warmup":0,"weight-decay":0,"width":4,"wiring":"pre_ln"}',1795930577509,1);
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
, passes ANY, trend TEXT, measure TEXT, val_unigram ANY) STRICT;
INSERT INTO summary VALUES(1,'unfinished','{"kind":"unfinished"}',3.7426558335622153173,3.9663999080657958984,3.3849191665649414062,3.4616628329827556775,3.319447870429498959,1.7245306479224400408,-0.074536381213012523061,3,0.00019180600000000001315,1207895,472,2.4092829672729023488e-05,'unclear','training',3.4564470884868727651);
INSERT INTO summary VALUES(2,'unfinished','{"kind":"unfinished"}',5.5752391815185546875,5.4994287490844726562,5.5844063758850097656,2.9369491432326602087,2.3647461566590020076,NULL,0.22202380621331738175,3,0.00022460500000000000863,4453866,2264,0.00051486677822113531988,'unclear','training',3.6802620098837288686);
CREATE TABLE site(key INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
INSERT INTO site VALUES(1,'stream');
INSERT INTO site VALUES(2,'embed.weight');
INSERT INTO site VALUES(3,'norm1.weight');
INSERT INTO site VALUES(4,'norm1.bias');
INSERT INTO site VALUES(5,'attn.q.weight');
INSERT INTO site VALUES(6,'attn.k.weight');
INSERT INTO site VALUES(7,'attn.v.weight');
INSERT INTO site VALUES(8,'attn.out.weight');
INSERT INTO site VALUES(9,'norm2.weight');
INSERT INTO site VALUES(10,'norm2.bias');
INSERT INTO site VALUES(11,'ffn.up.weight');
INSERT INTO site VALUES(12,'ffn.down.weight');
INSERT INTO site VALUES(13,'norm.weight');
INSERT INTO site VALUES(14,'norm.bias');
INSERT INTO site VALUES(15,'head.weight');
INSERT INTO site VALUES(16,'run');
CREATE TABLE metric(key INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
INSERT INTO metric VALUES(1,'rms');
INSERT INTO metric VALUES(2,'token_cosine');
INSERT INTO metric VALUES(3,'grad_norm');
INSERT INTO metric VALUES(4,'fastest_step_ms');
INSERT INTO metric VALUES(5,'step_ms');
INSERT INTO metric VALUES(6,'block_ms');
INSERT INTO metric VALUES(7,'bytes');
INSERT INTO metric VALUES(8,'activation_bytes');
CREATE TABLE step(
    run INTEGER NOT NULL,
    step INTEGER NOT NULL,
    loss ANY NOT NULL,
    lr ANY NOT NULL,
    grad_norm ANY NOT NULL,
    val_loss ANY,
    PRIMARY KEY(run, step)
) STRICT, WITHOUT ROWID;
INSERT INTO step VALUES(1,0,3.9663999080657958984,0.0010000000000000000208,0.84930177416798180445,NULL);
INSERT INTO step VALUES(1,1,3.5836884975433349609,0.0010000000000000000208,0.97761236586822708449,NULL);
INSERT INTO step VALUES(1,2,3.6778790950775146484,0.0010000000000000000208,0.91329700225649912415,3.3849191665649414062);
INSERT INTO step VALUES(2,0,5.4994287490844726562,0.0010000000000000000208,0.72571081691993111206,NULL);
INSERT INTO step VALUES(2,1,5.6042327880859375,0.0010000000000000000208,0.76691659692501312761,NULL);
INSERT INTO step VALUES(2,2,5.6220560073852539062,0.0010000000000000000208,0.80833383453349194613,5.5844063758850097656);
CREATE TABLE probe(
    run INTEGER NOT NULL,
    metric INTEGER NOT NULL,
    step INTEGER NOT NULL,
    layer INTEGER NOT NULL,
    site INTEGER NOT NULL,
    value ANY NOT NULL,
    PRIMARY KEY(run, metric, step, layer, site)
) STRICT, WITHOUT ROWID;
INSERT INTO probe VALUES(1,1,3,0,1,1.1095811406378150998);
INSERT INTO probe VALUES(1,1,3,1,1,1.3190503861884759206);
INSERT INTO probe VALUES(1,2,3,0,1,-0.11535851462100997488);
INSERT INTO probe VALUES(1,2,3,1,1,-0.074536381213012523061);
INSERT INTO probe VALUES(1,3,3,0,2,0.28185978964676017266);
INSERT INTO probe VALUES(1,3,3,1,3,0.059296275247791498108);
INSERT INTO probe VALUES(1,3,3,1,4,0.064039293194759885907);
INSERT INTO probe VALUES(1,3,3,1,5,0.017386987996687832541);
INSERT INTO probe VALUES(1,3,3,1,6,0.013494417515223488743);
INSERT INTO probe VALUES(1,3,3,1,7,0.092846206956708185464);
INSERT INTO probe VALUES(1,3,3,1,8,0.1601765223038571495);
INSERT INTO probe VALUES(1,3,3,1,9,0.052102265380592996391);
INSERT INTO probe VALUES(1,3,3,1,10,0.045842670315278076509);
INSERT INTO probe VALUES(1,3,3,1,11,0.17474503229050009078);
INSERT INTO probe VALUES(1,3,3,1,12,0.14292299673288050287);
INSERT INTO probe VALUES(1,3,3,2,13,0.098137596329149187623);
INSERT INTO probe VALUES(1,3,3,2,14,0.16337712715935368001);
INSERT INTO probe VALUES(1,3,3,2,15,0.7344013276189060857);
INSERT INTO probe VALUES(1,4,3,0,16,0.01526299999999999879);
INSERT INTO probe VALUES(1,5,3,0,16,0.017506000000000000726);
INSERT INTO probe VALUES(1,6,3,0,16,0.017506000000000000726);
INSERT INTO probe VALUES(1,7,3,0,16,5335022.0);
INSERT INTO probe VALUES(1,8,3,0,16,26960.0);
INSERT INTO probe VALUES(2,1,3,0,1,0.91388795796938793181);
INSERT INTO probe VALUES(2,1,3,1,1,1.0124061559591415182);
INSERT INTO probe VALUES(2,2,3,0,1,0.10265007864356670563);
INSERT INTO probe VALUES(2,2,3,1,1,0.22202380621331738175);
INSERT INTO probe VALUES(2,3,3,0,2,0.09034296166709614162);
INSERT INTO probe VALUES(2,3,3,1,3,0.065965158352776095962);
INSERT INTO probe VALUES(2,3,3,1,4,0.053437107255300542174);
INSERT INTO probe VALUES(2,3,3,1,5,0.046493761654727086551);
INSERT INTO probe VALUES(2,3,3,1,6,0.040349563602235821724);
INSERT INTO probe VALUES(2,3,3,1,7,0.068637244148540124677);
INSERT INTO probe VALUES(2,3,3,1,8,0.11395414208006411638);
INSERT INTO probe VALUES(2,3,3,1,9,0.012358265723063546759);
INSERT INTO probe VALUES(2,3,3,1,10,0.028107748772585983143);
INSERT INTO probe VALUES(2,3,3,1,11,0.081329923950893778794);
INSERT INTO probe VALUES(2,3,3,1,12,0.084829140115818865708);
INSERT INTO probe VALUES(2,3,3,2,13,0.12018760831732767935);
INSERT INTO probe VALUES(2,3,3,2,14,0.086729803674584188266);
INSERT INTO probe VALUES(2,3,3,2,15,0.83648810692722130877);
INSERT INTO probe VALUES(2,4,3,0,16,0.017075000000000003369);
INSERT INTO probe VALUES(2,5,3,0,16,0.019490000000000000379);
INSERT INTO probe VALUES(2,6,3,0,16,0.019490000000000000379);
INSERT INTO probe VALUES(2,7,3,0,16,4385690.0);
INSERT INTO probe VALUES(2,8,3,0,16,41296.0);
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
INSERT INTO seal VALUES(1,2827738267396645303,-14857142823700584);
INSERT INTO seal VALUES(2,-9183019762495202636,1780762066108879584);
COMMIT;
