PRAGMA application_id = 1246905162;
PRAGMA user_version = 6;
BEGIN TRANSACTION;
CREATE TABLE runs (
        run_id      TEXT PRIMARY KEY NOT NULL,
        version     INTEGER NOT NULL CHECK (version > 0),
        terminal    INTEGER NOT NULL CHECK (terminal IN (0, 1)),
        deadline    INTEGER,
        body        TEXT NOT NULL, changed_at INTEGER NOT NULL DEFAULT 0,
        CONSTRAINT a_live_run_has_a_deadline CHECK (terminal = 1 OR deadline IS NOT NULL)
    ) STRICT;
INSERT INTO runs VALUES('finished',3,1,NULL,'{"run":{"ended_at":"2026-11-28T22:17:17.882803Z","extensions":{"jarvis.owner":{"subject":"dev"}},"root_node_run_id":"node_run_04770964fa4b48af8eb4e9e02d2d36ee","run_id":"finished","started_at":"2026-11-28T22:17:17.878511Z","state":"succeeded"},"last_seq":7,"nodes":1,"request_digest":"66b9b23afc7e24d781cdde594d2affdbb44c925bb28981ffb9b5dcc4063ff109","owner":{"subject":"dev"},"deadline":null,"ceilings":{"max_depth":32,"max_total_nodes_per_run":100000}}',1795904237882803);
INSERT INTO runs VALUES('lost',3,1,NULL,'{"run":{"ended_at":"2026-11-28T22:17:17.995092Z","extensions":{"jarvis.owner":{"subject":"dev"}},"root_node_run_id":"node_run_231e5e4a6e2d4de7947fc7787ce123a7","run_id":"lost","started_at":"2026-11-28T22:17:17.946487Z","state":"failed"},"last_seq":6,"nodes":1,"request_digest":"a3b09965bc35a0072edf772feea001e9011c740511316c11f56f0f8bd4c6bd5b","owner":{"subject":"dev"},"deadline":null,"ceilings":{"max_depth":32,"max_total_nodes_per_run":100000}}',1795904237995092);
INSERT INTO runs VALUES('canceled',3,1,NULL,'{"run":{"ended_at":"2026-11-28T22:17:18.094022Z","extensions":{"jarvis.owner":{"subject":"dev"}},"root_node_run_id":"node_run_a0fa416d698b489fb5fcb63d0f15a80b","run_id":"canceled","started_at":"2026-11-28T22:17:18.070499Z","state":"canceled"},"last_seq":6,"nodes":1,"request_digest":"ee2164084709d0b26fbf6a411770c2e3ac78e38b4b59d6de2ca5f9f3ec96e74d","owner":{"subject":"dev"},"deadline":null,"ceilings":{"max_depth":32,"max_total_nodes_per_run":100000}}',1795904238094022);
INSERT INTO runs VALUES('at-executor',2,0,2111264238142558,'{"run":{"extensions":{"jarvis.owner":{"subject":"dev"}},"root_node_run_id":"node_run_c9b28d6138724f32a1f98a725184bd19","run_id":"at-executor","started_at":"2026-11-28T22:17:18.142558Z","state":"running"},"last_seq":4,"nodes":1,"request_digest":"ac77d6a5873e4cc4b593e0ba0e04c0e792aa014af24cf888f2ec436b375524bb","owner":{"subject":"dev"},"deadline":"2036-11-25T22:17:18.142558Z","ceilings":{"max_depth":32,"max_total_nodes_per_run":100000}}',1795904238144143);
INSERT INTO runs VALUES('composite',3,0,2111264238166402,'{"run":{"extensions":{"jarvis.owner":{"subject":"dev"}},"root_node_run_id":"node_run_8fc2746f2d864077a793d1c4fea945e3","run_id":"composite","started_at":"2026-11-28T22:17:18.166402Z","state":"running"},"last_seq":6,"nodes":2,"request_digest":"6bb685c582e1d5c0890f589412fbe19dd0d30ab354e2e47190422d4c4f3fe74d","owner":{"subject":"dev"},"deadline":"2036-11-25T22:17:18.166402Z","ceilings":{"max_depth":32,"max_total_nodes_per_run":100000}}',1795904238189819);
INSERT INTO runs VALUES('queued',1,0,2111264238234526,'{"run":{"extensions":{"jarvis.owner":{"subject":"dev"}},"root_node_run_id":"node_run_afc8758ee523434fa2fcd2ecf1569410","run_id":"queued","started_at":"2026-11-28T22:17:18.234526Z","state":"running"},"last_seq":3,"nodes":1,"request_digest":"203da93aa969bd9482957a4c3f39735fc19062d1d414eaca85cca69d0af6fbfe","owner":{"subject":"dev"},"deadline":"2036-11-25T22:17:18.234526Z","ceilings":{"max_depth":32,"max_total_nodes_per_run":100000}}',1795904238234526);
CREATE TABLE node_runs (
        node_run_id TEXT PRIMARY KEY NOT NULL,
        run_id      TEXT NOT NULL,
        version     INTEGER NOT NULL CHECK (version > 0),
        path        TEXT NOT NULL,
        terminal    INTEGER NOT NULL CHECK (terminal IN (0, 1)),
        wake_job    TEXT,
        wake_at     INTEGER,
        wake_owner  TEXT,
        wake_tries  INTEGER,
        body        TEXT NOT NULL, kind TEXT CHECK (kind IN ('atomic', 'composite')), state TEXT CONSTRAINT what_is_over_has_ended CHECK (
        state IN ('queued', 'assigned', 'running', 'succeeded', 'failed', 'canceled')
        AND (terminal = 1) = (state IN ('succeeded', 'failed', 'canceled'))), started_at INTEGER, ended_at INTEGER, attempt INTEGER NOT NULL DEFAULT 0 CHECK (attempt >= 0), astray INTEGER NOT NULL DEFAULT 0 CHECK (astray IN (0, 1)), deadline INTEGER, apart INTEGER NOT NULL DEFAULT 0 CHECK (apart BETWEEN 0 AND 3),
        CONSTRAINT a_live_node_run_has_a_wake_up CHECK (terminal = 1 OR wake_at IS NOT NULL),
        CONSTRAINT a_wake_up_is_whole CHECK (
            (wake_at IS NULL) = (wake_job IS NULL)
            AND (wake_at IS NULL) = (wake_tries IS NULL)
            AND (wake_owner IS NULL OR wake_at IS NOT NULL))
    ) STRICT;
INSERT INTO node_runs VALUES('node_run_04770964fa4b48af8eb4e9e02d2d36ee','finished',3,'1',1,NULL,NULL,NULL,NULL,'{"node":{"created_at":"2026-11-28T22:17:17.878511Z","ended_at":"2026-11-28T22:17:17.882803Z","evaluation_result":{"reason_code":"atomic_completed","status":"success"},"executor_binding":{"endpoint":"http://127.0.0.1:46633/","executor_instance_id":"arp-jarvis-atomic-executor"},"extensions":{"jarvis.owner":{"subject":"dev"}},"inputs":{"of":"finished"},"kind":"atomic","node_run_id":"node_run_04770964fa4b48af8eb4e9e02d2d36ee","node_type_ref":{"node_type_id":"atomic.echo","version":"1.0.0"},"outputs":{"ok":true},"run_id":"finished","started_at":"2026-11-28T22:17:17.879510Z","state":"succeeded"},"path":"1","children":0,"rounds":0,"attempt":1,"retries":0,"astray":false,"side_effect":null,"idempotent":false,"deadline":"2036-11-25T22:17:17.878511Z"}','atomic','succeeded',1795904237879510,1795904237882803,1,0,2111264237878511,0);
INSERT INTO node_runs VALUES('node_run_231e5e4a6e2d4de7947fc7787ce123a7','lost',8,'1',1,'cancel_executor',1795904239129004,NULL,2,'{"node":{"created_at":"2026-11-28T22:17:17.946487Z","ended_at":"2026-11-28T22:17:17.995092Z","executor_binding":{"endpoint":"http://127.0.0.1:46633/","executor_instance_id":"arp-jarvis-atomic-executor"},"extensions":{"completion_error":{"code":"executor_outcome_unknown","details":{"attempt":1},"message":"The coordinator stopped while the node was at its executor, and it may not be executed twice"},"jarvis.owner":{"subject":"dev"}},"inputs":{"of":"lost"},"kind":"atomic","node_run_id":"node_run_231e5e4a6e2d4de7947fc7787ce123a7","node_type_ref":{"node_type_id":"atomic.hang","version":"1.0.0"},"run_id":"lost","started_at":"2026-11-28T22:17:17.950789Z","state":"failed"},"path":"1","children":0,"rounds":0,"attempt":1,"retries":0,"astray":false,"side_effect":null,"idempotent":false,"deadline":"2036-11-25T22:17:17.946487Z"}','atomic','failed',1795904237950789,1795904237995092,1,0,2111264237946487,0);
INSERT INTO node_runs VALUES('node_run_a0fa416d698b489fb5fcb63d0f15a80b','canceled',6,'1',1,'cancel_executor',1795904239158706,NULL,2,'{"node":{"created_at":"2026-11-28T22:17:18.070499Z","executor_binding":{"endpoint":"http://127.0.0.1:46633/","executor_instance_id":"arp-jarvis-atomic-executor"},"extensions":{"jarvis.owner":{"subject":"dev"}},"inputs":{"of":"canceled"},"kind":"atomic","node_run_id":"node_run_a0fa416d698b489fb5fcb63d0f15a80b","node_type_ref":{"node_type_id":"atomic.hang","version":"1.0.0"},"run_id":"canceled","started_at":"2026-11-28T22:17:18.072485Z","state":"running"},"path":"1","children":0,"rounds":0,"attempt":1,"retries":0,"astray":false,"side_effect":null,"idempotent":false,"deadline":"2036-11-25T22:17:18.070499Z"}','atomic','canceled',1795904238072485,1795904238094022,1,0,2111264238070499,0);
INSERT INTO node_runs VALUES('node_run_c9b28d6138724f32a1f98a725184bd19','at-executor',2,'1',0,'deadline',2111264238142558,'owner_5ec97090463c4abf99ceb3bc9d07aab9',0,'{"node":{"created_at":"2026-11-28T22:17:18.142558Z","executor_binding":{"endpoint":"http://127.0.0.1:46633/","executor_instance_id":"arp-jarvis-atomic-executor"},"extensions":{"jarvis.owner":{"subject":"dev"}},"inputs":{"of":"at-executor"},"kind":"atomic","node_run_id":"node_run_c9b28d6138724f32a1f98a725184bd19","node_type_ref":{"node_type_id":"atomic.hang","version":"1.0.0"},"run_id":"at-executor","started_at":"2026-11-28T22:17:18.144143Z","state":"running"},"path":"1","children":0,"rounds":0,"attempt":1,"retries":0,"astray":false,"side_effect":null,"idempotent":false,"deadline":"2036-11-25T22:17:18.142558Z"}','atomic','running',1795904238144143,NULL,1,0,2111264238142558,0);
INSERT INTO node_runs VALUES('node_run_8fc2746f2d864077a793d1c4fea945e3','composite',3,'1',0,'deadline',2111264238166402,NULL,0,'{"node":{"created_at":"2026-11-28T22:17:18.166402Z","executor_binding":{"endpoint":"http://127.0.0.1:46633/","executor_instance_id":"arp-jarvis-composite-executor"},"extensions":{"decomposition_rounds":1,"jarvis.owner":{"subject":"dev"}},"inputs":{"of":"composite"},"kind":"composite","node_run_id":"node_run_8fc2746f2d864077a793d1c4fea945e3","node_type_ref":{"node_type_id":"composite.accept","version":"1.0.0"},"run_id":"composite","started_at":"2026-11-28T22:17:18.167580Z","state":"running"},"path":"1","children":1,"rounds":1,"attempt":1,"retries":0,"astray":false,"side_effect":null,"idempotent":false,"deadline":"2036-11-25T22:17:18.166402Z"}','composite','running',1795904238167580,NULL,1,0,2111264238166402,0);
INSERT INTO node_runs VALUES('node_run_38589939f8dbf95ae9023bb674b60af5','composite',1,'1.2',0,'dispatch',1795904238189819,'owner_5ec97090463c4abf99ceb3bc9d07aab9',0,'{"node":{"created_at":"2026-11-28T22:17:18.189819Z","extensions":{"idempotency_key":"k"},"inputs":{"a":1},"kind":"atomic","node_run_id":"node_run_38589939f8dbf95ae9023bb674b60af5","node_type_ref":{"node_type_id":"atomic.echo","version":"1.0.0"},"parent_node_run_id":"node_run_8fc2746f2d864077a793d1c4fea945e3","run_id":"composite","state":"queued"},"path":"1.2","children":0,"rounds":0,"attempt":0,"retries":0,"astray":false,"side_effect":null,"idempotent":false,"deadline":"2036-11-25T22:17:18.166402Z"}','atomic','queued',NULL,NULL,0,0,2111264238166402,0);
INSERT INTO node_runs VALUES('node_run_afc8758ee523434fa2fcd2ecf1569410','queued',1,'1',0,'dispatch',1795904238234526,'owner_5ec97090463c4abf99ceb3bc9d07aab9',0,'{"node":{"created_at":"2026-11-28T22:17:18.234526Z","extensions":{"jarvis.owner":{"subject":"dev"}},"inputs":{"of":"queued"},"kind":"atomic","node_run_id":"node_run_afc8758ee523434fa2fcd2ecf1569410","node_type_ref":{"node_type_id":"atomic.echo","version":"1.0.0"},"run_id":"queued","state":"queued"},"path":"1","children":0,"rounds":0,"attempt":0,"retries":0,"astray":false,"side_effect":null,"idempotent":false,"deadline":"2036-11-25T22:17:18.234526Z"}','atomic','queued',NULL,NULL,0,0,2111264238234526,0);
CREATE TABLE events (
        run_id      TEXT NOT NULL,
        seq         INTEGER NOT NULL CHECK (seq > 0),
        path        TEXT,
        body        TEXT NOT NULL,
        PRIMARY KEY (run_id, seq)
    ) STRICT, WITHOUT ROWID;
INSERT INTO events VALUES('at-executor',1,NULL,'{"data":{"root_node_run_id":"node_run_c9b28d6138724f32a1f98a725184bd19"},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"run_id":"at-executor","seq":1,"time":"2026-11-28T22:17:18.142558Z","type":"run_started"}');
INSERT INTO events VALUES('at-executor',2,'1','{"data":{"root":true},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"node_run_id":"node_run_c9b28d6138724f32a1f98a725184bd19","run_id":"at-executor","seq":2,"time":"2026-11-28T22:17:18.142558Z","type":"node_run_assigned"}');
INSERT INTO events VALUES('at-executor',3,'1','{"data":{"action":"run.start","decision":"allow","reason_code":"policy_bypass"},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"node_run_id":"node_run_c9b28d6138724f32a1f98a725184bd19","run_id":"at-executor","seq":3,"time":"2026-11-28T22:17:18.142558Z","type":"policy_decided"}');
INSERT INTO events VALUES('at-executor',4,'1','{"data":{"action":"node.run.execute","decision":"allow","reason_code":"policy_bypass"},"extensions":{"jarvis.actor":{"kind":"coordinator"}},"node_run_id":"node_run_c9b28d6138724f32a1f98a725184bd19","run_id":"at-executor","seq":4,"time":"2026-11-28T22:17:18.144143Z","type":"policy_decided"}');
INSERT INTO events VALUES('canceled',1,NULL,'{"data":{"root_node_run_id":"node_run_a0fa416d698b489fb5fcb63d0f15a80b"},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"run_id":"canceled","seq":1,"time":"2026-11-28T22:17:18.070499Z","type":"run_started"}');
INSERT INTO events VALUES('canceled',2,'1','{"data":{"root":true},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"node_run_id":"node_run_a0fa416d698b489fb5fcb63d0f15a80b","run_id":"canceled","seq":2,"time":"2026-11-28T22:17:18.070499Z","type":"node_run_assigned"}');
INSERT INTO events VALUES('canceled',3,'1','{"data":{"action":"run.start","decision":"allow","reason_code":"policy_bypass"},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"node_run_id":"node_run_a0fa416d698b489fb5fcb63d0f15a80b","run_id":"canceled","seq":3,"time":"2026-11-28T22:17:18.070499Z","type":"policy_decided"}');
INSERT INTO events VALUES('canceled',4,'1','{"data":{"action":"node.run.execute","decision":"allow","reason_code":"policy_bypass"},"extensions":{"jarvis.actor":{"kind":"coordinator"}},"node_run_id":"node_run_a0fa416d698b489fb5fcb63d0f15a80b","run_id":"canceled","seq":4,"time":"2026-11-28T22:17:18.072485Z","type":"policy_decided"}');
INSERT INTO events VALUES('canceled',5,'1','{"data":{"state":"canceled"},"extensions":{"jarvis.actor":{"attempt":1,"kind":"caller","subject":"dev"}},"node_run_id":"node_run_a0fa416d698b489fb5fcb63d0f15a80b","run_id":"canceled","seq":5,"time":"2026-11-28T22:17:18.094022Z","type":"atomic_executed"}');
INSERT INTO events VALUES('canceled',6,NULL,'{"data":{"state":"canceled"},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"run_id":"canceled","seq":6,"time":"2026-11-28T22:17:18.094022Z","type":"run_completed"}');
INSERT INTO events VALUES('composite',1,NULL,'{"data":{"root_node_run_id":"node_run_8fc2746f2d864077a793d1c4fea945e3"},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"run_id":"composite","seq":1,"time":"2026-11-28T22:17:18.166402Z","type":"run_started"}');
INSERT INTO events VALUES('composite',2,'1','{"data":{"root":true},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"node_run_id":"node_run_8fc2746f2d864077a793d1c4fea945e3","run_id":"composite","seq":2,"time":"2026-11-28T22:17:18.166402Z","type":"node_run_assigned"}');
INSERT INTO events VALUES('composite',3,'1','{"data":{"action":"run.start","decision":"allow","reason_code":"policy_bypass"},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"node_run_id":"node_run_8fc2746f2d864077a793d1c4fea945e3","run_id":"composite","seq":3,"time":"2026-11-28T22:17:18.166402Z","type":"policy_decided"}');
INSERT INTO events VALUES('composite',4,'1','{"data":{"action":"node.run.execute","decision":"allow","reason_code":"policy_bypass"},"extensions":{"jarvis.actor":{"kind":"coordinator"}},"node_run_id":"node_run_8fc2746f2d864077a793d1c4fea945e3","run_id":"composite","seq":4,"time":"2026-11-28T22:17:18.167580Z","type":"policy_decided"}');
INSERT INTO events VALUES('composite',5,'1','{"data":{"node_run_count":1},"extensions":{"jarvis.actor":{"attempt":1,"kind":"caller","subject":"dev"}},"node_run_id":"node_run_8fc2746f2d864077a793d1c4fea945e3","run_id":"composite","seq":5,"time":"2026-11-28T22:17:18.189819Z","type":"composite_decomposed"}');
INSERT INTO events VALUES('composite',6,'1.2','{"data":{"parent_node_run_id":"node_run_8fc2746f2d864077a793d1c4fea945e3"},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"node_run_id":"node_run_38589939f8dbf95ae9023bb674b60af5","run_id":"composite","seq":6,"time":"2026-11-28T22:17:18.189819Z","type":"node_run_assigned"}');
INSERT INTO events VALUES('finished',1,NULL,'{"data":{"root_node_run_id":"node_run_04770964fa4b48af8eb4e9e02d2d36ee"},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"run_id":"finished","seq":1,"time":"2026-11-28T22:17:17.878511Z","type":"run_started"}');
INSERT INTO events VALUES('finished',2,'1','{"data":{"root":true},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"node_run_id":"node_run_04770964fa4b48af8eb4e9e02d2d36ee","run_id":"finished","seq":2,"time":"2026-11-28T22:17:17.878511Z","type":"node_run_assigned"}');
INSERT INTO events VALUES('finished',3,'1','{"data":{"action":"run.start","decision":"allow","reason_code":"policy_bypass"},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"node_run_id":"node_run_04770964fa4b48af8eb4e9e02d2d36ee","run_id":"finished","seq":3,"time":"2026-11-28T22:17:17.878511Z","type":"policy_decided"}');
INSERT INTO events VALUES('finished',4,'1','{"data":{"action":"node.run.execute","decision":"allow","reason_code":"policy_bypass"},"extensions":{"jarvis.actor":{"kind":"coordinator"}},"node_run_id":"node_run_04770964fa4b48af8eb4e9e02d2d36ee","run_id":"finished","seq":4,"time":"2026-11-28T22:17:17.879510Z","type":"policy_decided"}');
INSERT INTO events VALUES('finished',5,'1','{"data":{"reason_code":"atomic_completed","status":"success"},"extensions":{"jarvis.actor":{"attempt":1,"kind":"executor","node_run_id":"node_run_04770964fa4b48af8eb4e9e02d2d36ee"}},"node_run_id":"node_run_04770964fa4b48af8eb4e9e02d2d36ee","run_id":"finished","seq":5,"time":"2026-11-28T22:17:17.882803Z","type":"node_evaluated"}');
INSERT INTO events VALUES('finished',6,'1','{"data":{"state":"succeeded"},"extensions":{"jarvis.actor":{"attempt":1,"kind":"executor","node_run_id":"node_run_04770964fa4b48af8eb4e9e02d2d36ee"}},"node_run_id":"node_run_04770964fa4b48af8eb4e9e02d2d36ee","run_id":"finished","seq":6,"time":"2026-11-28T22:17:17.882803Z","type":"atomic_executed"}');
INSERT INTO events VALUES('finished',7,'1','{"data":{"state":"succeeded"},"extensions":{"jarvis.actor":{"attempt":1,"kind":"executor","node_run_id":"node_run_04770964fa4b48af8eb4e9e02d2d36ee"}},"node_run_id":"node_run_04770964fa4b48af8eb4e9e02d2d36ee","run_id":"finished","seq":7,"time":"2026-11-28T22:17:17.882803Z","type":"run_completed"}');
INSERT INTO events VALUES('lost',1,NULL,'{"data":{"root_node_run_id":"node_run_231e5e4a6e2d4de7947fc7787ce123a7"},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"run_id":"lost","seq":1,"time":"2026-11-28T22:17:17.946487Z","type":"run_started"}');
INSERT INTO events VALUES('lost',2,'1','{"data":{"root":true},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"node_run_id":"node_run_231e5e4a6e2d4de7947fc7787ce123a7","run_id":"lost","seq":2,"time":"2026-11-28T22:17:17.946487Z","type":"node_run_assigned"}');
INSERT INTO events VALUES('lost',3,'1','{"data":{"action":"run.start","decision":"allow","reason_code":"policy_bypass"},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"node_run_id":"node_run_231e5e4a6e2d4de7947fc7787ce123a7","run_id":"lost","seq":3,"time":"2026-11-28T22:17:17.946487Z","type":"policy_decided"}');
INSERT INTO events VALUES('lost',4,'1','{"data":{"action":"node.run.execute","decision":"allow","reason_code":"policy_bypass"},"extensions":{"jarvis.actor":{"kind":"coordinator"}},"node_run_id":"node_run_231e5e4a6e2d4de7947fc7787ce123a7","run_id":"lost","seq":4,"time":"2026-11-28T22:17:17.950789Z","type":"policy_decided"}');
INSERT INTO events VALUES('lost',5,'1','{"data":{"state":"failed"},"extensions":{"jarvis.actor":{"attempt":1,"kind":"coordinator"}},"node_run_id":"node_run_231e5e4a6e2d4de7947fc7787ce123a7","run_id":"lost","seq":5,"time":"2026-11-28T22:17:17.995092Z","type":"atomic_executed"}');
INSERT INTO events VALUES('lost',6,'1','{"data":{"state":"failed"},"extensions":{"jarvis.actor":{"attempt":1,"kind":"coordinator"}},"node_run_id":"node_run_231e5e4a6e2d4de7947fc7787ce123a7","run_id":"lost","seq":6,"time":"2026-11-28T22:17:17.995092Z","type":"run_completed"}');
INSERT INTO events VALUES('queued',1,NULL,'{"data":{"root_node_run_id":"node_run_afc8758ee523434fa2fcd2ecf1569410"},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"run_id":"queued","seq":1,"time":"2026-11-28T22:17:18.234526Z","type":"run_started"}');
INSERT INTO events VALUES('queued',2,'1','{"data":{"root":true},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"node_run_id":"node_run_afc8758ee523434fa2fcd2ecf1569410","run_id":"queued","seq":2,"time":"2026-11-28T22:17:18.234526Z","type":"node_run_assigned"}');
INSERT INTO events VALUES('queued',3,'1','{"data":{"action":"run.start","decision":"allow","reason_code":"policy_bypass"},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"node_run_id":"node_run_afc8758ee523434fa2fcd2ecf1569410","run_id":"queued","seq":3,"time":"2026-11-28T22:17:18.234526Z","type":"policy_decided"}');
CREATE TABLE attempts (
        node_run_id TEXT NOT NULL,
        attempt     INTEGER NOT NULL CHECK (attempt > 0),
        body        TEXT NOT NULL,
        PRIMARY KEY (node_run_id, attempt)
    ) STRICT, WITHOUT ROWID;
INSERT INTO attempts VALUES('node_run_231e5e4a6e2d4de7947fc7787ce123a7',1,'{"node_run_id":"node_run_231e5e4a6e2d4de7947fc7787ce123a7","run_id":"lost","attempt":1,"started_at":"2026-11-28T22:17:17.950789Z","ended_at":"2026-11-28T22:17:17.995092Z","outcome":"lost"}');
CREATE TABLE owners (
        owner_id    TEXT PRIMARY KEY NOT NULL,
        alive_until INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
INSERT INTO owners VALUES('owner_5ec97090463c4abf99ceb3bc9d07aab9',253402300799999999);
CREATE TABLE secrets (
        name        TEXT PRIMARY KEY NOT NULL,
        value       BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
INSERT INTO secrets VALUES('owes_jarvis_stores',X'6576657279206368616e6765');
CREATE TABLE outbox (
        id          INTEGER PRIMARY KEY AUTOINCREMENT,
        decided_at  INTEGER NOT NULL,
        run_id      TEXT NOT NULL,
        node_run_id TEXT,
        new         INTEGER CHECK (new IN (0, 1)),
        first_seq   INTEGER,
        last_seq    INTEGER,
        CONSTRAINT events_or_an_object CHECK (
            (first_seq IS NULL) = (last_seq IS NULL)
            AND (first_seq IS NULL) <> (new IS NULL)
            AND (node_run_id IS NULL OR new IS NOT NULL))
    ) STRICT;
INSERT INTO outbox VALUES(1,1795904237878511,'finished',NULL,1,NULL,NULL);
INSERT INTO outbox VALUES(2,1795904237878511,'finished','node_run_04770964fa4b48af8eb4e9e02d2d36ee',1,NULL,NULL);
INSERT INTO outbox VALUES(3,1795904237878511,'finished',NULL,NULL,1,3);
INSERT INTO outbox VALUES(4,1795904237879510,'finished',NULL,0,NULL,NULL);
INSERT INTO outbox VALUES(5,1795904237879510,'finished','node_run_04770964fa4b48af8eb4e9e02d2d36ee',0,NULL,NULL);
INSERT INTO outbox VALUES(6,1795904237879510,'finished',NULL,NULL,4,4);
INSERT INTO outbox VALUES(7,1795904237882803,'finished',NULL,0,NULL,NULL);
INSERT INTO outbox VALUES(8,1795904237882803,'finished','node_run_04770964fa4b48af8eb4e9e02d2d36ee',0,NULL,NULL);
INSERT INTO outbox VALUES(9,1795904237882803,'finished',NULL,NULL,5,7);
INSERT INTO outbox VALUES(10,1795904237946487,'lost',NULL,1,NULL,NULL);
INSERT INTO outbox VALUES(11,1795904237946487,'lost','node_run_231e5e4a6e2d4de7947fc7787ce123a7',1,NULL,NULL);
INSERT INTO outbox VALUES(12,1795904237946487,'lost',NULL,NULL,1,3);
INSERT INTO outbox VALUES(13,1795904237950789,'lost',NULL,0,NULL,NULL);
INSERT INTO outbox VALUES(14,1795904237950789,'lost','node_run_231e5e4a6e2d4de7947fc7787ce123a7',0,NULL,NULL);
INSERT INTO outbox VALUES(15,1795904237950789,'lost',NULL,NULL,4,4);
INSERT INTO outbox VALUES(16,1795904237995092,'lost',NULL,0,NULL,NULL);
INSERT INTO outbox VALUES(17,1795904237995092,'lost','node_run_231e5e4a6e2d4de7947fc7787ce123a7',0,NULL,NULL);
INSERT INTO outbox VALUES(18,1795904237995092,'lost',NULL,NULL,5,6);
INSERT INTO outbox VALUES(19,1795904238038231,'lost','node_run_231e5e4a6e2d4de7947fc7787ce123a7',0,NULL,NULL);
INSERT INTO outbox VALUES(20,1795904238070499,'canceled',NULL,1,NULL,NULL);
INSERT INTO outbox VALUES(21,1795904238070499,'canceled','node_run_a0fa416d698b489fb5fcb63d0f15a80b',1,NULL,NULL);
INSERT INTO outbox VALUES(22,1795904238070499,'canceled',NULL,NULL,1,3);
INSERT INTO outbox VALUES(23,1795904238072485,'canceled',NULL,0,NULL,NULL);
INSERT INTO outbox VALUES(24,1795904238072485,'canceled','node_run_a0fa416d698b489fb5fcb63d0f15a80b',0,NULL,NULL);
INSERT INTO outbox VALUES(25,1795904238072485,'canceled',NULL,NULL,4,4);
INSERT INTO outbox VALUES(26,1795904238094022,'canceled',NULL,0,NULL,NULL);
INSERT INTO outbox VALUES(27,1795904238094022,'canceled','node_run_a0fa416d698b489fb5fcb63d0f15a80b',0,NULL,NULL);
INSERT INTO outbox VALUES(28,1795904238094022,'canceled',NULL,NULL,5,6);
INSERT INTO outbox VALUES(29,1795904238099519,'canceled','node_run_a0fa416d698b489fb5fcb63d0f15a80b',0,NULL,NULL);
INSERT INTO outbox VALUES(30,1795904238142558,'at-executor',NULL,1,NULL,NULL);
INSERT INTO outbox VALUES(31,1795904238142558,'at-executor','node_run_c9b28d6138724f32a1f98a725184bd19',1,NULL,NULL);
INSERT INTO outbox VALUES(32,1795904238142558,'at-executor',NULL,NULL,1,3);
INSERT INTO outbox VALUES(33,1795904238144143,'at-executor',NULL,0,NULL,NULL);
INSERT INTO outbox VALUES(34,1795904238144143,'at-executor','node_run_c9b28d6138724f32a1f98a725184bd19',0,NULL,NULL);
INSERT INTO outbox VALUES(35,1795904238144143,'at-executor',NULL,NULL,4,4);
INSERT INTO outbox VALUES(36,1795904238166402,'composite',NULL,1,NULL,NULL);
INSERT INTO outbox VALUES(37,1795904238166402,'composite','node_run_8fc2746f2d864077a793d1c4fea945e3',1,NULL,NULL);
INSERT INTO outbox VALUES(38,1795904238166402,'composite',NULL,NULL,1,3);
INSERT INTO outbox VALUES(39,1795904238167580,'composite',NULL,0,NULL,NULL);
INSERT INTO outbox VALUES(40,1795904238167580,'composite','node_run_8fc2746f2d864077a793d1c4fea945e3',0,NULL,NULL);
INSERT INTO outbox VALUES(41,1795904238167580,'composite',NULL,NULL,4,4);
INSERT INTO outbox VALUES(42,1795904238189819,'composite',NULL,0,NULL,NULL);
INSERT INTO outbox VALUES(43,1795904238189819,'composite','node_run_38589939f8dbf95ae9023bb674b60af5',1,NULL,NULL);
INSERT INTO outbox VALUES(44,1795904238189819,'composite','node_run_8fc2746f2d864077a793d1c4fea945e3',0,NULL,NULL);
INSERT INTO outbox VALUES(45,1795904238189819,'composite',NULL,NULL,5,6);
INSERT INTO outbox VALUES(46,1795904238234526,'queued',NULL,1,NULL,NULL);
INSERT INTO outbox VALUES(47,1795904238234526,'queued','node_run_afc8758ee523434fa2fcd2ecf1569410',1,NULL,NULL);
INSERT INTO outbox VALUES(48,1795904238234526,'queued',NULL,NULL,1,3);
INSERT INTO outbox VALUES(49,1795904238430509,'lost','node_run_231e5e4a6e2d4de7947fc7787ce123a7',0,NULL,NULL);
INSERT INTO outbox VALUES(50,1795904238528710,'canceled','node_run_a0fa416d698b489fb5fcb63d0f15a80b',0,NULL,NULL);
CREATE TABLE parked (
        run_id      TEXT NOT NULL,
        node_run_id TEXT NOT NULL,
        job         TEXT NOT NULL,
        error       TEXT NOT NULL,
        since       INTEGER NOT NULL,
        until       INTEGER NOT NULL,
        times       INTEGER NOT NULL CHECK (times > 0),
        PRIMARY KEY (run_id, node_run_id)
    ) STRICT, WITHOUT ROWID;
CREATE TABLE node_payloads (
        node_run_id TEXT NOT NULL,
        member      TEXT NOT NULL CHECK (member IN ('inputs', 'outputs')),
        content     TEXT NOT NULL,
        PRIMARY KEY (node_run_id, member)
    ) STRICT;
CREATE TABLE audit_trail (
        id          INTEGER PRIMARY KEY AUTOINCREMENT,
        at          INTEGER NOT NULL,
        run_id      TEXT,
        body        TEXT NOT NULL
    ) STRICT;
INSERT INTO audit_trail VALUES(1,1795904237878511,'finished','{"at":"2026-11-28T22:17:17.878511Z","actor":{"kind":"caller","subject":"dev"},"operation":"start_run","run_id":"finished","outcome":"applied","events":[1,3]}');
INSERT INTO audit_trail VALUES(2,1795904237946487,'lost','{"at":"2026-11-28T22:17:17.946487Z","actor":{"kind":"caller","subject":"dev"},"operation":"start_run","run_id":"lost","outcome":"applied","events":[1,3]}');
INSERT INTO audit_trail VALUES(3,1795904238070499,'canceled','{"at":"2026-11-28T22:17:18.070499Z","actor":{"kind":"caller","subject":"dev"},"operation":"start_run","run_id":"canceled","outcome":"applied","events":[1,3]}');
INSERT INTO audit_trail VALUES(4,1795904238094022,'canceled','{"at":"2026-11-28T22:17:18.094022Z","actor":{"kind":"caller","subject":"dev"},"operation":"cancel_run","run_id":"canceled","outcome":"applied","detail":"live node runs: 1","events":[5,6]}');
INSERT INTO audit_trail VALUES(5,1795904238142558,'at-executor','{"at":"2026-11-28T22:17:18.142558Z","actor":{"kind":"caller","subject":"dev"},"operation":"start_run","run_id":"at-executor","outcome":"applied","events":[1,3]}');
INSERT INTO audit_trail VALUES(6,1795904238166402,'composite','{"at":"2026-11-28T22:17:18.166402Z","actor":{"kind":"caller","subject":"dev"},"operation":"start_run","run_id":"composite","outcome":"applied","events":[1,3]}');
INSERT INTO audit_trail VALUES(7,1795904238189819,'composite','{"at":"2026-11-28T22:17:18.189819Z","actor":{"kind":"caller","subject":"dev"},"operation":"create_node_runs","run_id":"composite","node_run_id":"node_run_8fc2746f2d864077a793d1c4fea945e3","outcome":"applied","detail":"new node runs: 1","events":[5,6]}');
INSERT INTO audit_trail VALUES(8,1795904238234526,'queued','{"at":"2026-11-28T22:17:18.234526Z","actor":{"kind":"caller","subject":"dev"},"operation":"start_run","run_id":"queued","outcome":"applied","events":[1,3]}');
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('audit_trail',8);
INSERT INTO sqlite_sequence VALUES('outbox',50);
CREATE INDEX runs_live ON runs (deadline) WHERE terminal = 0;
CREATE INDEX node_runs_live ON node_runs (run_id, path) WHERE terminal = 0;
CREATE INDEX wakes_owned ON node_runs (wake_owner) WHERE wake_owner IS NOT NULL;
CREATE INDEX runs_over ON runs (changed_at) WHERE terminal = 1;
CREATE INDEX node_runs_of_run ON node_runs (run_id);
CREATE INDEX wakes_free ON node_runs (wake_job, kind, wake_at, run_id)
        WHERE wake_owner IS NULL AND wake_at IS NOT NULL;
CREATE INDEX audit_trail_of_run ON audit_trail (run_id) WHERE run_id IS NOT NULL;
COMMIT;
