PRAGMA application_id = 1246905162;
PRAGMA user_version = 7;
BEGIN TRANSACTION;
CREATE TABLE runs (
        run_id      TEXT PRIMARY KEY NOT NULL,
        version     INTEGER NOT NULL CHECK (version > 0),
        terminal    INTEGER NOT NULL CHECK (terminal IN (0, 1)),
        deadline    INTEGER,
        body        TEXT NOT NULL, changed_at INTEGER NOT NULL DEFAULT 0,
        CONSTRAINT a_live_run_has_a_deadline CHECK (terminal = 1 OR deadline IS NOT NULL)
    ) STRICT;
INSERT INTO runs VALUES('finished',3,1,NULL,'{"run":{"ended_at":"2026-11-29T02:10:09.379346Z","extensions":{"jarvis.owner":{"subject":"dev"}},"root_node_run_id":"node_run_f530bfbb1b254544a7042f42acf3862c","run_id":"finished","started_at":"2026-11-29T02:10:09.251571Z","state":"succeeded"},"last_seq":7,"nodes":1,"request_digest":"2445b9bb8bd92b2f6647568ea17ed4cc9d6e2c0f3a5a138df8371c194bb1d315","owner":{"subject":"dev"},"deadline":null,"ceilings":{"max_depth":32,"max_total_nodes_per_run":100000}}',1795918209379346);
INSERT INTO runs VALUES('lost',3,1,NULL,'{"run":{"ended_at":"2026-11-29T02:10:10.920042Z","extensions":{"jarvis.owner":{"subject":"dev"}},"root_node_run_id":"node_run_4d2296493a80404d97a430e99f07f661","run_id":"lost","started_at":"2026-11-29T02:10:10.395783Z","state":"failed"},"last_seq":6,"nodes":1,"request_digest":"8b7159814af30a6af2b16dcd8421b96e30f23c09014bea484355d8015ea70970","owner":{"subject":"dev"},"deadline":null,"ceilings":{"max_depth":32,"max_total_nodes_per_run":100000}}',1795918210920042);
INSERT INTO runs VALUES('canceled',3,1,NULL,'{"run":{"ended_at":"2026-11-29T02:10:12.045551Z","extensions":{"jarvis.owner":{"subject":"dev"}},"root_node_run_id":"node_run_96439a6136c447cc828e3081e91bcd6f","run_id":"canceled","started_at":"2026-11-29T02:10:10.944022Z","state":"canceled"},"last_seq":6,"nodes":1,"request_digest":"2392f5d601e45de5d460fc51e3efbadae5edec1417fc96684f2d33659fdabaaf","owner":{"subject":"dev"},"deadline":null,"ceilings":{"max_depth":32,"max_total_nodes_per_run":100000}}',1795918212045551);
INSERT INTO runs VALUES('at-executor',2,0,2111278212135376,'{"run":{"extensions":{"jarvis.owner":{"subject":"dev"}},"root_node_run_id":"node_run_bd443663187b4bb086f1e322a602d2ad","run_id":"at-executor","started_at":"2026-11-29T02:10:12.135376Z","state":"running"},"last_seq":4,"nodes":1,"request_digest":"6afc0c5c9e1e9972d0f34aef2ff23f4c952884cb61ee474713e76b728a7f1670","owner":{"subject":"dev"},"deadline":"2036-11-26T02:10:12.135376Z","ceilings":{"max_depth":32,"max_total_nodes_per_run":100000}}',1795918212226500);
INSERT INTO runs VALUES('composite',3,0,2111278212508440,'{"run":{"extensions":{"jarvis.owner":{"subject":"dev"}},"root_node_run_id":"node_run_0269aaebcc62419f94b3a7f3bd1658c8","run_id":"composite","started_at":"2026-11-29T02:10:12.508440Z","state":"running"},"last_seq":6,"nodes":2,"request_digest":"180563627dd9628c0c6477ca6947a872d8e93f0164f40bbbead26bb2b82f321a","owner":{"subject":"dev"},"deadline":"2036-11-26T02:10:12.508440Z","ceilings":{"max_depth":32,"max_total_nodes_per_run":100000}}',1795918212662075);
INSERT INTO runs VALUES('queued',1,0,2111278212713712,'{"run":{"extensions":{"jarvis.owner":{"subject":"dev"}},"root_node_run_id":"node_run_2278d62c816c48b2b571cd8f3e2c5f56","run_id":"queued","started_at":"2026-11-29T02:10:12.713712Z","state":"running"},"last_seq":3,"nodes":1,"request_digest":"712e88be9a662d147dd52f76d4526fdbfa741a3fc770d01328a6d921a492f295","owner":{"subject":"dev"},"deadline":"2036-11-26T02:10:12.713712Z","ceilings":{"max_depth":32,"max_total_nodes_per_run":100000}}',1795918212713712);
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
INSERT INTO node_runs VALUES('node_run_f530bfbb1b254544a7042f42acf3862c','finished',3,'1',1,NULL,NULL,NULL,NULL,'{"node":{"created_at":"2026-11-29T02:10:09.251571Z","ended_at":"2026-11-29T02:10:09.379346Z","evaluation_result":{"reason_code":"atomic_completed","status":"success"},"executor_binding":{"endpoint":"http://127.0.0.1:35809/","executor_instance_id":"arp-jarvis-atomic-executor"},"extensions":{"jarvis.owner":{"subject":"dev"}},"inputs":{"x":1},"kind":"atomic","node_run_id":"node_run_f530bfbb1b254544a7042f42acf3862c","node_type_ref":{"node_type_id":"atomic.echo","version":"1.0.0"},"outputs":{"echo":{"x":1}},"run_id":"finished","started_at":"2026-11-29T02:10:09.299281Z","state":"succeeded"},"path":"1","children":0,"rounds":0,"attempt":1,"retries":0,"astray":false,"side_effect":null,"idempotent":false,"deadline":"2036-11-21T22:10:09.299281Z"}','atomic','succeeded',1795918209299281,1795918209379346,1,0,2110918209299281,0,NULL);
INSERT INTO node_runs VALUES('node_run_4d2296493a80404d97a430e99f07f661','lost',10,'1',1,'cancel_executor',1795918213908813,NULL,3,'{"node":{"created_at":"2026-11-29T02:10:10.395783Z","ended_at":"2026-11-29T02:10:10.920042Z","executor_binding":{"endpoint":"http://127.0.0.1:35809/","executor_instance_id":"arp-jarvis-atomic-executor"},"extensions":{"completion_error":{"code":"executor_outcome_unknown","details":{"attempt":1},"message":"The coordinator stopped while the node was at its executor, and it may not be executed twice"},"jarvis.owner":{"subject":"dev"}},"inputs":{"hang":1},"kind":"atomic","node_run_id":"node_run_4d2296493a80404d97a430e99f07f661","node_type_ref":{"node_type_id":"atomic.echo","version":"1.0.0"},"run_id":"lost","started_at":"2026-11-29T02:10:10.432645Z","state":"failed"},"path":"1","children":0,"rounds":0,"attempt":1,"retries":0,"astray":false,"side_effect":null,"idempotent":false,"deadline":"2036-11-21T22:10:10.432645Z"}','atomic','failed',1795918210432645,1795918210920042,1,0,2110918210432645,0,NULL);
INSERT INTO node_runs VALUES('node_run_96439a6136c447cc828e3081e91bcd6f','canceled',8,'1',1,'cancel_executor',1795918215056445,NULL,3,'{"node":{"created_at":"2026-11-29T02:10:10.944022Z","executor_binding":{"endpoint":"http://127.0.0.1:35809/","executor_instance_id":"arp-jarvis-atomic-executor"},"extensions":{"jarvis.owner":{"subject":"dev"}},"inputs":{"hang":1},"kind":"atomic","node_run_id":"node_run_96439a6136c447cc828e3081e91bcd6f","node_type_ref":{"node_type_id":"atomic.echo","version":"1.0.0"},"run_id":"canceled","started_at":"2026-11-29T02:10:10.951015Z","state":"running"},"path":"1","children":0,"rounds":0,"attempt":1,"retries":0,"astray":false,"side_effect":null,"idempotent":false,"deadline":"2036-11-21T22:10:10.951015Z"}','atomic','canceled',1795918210951015,1795918212045551,1,0,2110918210951015,0,NULL);
INSERT INTO node_runs VALUES('node_run_bd443663187b4bb086f1e322a602d2ad','at-executor',2,'1',0,'deadline',2110918212226500,'owner_902786d7728b49e5822b9de5c42bab01',0,'{"node":{"created_at":"2026-11-29T02:10:12.135376Z","executor_binding":{"endpoint":"http://127.0.0.1:35809/","executor_instance_id":"arp-jarvis-atomic-executor"},"extensions":{"jarvis.owner":{"subject":"dev"}},"inputs":{"hang":1},"kind":"atomic","node_run_id":"node_run_bd443663187b4bb086f1e322a602d2ad","node_type_ref":{"node_type_id":"atomic.echo","version":"1.0.0"},"run_id":"at-executor","started_at":"2026-11-29T02:10:12.226500Z","state":"running"},"path":"1","children":0,"rounds":0,"attempt":1,"retries":0,"astray":false,"side_effect":null,"idempotent":false,"deadline":"2036-11-21T22:10:12.226500Z"}','atomic','running',1795918212226500,NULL,1,0,2110918212226500,0,NULL);
INSERT INTO node_runs VALUES('node_run_0269aaebcc62419f94b3a7f3bd1658c8','composite',3,'1',0,'deadline',2110918212662075,NULL,0,'{"node":{"created_at":"2026-11-29T02:10:12.508440Z","executor_binding":{"endpoint":"http://127.0.0.1:35809/","executor_instance_id":"arp-jarvis-composite-executor"},"extensions":{"decomposition_rounds":1,"jarvis.owner":{"subject":"dev"}},"inputs":{},"kind":"composite","node_run_id":"node_run_0269aaebcc62419f94b3a7f3bd1658c8","node_type_ref":{"node_type_id":"composite.plan","version":"1.0.0"},"run_id":"composite","started_at":"2026-11-29T02:10:12.541337Z","state":"running"},"path":"1","children":1,"rounds":1,"attempt":1,"retries":0,"astray":false,"side_effect":null,"idempotent":false,"deadline":"2036-11-26T02:10:12.508440Z","waits":{"check_at":"2036-11-21T22:10:12.662075Z"}}','composite','running',1795918212541337,NULL,1,0,2111278212508440,0,NULL);
INSERT INTO node_runs VALUES('node_run_2f1899dfcea94f2e8c55b5ddea26f19e','composite',1,'1.2',0,'dispatch',1795918212662075,'owner_902786d7728b49e5822b9de5c42bab01',0,'{"node":{"created_at":"2026-11-29T02:10:12.662075Z","inputs":{"child":1},"kind":"atomic","node_run_id":"node_run_2f1899dfcea94f2e8c55b5ddea26f19e","node_type_ref":{"node_type_id":"atomic.echo","version":"1.0.0"},"parent_node_run_id":"node_run_0269aaebcc62419f94b3a7f3bd1658c8","run_id":"composite","state":"queued"},"path":"1.2","children":0,"rounds":0,"attempt":0,"retries":0,"astray":false,"side_effect":null,"idempotent":false,"deadline":"2036-11-26T02:10:12.508440Z"}','atomic','queued',NULL,NULL,0,0,2111278212508440,0,NULL);
INSERT INTO node_runs VALUES('node_run_2278d62c816c48b2b571cd8f3e2c5f56','queued',1,'1',0,'dispatch',1795918212713712,'owner_902786d7728b49e5822b9de5c42bab01',0,'{"node":{"created_at":"2026-11-29T02:10:12.713712Z","extensions":{"jarvis.owner":{"subject":"dev"}},"inputs":{},"kind":"atomic","node_run_id":"node_run_2278d62c816c48b2b571cd8f3e2c5f56","node_type_ref":{"node_type_id":"atomic.echo","version":"1.0.0"},"run_id":"queued","state":"queued"},"path":"1","children":0,"rounds":0,"attempt":0,"retries":0,"astray":false,"side_effect":null,"idempotent":false,"deadline":"2036-11-26T02:10:12.713712Z"}','atomic','queued',NULL,NULL,0,0,2111278212713712,0,NULL);
CREATE TABLE events (
        run_id      TEXT NOT NULL,
        seq         INTEGER NOT NULL CHECK (seq > 0),
        path        TEXT,
        body        TEXT NOT NULL,
        PRIMARY KEY (run_id, seq)
    ) STRICT, WITHOUT ROWID;
INSERT INTO events VALUES('at-executor',1,NULL,'{"data":{"root_node_run_id":"node_run_bd443663187b4bb086f1e322a602d2ad"},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"run_id":"at-executor","seq":1,"time":"2026-11-29T02:10:12.135376Z","type":"run_started"}');
INSERT INTO events VALUES('at-executor',2,'1','{"data":{"root":true},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"node_run_id":"node_run_bd443663187b4bb086f1e322a602d2ad","run_id":"at-executor","seq":2,"time":"2026-11-29T02:10:12.135376Z","type":"node_run_assigned"}');
INSERT INTO events VALUES('at-executor',3,'1','{"data":{"action":"run.start","decision":"allow","reason_code":"policy_bypass"},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"node_run_id":"node_run_bd443663187b4bb086f1e322a602d2ad","run_id":"at-executor","seq":3,"time":"2026-11-29T02:10:12.135376Z","type":"policy_decided"}');
INSERT INTO events VALUES('at-executor',4,'1','{"data":{"action":"node.run.execute","decision":"allow","reason_code":"policy_bypass"},"extensions":{"jarvis.actor":{"kind":"coordinator"}},"node_run_id":"node_run_bd443663187b4bb086f1e322a602d2ad","run_id":"at-executor","seq":4,"time":"2026-11-29T02:10:12.226500Z","type":"policy_decided"}');
INSERT INTO events VALUES('canceled',1,NULL,'{"data":{"root_node_run_id":"node_run_96439a6136c447cc828e3081e91bcd6f"},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"run_id":"canceled","seq":1,"time":"2026-11-29T02:10:10.944022Z","type":"run_started"}');
INSERT INTO events VALUES('canceled',2,'1','{"data":{"root":true},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"node_run_id":"node_run_96439a6136c447cc828e3081e91bcd6f","run_id":"canceled","seq":2,"time":"2026-11-29T02:10:10.944022Z","type":"node_run_assigned"}');
INSERT INTO events VALUES('canceled',3,'1','{"data":{"action":"run.start","decision":"allow","reason_code":"policy_bypass"},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"node_run_id":"node_run_96439a6136c447cc828e3081e91bcd6f","run_id":"canceled","seq":3,"time":"2026-11-29T02:10:10.944022Z","type":"policy_decided"}');
INSERT INTO events VALUES('canceled',4,'1','{"data":{"action":"node.run.execute","decision":"allow","reason_code":"policy_bypass"},"extensions":{"jarvis.actor":{"kind":"coordinator"}},"node_run_id":"node_run_96439a6136c447cc828e3081e91bcd6f","run_id":"canceled","seq":4,"time":"2026-11-29T02:10:10.951015Z","type":"policy_decided"}');
INSERT INTO events VALUES('canceled',5,'1','{"data":{"state":"canceled"},"extensions":{"jarvis.actor":{"attempt":1,"kind":"caller","subject":"dev"}},"node_run_id":"node_run_96439a6136c447cc828e3081e91bcd6f","run_id":"canceled","seq":5,"time":"2026-11-29T02:10:12.045551Z","type":"atomic_executed"}');
INSERT INTO events VALUES('canceled',6,NULL,'{"data":{"state":"canceled"},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"run_id":"canceled","seq":6,"time":"2026-11-29T02:10:12.045551Z","type":"run_completed"}');
INSERT INTO events VALUES('composite',1,NULL,'{"data":{"root_node_run_id":"node_run_0269aaebcc62419f94b3a7f3bd1658c8"},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"run_id":"composite","seq":1,"time":"2026-11-29T02:10:12.508440Z","type":"run_started"}');
INSERT INTO events VALUES('composite',2,'1','{"data":{"root":true},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"node_run_id":"node_run_0269aaebcc62419f94b3a7f3bd1658c8","run_id":"composite","seq":2,"time":"2026-11-29T02:10:12.508440Z","type":"node_run_assigned"}');
INSERT INTO events VALUES('composite',3,'1','{"data":{"action":"run.start","decision":"allow","reason_code":"policy_bypass"},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"node_run_id":"node_run_0269aaebcc62419f94b3a7f3bd1658c8","run_id":"composite","seq":3,"time":"2026-11-29T02:10:12.508440Z","type":"policy_decided"}');
INSERT INTO events VALUES('composite',4,'1','{"data":{"action":"node.run.execute","decision":"allow","reason_code":"policy_bypass"},"extensions":{"jarvis.actor":{"kind":"coordinator"}},"node_run_id":"node_run_0269aaebcc62419f94b3a7f3bd1658c8","run_id":"composite","seq":4,"time":"2026-11-29T02:10:12.541337Z","type":"policy_decided"}');
INSERT INTO events VALUES('composite',5,'1','{"data":{"node_run_count":1},"extensions":{"jarvis.actor":{"attempt":1,"kind":"caller","subject":"dev"}},"node_run_id":"node_run_0269aaebcc62419f94b3a7f3bd1658c8","run_id":"composite","seq":5,"time":"2026-11-29T02:10:12.662075Z","type":"composite_decomposed"}');
INSERT INTO events VALUES('composite',6,'1.2','{"data":{"parent_node_run_id":"node_run_0269aaebcc62419f94b3a7f3bd1658c8"},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"node_run_id":"node_run_2f1899dfcea94f2e8c55b5ddea26f19e","run_id":"composite","seq":6,"time":"2026-11-29T02:10:12.662075Z","type":"node_run_assigned"}');
INSERT INTO events VALUES('finished',1,NULL,'{"data":{"root_node_run_id":"node_run_f530bfbb1b254544a7042f42acf3862c"},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"run_id":"finished","seq":1,"time":"2026-11-29T02:10:09.251571Z","type":"run_started"}');
INSERT INTO events VALUES('finished',2,'1','{"data":{"root":true},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"node_run_id":"node_run_f530bfbb1b254544a7042f42acf3862c","run_id":"finished","seq":2,"time":"2026-11-29T02:10:09.251571Z","type":"node_run_assigned"}');
INSERT INTO events VALUES('finished',3,'1','{"data":{"action":"run.start","decision":"allow","reason_code":"policy_bypass"},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"node_run_id":"node_run_f530bfbb1b254544a7042f42acf3862c","run_id":"finished","seq":3,"time":"2026-11-29T02:10:09.251571Z","type":"policy_decided"}');
INSERT INTO events VALUES('finished',4,'1','{"data":{"action":"node.run.execute","decision":"allow","reason_code":"policy_bypass"},"extensions":{"jarvis.actor":{"kind":"coordinator"}},"node_run_id":"node_run_f530bfbb1b254544a7042f42acf3862c","run_id":"finished","seq":4,"time":"2026-11-29T02:10:09.299281Z","type":"policy_decided"}');
INSERT INTO events VALUES('finished',5,'1','{"data":{"reason_code":"atomic_completed","status":"success"},"extensions":{"jarvis.actor":{"attempt":1,"kind":"executor","node_run_id":"node_run_f530bfbb1b254544a7042f42acf3862c"}},"node_run_id":"node_run_f530bfbb1b254544a7042f42acf3862c","run_id":"finished","seq":5,"time":"2026-11-29T02:10:09.379346Z","type":"node_evaluated"}');
INSERT INTO events VALUES('finished',6,'1','{"data":{"state":"succeeded"},"extensions":{"jarvis.actor":{"attempt":1,"kind":"executor","node_run_id":"node_run_f530bfbb1b254544a7042f42acf3862c"}},"node_run_id":"node_run_f530bfbb1b254544a7042f42acf3862c","run_id":"finished","seq":6,"time":"2026-11-29T02:10:09.379346Z","type":"atomic_executed"}');
INSERT INTO events VALUES('finished',7,'1','{"data":{"state":"succeeded"},"extensions":{"jarvis.actor":{"attempt":1,"kind":"executor","node_run_id":"node_run_f530bfbb1b254544a7042f42acf3862c"}},"node_run_id":"node_run_f530bfbb1b254544a7042f42acf3862c","run_id":"finished","seq":7,"time":"2026-11-29T02:10:09.379346Z","type":"run_completed"}');
INSERT INTO events VALUES('lost',1,NULL,'{"data":{"root_node_run_id":"node_run_4d2296493a80404d97a430e99f07f661"},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"run_id":"lost","seq":1,"time":"2026-11-29T02:10:10.395783Z","type":"run_started"}');
INSERT INTO events VALUES('lost',2,'1','{"data":{"root":true},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"node_run_id":"node_run_4d2296493a80404d97a430e99f07f661","run_id":"lost","seq":2,"time":"2026-11-29T02:10:10.395783Z","type":"node_run_assigned"}');
INSERT INTO events VALUES('lost',3,'1','{"data":{"action":"run.start","decision":"allow","reason_code":"policy_bypass"},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"node_run_id":"node_run_4d2296493a80404d97a430e99f07f661","run_id":"lost","seq":3,"time":"2026-11-29T02:10:10.395783Z","type":"policy_decided"}');
INSERT INTO events VALUES('lost',4,'1','{"data":{"action":"node.run.execute","decision":"allow","reason_code":"policy_bypass"},"extensions":{"jarvis.actor":{"kind":"coordinator"}},"node_run_id":"node_run_4d2296493a80404d97a430e99f07f661","run_id":"lost","seq":4,"time":"2026-11-29T02:10:10.432645Z","type":"policy_decided"}');
INSERT INTO events VALUES('lost',5,'1','{"data":{"state":"failed"},"extensions":{"jarvis.actor":{"attempt":1,"kind":"coordinator"}},"node_run_id":"node_run_4d2296493a80404d97a430e99f07f661","run_id":"lost","seq":5,"time":"2026-11-29T02:10:10.920042Z","type":"atomic_executed"}');
INSERT INTO events VALUES('lost',6,'1','{"data":{"state":"failed"},"extensions":{"jarvis.actor":{"attempt":1,"kind":"coordinator"}},"node_run_id":"node_run_4d2296493a80404d97a430e99f07f661","run_id":"lost","seq":6,"time":"2026-11-29T02:10:10.920042Z","type":"run_completed"}');
INSERT INTO events VALUES('queued',1,NULL,'{"data":{"root_node_run_id":"node_run_2278d62c816c48b2b571cd8f3e2c5f56"},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"run_id":"queued","seq":1,"time":"2026-11-29T02:10:12.713712Z","type":"run_started"}');
INSERT INTO events VALUES('queued',2,'1','{"data":{"root":true},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"node_run_id":"node_run_2278d62c816c48b2b571cd8f3e2c5f56","run_id":"queued","seq":2,"time":"2026-11-29T02:10:12.713712Z","type":"node_run_assigned"}');
INSERT INTO events VALUES('queued',3,'1','{"data":{"action":"run.start","decision":"allow","reason_code":"policy_bypass"},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"node_run_id":"node_run_2278d62c816c48b2b571cd8f3e2c5f56","run_id":"queued","seq":3,"time":"2026-11-29T02:10:12.713712Z","type":"policy_decided"}');
CREATE TABLE attempts (
        node_run_id TEXT NOT NULL,
        attempt     INTEGER NOT NULL CHECK (attempt > 0),
        body        TEXT NOT NULL,
        PRIMARY KEY (node_run_id, attempt)
    ) STRICT, WITHOUT ROWID;
INSERT INTO attempts VALUES('node_run_4d2296493a80404d97a430e99f07f661',1,'{"node_run_id":"node_run_4d2296493a80404d97a430e99f07f661","run_id":"lost","attempt":1,"started_at":"2026-11-29T02:10:10.432645Z","ended_at":"2026-11-29T02:10:10.920042Z","outcome":"lost"}');
CREATE TABLE owners (
        owner_id    TEXT PRIMARY KEY NOT NULL,
        alive_until INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
INSERT INTO owners VALUES('owner_902786d7728b49e5822b9de5c42bab01',253402300799999999);
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
INSERT INTO outbox VALUES(1,1795918209251571,'finished',NULL,1,NULL,NULL);
INSERT INTO outbox VALUES(2,1795918209251571,'finished','node_run_f530bfbb1b254544a7042f42acf3862c',1,NULL,NULL);
INSERT INTO outbox VALUES(3,1795918209251571,'finished',NULL,NULL,1,3);
INSERT INTO outbox VALUES(4,1795918209299281,'finished',NULL,0,NULL,NULL);
INSERT INTO outbox VALUES(5,1795918209299281,'finished','node_run_f530bfbb1b254544a7042f42acf3862c',0,NULL,NULL);
INSERT INTO outbox VALUES(6,1795918209299281,'finished',NULL,NULL,4,4);
INSERT INTO outbox VALUES(7,1795918209379346,'finished',NULL,0,NULL,NULL);
INSERT INTO outbox VALUES(8,1795918209379346,'finished','node_run_f530bfbb1b254544a7042f42acf3862c',0,NULL,NULL);
INSERT INTO outbox VALUES(9,1795918209379346,'finished',NULL,NULL,5,7);
INSERT INTO outbox VALUES(10,1795918210395783,'lost',NULL,1,NULL,NULL);
INSERT INTO outbox VALUES(11,1795918210395783,'lost','node_run_4d2296493a80404d97a430e99f07f661',1,NULL,NULL);
INSERT INTO outbox VALUES(12,1795918210395783,'lost',NULL,NULL,1,3);
INSERT INTO outbox VALUES(13,1795918210432645,'lost',NULL,0,NULL,NULL);
INSERT INTO outbox VALUES(14,1795918210432645,'lost','node_run_4d2296493a80404d97a430e99f07f661',0,NULL,NULL);
INSERT INTO outbox VALUES(15,1795918210432645,'lost',NULL,NULL,4,4);
INSERT INTO outbox VALUES(16,1795918210920042,'lost',NULL,0,NULL,NULL);
INSERT INTO outbox VALUES(17,1795918210920042,'lost','node_run_4d2296493a80404d97a430e99f07f661',0,NULL,NULL);
INSERT INTO outbox VALUES(18,1795918210920042,'lost',NULL,NULL,5,6);
INSERT INTO outbox VALUES(19,1795918210929076,'lost','node_run_4d2296493a80404d97a430e99f07f661',0,NULL,NULL);
INSERT INTO outbox VALUES(20,1795918210944022,'canceled',NULL,1,NULL,NULL);
INSERT INTO outbox VALUES(21,1795918210944022,'canceled','node_run_96439a6136c447cc828e3081e91bcd6f',1,NULL,NULL);
INSERT INTO outbox VALUES(22,1795918210944022,'canceled',NULL,NULL,1,3);
INSERT INTO outbox VALUES(23,1795918210951015,'canceled',NULL,0,NULL,NULL);
INSERT INTO outbox VALUES(24,1795918210951015,'canceled','node_run_96439a6136c447cc828e3081e91bcd6f',0,NULL,NULL);
INSERT INTO outbox VALUES(25,1795918210951015,'canceled',NULL,NULL,4,4);
INSERT INTO outbox VALUES(26,1795918211331857,'lost','node_run_4d2296493a80404d97a430e99f07f661',0,NULL,NULL);
INSERT INTO outbox VALUES(27,1795918212045551,'canceled',NULL,0,NULL,NULL);
INSERT INTO outbox VALUES(28,1795918212045551,'canceled','node_run_96439a6136c447cc828e3081e91bcd6f',0,NULL,NULL);
INSERT INTO outbox VALUES(29,1795918212045551,'canceled',NULL,NULL,5,6);
INSERT INTO outbox VALUES(30,1795918212128500,'canceled','node_run_96439a6136c447cc828e3081e91bcd6f',0,NULL,NULL);
INSERT INTO outbox VALUES(31,1795918212135376,'at-executor',NULL,1,NULL,NULL);
INSERT INTO outbox VALUES(32,1795918212135376,'at-executor','node_run_bd443663187b4bb086f1e322a602d2ad',1,NULL,NULL);
INSERT INTO outbox VALUES(33,1795918212135376,'at-executor',NULL,NULL,1,3);
INSERT INTO outbox VALUES(34,1795918212226500,'at-executor',NULL,0,NULL,NULL);
INSERT INTO outbox VALUES(35,1795918212226500,'at-executor','node_run_bd443663187b4bb086f1e322a602d2ad',0,NULL,NULL);
INSERT INTO outbox VALUES(36,1795918212226500,'at-executor',NULL,NULL,4,4);
INSERT INTO outbox VALUES(37,1795918212239851,'lost','node_run_4d2296493a80404d97a430e99f07f661',0,NULL,NULL);
INSERT INTO outbox VALUES(38,1795918212508440,'composite',NULL,1,NULL,NULL);
INSERT INTO outbox VALUES(39,1795918212508440,'composite','node_run_0269aaebcc62419f94b3a7f3bd1658c8',1,NULL,NULL);
INSERT INTO outbox VALUES(40,1795918212508440,'composite',NULL,NULL,1,3);
INSERT INTO outbox VALUES(41,1795918212541337,'composite',NULL,0,NULL,NULL);
INSERT INTO outbox VALUES(42,1795918212541337,'composite','node_run_0269aaebcc62419f94b3a7f3bd1658c8',0,NULL,NULL);
INSERT INTO outbox VALUES(43,1795918212541337,'composite',NULL,NULL,4,4);
INSERT INTO outbox VALUES(44,1795918212564610,'canceled','node_run_96439a6136c447cc828e3081e91bcd6f',0,NULL,NULL);
INSERT INTO outbox VALUES(45,1795918212662075,'composite',NULL,0,NULL,NULL);
INSERT INTO outbox VALUES(46,1795918212662075,'composite','node_run_2f1899dfcea94f2e8c55b5ddea26f19e',1,NULL,NULL);
INSERT INTO outbox VALUES(47,1795918212662075,'composite','node_run_0269aaebcc62419f94b3a7f3bd1658c8',0,NULL,NULL);
INSERT INTO outbox VALUES(48,1795918212662075,'composite',NULL,NULL,5,6);
INSERT INTO outbox VALUES(49,1795918212713712,'queued',NULL,1,NULL,NULL);
INSERT INTO outbox VALUES(50,1795918212713712,'queued','node_run_2278d62c816c48b2b571cd8f3e2c5f56',1,NULL,NULL);
INSERT INTO outbox VALUES(51,1795918212713712,'queued',NULL,NULL,1,3);
INSERT INTO outbox VALUES(52,1795918213254526,'canceled','node_run_96439a6136c447cc828e3081e91bcd6f',0,NULL,NULL);
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
INSERT INTO audit_trail VALUES(1,1795918209251571,'finished','{"at":"2026-11-29T02:10:09.251571Z","actor":{"kind":"caller","subject":"dev"},"operation":"start_run","run_id":"finished","outcome":"applied","events":[1,3]}');
INSERT INTO audit_trail VALUES(2,1795918210395783,'lost','{"at":"2026-11-29T02:10:10.395783Z","actor":{"kind":"caller","subject":"dev"},"operation":"start_run","run_id":"lost","outcome":"applied","events":[1,3]}');
INSERT INTO audit_trail VALUES(3,1795918210944022,'canceled','{"at":"2026-11-29T02:10:10.944022Z","actor":{"kind":"caller","subject":"dev"},"operation":"start_run","run_id":"canceled","outcome":"applied","events":[1,3]}');
INSERT INTO audit_trail VALUES(4,1795918212045551,'canceled','{"at":"2026-11-29T02:10:12.045551Z","actor":{"kind":"caller","subject":"dev"},"operation":"cancel_run","run_id":"canceled","outcome":"applied","detail":"live node runs: 1","events":[5,6]}');
INSERT INTO audit_trail VALUES(5,1795918212135376,'at-executor','{"at":"2026-11-29T02:10:12.135376Z","actor":{"kind":"caller","subject":"dev"},"operation":"start_run","run_id":"at-executor","outcome":"applied","events":[1,3]}');
INSERT INTO audit_trail VALUES(6,1795918212508440,'composite','{"at":"2026-11-29T02:10:12.508440Z","actor":{"kind":"caller","subject":"dev"},"operation":"start_run","run_id":"composite","outcome":"applied","events":[1,3]}');
INSERT INTO audit_trail VALUES(7,1795918212662075,'composite','{"at":"2026-11-29T02:10:12.662075Z","actor":{"kind":"caller","subject":"dev"},"operation":"create_node_runs","run_id":"composite","node_run_id":"node_run_0269aaebcc62419f94b3a7f3bd1658c8","outcome":"applied","detail":"new node runs: 1","events":[5,6]}');
INSERT INTO audit_trail VALUES(8,1795918212713712,'queued','{"at":"2026-11-29T02:10:12.713712Z","actor":{"kind":"caller","subject":"dev"},"operation":"start_run","run_id":"queued","outcome":"applied","events":[1,3]}');
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('audit_trail',8);
INSERT INTO sqlite_sequence VALUES('outbox',52);
CREATE INDEX runs_live ON runs (deadline) WHERE terminal = 0;
CREATE INDEX node_runs_live ON node_runs (run_id, path) WHERE terminal = 0;
CREATE INDEX wakes_owned ON node_runs (wake_owner) WHERE wake_owner IS NOT NULL;
CREATE INDEX runs_over ON runs (changed_at) WHERE terminal = 1;
CREATE INDEX wakes_free ON node_runs (wake_job, kind, wake_at, run_id)
        WHERE wake_owner IS NULL AND wake_at IS NOT NULL;
CREATE INDEX audit_trail_of_run ON audit_trail (run_id) WHERE run_id IS NOT NULL;
CREATE INDEX approvals ON node_runs (waits_since, node_run_id, run_id) WHERE wake_job = 'approval';
CREATE INDEX node_runs_of_run ON node_runs (run_id);
COMMIT;
