PRAGMA application_id = 1246905162;
PRAGMA user_version = 3;
BEGIN TRANSACTION;
CREATE TABLE attempts (
        node_run_id TEXT NOT NULL,
        attempt     INTEGER NOT NULL CHECK (attempt > 0),
        body        TEXT NOT NULL,
        PRIMARY KEY (node_run_id, attempt)
    ) STRICT, WITHOUT ROWID;
INSERT INTO "attempts" VALUES('node_run_10c1c32afc93447b87347c6efa2dc0df',1,'{"node_run_id":"node_run_10c1c32afc93447b87347c6efa2dc0df","run_id":"lost","attempt":1,"started_at":"2026-11-26T11:07:11.947835Z","ended_at":"2026-11-26T11:07:12.587115Z","outcome":"lost"}');
CREATE TABLE events (
        run_id      TEXT NOT NULL,
        seq         INTEGER NOT NULL CHECK (seq > 0),
        path        TEXT,
        body        TEXT NOT NULL,
        PRIMARY KEY (run_id, seq)
    ) STRICT, WITHOUT ROWID;
INSERT INTO "events" VALUES('at-executor',1,NULL,'{"data":{"root_node_run_id":"node_run_d0cb1eebff074e6f8440d92c4bb55971"},"run_id":"at-executor","seq":1,"time":"2026-11-26T11:07:12.664857Z","type":"run_started"}');
INSERT INTO "events" VALUES('at-executor',2,'1','{"data":{"root":true},"node_run_id":"node_run_d0cb1eebff074e6f8440d92c4bb55971","run_id":"at-executor","seq":2,"time":"2026-11-26T11:07:12.664857Z","type":"node_run_assigned"}');
INSERT INTO "events" VALUES('at-executor',3,'1','{"data":{"action":"run.start","decision":"allow","reason_code":"policy_bypass"},"node_run_id":"node_run_d0cb1eebff074e6f8440d92c4bb55971","run_id":"at-executor","seq":3,"time":"2026-11-26T11:07:12.664857Z","type":"policy_decided"}');
INSERT INTO "events" VALUES('at-executor',4,'1','{"data":{"action":"node.run.execute","decision":"allow","reason_code":"policy_bypass"},"node_run_id":"node_run_d0cb1eebff074e6f8440d92c4bb55971","run_id":"at-executor","seq":4,"time":"2026-11-26T11:07:12.679496Z","type":"policy_decided"}');
INSERT INTO "events" VALUES('canceled',1,NULL,'{"data":{"root_node_run_id":"node_run_b7ae453e884c4ca3aac285e7645914f0"},"run_id":"canceled","seq":1,"time":"2026-11-26T11:07:12.746755Z","type":"run_started"}');
INSERT INTO "events" VALUES('canceled',2,'1','{"data":{"root":true},"node_run_id":"node_run_b7ae453e884c4ca3aac285e7645914f0","run_id":"canceled","seq":2,"time":"2026-11-26T11:07:12.746755Z","type":"node_run_assigned"}');
INSERT INTO "events" VALUES('canceled',3,'1','{"data":{"action":"run.start","decision":"allow","reason_code":"policy_bypass"},"node_run_id":"node_run_b7ae453e884c4ca3aac285e7645914f0","run_id":"canceled","seq":3,"time":"2026-11-26T11:07:12.746755Z","type":"policy_decided"}');
INSERT INTO "events" VALUES('canceled',4,'1','{"data":{"action":"node.run.execute","decision":"allow","reason_code":"policy_bypass"},"node_run_id":"node_run_b7ae453e884c4ca3aac285e7645914f0","run_id":"canceled","seq":4,"time":"2026-11-26T11:07:12.751985Z","type":"policy_decided"}');
INSERT INTO "events" VALUES('canceled',5,'1','{"data":{"state":"canceled"},"node_run_id":"node_run_b7ae453e884c4ca3aac285e7645914f0","run_id":"canceled","seq":5,"time":"2026-11-26T11:07:13.004722Z","type":"atomic_executed"}');
INSERT INTO "events" VALUES('canceled',6,NULL,'{"data":{"state":"canceled"},"run_id":"canceled","seq":6,"time":"2026-11-26T11:07:13.004722Z","type":"run_completed"}');
INSERT INTO "events" VALUES('composite',1,NULL,'{"data":{"root_node_run_id":"node_run_7febc0295c1045aaa8227740f953af8a"},"run_id":"composite","seq":1,"time":"2026-11-26T11:07:13.023512Z","type":"run_started"}');
INSERT INTO "events" VALUES('composite',2,'1','{"data":{"root":true},"node_run_id":"node_run_7febc0295c1045aaa8227740f953af8a","run_id":"composite","seq":2,"time":"2026-11-26T11:07:13.023512Z","type":"node_run_assigned"}');
INSERT INTO "events" VALUES('composite',3,'1','{"data":{"action":"run.start","decision":"allow","reason_code":"policy_bypass"},"node_run_id":"node_run_7febc0295c1045aaa8227740f953af8a","run_id":"composite","seq":3,"time":"2026-11-26T11:07:13.023512Z","type":"policy_decided"}');
INSERT INTO "events" VALUES('composite',4,'1','{"data":{"action":"node.run.execute","decision":"allow","reason_code":"policy_bypass"},"node_run_id":"node_run_7febc0295c1045aaa8227740f953af8a","run_id":"composite","seq":4,"time":"2026-11-26T11:07:13.030122Z","type":"policy_decided"}');
INSERT INTO "events" VALUES('composite',5,'1','{"data":{"node_run_count":1},"node_run_id":"node_run_7febc0295c1045aaa8227740f953af8a","run_id":"composite","seq":5,"time":"2026-11-26T11:07:13.696385Z","type":"composite_decomposed"}');
INSERT INTO "events" VALUES('composite',6,'1.2','{"data":{"parent_node_run_id":"node_run_7febc0295c1045aaa8227740f953af8a"},"node_run_id":"node_run_c93db12c1dc446f2bb226f0479eed942","run_id":"composite","seq":6,"time":"2026-11-26T11:07:13.696385Z","type":"node_run_assigned"}');
INSERT INTO "events" VALUES('finished',1,NULL,'{"data":{"root_node_run_id":"node_run_0286672de5ac4140a3c79cbb390f67b5"},"run_id":"finished","seq":1,"time":"2026-11-26T11:07:11.884891Z","type":"run_started"}');
INSERT INTO "events" VALUES('finished',2,'1','{"data":{"root":true},"node_run_id":"node_run_0286672de5ac4140a3c79cbb390f67b5","run_id":"finished","seq":2,"time":"2026-11-26T11:07:11.884891Z","type":"node_run_assigned"}');
INSERT INTO "events" VALUES('finished',3,'1','{"data":{"action":"run.start","decision":"allow","reason_code":"policy_bypass"},"node_run_id":"node_run_0286672de5ac4140a3c79cbb390f67b5","run_id":"finished","seq":3,"time":"2026-11-26T11:07:11.884891Z","type":"policy_decided"}');
INSERT INTO "events" VALUES('finished',4,'1','{"data":{"action":"node.run.execute","decision":"allow","reason_code":"policy_bypass"},"node_run_id":"node_run_0286672de5ac4140a3c79cbb390f67b5","run_id":"finished","seq":4,"time":"2026-11-26T11:07:11.886700Z","type":"policy_decided"}');
INSERT INTO "events" VALUES('finished',5,'1','{"data":{"reason_code":"atomic_completed","status":"success"},"node_run_id":"node_run_0286672de5ac4140a3c79cbb390f67b5","run_id":"finished","seq":5,"time":"2026-11-26T11:07:11.898813Z","type":"node_evaluated"}');
INSERT INTO "events" VALUES('finished',6,'1','{"data":{"state":"succeeded"},"node_run_id":"node_run_0286672de5ac4140a3c79cbb390f67b5","run_id":"finished","seq":6,"time":"2026-11-26T11:07:11.898813Z","type":"atomic_executed"}');
INSERT INTO "events" VALUES('finished',7,'1','{"data":{"state":"succeeded"},"node_run_id":"node_run_0286672de5ac4140a3c79cbb390f67b5","run_id":"finished","seq":7,"time":"2026-11-26T11:07:11.898813Z","type":"run_completed"}');
INSERT INTO "events" VALUES('lost',1,NULL,'{"data":{"root_node_run_id":"node_run_10c1c32afc93447b87347c6efa2dc0df"},"run_id":"lost","seq":1,"time":"2026-11-26T11:07:11.945946Z","type":"run_started"}');
INSERT INTO "events" VALUES('lost',2,'1','{"data":{"root":true},"node_run_id":"node_run_10c1c32afc93447b87347c6efa2dc0df","run_id":"lost","seq":2,"time":"2026-11-26T11:07:11.945946Z","type":"node_run_assigned"}');
INSERT INTO "events" VALUES('lost',3,'1','{"data":{"action":"run.start","decision":"allow","reason_code":"policy_bypass"},"node_run_id":"node_run_10c1c32afc93447b87347c6efa2dc0df","run_id":"lost","seq":3,"time":"2026-11-26T11:07:11.945946Z","type":"policy_decided"}');
INSERT INTO "events" VALUES('lost',4,'1','{"data":{"action":"node.run.execute","decision":"allow","reason_code":"policy_bypass"},"node_run_id":"node_run_10c1c32afc93447b87347c6efa2dc0df","run_id":"lost","seq":4,"time":"2026-11-26T11:07:11.947835Z","type":"policy_decided"}');
INSERT INTO "events" VALUES('lost',5,'1','{"data":{"state":"failed"},"node_run_id":"node_run_10c1c32afc93447b87347c6efa2dc0df","run_id":"lost","seq":5,"time":"2026-11-26T11:07:12.587115Z","type":"atomic_executed"}');
INSERT INTO "events" VALUES('lost',6,'1','{"data":{"state":"failed"},"node_run_id":"node_run_10c1c32afc93447b87347c6efa2dc0df","run_id":"lost","seq":6,"time":"2026-11-26T11:07:12.587115Z","type":"run_completed"}');
INSERT INTO "events" VALUES('queued',1,NULL,'{"data":{"root_node_run_id":"node_run_8bdf0eac49da470b8873a164f890e5da"},"run_id":"queued","seq":1,"time":"2026-11-26T11:07:13.387292Z","type":"run_started"}');
INSERT INTO "events" VALUES('queued',2,'1','{"data":{"root":true},"node_run_id":"node_run_8bdf0eac49da470b8873a164f890e5da","run_id":"queued","seq":2,"time":"2026-11-26T11:07:13.387292Z","type":"node_run_assigned"}');
INSERT INTO "events" VALUES('queued',3,'1','{"data":{"action":"run.start","decision":"allow","reason_code":"policy_bypass"},"node_run_id":"node_run_8bdf0eac49da470b8873a164f890e5da","run_id":"queued","seq":3,"time":"2026-11-26T11:07:13.387292Z","type":"policy_decided"}');
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
INSERT INTO "node_runs" VALUES('node_run_0286672de5ac4140a3c79cbb390f67b5','finished',3,'1',1,NULL,NULL,NULL,NULL,'{"node":{"created_at":"2026-11-26T11:07:11.884891Z","ended_at":"2026-11-26T11:07:11.898813Z","evaluation_result":{"reason_code":"atomic_completed","status":"success"},"executor_binding":{"endpoint":"http://127.0.0.1:8082/","executor_instance_id":"arp-jarvis-atomic-executor"},"inputs":{"of":"finished"},"kind":"atomic","node_run_id":"node_run_0286672de5ac4140a3c79cbb390f67b5","node_type_ref":{"node_type_id":"atomic.echo","version":"1.0.0"},"outputs":{"of":"finished"},"run_id":"finished","started_at":"2026-11-26T11:07:11.886700Z","state":"succeeded"},"path":"1","children":0,"rounds":0,"attempt":1,"side_effect":null,"idempotent":false,"deadline":"2121-12-20T16:27:11.886700Z"}');
INSERT INTO "node_runs" VALUES('node_run_10c1c32afc93447b87347c6efa2dc0df','lost',10,'1',1,'cancel_executor',1795691236124152,NULL,3,'{"node":{"created_at":"2026-11-26T11:07:11.945946Z","ended_at":"2026-11-26T11:07:12.587115Z","executor_binding":{"endpoint":"http://127.0.0.1:8082/","executor_instance_id":"arp-jarvis-atomic-executor"},"extensions":{"completion_error":{"code":"executor_outcome_unknown","details":{"attempt":1},"message":"The coordinator stopped while the node was at its executor, and it may not be executed twice"}},"inputs":{"of":"lost"},"kind":"atomic","node_run_id":"node_run_10c1c32afc93447b87347c6efa2dc0df","node_type_ref":{"node_type_id":"atomic.hang","version":"1.0.0"},"run_id":"lost","started_at":"2026-11-26T11:07:11.947835Z","state":"failed"},"path":"1","children":0,"rounds":0,"attempt":1,"side_effect":null,"idempotent":false,"deadline":"2121-12-20T16:27:11.947835Z"}');
INSERT INTO "node_runs" VALUES('node_run_d0cb1eebff074e6f8440d92c4bb55971','at-executor',2,'1',0,'deadline',4795691232679496,'owner_0b36fa04dba74caa89d45744a57b7772',0,'{"node":{"created_at":"2026-11-26T11:07:12.664857Z","executor_binding":{"endpoint":"http://127.0.0.1:8082/","executor_instance_id":"arp-jarvis-atomic-executor"},"inputs":{"of":"at-executor"},"kind":"atomic","node_run_id":"node_run_d0cb1eebff074e6f8440d92c4bb55971","node_type_ref":{"node_type_id":"atomic.hang","version":"1.0.0"},"run_id":"at-executor","started_at":"2026-11-26T11:07:12.679496Z","state":"running"},"path":"1","children":0,"rounds":0,"attempt":1,"side_effect":null,"idempotent":false,"deadline":"2121-12-20T16:27:12.679496Z"}');
INSERT INTO "node_runs" VALUES('node_run_b7ae453e884c4ca3aac285e7645914f0','canceled',8,'1',1,'cancel_executor',1795691236324480,NULL,3,'{"node":{"created_at":"2026-11-26T11:07:12.746755Z","ended_at":"2026-11-26T11:07:13.004722Z","executor_binding":{"endpoint":"http://127.0.0.1:8082/","executor_instance_id":"arp-jarvis-atomic-executor"},"inputs":{"of":"canceled"},"kind":"atomic","node_run_id":"node_run_b7ae453e884c4ca3aac285e7645914f0","node_type_ref":{"node_type_id":"atomic.hang","version":"1.0.0"},"run_id":"canceled","started_at":"2026-11-26T11:07:12.751985Z","state":"canceled"},"path":"1","children":0,"rounds":0,"attempt":1,"side_effect":null,"idempotent":false,"deadline":"2121-12-20T16:27:12.751985Z"}');
INSERT INTO "node_runs" VALUES('node_run_7febc0295c1045aaa8227740f953af8a','composite',3,'1',0,'deadline',4895691233023512,NULL,0,'{"node":{"created_at":"2026-11-26T11:07:13.023512Z","executor_binding":{"endpoint":"http://127.0.0.1:8082/","executor_instance_id":"arp-jarvis-composite-executor"},"extensions":{"decomposition_rounds":1},"inputs":{"of":"composite"},"kind":"composite","node_run_id":"node_run_7febc0295c1045aaa8227740f953af8a","node_type_ref":{"node_type_id":"composite.accept","version":"1.0.0"},"run_id":"composite","started_at":"2026-11-26T11:07:13.030122Z","state":"running"},"path":"1","children":1,"rounds":1,"attempt":1,"side_effect":null,"idempotent":false,"deadline":"2125-02-20T02:13:53.023512Z"}');
INSERT INTO "node_runs" VALUES('node_run_8bdf0eac49da470b8873a164f890e5da','queued',1,'1',0,'dispatch',1795691233387292,'owner_0b36fa04dba74caa89d45744a57b7772',0,'{"node":{"created_at":"2026-11-26T11:07:13.387292Z","inputs":{"of":"queued"},"kind":"atomic","node_run_id":"node_run_8bdf0eac49da470b8873a164f890e5da","node_type_ref":{"node_type_id":"atomic.echo","version":"1.0.0"},"run_id":"queued","state":"queued"},"path":"1","children":0,"rounds":0,"attempt":0,"side_effect":null,"idempotent":false,"deadline":"2125-02-20T02:13:53.387292Z"}');
INSERT INTO "node_runs" VALUES('node_run_c93db12c1dc446f2bb226f0479eed942','composite',1,'1.2',0,'dispatch',1795691233696385,'owner_0b36fa04dba74caa89d45744a57b7772',0,'{"node":{"created_at":"2026-11-26T11:07:13.696385Z","inputs":{"of":"composite"},"kind":"atomic","node_run_id":"node_run_c93db12c1dc446f2bb226f0479eed942","node_type_ref":{"node_type_id":"atomic.echo","version":"1.0.0"},"parent_node_run_id":"node_run_7febc0295c1045aaa8227740f953af8a","run_id":"composite","state":"queued"},"path":"1.2","children":0,"rounds":0,"attempt":0,"side_effect":null,"idempotent":false,"deadline":"2125-02-20T02:13:53.023512Z"}');
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
INSERT INTO "outbox" VALUES(1,1795691231884891,'finished',NULL,1,NULL,NULL);
INSERT INTO "outbox" VALUES(2,1795691231884891,'finished','node_run_0286672de5ac4140a3c79cbb390f67b5',1,NULL,NULL);
INSERT INTO "outbox" VALUES(3,1795691231884891,'finished',NULL,NULL,1,3);
INSERT INTO "outbox" VALUES(4,1795691231886700,'finished',NULL,0,NULL,NULL);
INSERT INTO "outbox" VALUES(5,1795691231886700,'finished','node_run_0286672de5ac4140a3c79cbb390f67b5',0,NULL,NULL);
INSERT INTO "outbox" VALUES(6,1795691231886700,'finished',NULL,NULL,4,4);
INSERT INTO "outbox" VALUES(7,1795691231898813,'finished',NULL,0,NULL,NULL);
INSERT INTO "outbox" VALUES(8,1795691231898813,'finished','node_run_0286672de5ac4140a3c79cbb390f67b5',0,NULL,NULL);
INSERT INTO "outbox" VALUES(9,1795691231898813,'finished',NULL,NULL,5,7);
INSERT INTO "outbox" VALUES(10,1795691231945946,'lost',NULL,1,NULL,NULL);
INSERT INTO "outbox" VALUES(11,1795691231945946,'lost','node_run_10c1c32afc93447b87347c6efa2dc0df',1,NULL,NULL);
INSERT INTO "outbox" VALUES(12,1795691231945946,'lost',NULL,NULL,1,3);
INSERT INTO "outbox" VALUES(13,1795691231947835,'lost',NULL,0,NULL,NULL);
INSERT INTO "outbox" VALUES(14,1795691231947835,'lost','node_run_10c1c32afc93447b87347c6efa2dc0df',0,NULL,NULL);
INSERT INTO "outbox" VALUES(15,1795691231947835,'lost',NULL,NULL,4,4);
INSERT INTO "outbox" VALUES(16,1795691232587115,'lost',NULL,0,NULL,NULL);
INSERT INTO "outbox" VALUES(17,1795691232587115,'lost','node_run_10c1c32afc93447b87347c6efa2dc0df',0,NULL,NULL);
INSERT INTO "outbox" VALUES(18,1795691232587115,'lost',NULL,NULL,5,6);
INSERT INTO "outbox" VALUES(19,1795691232612674,'lost','node_run_10c1c32afc93447b87347c6efa2dc0df',0,NULL,NULL);
INSERT INTO "outbox" VALUES(20,1795691232664857,'at-executor',NULL,1,NULL,NULL);
INSERT INTO "outbox" VALUES(21,1795691232664857,'at-executor','node_run_d0cb1eebff074e6f8440d92c4bb55971',1,NULL,NULL);
INSERT INTO "outbox" VALUES(22,1795691232664857,'at-executor',NULL,NULL,1,3);
INSERT INTO "outbox" VALUES(23,1795691232679496,'at-executor',NULL,0,NULL,NULL);
INSERT INTO "outbox" VALUES(24,1795691232679496,'at-executor','node_run_d0cb1eebff074e6f8440d92c4bb55971',0,NULL,NULL);
INSERT INTO "outbox" VALUES(25,1795691232679496,'at-executor',NULL,NULL,4,4);
INSERT INTO "outbox" VALUES(26,1795691232746755,'canceled',NULL,1,NULL,NULL);
INSERT INTO "outbox" VALUES(27,1795691232746755,'canceled','node_run_b7ae453e884c4ca3aac285e7645914f0',1,NULL,NULL);
INSERT INTO "outbox" VALUES(28,1795691232746755,'canceled',NULL,NULL,1,3);
INSERT INTO "outbox" VALUES(29,1795691232751985,'canceled',NULL,0,NULL,NULL);
INSERT INTO "outbox" VALUES(30,1795691232751985,'canceled','node_run_b7ae453e884c4ca3aac285e7645914f0',0,NULL,NULL);
INSERT INTO "outbox" VALUES(31,1795691232751985,'canceled',NULL,NULL,4,4);
INSERT INTO "outbox" VALUES(32,1795691233004722,'canceled',NULL,0,NULL,NULL);
INSERT INTO "outbox" VALUES(33,1795691233004722,'canceled','node_run_b7ae453e884c4ca3aac285e7645914f0',0,NULL,NULL);
INSERT INTO "outbox" VALUES(34,1795691233004722,'canceled',NULL,NULL,5,6);
INSERT INTO "outbox" VALUES(35,1795691233016785,'canceled','node_run_b7ae453e884c4ca3aac285e7645914f0',0,NULL,NULL);
INSERT INTO "outbox" VALUES(36,1795691233023512,'composite',NULL,1,NULL,NULL);
INSERT INTO "outbox" VALUES(37,1795691233023512,'composite','node_run_7febc0295c1045aaa8227740f953af8a',1,NULL,NULL);
INSERT INTO "outbox" VALUES(38,1795691233023512,'composite',NULL,NULL,1,3);
INSERT INTO "outbox" VALUES(39,1795691233030122,'composite',NULL,0,NULL,NULL);
INSERT INTO "outbox" VALUES(40,1795691233030122,'composite','node_run_7febc0295c1045aaa8227740f953af8a',0,NULL,NULL);
INSERT INTO "outbox" VALUES(41,1795691233030122,'composite',NULL,NULL,4,4);
INSERT INTO "outbox" VALUES(42,1795691233387292,'queued',NULL,1,NULL,NULL);
INSERT INTO "outbox" VALUES(43,1795691233387292,'queued','node_run_8bdf0eac49da470b8873a164f890e5da',1,NULL,NULL);
INSERT INTO "outbox" VALUES(44,1795691233387292,'queued',NULL,NULL,1,3);
INSERT INTO "outbox" VALUES(45,1795691233607062,'lost','node_run_10c1c32afc93447b87347c6efa2dc0df',0,NULL,NULL);
INSERT INTO "outbox" VALUES(46,1795691233607886,'canceled','node_run_b7ae453e884c4ca3aac285e7645914f0',0,NULL,NULL);
INSERT INTO "outbox" VALUES(47,1795691233696385,'composite',NULL,0,NULL,NULL);
INSERT INTO "outbox" VALUES(48,1795691233696385,'composite','node_run_c93db12c1dc446f2bb226f0479eed942',1,NULL,NULL);
INSERT INTO "outbox" VALUES(49,1795691233696385,'composite','node_run_7febc0295c1045aaa8227740f953af8a',0,NULL,NULL);
INSERT INTO "outbox" VALUES(50,1795691233696385,'composite',NULL,NULL,5,6);
INSERT INTO "outbox" VALUES(51,1795691234608152,'lost','node_run_10c1c32afc93447b87347c6efa2dc0df',0,NULL,NULL);
INSERT INTO "outbox" VALUES(52,1795691234610480,'canceled','node_run_b7ae453e884c4ca3aac285e7645914f0',0,NULL,NULL);
CREATE TABLE owners (
        owner_id    TEXT PRIMARY KEY NOT NULL,
        alive_until INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
INSERT INTO "owners" VALUES('owner_0b36fa04dba74caa89d45744a57b7772',9223372036854775807);
CREATE TABLE runs (
        run_id      TEXT PRIMARY KEY NOT NULL,
        version     INTEGER NOT NULL CHECK (version > 0),
        terminal    INTEGER NOT NULL CHECK (terminal IN (0, 1)),
        deadline    INTEGER,
        body        TEXT NOT NULL,
        CONSTRAINT a_live_run_has_a_deadline CHECK (terminal = 1 OR deadline IS NOT NULL)
    ) STRICT;
INSERT INTO "runs" VALUES('finished',3,1,NULL,'{"run":{"ended_at":"2026-11-26T11:07:11.898813Z","root_node_run_id":"node_run_0286672de5ac4140a3c79cbb390f67b5","run_id":"finished","started_at":"2026-11-26T11:07:11.884891Z","state":"succeeded"},"last_seq":7,"nodes":1,"request_digest":"66b9b23afc7e24d781cdde594d2affdbb44c925bb28981ffb9b5dcc4063ff109","owner":"somebody","deadline":null}');
INSERT INTO "runs" VALUES('lost',3,1,NULL,'{"run":{"ended_at":"2026-11-26T11:07:12.587115Z","root_node_run_id":"node_run_10c1c32afc93447b87347c6efa2dc0df","run_id":"lost","started_at":"2026-11-26T11:07:11.945946Z","state":"failed"},"last_seq":6,"nodes":1,"request_digest":"a3b09965bc35a0072edf772feea001e9011c740511316c11f56f0f8bd4c6bd5b","owner":"somebody","deadline":null}');
INSERT INTO "runs" VALUES('at-executor',2,0,4895691232664857,'{"run":{"root_node_run_id":"node_run_d0cb1eebff074e6f8440d92c4bb55971","run_id":"at-executor","started_at":"2026-11-26T11:07:12.664857Z","state":"running"},"last_seq":4,"nodes":1,"request_digest":"ac77d6a5873e4cc4b593e0ba0e04c0e792aa014af24cf888f2ec436b375524bb","owner":"somebody","deadline":"2125-02-20T02:13:52.664857Z"}');
INSERT INTO "runs" VALUES('canceled',3,1,NULL,'{"run":{"ended_at":"2026-11-26T11:07:13.004722Z","root_node_run_id":"node_run_b7ae453e884c4ca3aac285e7645914f0","run_id":"canceled","started_at":"2026-11-26T11:07:12.746755Z","state":"canceled"},"last_seq":6,"nodes":1,"request_digest":"ee2164084709d0b26fbf6a411770c2e3ac78e38b4b59d6de2ca5f9f3ec96e74d","owner":"somebody","deadline":null}');
INSERT INTO "runs" VALUES('composite',3,0,4895691233023512,'{"run":{"root_node_run_id":"node_run_7febc0295c1045aaa8227740f953af8a","run_id":"composite","started_at":"2026-11-26T11:07:13.023512Z","state":"running"},"last_seq":6,"nodes":2,"request_digest":"6bb685c582e1d5c0890f589412fbe19dd0d30ab354e2e47190422d4c4f3fe74d","owner":"somebody","deadline":"2125-02-20T02:13:53.023512Z"}');
INSERT INTO "runs" VALUES('queued',1,0,4895691233387292,'{"run":{"root_node_run_id":"node_run_8bdf0eac49da470b8873a164f890e5da","run_id":"queued","started_at":"2026-11-26T11:07:13.387292Z","state":"running"},"last_seq":3,"nodes":1,"request_digest":"203da93aa969bd9482957a4c3f39735fc19062d1d414eaca85cca69d0af6fbfe","owner":"somebody","deadline":"2125-02-20T02:13:53.387292Z"}');
CREATE TABLE secrets (
        name        TEXT PRIMARY KEY NOT NULL,
        value       BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
INSERT INTO "secrets" VALUES('assignment_token_key',X'38D0BED5C391A688A3FD8D6575F8578D3516DCFE5FB6ADD6DD4B57077F472807');
CREATE INDEX runs_live ON runs (deadline) WHERE terminal = 0;
CREATE INDEX node_runs_live ON node_runs (run_id, path) WHERE terminal = 0;
CREATE INDEX wakes_free ON node_runs (wake_at) WHERE wake_owner IS NULL AND wake_at IS NOT NULL;
CREATE INDEX wakes_owned ON node_runs (wake_owner) WHERE wake_owner IS NOT NULL;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('outbox',52);
COMMIT;
