PRAGMA application_id = 1246905162;
PRAGMA user_version = 16;
BEGIN TRANSACTION;
CREATE TABLE attempts (
        node_run_id TEXT NOT NULL,
        attempt     INTEGER NOT NULL CHECK (attempt > 0),
        body        TEXT NOT NULL,
        PRIMARY KEY (node_run_id, attempt)
    ) STRICT, WITHOUT ROWID;
INSERT INTO "attempts" VALUES('node_run_b58b7029ba1443ae9ebb546a5d695a73',1,'{"node_run_id":"node_run_b58b7029ba1443ae9ebb546a5d695a73","run_id":"lost","attempt":1,"started_at":"2026-11-29T16:23:45.759766Z","ended_at":"2026-11-29T16:23:45.898714Z","outcome":"lost"}');
CREATE TABLE audit_trail (
        id          INTEGER PRIMARY KEY AUTOINCREMENT,
        at          INTEGER NOT NULL,
        run_id      TEXT,
        body        TEXT NOT NULL
    ) STRICT;
INSERT INTO "audit_trail" VALUES(1,1795969425639020,'finished','{"at":"2026-11-29T16:23:45.639020Z","actor":{"kind":"caller","subject":"dev"},"operation":"start_run","run_id":"finished","outcome":"applied","events":[1,3]}');
INSERT INTO "audit_trail" VALUES(2,1795969425750355,'lost','{"at":"2026-11-29T16:23:45.750355Z","actor":{"kind":"caller","subject":"dev"},"operation":"start_run","run_id":"lost","outcome":"applied","events":[1,3]}');
INSERT INTO "audit_trail" VALUES(3,1795969425926131,'canceled','{"at":"2026-11-29T16:23:45.926131Z","actor":{"kind":"caller","subject":"dev"},"operation":"start_run","run_id":"canceled","outcome":"applied","events":[1,3]}');
INSERT INTO "audit_trail" VALUES(4,1795969425931740,'canceled','{"at":"2026-11-29T16:23:45.931740Z","actor":{"kind":"caller","subject":"dev"},"operation":"cancel_run","run_id":"canceled","outcome":"applied","detail":"live node runs: 1","events":[5,6]}');
INSERT INTO "audit_trail" VALUES(5,1795969425937016,'at-executor','{"at":"2026-11-29T16:23:45.937016Z","actor":{"kind":"caller","subject":"dev"},"operation":"start_run","run_id":"at-executor","outcome":"applied","events":[1,3]}');
INSERT INTO "audit_trail" VALUES(6,1795969426038376,'composite','{"at":"2026-11-29T16:23:46.038376Z","actor":{"kind":"caller","subject":"dev"},"operation":"start_run","run_id":"composite","outcome":"applied","events":[1,3]}');
INSERT INTO "audit_trail" VALUES(7,1795969426098232,'composite','{"at":"2026-11-29T16:23:46.098232Z","actor":{"kind":"caller","subject":"dev"},"operation":"create_node_runs","run_id":"composite","node_run_id":"node_run_9b1707ae445841dd90f9987aa1ae8a5f","outcome":"applied","detail":"new node runs: 1","events":[5,6]}');
INSERT INTO "audit_trail" VALUES(8,1795969426150364,'queued','{"at":"2026-11-29T16:23:46.150364Z","actor":{"kind":"caller","subject":"dev"},"operation":"start_run","run_id":"queued","outcome":"applied","events":[1,3]}');
CREATE TABLE bulk_jobs (
        bulk_id    TEXT PRIMARY KEY NOT NULL,
        version    INTEGER NOT NULL CHECK (version > 0),
        created_at INTEGER NOT NULL,
        ended_at   INTEGER,
        wake_at    INTEGER,
        body       TEXT NOT NULL,
        CONSTRAINT live_jobs_go_on CHECK ((ended_at IS NULL) = (wake_at IS NOT NULL))
    ) STRICT;
CREATE TABLE bulk_results (
        bulk_id TEXT NOT NULL,
        number  INTEGER NOT NULL,
        run_id  TEXT NOT NULL,
        outcome TEXT NOT NULL CHECK (outcome IN ('pending', 'done', 'skipped', 'failed')),
        detail  TEXT,
        PRIMARY KEY (bulk_id, number)
    ) STRICT, WITHOUT ROWID;
CREATE TABLE duties (
        duty     TEXT PRIMARY KEY NOT NULL,
        owner_id TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
CREATE TABLE events (
        run_id      TEXT NOT NULL,
        seq         INTEGER NOT NULL CHECK (seq > 0),
        path        TEXT,
        body        TEXT NOT NULL,
        PRIMARY KEY (run_id, seq)
    ) STRICT, WITHOUT ROWID;
INSERT INTO "events" VALUES('at-executor',1,NULL,'{"data":{"root_node_run_id":"node_run_16dbc5de062e4808b1a95dd5191c7b75"},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"run_id":"at-executor","seq":1,"time":"2026-11-29T16:23:45.937016Z","type":"run_started"}');
INSERT INTO "events" VALUES('at-executor',2,'1','{"data":{"root":true},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"node_run_id":"node_run_16dbc5de062e4808b1a95dd5191c7b75","run_id":"at-executor","seq":2,"time":"2026-11-29T16:23:45.937016Z","type":"node_run_assigned"}');
INSERT INTO "events" VALUES('at-executor',3,'1','{"data":{"action":"run.start","decision":"allow","reason_code":"policy_bypass"},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"node_run_id":"node_run_16dbc5de062e4808b1a95dd5191c7b75","run_id":"at-executor","seq":3,"time":"2026-11-29T16:23:45.937016Z","type":"policy_decided"}');
INSERT INTO "events" VALUES('at-executor',4,'1','{"data":{"action":"node.run.execute","decision":"allow","reason_code":"policy_bypass"},"extensions":{"jarvis.actor":{"kind":"coordinator"}},"node_run_id":"node_run_16dbc5de062e4808b1a95dd5191c7b75","run_id":"at-executor","seq":4,"time":"2026-11-29T16:23:45.939625Z","type":"policy_decided"}');
INSERT INTO "events" VALUES('canceled',1,NULL,'{"data":{"root_node_run_id":"node_run_ce992e20c0c44fdfb1c607f7c99cb5c4"},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"run_id":"canceled","seq":1,"time":"2026-11-29T16:23:45.926131Z","type":"run_started"}');
INSERT INTO "events" VALUES('canceled',2,'1','{"data":{"root":true},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"node_run_id":"node_run_ce992e20c0c44fdfb1c607f7c99cb5c4","run_id":"canceled","seq":2,"time":"2026-11-29T16:23:45.926131Z","type":"node_run_assigned"}');
INSERT INTO "events" VALUES('canceled',3,'1','{"data":{"action":"run.start","decision":"allow","reason_code":"policy_bypass"},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"node_run_id":"node_run_ce992e20c0c44fdfb1c607f7c99cb5c4","run_id":"canceled","seq":3,"time":"2026-11-29T16:23:45.926131Z","type":"policy_decided"}');
INSERT INTO "events" VALUES('canceled',4,'1','{"data":{"action":"node.run.execute","decision":"allow","reason_code":"policy_bypass"},"extensions":{"jarvis.actor":{"kind":"coordinator"}},"node_run_id":"node_run_ce992e20c0c44fdfb1c607f7c99cb5c4","run_id":"canceled","seq":4,"time":"2026-11-29T16:23:45.928767Z","type":"policy_decided"}');
INSERT INTO "events" VALUES('canceled',5,'1','{"data":{"state":"canceled"},"extensions":{"jarvis.actor":{"attempt":1,"kind":"caller","subject":"dev"}},"node_run_id":"node_run_ce992e20c0c44fdfb1c607f7c99cb5c4","run_id":"canceled","seq":5,"time":"2026-11-29T16:23:45.931740Z","type":"atomic_executed"}');
INSERT INTO "events" VALUES('canceled',6,NULL,'{"data":{"state":"canceled"},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"run_id":"canceled","seq":6,"time":"2026-11-29T16:23:45.931740Z","type":"run_completed"}');
INSERT INTO "events" VALUES('composite',1,NULL,'{"data":{"root_node_run_id":"node_run_9b1707ae445841dd90f9987aa1ae8a5f"},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"run_id":"composite","seq":1,"time":"2026-11-29T16:23:46.038376Z","type":"run_started"}');
INSERT INTO "events" VALUES('composite',2,'1','{"data":{"root":true},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"node_run_id":"node_run_9b1707ae445841dd90f9987aa1ae8a5f","run_id":"composite","seq":2,"time":"2026-11-29T16:23:46.038376Z","type":"node_run_assigned"}');
INSERT INTO "events" VALUES('composite',3,'1','{"data":{"action":"run.start","decision":"allow","reason_code":"policy_bypass"},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"node_run_id":"node_run_9b1707ae445841dd90f9987aa1ae8a5f","run_id":"composite","seq":3,"time":"2026-11-29T16:23:46.038376Z","type":"policy_decided"}');
INSERT INTO "events" VALUES('composite',4,'1','{"data":{"action":"node.run.execute","decision":"allow","reason_code":"policy_bypass"},"extensions":{"jarvis.actor":{"kind":"coordinator"}},"node_run_id":"node_run_9b1707ae445841dd90f9987aa1ae8a5f","run_id":"composite","seq":4,"time":"2026-11-29T16:23:46.041887Z","type":"policy_decided"}');
INSERT INTO "events" VALUES('composite',5,'1','{"data":{"node_run_count":1},"extensions":{"jarvis.actor":{"attempt":1,"kind":"caller","subject":"dev"}},"node_run_id":"node_run_9b1707ae445841dd90f9987aa1ae8a5f","run_id":"composite","seq":5,"time":"2026-11-29T16:23:46.098232Z","type":"composite_decomposed"}');
INSERT INTO "events" VALUES('composite',6,'1.2','{"data":{"parent_node_run_id":"node_run_9b1707ae445841dd90f9987aa1ae8a5f"},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"node_run_id":"node_run_3df645dbeaeb43c3b13539d1f168fe9d","run_id":"composite","seq":6,"time":"2026-11-29T16:23:46.098232Z","type":"node_run_assigned"}');
INSERT INTO "events" VALUES('finished',1,NULL,'{"data":{"root_node_run_id":"node_run_8065171df4e14da58a03a6cb04244399"},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"run_id":"finished","seq":1,"time":"2026-11-29T16:23:45.639020Z","type":"run_started"}');
INSERT INTO "events" VALUES('finished',2,'1','{"data":{"root":true},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"node_run_id":"node_run_8065171df4e14da58a03a6cb04244399","run_id":"finished","seq":2,"time":"2026-11-29T16:23:45.639020Z","type":"node_run_assigned"}');
INSERT INTO "events" VALUES('finished',3,'1','{"data":{"action":"run.start","decision":"allow","reason_code":"policy_bypass"},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"node_run_id":"node_run_8065171df4e14da58a03a6cb04244399","run_id":"finished","seq":3,"time":"2026-11-29T16:23:45.639020Z","type":"policy_decided"}');
INSERT INTO "events" VALUES('finished',4,'1','{"data":{"action":"node.run.execute","decision":"allow","reason_code":"policy_bypass"},"extensions":{"jarvis.actor":{"kind":"coordinator"}},"node_run_id":"node_run_8065171df4e14da58a03a6cb04244399","run_id":"finished","seq":4,"time":"2026-11-29T16:23:45.641883Z","type":"policy_decided"}');
INSERT INTO "events" VALUES('finished',5,'1','{"data":{"reason_code":"atomic_completed","status":"success"},"extensions":{"jarvis.actor":{"attempt":1,"kind":"executor","node_run_id":"node_run_8065171df4e14da58a03a6cb04244399"}},"node_run_id":"node_run_8065171df4e14da58a03a6cb04244399","run_id":"finished","seq":5,"time":"2026-11-29T16:23:45.651975Z","type":"node_evaluated"}');
INSERT INTO "events" VALUES('finished',6,'1','{"data":{"state":"succeeded"},"extensions":{"jarvis.actor":{"attempt":1,"kind":"executor","node_run_id":"node_run_8065171df4e14da58a03a6cb04244399"}},"node_run_id":"node_run_8065171df4e14da58a03a6cb04244399","run_id":"finished","seq":6,"time":"2026-11-29T16:23:45.651975Z","type":"atomic_executed"}');
INSERT INTO "events" VALUES('finished',7,'1','{"data":{"state":"succeeded"},"extensions":{"jarvis.actor":{"attempt":1,"kind":"executor","node_run_id":"node_run_8065171df4e14da58a03a6cb04244399"}},"node_run_id":"node_run_8065171df4e14da58a03a6cb04244399","run_id":"finished","seq":7,"time":"2026-11-29T16:23:45.651975Z","type":"run_completed"}');
INSERT INTO "events" VALUES('lost',1,NULL,'{"data":{"root_node_run_id":"node_run_b58b7029ba1443ae9ebb546a5d695a73"},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"run_id":"lost","seq":1,"time":"2026-11-29T16:23:45.750355Z","type":"run_started"}');
INSERT INTO "events" VALUES('lost',2,'1','{"data":{"root":true},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"node_run_id":"node_run_b58b7029ba1443ae9ebb546a5d695a73","run_id":"lost","seq":2,"time":"2026-11-29T16:23:45.750355Z","type":"node_run_assigned"}');
INSERT INTO "events" VALUES('lost',3,'1','{"data":{"action":"run.start","decision":"allow","reason_code":"policy_bypass"},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"node_run_id":"node_run_b58b7029ba1443ae9ebb546a5d695a73","run_id":"lost","seq":3,"time":"2026-11-29T16:23:45.750355Z","type":"policy_decided"}');
INSERT INTO "events" VALUES('lost',4,'1','{"data":{"action":"node.run.execute","decision":"allow","reason_code":"policy_bypass"},"extensions":{"jarvis.actor":{"kind":"coordinator"}},"node_run_id":"node_run_b58b7029ba1443ae9ebb546a5d695a73","run_id":"lost","seq":4,"time":"2026-11-29T16:23:45.759766Z","type":"policy_decided"}');
INSERT INTO "events" VALUES('lost',5,'1','{"data":{"state":"failed"},"extensions":{"jarvis.actor":{"attempt":1,"kind":"coordinator"},"jarvis.error":{"code":"executor_outcome_unknown","message":"The coordinator stopped while the node was at its executor, and it may not be executed twice","node_run_id":"node_run_b58b7029ba1443ae9ebb546a5d695a73"}},"node_run_id":"node_run_b58b7029ba1443ae9ebb546a5d695a73","run_id":"lost","seq":5,"time":"2026-11-29T16:23:45.898714Z","type":"atomic_executed"}');
INSERT INTO "events" VALUES('lost',6,'1','{"data":{"state":"failed"},"extensions":{"jarvis.actor":{"attempt":1,"kind":"coordinator"},"jarvis.error":{"code":"executor_outcome_unknown","message":"The coordinator stopped while the node was at its executor, and it may not be executed twice","node_run_id":"node_run_b58b7029ba1443ae9ebb546a5d695a73"}},"node_run_id":"node_run_b58b7029ba1443ae9ebb546a5d695a73","run_id":"lost","seq":6,"time":"2026-11-29T16:23:45.898714Z","type":"run_completed"}');
INSERT INTO "events" VALUES('queued',1,NULL,'{"data":{"root_node_run_id":"node_run_5e045eb98ab94cb7b0ede6a88a1a8e44"},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"run_id":"queued","seq":1,"time":"2026-11-29T16:23:46.150364Z","type":"run_started"}');
INSERT INTO "events" VALUES('queued',2,'1','{"data":{"root":true},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"node_run_id":"node_run_5e045eb98ab94cb7b0ede6a88a1a8e44","run_id":"queued","seq":2,"time":"2026-11-29T16:23:46.150364Z","type":"node_run_assigned"}');
INSERT INTO "events" VALUES('queued',3,'1','{"data":{"action":"run.start","decision":"allow","reason_code":"policy_bypass"},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"node_run_id":"node_run_5e045eb98ab94cb7b0ede6a88a1a8e44","run_id":"queued","seq":3,"time":"2026-11-29T16:23:46.150364Z","type":"policy_decided"}');
CREATE TABLE executors_reported (
        executor    TEXT NOT NULL,
        member      TEXT NOT NULL,
        is_down     INTEGER NOT NULL CHECK (is_down IN (0, 1)),
        at          INTEGER NOT NULL,
        PRIMARY KEY (executor, member)
    ) STRICT, WITHOUT ROWID;
CREATE TABLE heard (
        run_id   TEXT NOT NULL,
        path     TEXT NOT NULL,
        at       INTEGER NOT NULL,
        PRIMARY KEY (run_id, path)
    ) STRICT, WITHOUT ROWID;
CREATE TABLE marks (
        name        TEXT PRIMARY KEY NOT NULL,
        at          INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
CREATE TABLE node_payloads (
        node_run_id TEXT NOT NULL,
        member      TEXT NOT NULL CHECK (member IN ('inputs', 'outputs')),
        content     TEXT NOT NULL,
        PRIMARY KEY (node_run_id, member)
    ) STRICT;
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
        AND (terminal = 1) = (state IN ('succeeded', 'failed', 'canceled'))), started_at INTEGER, ended_at INTEGER, attempt INTEGER NOT NULL DEFAULT 0 CHECK (attempt >= 0), astray INTEGER NOT NULL DEFAULT 0 CHECK (astray IN (0, 1)), deadline INTEGER, apart INTEGER NOT NULL DEFAULT 0 CHECK (apart BETWEEN 0 AND 3), waits_since INTEGER,
        CONSTRAINT a_live_node_run_has_a_wake_up CHECK (terminal = 1 OR wake_at IS NOT NULL),
        CONSTRAINT a_wake_up_is_whole CHECK (
            (wake_at IS NULL) = (wake_job IS NULL)
            AND (wake_at IS NULL) = (wake_tries IS NULL)
            AND (wake_owner IS NULL OR wake_at IS NOT NULL))
    ) STRICT;
INSERT INTO "node_runs" VALUES('node_run_8065171df4e14da58a03a6cb04244399','finished',3,'1',1,NULL,NULL,NULL,NULL,'{"node":{"created_at":"2026-11-29T16:23:45.639020Z","ended_at":"2026-11-29T16:23:45.651975Z","evaluation_result":{"reason_code":"atomic_completed","status":"success"},"executor_binding":{"endpoint":"http://127.0.0.1:39641/","executor_instance_id":"arp-jarvis-atomic-executor"},"extensions":{"jarvis.metadata":{"labels":{"env":"test","run":"finished"}},"jarvis.owner":{"subject":"dev"}},"inputs":{"x":1},"kind":"atomic","node_run_id":"node_run_8065171df4e14da58a03a6cb04244399","node_type_ref":{"node_type_id":"atomic.echo","version":"1.0.0"},"outputs":{"echo":{"x":1}},"run_id":"finished","started_at":"2026-11-29T16:23:45.641883Z","state":"succeeded"},"path":"1","children":0,"rounds":0,"attempt":1,"retries":0,"astray":false,"side_effect":null,"idempotent":false,"deadline":"2036-11-22T12:23:45.641883Z"}','atomic','succeeded',1795969425641883,1795969425651975,1,0,2110969425641883,0,NULL);
INSERT INTO "node_runs" VALUES('node_run_b58b7029ba1443ae9ebb546a5d695a73','lost',8,'1',1,'cancel_executor',1795969426915446,NULL,2,'{"node":{"created_at":"2026-11-29T16:23:45.750355Z","ended_at":"2026-11-29T16:23:45.898714Z","executor_binding":{"endpoint":"http://127.0.0.1:39641/","executor_instance_id":"arp-jarvis-atomic-executor"},"extensions":{"completion_error":{"code":"executor_outcome_unknown","details":{"attempt":1},"message":"The coordinator stopped while the node was at its executor, and it may not be executed twice"},"jarvis.metadata":{"labels":{"env":"test","run":"lost"}},"jarvis.owner":{"subject":"dev"}},"inputs":{"hang":1},"kind":"atomic","node_run_id":"node_run_b58b7029ba1443ae9ebb546a5d695a73","node_type_ref":{"node_type_id":"atomic.echo","version":"1.0.0"},"run_id":"lost","started_at":"2026-11-29T16:23:45.759766Z","state":"failed"},"path":"1","children":0,"rounds":0,"attempt":1,"retries":0,"astray":false,"side_effect":null,"idempotent":false,"deadline":"2036-11-22T12:23:45.759766Z"}','atomic','failed',1795969425759766,1795969425898714,1,0,2110969425759766,0,NULL);
INSERT INTO "node_runs" VALUES('node_run_ce992e20c0c44fdfb1c607f7c99cb5c4','canceled',6,'1',1,'cancel_executor',1795969427079833,NULL,2,'{"node":{"created_at":"2026-11-29T16:23:45.926131Z","executor_binding":{"endpoint":"http://127.0.0.1:39641/","executor_instance_id":"arp-jarvis-atomic-executor"},"extensions":{"jarvis.metadata":{"labels":{"env":"test","run":"canceled"}},"jarvis.owner":{"subject":"dev"}},"inputs":{"hang":1},"kind":"atomic","node_run_id":"node_run_ce992e20c0c44fdfb1c607f7c99cb5c4","node_type_ref":{"node_type_id":"atomic.echo","version":"1.0.0"},"run_id":"canceled","started_at":"2026-11-29T16:23:45.928767Z","state":"running"},"path":"1","children":0,"rounds":0,"attempt":1,"retries":0,"astray":false,"side_effect":null,"idempotent":false,"deadline":"2036-11-22T12:23:45.928767Z"}','atomic','canceled',1795969425928767,1795969425931740,1,0,2110969425928767,0,NULL);
INSERT INTO "node_runs" VALUES('node_run_16dbc5de062e4808b1a95dd5191c7b75','at-executor',2,'1',0,'deadline',2110969425939625,'owner_9eb7bf2f28bb49de8c1a29443ea3ba9f',0,'{"node":{"created_at":"2026-11-29T16:23:45.937016Z","executor_binding":{"endpoint":"http://127.0.0.1:39641/","executor_instance_id":"arp-jarvis-atomic-executor"},"extensions":{"jarvis.metadata":{"labels":{"env":"test","run":"at-executor"}},"jarvis.owner":{"subject":"dev"}},"inputs":{"hang":1},"kind":"atomic","node_run_id":"node_run_16dbc5de062e4808b1a95dd5191c7b75","node_type_ref":{"node_type_id":"atomic.echo","version":"1.0.0"},"run_id":"at-executor","started_at":"2026-11-29T16:23:45.939625Z","state":"running"},"path":"1","children":0,"rounds":0,"attempt":1,"retries":0,"astray":false,"side_effect":null,"idempotent":false,"deadline":"2036-11-22T12:23:45.939625Z"}','atomic','running',1795969425939625,NULL,1,0,2110969425939625,0,NULL);
INSERT INTO "node_runs" VALUES('node_run_9b1707ae445841dd90f9987aa1ae8a5f','composite',3,'1',0,'deadline',2110969426098232,NULL,0,'{"node":{"created_at":"2026-11-29T16:23:46.038376Z","executor_binding":{"endpoint":"http://127.0.0.1:39641/","executor_instance_id":"arp-jarvis-composite-executor"},"extensions":{"decomposition_rounds":1,"jarvis.metadata":{"labels":{"env":"test","run":"composite"}},"jarvis.owner":{"subject":"dev"}},"inputs":{},"kind":"composite","node_run_id":"node_run_9b1707ae445841dd90f9987aa1ae8a5f","node_type_ref":{"node_type_id":"composite.plan","version":"1.0.0"},"run_id":"composite","started_at":"2026-11-29T16:23:46.041887Z","state":"running"},"path":"1","children":1,"rounds":1,"attempt":1,"retries":0,"astray":false,"side_effect":null,"idempotent":false,"deadline":"2036-11-26T16:23:46.038376Z","waits":{"check_at":"2036-11-22T12:23:46.098232Z"}}','composite','running',1795969426041887,NULL,1,0,2111329426038376,0,NULL);
INSERT INTO "node_runs" VALUES('node_run_3df645dbeaeb43c3b13539d1f168fe9d','composite',1,'1.2',0,'dispatch',1795969426098232,'owner_9eb7bf2f28bb49de8c1a29443ea3ba9f',0,'{"node":{"created_at":"2026-11-29T16:23:46.098232Z","inputs":{"child":1},"kind":"atomic","node_run_id":"node_run_3df645dbeaeb43c3b13539d1f168fe9d","node_type_ref":{"node_type_id":"atomic.echo","version":"1.0.0"},"parent_node_run_id":"node_run_9b1707ae445841dd90f9987aa1ae8a5f","run_id":"composite","state":"queued"},"path":"1.2","children":0,"rounds":0,"attempt":0,"retries":0,"astray":false,"side_effect":null,"idempotent":false,"deadline":"2036-11-26T16:23:46.038376Z"}','atomic','queued',NULL,NULL,0,0,2111329426038376,0,NULL);
INSERT INTO "node_runs" VALUES('node_run_5e045eb98ab94cb7b0ede6a88a1a8e44','queued',1,'1',0,'dispatch',1795969426150364,'owner_9eb7bf2f28bb49de8c1a29443ea3ba9f',0,'{"node":{"created_at":"2026-11-29T16:23:46.150364Z","extensions":{"jarvis.metadata":{"labels":{"env":"test","run":"queued"}},"jarvis.owner":{"subject":"dev"}},"inputs":{},"kind":"atomic","node_run_id":"node_run_5e045eb98ab94cb7b0ede6a88a1a8e44","node_type_ref":{"node_type_id":"atomic.echo","version":"1.0.0"},"run_id":"queued","state":"queued"},"path":"1","children":0,"rounds":0,"attempt":0,"retries":0,"astray":false,"side_effect":null,"idempotent":false,"deadline":"2036-11-26T16:23:46.150364Z"}','atomic','queued',NULL,NULL,0,0,2111329426150364,0,NULL);
CREATE TABLE notices (
        id          INTEGER PRIMARY KEY,
        at          INTEGER NOT NULL,
        body        TEXT NOT NULL
    ) STRICT;
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
INSERT INTO "outbox" VALUES(1,1795969425639020,'finished',NULL,1,NULL,NULL);
INSERT INTO "outbox" VALUES(2,1795969425639020,'finished','node_run_8065171df4e14da58a03a6cb04244399',1,NULL,NULL);
INSERT INTO "outbox" VALUES(3,1795969425639020,'finished',NULL,NULL,1,3);
INSERT INTO "outbox" VALUES(4,1795969425641883,'finished',NULL,0,NULL,NULL);
INSERT INTO "outbox" VALUES(5,1795969425641883,'finished','node_run_8065171df4e14da58a03a6cb04244399',0,NULL,NULL);
INSERT INTO "outbox" VALUES(6,1795969425641883,'finished',NULL,NULL,4,4);
INSERT INTO "outbox" VALUES(7,1795969425651975,'finished',NULL,0,NULL,NULL);
INSERT INTO "outbox" VALUES(8,1795969425651975,'finished','node_run_8065171df4e14da58a03a6cb04244399',0,NULL,NULL);
INSERT INTO "outbox" VALUES(9,1795969425651975,'finished',NULL,NULL,5,7);
INSERT INTO "outbox" VALUES(10,1795969425750355,'lost',NULL,1,NULL,NULL);
INSERT INTO "outbox" VALUES(11,1795969425750355,'lost','node_run_b58b7029ba1443ae9ebb546a5d695a73',1,NULL,NULL);
INSERT INTO "outbox" VALUES(12,1795969425750355,'lost',NULL,NULL,1,3);
INSERT INTO "outbox" VALUES(13,1795969425759766,'lost',NULL,0,NULL,NULL);
INSERT INTO "outbox" VALUES(14,1795969425759766,'lost','node_run_b58b7029ba1443ae9ebb546a5d695a73',0,NULL,NULL);
INSERT INTO "outbox" VALUES(15,1795969425759766,'lost',NULL,NULL,4,4);
INSERT INTO "outbox" VALUES(16,1795969425898714,'lost',NULL,0,NULL,NULL);
INSERT INTO "outbox" VALUES(17,1795969425898714,'lost','node_run_b58b7029ba1443ae9ebb546a5d695a73',0,NULL,NULL);
INSERT INTO "outbox" VALUES(18,1795969425898714,'lost',NULL,NULL,5,6);
INSERT INTO "outbox" VALUES(19,1795969425926131,'canceled',NULL,1,NULL,NULL);
INSERT INTO "outbox" VALUES(20,1795969425926131,'canceled','node_run_ce992e20c0c44fdfb1c607f7c99cb5c4',1,NULL,NULL);
INSERT INTO "outbox" VALUES(21,1795969425926131,'canceled',NULL,NULL,1,3);
INSERT INTO "outbox" VALUES(22,1795969425928767,'canceled',NULL,0,NULL,NULL);
INSERT INTO "outbox" VALUES(23,1795969425928767,'canceled','node_run_ce992e20c0c44fdfb1c607f7c99cb5c4',0,NULL,NULL);
INSERT INTO "outbox" VALUES(24,1795969425928767,'canceled',NULL,NULL,4,4);
INSERT INTO "outbox" VALUES(25,1795969425931740,'canceled',NULL,0,NULL,NULL);
INSERT INTO "outbox" VALUES(26,1795969425931740,'canceled','node_run_ce992e20c0c44fdfb1c607f7c99cb5c4',0,NULL,NULL);
INSERT INTO "outbox" VALUES(27,1795969425931740,'canceled',NULL,NULL,5,6);
INSERT INTO "outbox" VALUES(28,1795969425937016,'at-executor',NULL,1,NULL,NULL);
INSERT INTO "outbox" VALUES(29,1795969425937016,'at-executor','node_run_16dbc5de062e4808b1a95dd5191c7b75',1,NULL,NULL);
INSERT INTO "outbox" VALUES(30,1795969425937016,'at-executor',NULL,NULL,1,3);
INSERT INTO "outbox" VALUES(31,1795969425939625,'at-executor',NULL,0,NULL,NULL);
INSERT INTO "outbox" VALUES(32,1795969425939625,'at-executor','node_run_16dbc5de062e4808b1a95dd5191c7b75',0,NULL,NULL);
INSERT INTO "outbox" VALUES(33,1795969425939625,'at-executor',NULL,NULL,4,4);
INSERT INTO "outbox" VALUES(34,1795969425945894,'lost','node_run_b58b7029ba1443ae9ebb546a5d695a73',0,NULL,NULL);
INSERT INTO "outbox" VALUES(35,1795969425978182,'canceled','node_run_ce992e20c0c44fdfb1c607f7c99cb5c4',0,NULL,NULL);
INSERT INTO "outbox" VALUES(36,1795969426038376,'composite',NULL,1,NULL,NULL);
INSERT INTO "outbox" VALUES(37,1795969426038376,'composite','node_run_9b1707ae445841dd90f9987aa1ae8a5f',1,NULL,NULL);
INSERT INTO "outbox" VALUES(38,1795969426038376,'composite',NULL,NULL,1,3);
INSERT INTO "outbox" VALUES(39,1795969426041887,'composite',NULL,0,NULL,NULL);
INSERT INTO "outbox" VALUES(40,1795969426041887,'composite','node_run_9b1707ae445841dd90f9987aa1ae8a5f',0,NULL,NULL);
INSERT INTO "outbox" VALUES(41,1795969426041887,'composite',NULL,NULL,4,4);
INSERT INTO "outbox" VALUES(42,1795969426098232,'composite',NULL,0,NULL,NULL);
INSERT INTO "outbox" VALUES(43,1795969426098232,'composite','node_run_3df645dbeaeb43c3b13539d1f168fe9d',1,NULL,NULL);
INSERT INTO "outbox" VALUES(44,1795969426098232,'composite','node_run_9b1707ae445841dd90f9987aa1ae8a5f',0,NULL,NULL);
INSERT INTO "outbox" VALUES(45,1795969426098232,'composite',NULL,NULL,5,6);
INSERT INTO "outbox" VALUES(46,1795969426150364,'queued',NULL,1,NULL,NULL);
INSERT INTO "outbox" VALUES(47,1795969426150364,'queued','node_run_5e045eb98ab94cb7b0ede6a88a1a8e44',1,NULL,NULL);
INSERT INTO "outbox" VALUES(48,1795969426150364,'queued',NULL,NULL,1,3);
INSERT INTO "outbox" VALUES(49,1795969426307867,'canceled','node_run_ce992e20c0c44fdfb1c607f7c99cb5c4',0,NULL,NULL);
INSERT INTO "outbox" VALUES(50,1795969426322511,'lost','node_run_b58b7029ba1443ae9ebb546a5d695a73',0,NULL,NULL);
CREATE TABLE owners (
        owner_id TEXT PRIMARY KEY NOT NULL,
        beats    INTEGER NOT NULL
    , heard_to INTEGER) STRICT, WITHOUT ROWID;
INSERT INTO "owners" VALUES('owner_9eb7bf2f28bb49de8c1a29443ea3ba9f',0,NULL);
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
CREATE TABLE pause_changes (
        only     INTEGER PRIMARY KEY CHECK (only = 1),
        changes  INTEGER NOT NULL
    ) STRICT;
CREATE TABLE pauses (
        scope       TEXT PRIMARY KEY NOT NULL,
        body        TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
CREATE TABLE run_counts (
        owner        TEXT NOT NULL,
        state        TEXT NOT NULL,
        runs         INTEGER NOT NULL CHECK (runs > 0),
        PRIMARY KEY (owner, state)
    ) STRICT, WITHOUT ROWID;
INSERT INTO "run_counts" VALUES('{"subject":"dev"}','canceled',1);
INSERT INTO "run_counts" VALUES('{"subject":"dev"}','failed',1);
INSERT INTO "run_counts" VALUES('{"subject":"dev"}','running',3);
INSERT INTO "run_counts" VALUES('{"subject":"dev"}','succeeded',1);
CREATE TABLE run_labels (
        name         TEXT NOT NULL,
        value        TEXT NOT NULL,
        started_at   INTEGER NOT NULL,
        run_id       TEXT NOT NULL,
        PRIMARY KEY (name, value, started_at, run_id)
    ) STRICT, WITHOUT ROWID;
INSERT INTO "run_labels" VALUES('env','test',1795969425639020,'finished');
INSERT INTO "run_labels" VALUES('env','test',1795969425750355,'lost');
INSERT INTO "run_labels" VALUES('env','test',1795969425926131,'canceled');
INSERT INTO "run_labels" VALUES('env','test',1795969425937016,'at-executor');
INSERT INTO "run_labels" VALUES('env','test',1795969426038376,'composite');
INSERT INTO "run_labels" VALUES('env','test',1795969426150364,'queued');
INSERT INTO "run_labels" VALUES('run','at-executor',1795969425937016,'at-executor');
INSERT INTO "run_labels" VALUES('run','canceled',1795969425926131,'canceled');
INSERT INTO "run_labels" VALUES('run','composite',1795969426038376,'composite');
INSERT INTO "run_labels" VALUES('run','finished',1795969425639020,'finished');
INSERT INTO "run_labels" VALUES('run','lost',1795969425750355,'lost');
INSERT INTO "run_labels" VALUES('run','queued',1795969426150364,'queued');
CREATE TABLE run_list (
        started_at   INTEGER NOT NULL,
        run_id       TEXT NOT NULL,
        state        TEXT NOT NULL,
        ended_at     INTEGER,
        node_type    TEXT,
        node_version TEXT,
        owner        TEXT,
        error_code   TEXT, labels TEXT, held INTEGER NOT NULL DEFAULT 0 CHECK (held IN (0, 1)), rerun_of TEXT,
        PRIMARY KEY (started_at, run_id)
    ) STRICT, WITHOUT ROWID;
INSERT INTO "run_list" VALUES(1795969425639020,'finished','succeeded',1795969425651975,'atomic.echo','1.0.0','{"subject":"dev"}',NULL,'{"env":"test","run":"finished"}',0,NULL);
INSERT INTO "run_list" VALUES(1795969425750355,'lost','failed',1795969425898714,'atomic.echo','1.0.0','{"subject":"dev"}','executor_outcome_unknown','{"env":"test","run":"lost"}',0,NULL);
INSERT INTO "run_list" VALUES(1795969425926131,'canceled','canceled',1795969425931740,'atomic.echo','1.0.0','{"subject":"dev"}',NULL,'{"env":"test","run":"canceled"}',0,NULL);
INSERT INTO "run_list" VALUES(1795969425937016,'at-executor','running',NULL,'atomic.echo','1.0.0','{"subject":"dev"}',NULL,'{"env":"test","run":"at-executor"}',0,NULL);
INSERT INTO "run_list" VALUES(1795969426038376,'composite','running',NULL,'composite.plan','1.0.0','{"subject":"dev"}',NULL,'{"env":"test","run":"composite"}',0,NULL);
INSERT INTO "run_list" VALUES(1795969426150364,'queued','running',NULL,'atomic.echo','1.0.0','{"subject":"dev"}',NULL,'{"env":"test","run":"queued"}',0,NULL);
CREATE TABLE runs (
        run_id      TEXT PRIMARY KEY NOT NULL,
        version     INTEGER NOT NULL CHECK (version > 0),
        terminal    INTEGER NOT NULL CHECK (terminal IN (0, 1)),
        deadline    INTEGER,
        body        TEXT NOT NULL, changed_at INTEGER NOT NULL DEFAULT 0,
        CONSTRAINT a_live_run_has_a_deadline CHECK (terminal = 1 OR deadline IS NOT NULL)
    ) STRICT;
INSERT INTO "runs" VALUES('finished',3,1,NULL,'{"run":{"ended_at":"2026-11-29T16:23:45.651975Z","extensions":{"jarvis.metadata":{"labels":{"env":"test","run":"finished"}},"jarvis.owner":{"subject":"dev"}},"root_node_run_id":"node_run_8065171df4e14da58a03a6cb04244399","run_id":"finished","started_at":"2026-11-29T16:23:45.639020Z","state":"succeeded"},"last_seq":7,"nodes":1,"request_digest":"f8f73df86553b8ee35f64060ec1b71adfe806f9ad9bb67d1249cec1e9bcd0369","owner":{"subject":"dev"},"deadline":null,"ceilings":{"max_depth":32,"max_total_nodes_per_run":100000},"attempts":1,"changed_at":"2026-11-29T16:23:45.651975Z"}',1795969425651975);
INSERT INTO "runs" VALUES('lost',3,1,NULL,'{"run":{"ended_at":"2026-11-29T16:23:45.898714Z","extensions":{"jarvis.error":{"code":"executor_outcome_unknown","message":"The coordinator stopped while the node was at its executor, and it may not be executed twice","node_run_id":"node_run_b58b7029ba1443ae9ebb546a5d695a73"},"jarvis.metadata":{"labels":{"env":"test","run":"lost"}},"jarvis.owner":{"subject":"dev"}},"root_node_run_id":"node_run_b58b7029ba1443ae9ebb546a5d695a73","run_id":"lost","started_at":"2026-11-29T16:23:45.750355Z","state":"failed"},"last_seq":6,"nodes":1,"request_digest":"e320c25873e4d0216d3ce2c9624ec73f7b5a38644588f0ca471946e5a19e400c","owner":{"subject":"dev"},"deadline":null,"ceilings":{"max_depth":32,"max_total_nodes_per_run":100000},"attempts":1,"changed_at":"2026-11-29T16:23:45.898714Z"}',1795969425898714);
INSERT INTO "runs" VALUES('canceled',3,1,NULL,'{"run":{"ended_at":"2026-11-29T16:23:45.931740Z","extensions":{"jarvis.metadata":{"labels":{"env":"test","run":"canceled"}},"jarvis.owner":{"subject":"dev"}},"root_node_run_id":"node_run_ce992e20c0c44fdfb1c607f7c99cb5c4","run_id":"canceled","started_at":"2026-11-29T16:23:45.926131Z","state":"canceled"},"last_seq":6,"nodes":1,"request_digest":"91049621b4255e657adda1ba1ead2dcbfa371bbf571d9d41197301ecd042b89a","owner":{"subject":"dev"},"deadline":null,"ceilings":{"max_depth":32,"max_total_nodes_per_run":100000},"attempts":1,"changed_at":"2026-11-29T16:23:45.931740Z"}',1795969425931740);
INSERT INTO "runs" VALUES('at-executor',2,0,2111329425937016,'{"run":{"extensions":{"jarvis.metadata":{"labels":{"env":"test","run":"at-executor"}},"jarvis.owner":{"subject":"dev"}},"root_node_run_id":"node_run_16dbc5de062e4808b1a95dd5191c7b75","run_id":"at-executor","started_at":"2026-11-29T16:23:45.937016Z","state":"running"},"last_seq":4,"nodes":1,"request_digest":"f9d07269867659d0d2ddc37ecb90526a079749dacaacc110d545dac331a5b0a8","owner":{"subject":"dev"},"deadline":"2036-11-26T16:23:45.937016Z","ceilings":{"max_depth":32,"max_total_nodes_per_run":100000},"attempts":1,"changed_at":"2026-11-29T16:23:45.939625Z"}',1795969425939625);
INSERT INTO "runs" VALUES('composite',3,0,2111329426038376,'{"run":{"extensions":{"jarvis.metadata":{"labels":{"env":"test","run":"composite"}},"jarvis.owner":{"subject":"dev"}},"root_node_run_id":"node_run_9b1707ae445841dd90f9987aa1ae8a5f","run_id":"composite","started_at":"2026-11-29T16:23:46.038376Z","state":"running"},"last_seq":6,"nodes":2,"request_digest":"201edbabcd781afb3c96fd3ba2984def3d29ef542f7110ca5f1ef0f7576d7f00","owner":{"subject":"dev"},"deadline":"2036-11-26T16:23:46.038376Z","ceilings":{"max_depth":32,"max_total_nodes_per_run":100000},"attempts":1,"changed_at":"2026-11-29T16:23:46.098232Z"}',1795969426098232);
INSERT INTO "runs" VALUES('queued',1,0,2111329426150364,'{"run":{"extensions":{"jarvis.metadata":{"labels":{"env":"test","run":"queued"}},"jarvis.owner":{"subject":"dev"}},"root_node_run_id":"node_run_5e045eb98ab94cb7b0ede6a88a1a8e44","run_id":"queued","started_at":"2026-11-29T16:23:46.150364Z","state":"running"},"last_seq":3,"nodes":1,"request_digest":"91a9d8303fda31cffaf66a6f18a311b0f58db0b8abad26a0d83f58f0aba77048","owner":{"subject":"dev"},"deadline":"2036-11-26T16:23:46.150364Z","ceilings":{"max_depth":32,"max_total_nodes_per_run":100000},"changed_at":"2026-11-29T16:23:46.150364Z"}',1795969426150364);
CREATE TABLE secrets (
        name        TEXT PRIMARY KEY NOT NULL,
        value       BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
INSERT INTO "secrets" VALUES('owes_jarvis_stores',X'6576657279206368616E6765');
CREATE TABLE webhook_deliveries (
        id          INTEGER PRIMARY KEY AUTOINCREMENT,
        webhook_id  TEXT NOT NULL,
        event_id    TEXT NOT NULL,
        kind        TEXT NOT NULL,
        body        TEXT NOT NULL,
        created_at  INTEGER NOT NULL,
        tries       INTEGER NOT NULL CHECK (tries >= 0),
        next_at     INTEGER,
        last_error  TEXT
    ) STRICT;
CREATE TABLE webhooks (
        webhook_id      TEXT PRIMARY KEY NOT NULL,
        created_at      INTEGER NOT NULL,
        body            TEXT NOT NULL,
        last_success_at INTEGER,
        failing_since   INTEGER,
        failures        INTEGER NOT NULL DEFAULT 0 CHECK (failures >= 0),
        last_error      TEXT,
        paused_until    INTEGER,
        disabled_at     INTEGER,
        dropped         INTEGER NOT NULL DEFAULT 0 CHECK (dropped >= 0)
    ) STRICT, WITHOUT ROWID;
CREATE INDEX runs_live ON runs (deadline) WHERE terminal = 0;
CREATE INDEX node_runs_live ON node_runs (run_id, path) WHERE terminal = 0;
CREATE INDEX wakes_owned ON node_runs (wake_owner) WHERE wake_owner IS NOT NULL;
CREATE INDEX runs_over ON runs (changed_at) WHERE terminal = 1;
CREATE INDEX wakes_free ON node_runs (wake_job, kind, wake_at, run_id)
        WHERE wake_owner IS NULL AND wake_at IS NOT NULL;
CREATE INDEX audit_trail_of_run ON audit_trail (run_id) WHERE run_id IS NOT NULL;
CREATE INDEX approvals ON node_runs (waits_since, node_run_id, run_id) WHERE wake_job = 'approval';
CREATE INDEX node_runs_of_run ON node_runs (run_id, path);
CREATE INDEX webhook_deliveries_due ON webhook_deliveries (webhook_id, next_at, created_at);
CREATE TRIGGER run_listed AFTER INSERT ON run_list BEGIN
        INSERT INTO run_counts VALUES (coalesce(new.owner, ''), new.state, 1)
            ON CONFLICT DO UPDATE SET runs = runs + 1;
    END;
CREATE TRIGGER run_labeled AFTER INSERT ON run_list WHEN new.labels IS NOT NULL BEGIN
        INSERT INTO run_labels
            SELECT key, value, new.started_at, new.run_id FROM json_each(new.labels);
    END;
CREATE TRIGGER run_moved AFTER UPDATE OF owner, state ON run_list BEGIN
        INSERT INTO run_counts VALUES (coalesce(new.owner, ''), new.state, 1)
            ON CONFLICT DO UPDATE SET runs = runs + 1;
        DELETE FROM run_counts WHERE owner = coalesce(old.owner, '') AND state = old.state AND runs = 1;
        UPDATE run_counts SET runs = runs - 1 WHERE owner = coalesce(old.owner, '') AND state = old.state;
    END;
CREATE TRIGGER run_unlisted AFTER DELETE ON run_list BEGIN
        DELETE FROM run_counts WHERE owner = coalesce(old.owner, '') AND state = old.state AND runs = 1;
        UPDATE run_counts SET runs = runs - 1 WHERE owner = coalesce(old.owner, '') AND state = old.state;
    END;
CREATE TRIGGER run_unlabeled AFTER DELETE ON run_list WHEN old.labels IS NOT NULL BEGIN
        DELETE FROM run_labels WHERE (name, value, started_at, run_id) IN (
            SELECT key, value, old.started_at, old.run_id FROM json_each(old.labels));
    END;
CREATE INDEX run_list_held ON run_list (run_id) WHERE held = 1;
CREATE INDEX run_list_reruns ON run_list (rerun_of) WHERE rerun_of IS NOT NULL AND ended_at IS NULL;
CREATE INDEX bulk_jobs_by_age ON bulk_jobs (created_at, bulk_id);
CREATE INDEX bulk_jobs_live ON bulk_jobs (wake_at) WHERE wake_at IS NOT NULL;
CREATE INDEX bulk_jobs_ended ON bulk_jobs (ended_at) WHERE ended_at IS NOT NULL;
CREATE INDEX bulk_results_by_outcome ON bulk_results (bulk_id, outcome, number);
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('audit_trail',8);
INSERT INTO "sqlite_sequence" VALUES('outbox',50);
COMMIT;
