PRAGMA application_id = 1246905162;
PRAGMA user_version = 1;
BEGIN TRANSACTION;
CREATE TABLE attempts (
        node_run_id TEXT NOT NULL,
        attempt     INTEGER NOT NULL CHECK (attempt > 0),
        body        TEXT NOT NULL,
        PRIMARY KEY (node_run_id, attempt)
    ) STRICT, WITHOUT ROWID;
INSERT INTO "attempts" VALUES('node_run_ed9e6de070cb42d58a04c75ebdb76c36',1,'{"node_run_id":"node_run_ed9e6de070cb42d58a04c75ebdb76c36","run_id":"lost","attempt":1,"started_at":"2026-11-26T11:07:03.074855Z","ended_at":"2026-11-26T11:07:03.696776Z","outcome":"lost"}');
CREATE TABLE events (
        run_id      TEXT NOT NULL,
        seq         INTEGER NOT NULL CHECK (seq > 0),
        path        TEXT,
        body        TEXT NOT NULL,
        PRIMARY KEY (run_id, seq)
    ) STRICT, WITHOUT ROWID;
INSERT INTO "events" VALUES('at-executor',1,NULL,'{"data":{"root_node_run_id":"node_run_36e65a61c4934f06ac779e79e7e7c9bf"},"run_id":"at-executor","seq":1,"time":"2026-11-26T11:07:03.739736Z","type":"run_started"}');
INSERT INTO "events" VALUES('at-executor',2,'1','{"data":{"root":true},"node_run_id":"node_run_36e65a61c4934f06ac779e79e7e7c9bf","run_id":"at-executor","seq":2,"time":"2026-11-26T11:07:03.739736Z","type":"node_run_assigned"}');
INSERT INTO "events" VALUES('at-executor',3,'1','{"data":{"action":"run.start","decision":"allow","reason_code":"policy_bypass"},"node_run_id":"node_run_36e65a61c4934f06ac779e79e7e7c9bf","run_id":"at-executor","seq":3,"time":"2026-11-26T11:07:03.739736Z","type":"policy_decided"}');
INSERT INTO "events" VALUES('at-executor',4,'1','{"data":{"action":"node.run.execute","decision":"allow","reason_code":"policy_bypass"},"node_run_id":"node_run_36e65a61c4934f06ac779e79e7e7c9bf","run_id":"at-executor","seq":4,"time":"2026-11-26T11:07:03.766093Z","type":"policy_decided"}');
INSERT INTO "events" VALUES('canceled',1,NULL,'{"data":{"root_node_run_id":"node_run_d0994ff894e44ecd8c3aaaebeeeac272"},"run_id":"canceled","seq":1,"time":"2026-11-26T11:07:03.823516Z","type":"run_started"}');
INSERT INTO "events" VALUES('canceled',2,'1','{"data":{"root":true},"node_run_id":"node_run_d0994ff894e44ecd8c3aaaebeeeac272","run_id":"canceled","seq":2,"time":"2026-11-26T11:07:03.823516Z","type":"node_run_assigned"}');
INSERT INTO "events" VALUES('canceled',3,'1','{"data":{"action":"run.start","decision":"allow","reason_code":"policy_bypass"},"node_run_id":"node_run_d0994ff894e44ecd8c3aaaebeeeac272","run_id":"canceled","seq":3,"time":"2026-11-26T11:07:03.823516Z","type":"policy_decided"}');
INSERT INTO "events" VALUES('canceled',4,'1','{"data":{"action":"node.run.execute","decision":"allow","reason_code":"policy_bypass"},"node_run_id":"node_run_d0994ff894e44ecd8c3aaaebeeeac272","run_id":"canceled","seq":4,"time":"2026-11-26T11:07:03.826066Z","type":"policy_decided"}');
INSERT INTO "events" VALUES('canceled',5,'1','{"data":{"state":"canceled"},"node_run_id":"node_run_d0994ff894e44ecd8c3aaaebeeeac272","run_id":"canceled","seq":5,"time":"2026-11-26T11:07:04.078698Z","type":"atomic_executed"}');
INSERT INTO "events" VALUES('canceled',6,NULL,'{"data":{"state":"canceled"},"run_id":"canceled","seq":6,"time":"2026-11-26T11:07:04.078698Z","type":"run_completed"}');
INSERT INTO "events" VALUES('composite',1,NULL,'{"data":{"root_node_run_id":"node_run_5f10c8d4a4f14041b302694069e1698c"},"run_id":"composite","seq":1,"time":"2026-11-26T11:07:04.140197Z","type":"run_started"}');
INSERT INTO "events" VALUES('composite',2,'1','{"data":{"root":true},"node_run_id":"node_run_5f10c8d4a4f14041b302694069e1698c","run_id":"composite","seq":2,"time":"2026-11-26T11:07:04.140197Z","type":"node_run_assigned"}');
INSERT INTO "events" VALUES('composite',3,'1','{"data":{"action":"run.start","decision":"allow","reason_code":"policy_bypass"},"node_run_id":"node_run_5f10c8d4a4f14041b302694069e1698c","run_id":"composite","seq":3,"time":"2026-11-26T11:07:04.140197Z","type":"policy_decided"}');
INSERT INTO "events" VALUES('composite',4,'1','{"data":{"action":"node.run.execute","decision":"allow","reason_code":"policy_bypass"},"node_run_id":"node_run_5f10c8d4a4f14041b302694069e1698c","run_id":"composite","seq":4,"time":"2026-11-26T11:07:04.141888Z","type":"policy_decided"}');
INSERT INTO "events" VALUES('composite',5,'1','{"data":{"node_run_count":1},"node_run_id":"node_run_5f10c8d4a4f14041b302694069e1698c","run_id":"composite","seq":5,"time":"2026-11-26T11:07:04.853033Z","type":"composite_decomposed"}');
INSERT INTO "events" VALUES('composite',6,'1.2','{"data":{"parent_node_run_id":"node_run_5f10c8d4a4f14041b302694069e1698c"},"node_run_id":"node_run_3d1c99550abe45b99df588dd6e779685","run_id":"composite","seq":6,"time":"2026-11-26T11:07:04.853033Z","type":"node_run_assigned"}');
INSERT INTO "events" VALUES('finished',1,NULL,'{"data":{"root_node_run_id":"node_run_6f47575a0b24420cbaa1f807a8ca6e54"},"run_id":"finished","seq":1,"time":"2026-11-26T11:07:02.979056Z","type":"run_started"}');
INSERT INTO "events" VALUES('finished',2,'1','{"data":{"root":true},"node_run_id":"node_run_6f47575a0b24420cbaa1f807a8ca6e54","run_id":"finished","seq":2,"time":"2026-11-26T11:07:02.979056Z","type":"node_run_assigned"}');
INSERT INTO "events" VALUES('finished',3,'1','{"data":{"action":"run.start","decision":"allow","reason_code":"policy_bypass"},"node_run_id":"node_run_6f47575a0b24420cbaa1f807a8ca6e54","run_id":"finished","seq":3,"time":"2026-11-26T11:07:02.979056Z","type":"policy_decided"}');
INSERT INTO "events" VALUES('finished',4,'1','{"data":{"action":"node.run.execute","decision":"allow","reason_code":"policy_bypass"},"node_run_id":"node_run_6f47575a0b24420cbaa1f807a8ca6e54","run_id":"finished","seq":4,"time":"2026-11-26T11:07:02.995473Z","type":"policy_decided"}');
INSERT INTO "events" VALUES('finished',5,'1','{"data":{"reason_code":"atomic_completed","status":"success"},"node_run_id":"node_run_6f47575a0b24420cbaa1f807a8ca6e54","run_id":"finished","seq":5,"time":"2026-11-26T11:07:03.001495Z","type":"node_evaluated"}');
INSERT INTO "events" VALUES('finished',6,'1','{"data":{"state":"succeeded"},"node_run_id":"node_run_6f47575a0b24420cbaa1f807a8ca6e54","run_id":"finished","seq":6,"time":"2026-11-26T11:07:03.001495Z","type":"atomic_executed"}');
INSERT INTO "events" VALUES('finished',7,'1','{"data":{"state":"succeeded"},"node_run_id":"node_run_6f47575a0b24420cbaa1f807a8ca6e54","run_id":"finished","seq":7,"time":"2026-11-26T11:07:03.001495Z","type":"run_completed"}');
INSERT INTO "events" VALUES('lost',1,NULL,'{"data":{"root_node_run_id":"node_run_ed9e6de070cb42d58a04c75ebdb76c36"},"run_id":"lost","seq":1,"time":"2026-11-26T11:07:03.052078Z","type":"run_started"}');
INSERT INTO "events" VALUES('lost',2,'1','{"data":{"root":true},"node_run_id":"node_run_ed9e6de070cb42d58a04c75ebdb76c36","run_id":"lost","seq":2,"time":"2026-11-26T11:07:03.052078Z","type":"node_run_assigned"}');
INSERT INTO "events" VALUES('lost',3,'1','{"data":{"action":"run.start","decision":"allow","reason_code":"policy_bypass"},"node_run_id":"node_run_ed9e6de070cb42d58a04c75ebdb76c36","run_id":"lost","seq":3,"time":"2026-11-26T11:07:03.052078Z","type":"policy_decided"}');
INSERT INTO "events" VALUES('lost',4,'1','{"data":{"action":"node.run.execute","decision":"allow","reason_code":"policy_bypass"},"node_run_id":"node_run_ed9e6de070cb42d58a04c75ebdb76c36","run_id":"lost","seq":4,"time":"2026-11-26T11:07:03.074855Z","type":"policy_decided"}');
INSERT INTO "events" VALUES('lost',5,'1','{"data":{"state":"failed"},"node_run_id":"node_run_ed9e6de070cb42d58a04c75ebdb76c36","run_id":"lost","seq":5,"time":"2026-11-26T11:07:03.696776Z","type":"atomic_executed"}');
INSERT INTO "events" VALUES('lost',6,'1','{"data":{"state":"failed"},"node_run_id":"node_run_ed9e6de070cb42d58a04c75ebdb76c36","run_id":"lost","seq":6,"time":"2026-11-26T11:07:03.696776Z","type":"run_completed"}');
INSERT INTO "events" VALUES('queued',1,NULL,'{"data":{"root_node_run_id":"node_run_0b39c8ccefed4007bd358d99746a749a"},"run_id":"queued","seq":1,"time":"2026-11-26T11:07:04.495166Z","type":"run_started"}');
INSERT INTO "events" VALUES('queued',2,'1','{"data":{"root":true},"node_run_id":"node_run_0b39c8ccefed4007bd358d99746a749a","run_id":"queued","seq":2,"time":"2026-11-26T11:07:04.495166Z","type":"node_run_assigned"}');
INSERT INTO "events" VALUES('queued',3,'1','{"data":{"action":"run.start","decision":"allow","reason_code":"policy_bypass"},"node_run_id":"node_run_0b39c8ccefed4007bd358d99746a749a","run_id":"queued","seq":3,"time":"2026-11-26T11:07:04.495166Z","type":"policy_decided"}');
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
        body        TEXT NOT NULL,
        CONSTRAINT a_live_node_run_has_a_wake_up CHECK (terminal = 1 OR wake_at IS NOT NULL),
        CONSTRAINT a_wake_up_is_whole CHECK (
            (wake_at IS NULL) = (wake_job IS NULL)
            AND (wake_at IS NULL) = (wake_tries IS NULL)
            AND (wake_owner IS NULL OR wake_at IS NOT NULL))
    ) STRICT;
INSERT INTO "node_runs" VALUES('node_run_6f47575a0b24420cbaa1f807a8ca6e54','finished',3,'1',1,NULL,NULL,NULL,NULL,'{"node":{"created_at":"2026-11-26T11:07:02.979056Z","ended_at":"2026-11-26T11:07:03.001495Z","evaluation_result":{"reason_code":"atomic_completed","status":"success"},"executor_binding":{"endpoint":"http://127.0.0.1:8082/","executor_instance_id":"arp-jarvis-atomic-executor"},"inputs":{"of":"finished"},"kind":"atomic","node_run_id":"node_run_6f47575a0b24420cbaa1f807a8ca6e54","node_type_ref":{"node_type_id":"atomic.echo","version":"1.0.0"},"outputs":{"of":"finished"},"run_id":"finished","started_at":"2026-11-26T11:07:02.995473Z","state":"succeeded"},"path":"1","children":0,"rounds":0,"attempt":1,"side_effect":null,"idempotent":false,"deadline":"2121-12-20T16:27:02.995473Z"}');
INSERT INTO "node_runs" VALUES('node_run_ed9e6de070cb42d58a04c75ebdb76c36','lost',10,'1',1,'cancel_executor',1795691226559801,NULL,3,'{"node":{"created_at":"2026-11-26T11:07:03.052078Z","ended_at":"2026-11-26T11:07:03.696776Z","executor_binding":{"endpoint":"http://127.0.0.1:8082/","executor_instance_id":"arp-jarvis-atomic-executor"},"extensions":{"completion_error":{"code":"executor_outcome_unknown","details":{"attempt":1},"message":"The coordinator stopped while the node was at its executor, and it may not be executed twice"}},"inputs":{"of":"lost"},"kind":"atomic","node_run_id":"node_run_ed9e6de070cb42d58a04c75ebdb76c36","node_type_ref":{"node_type_id":"atomic.hang","version":"1.0.0"},"run_id":"lost","started_at":"2026-11-26T11:07:03.074855Z","state":"failed"},"path":"1","children":0,"rounds":0,"attempt":1,"side_effect":null,"idempotent":false,"deadline":"2121-12-20T16:27:03.074855Z"}');
INSERT INTO "node_runs" VALUES('node_run_36e65a61c4934f06ac779e79e7e7c9bf','at-executor',2,'1',0,'deadline',4795691223766093,'owner_3eb858bb0b9042329eb5d83b57ad1112',0,'{"node":{"created_at":"2026-11-26T11:07:03.739736Z","executor_binding":{"endpoint":"http://127.0.0.1:8082/","executor_instance_id":"arp-jarvis-atomic-executor"},"inputs":{"of":"at-executor"},"kind":"atomic","node_run_id":"node_run_36e65a61c4934f06ac779e79e7e7c9bf","node_type_ref":{"node_type_id":"atomic.hang","version":"1.0.0"},"run_id":"at-executor","started_at":"2026-11-26T11:07:03.766093Z","state":"running"},"path":"1","children":0,"rounds":0,"attempt":1,"side_effect":null,"idempotent":false,"deadline":"2121-12-20T16:27:03.766093Z"}');
INSERT INTO "node_runs" VALUES('node_run_d0994ff894e44ecd8c3aaaebeeeac272','canceled',8,'1',1,'cancel_executor',1795691226380172,NULL,3,'{"node":{"created_at":"2026-11-26T11:07:03.823516Z","ended_at":"2026-11-26T11:07:04.078698Z","executor_binding":{"endpoint":"http://127.0.0.1:8082/","executor_instance_id":"arp-jarvis-atomic-executor"},"inputs":{"of":"canceled"},"kind":"atomic","node_run_id":"node_run_d0994ff894e44ecd8c3aaaebeeeac272","node_type_ref":{"node_type_id":"atomic.hang","version":"1.0.0"},"run_id":"canceled","started_at":"2026-11-26T11:07:03.826066Z","state":"canceled"},"path":"1","children":0,"rounds":0,"attempt":1,"side_effect":null,"idempotent":false,"deadline":"2121-12-20T16:27:03.826066Z"}');
INSERT INTO "node_runs" VALUES('node_run_5f10c8d4a4f14041b302694069e1698c','composite',4,'1',0,'deadline',4895691224140197,NULL,0,'{"node":{"created_at":"2026-11-26T11:07:04.140197Z","executor_binding":{"endpoint":"http://127.0.0.1:8082/","executor_instance_id":"arp-jarvis-composite-executor"},"extensions":{"decomposition_rounds":1},"inputs":{"of":"composite"},"kind":"composite","node_run_id":"node_run_5f10c8d4a4f14041b302694069e1698c","node_type_ref":{"node_type_id":"composite.accept","version":"1.0.0"},"run_id":"composite","started_at":"2026-11-26T11:07:04.141888Z","state":"running"},"path":"1","children":1,"rounds":1,"attempt":1,"side_effect":null,"idempotent":false,"deadline":"2125-02-20T02:13:44.140197Z"}');
INSERT INTO "node_runs" VALUES('node_run_0b39c8ccefed4007bd358d99746a749a','queued',1,'1',0,'dispatch',1795691224495166,'owner_3eb858bb0b9042329eb5d83b57ad1112',0,'{"node":{"created_at":"2026-11-26T11:07:04.495166Z","inputs":{"of":"queued"},"kind":"atomic","node_run_id":"node_run_0b39c8ccefed4007bd358d99746a749a","node_type_ref":{"node_type_id":"atomic.echo","version":"1.0.0"},"run_id":"queued","state":"queued"},"path":"1","children":0,"rounds":0,"attempt":0,"side_effect":null,"idempotent":false,"deadline":"2125-02-20T02:13:44.495166Z"}');
INSERT INTO "node_runs" VALUES('node_run_3d1c99550abe45b99df588dd6e779685','composite',1,'1.2',0,'dispatch',1795691224853033,'owner_3eb858bb0b9042329eb5d83b57ad1112',0,'{"node":{"created_at":"2026-11-26T11:07:04.853033Z","inputs":{"of":"composite"},"kind":"atomic","node_run_id":"node_run_3d1c99550abe45b99df588dd6e779685","node_type_ref":{"node_type_id":"atomic.echo","version":"1.0.0"},"parent_node_run_id":"node_run_5f10c8d4a4f14041b302694069e1698c","run_id":"composite","state":"queued"},"path":"1.2","children":0,"rounds":0,"attempt":0,"side_effect":null,"idempotent":false,"deadline":"2125-02-20T02:13:44.140197Z"}');
CREATE TABLE outbox (
        id          INTEGER PRIMARY KEY AUTOINCREMENT,
        run_id      TEXT NOT NULL,
        what        TEXT NOT NULL CHECK (what IN ('run', 'node_run', 'event')),
        key         TEXT NOT NULL
    ) STRICT;
CREATE TABLE owners (
        owner_id    TEXT PRIMARY KEY NOT NULL,
        alive_until INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
INSERT INTO "owners" VALUES('owner_3eb858bb0b9042329eb5d83b57ad1112',9223372036854775807);
CREATE TABLE runs (
        run_id      TEXT PRIMARY KEY NOT NULL,
        version     INTEGER NOT NULL CHECK (version > 0),
        terminal    INTEGER NOT NULL CHECK (terminal IN (0, 1)),
        deadline    INTEGER,
        body        TEXT NOT NULL,
        CONSTRAINT a_live_run_has_a_deadline CHECK (terminal = 1 OR deadline IS NOT NULL)
    ) STRICT;
INSERT INTO "runs" VALUES('finished',3,1,NULL,'{"run":{"ended_at":"2026-11-26T11:07:03.001495Z","root_node_run_id":"node_run_6f47575a0b24420cbaa1f807a8ca6e54","run_id":"finished","started_at":"2026-11-26T11:07:02.979056Z","state":"succeeded"},"last_seq":7,"nodes":1,"request_digest":"66b9b23afc7e24d781cdde594d2affdbb44c925bb28981ffb9b5dcc4063ff109","owner":"dev","deadline":null}');
INSERT INTO "runs" VALUES('lost',3,1,NULL,'{"run":{"ended_at":"2026-11-26T11:07:03.696776Z","root_node_run_id":"node_run_ed9e6de070cb42d58a04c75ebdb76c36","run_id":"lost","started_at":"2026-11-26T11:07:03.052078Z","state":"failed"},"last_seq":6,"nodes":1,"request_digest":"a3b09965bc35a0072edf772feea001e9011c740511316c11f56f0f8bd4c6bd5b","owner":"dev","deadline":null}');
INSERT INTO "runs" VALUES('at-executor',2,0,4895691223739736,'{"run":{"root_node_run_id":"node_run_36e65a61c4934f06ac779e79e7e7c9bf","run_id":"at-executor","started_at":"2026-11-26T11:07:03.739736Z","state":"running"},"last_seq":4,"nodes":1,"request_digest":"ac77d6a5873e4cc4b593e0ba0e04c0e792aa014af24cf888f2ec436b375524bb","owner":"dev","deadline":"2125-02-20T02:13:43.739736Z"}');
INSERT INTO "runs" VALUES('canceled',3,1,NULL,'{"run":{"ended_at":"2026-11-26T11:07:04.078698Z","root_node_run_id":"node_run_d0994ff894e44ecd8c3aaaebeeeac272","run_id":"canceled","started_at":"2026-11-26T11:07:03.823516Z","state":"canceled"},"last_seq":6,"nodes":1,"request_digest":"ee2164084709d0b26fbf6a411770c2e3ac78e38b4b59d6de2ca5f9f3ec96e74d","owner":"dev","deadline":null}');
INSERT INTO "runs" VALUES('composite',3,0,4895691224140197,'{"run":{"root_node_run_id":"node_run_5f10c8d4a4f14041b302694069e1698c","run_id":"composite","started_at":"2026-11-26T11:07:04.140197Z","state":"running"},"last_seq":6,"nodes":2,"request_digest":"6bb685c582e1d5c0890f589412fbe19dd0d30ab354e2e47190422d4c4f3fe74d","owner":"dev","deadline":"2125-02-20T02:13:44.140197Z"}');
INSERT INTO "runs" VALUES('queued',1,0,4895691224495166,'{"run":{"root_node_run_id":"node_run_0b39c8ccefed4007bd358d99746a749a","run_id":"queued","started_at":"2026-11-26T11:07:04.495166Z","state":"running"},"last_seq":3,"nodes":1,"request_digest":"203da93aa969bd9482957a4c3f39735fc19062d1d414eaca85cca69d0af6fbfe","owner":"dev","deadline":"2125-02-20T02:13:44.495166Z"}');
CREATE INDEX runs_live ON runs (deadline) WHERE terminal = 0;
CREATE INDEX node_runs_live ON node_runs (run_id, path) WHERE terminal = 0;
CREATE INDEX wakes_free ON node_runs (wake_at) WHERE wake_owner IS NULL AND wake_at IS NOT NULL;
CREATE INDEX wakes_owned ON node_runs (wake_owner) WHERE wake_owner IS NOT NULL;
DELETE FROM "sqlite_sequence";
COMMIT;
