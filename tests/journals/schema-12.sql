PRAGMA application_id = 1246905162;
PRAGMA user_version = 12;
BEGIN TRANSACTION;
CREATE TABLE runs (
        run_id      TEXT PRIMARY KEY NOT NULL,
        version     INTEGER NOT NULL CHECK (version > 0),
        terminal    INTEGER NOT NULL CHECK (terminal IN (0, 1)),
        deadline    INTEGER,
        body        TEXT NOT NULL, changed_at INTEGER NOT NULL DEFAULT 0,
        CONSTRAINT a_live_run_has_a_deadline CHECK (terminal = 1 OR deadline IS NOT NULL)
    ) STRICT;
INSERT INTO runs VALUES('finished',3,1,NULL,'{"run":{"ended_at":"2026-11-29T02:09:50.700505Z","extensions":{"jarvis.metadata":{"labels":{"env":"test","run":"finished"}},"jarvis.owner":{"subject":"dev"}},"root_node_run_id":"node_run_a56257b0a7114f84990be111f5bb8660","run_id":"finished","started_at":"2026-11-29T02:09:50.556496Z","state":"succeeded"},"last_seq":7,"nodes":1,"request_digest":"f8f73df86553b8ee35f64060ec1b71adfe806f9ad9bb67d1249cec1e9bcd0369","owner":{"subject":"dev"},"deadline":null,"ceilings":{"max_depth":32,"max_total_nodes_per_run":100000}}',1795918190700505);
INSERT INTO runs VALUES('lost',3,1,NULL,'{"run":{"ended_at":"2026-11-29T02:09:53.507253Z","extensions":{"jarvis.metadata":{"labels":{"env":"test","run":"lost"}},"jarvis.owner":{"subject":"dev"}},"root_node_run_id":"node_run_905eb323914e424c8ee2d01c9581a962","run_id":"lost","started_at":"2026-11-29T02:09:51.668086Z","state":"failed"},"last_seq":6,"nodes":1,"request_digest":"e320c25873e4d0216d3ce2c9624ec73f7b5a38644588f0ca471946e5a19e400c","owner":{"subject":"dev"},"deadline":null,"ceilings":{"max_depth":32,"max_total_nodes_per_run":100000}}',1795918193507253);
INSERT INTO runs VALUES('canceled',3,1,NULL,'{"run":{"ended_at":"2026-11-29T02:09:54.772035Z","extensions":{"jarvis.metadata":{"labels":{"env":"test","run":"canceled"}},"jarvis.owner":{"subject":"dev"}},"root_node_run_id":"node_run_b6b690b2dd1b47bdb3188bc06545dd28","run_id":"canceled","started_at":"2026-11-29T02:09:53.640198Z","state":"canceled"},"last_seq":6,"nodes":1,"request_digest":"91049621b4255e657adda1ba1ead2dcbfa371bbf571d9d41197301ecd042b89a","owner":{"subject":"dev"},"deadline":null,"ceilings":{"max_depth":32,"max_total_nodes_per_run":100000}}',1795918194772035);
INSERT INTO runs VALUES('at-executor',2,0,2111278194948622,'{"run":{"extensions":{"jarvis.metadata":{"labels":{"env":"test","run":"at-executor"}},"jarvis.owner":{"subject":"dev"}},"root_node_run_id":"node_run_dc0568da8ef6465fbac2c485d38aa4cd","run_id":"at-executor","started_at":"2026-11-29T02:09:54.948622Z","state":"running"},"last_seq":4,"nodes":1,"request_digest":"f9d07269867659d0d2ddc37ecb90526a079749dacaacc110d545dac331a5b0a8","owner":{"subject":"dev"},"deadline":"2036-11-26T02:09:54.948622Z","ceilings":{"max_depth":32,"max_total_nodes_per_run":100000}}',1795918195007152);
INSERT INTO runs VALUES('composite',3,0,2111278195247708,'{"run":{"extensions":{"jarvis.metadata":{"labels":{"env":"test","run":"composite"}},"jarvis.owner":{"subject":"dev"}},"root_node_run_id":"node_run_76c2cafaeacc4083ac60352442428211","run_id":"composite","started_at":"2026-11-29T02:09:55.247708Z","state":"running"},"last_seq":6,"nodes":2,"request_digest":"201edbabcd781afb3c96fd3ba2984def3d29ef542f7110ca5f1ef0f7576d7f00","owner":{"subject":"dev"},"deadline":"2036-11-26T02:09:55.247708Z","ceilings":{"max_depth":32,"max_total_nodes_per_run":100000}}',1795918195452286);
INSERT INTO runs VALUES('queued',1,0,2111278195487702,'{"run":{"extensions":{"jarvis.metadata":{"labels":{"env":"test","run":"queued"}},"jarvis.owner":{"subject":"dev"}},"root_node_run_id":"node_run_a3866a70c8d74517bd129558fc561a78","run_id":"queued","started_at":"2026-11-29T02:09:55.487702Z","state":"running"},"last_seq":3,"nodes":1,"request_digest":"91a9d8303fda31cffaf66a6f18a311b0f58db0b8abad26a0d83f58f0aba77048","owner":{"subject":"dev"},"deadline":"2036-11-26T02:09:55.487702Z","ceilings":{"max_depth":32,"max_total_nodes_per_run":100000}}',1795918195487702);
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
INSERT INTO node_runs VALUES('node_run_a56257b0a7114f84990be111f5bb8660','finished',3,'1',1,NULL,NULL,NULL,NULL,'{"node":{"created_at":"2026-11-29T02:09:50.556496Z","ended_at":"2026-11-29T02:09:50.700505Z","evaluation_result":{"reason_code":"atomic_completed","status":"success"},"executor_binding":{"endpoint":"http://127.0.0.1:39641/","executor_instance_id":"arp-jarvis-atomic-executor"},"extensions":{"jarvis.metadata":{"labels":{"env":"test","run":"finished"}},"jarvis.owner":{"subject":"dev"}},"inputs":{"x":1},"kind":"atomic","node_run_id":"node_run_a56257b0a7114f84990be111f5bb8660","node_type_ref":{"node_type_id":"atomic.echo","version":"1.0.0"},"outputs":{"echo":{"x":1}},"run_id":"finished","started_at":"2026-11-29T02:09:50.583092Z","state":"succeeded"},"path":"1","children":0,"rounds":0,"attempt":1,"retries":0,"astray":false,"side_effect":null,"idempotent":false,"deadline":"2036-11-21T22:09:50.583092Z"}','atomic','succeeded',1795918190583092,1795918190700505,1,0,2110918190583092,0,NULL);
INSERT INTO node_runs VALUES('node_run_905eb323914e424c8ee2d01c9581a962','lost',10,'1',1,'cancel_executor',1795918196874413,NULL,3,'{"node":{"created_at":"2026-11-29T02:09:51.668086Z","ended_at":"2026-11-29T02:09:53.507253Z","executor_binding":{"endpoint":"http://127.0.0.1:39641/","executor_instance_id":"arp-jarvis-atomic-executor"},"extensions":{"completion_error":{"code":"executor_outcome_unknown","details":{"attempt":1},"message":"The coordinator stopped while the node was at its executor, and it may not be executed twice"},"jarvis.metadata":{"labels":{"env":"test","run":"lost"}},"jarvis.owner":{"subject":"dev"}},"inputs":{"hang":1},"kind":"atomic","node_run_id":"node_run_905eb323914e424c8ee2d01c9581a962","node_type_ref":{"node_type_id":"atomic.echo","version":"1.0.0"},"run_id":"lost","started_at":"2026-11-29T02:09:51.719616Z","state":"failed"},"path":"1","children":0,"rounds":0,"attempt":1,"retries":0,"astray":false,"side_effect":null,"idempotent":false,"deadline":"2036-11-21T22:09:51.719616Z"}','atomic','failed',1795918191719616,1795918193507253,1,0,2110918191719616,0,NULL);
INSERT INTO node_runs VALUES('node_run_b6b690b2dd1b47bdb3188bc06545dd28','canceled',8,'1',1,'cancel_executor',1795918197243334,NULL,3,'{"node":{"created_at":"2026-11-29T02:09:53.640198Z","executor_binding":{"endpoint":"http://127.0.0.1:39641/","executor_instance_id":"arp-jarvis-atomic-executor"},"extensions":{"jarvis.metadata":{"labels":{"env":"test","run":"canceled"}},"jarvis.owner":{"subject":"dev"}},"inputs":{"hang":1},"kind":"atomic","node_run_id":"node_run_b6b690b2dd1b47bdb3188bc06545dd28","node_type_ref":{"node_type_id":"atomic.echo","version":"1.0.0"},"run_id":"canceled","started_at":"2026-11-29T02:09:53.663096Z","state":"running"},"path":"1","children":0,"rounds":0,"attempt":1,"retries":0,"astray":false,"side_effect":null,"idempotent":false,"deadline":"2036-11-21T22:09:53.663096Z"}','atomic','canceled',1795918193663096,1795918194772035,1,0,2110918193663096,0,NULL);
INSERT INTO node_runs VALUES('node_run_dc0568da8ef6465fbac2c485d38aa4cd','at-executor',2,'1',0,'deadline',2110918195007152,'owner_ae012ae7101846c9a8ae8af5eb75f92a',0,'{"node":{"created_at":"2026-11-29T02:09:54.948622Z","executor_binding":{"endpoint":"http://127.0.0.1:39641/","executor_instance_id":"arp-jarvis-atomic-executor"},"extensions":{"jarvis.metadata":{"labels":{"env":"test","run":"at-executor"}},"jarvis.owner":{"subject":"dev"}},"inputs":{"hang":1},"kind":"atomic","node_run_id":"node_run_dc0568da8ef6465fbac2c485d38aa4cd","node_type_ref":{"node_type_id":"atomic.echo","version":"1.0.0"},"run_id":"at-executor","started_at":"2026-11-29T02:09:55.007152Z","state":"running"},"path":"1","children":0,"rounds":0,"attempt":1,"retries":0,"astray":false,"side_effect":null,"idempotent":false,"deadline":"2036-11-21T22:09:55.007152Z"}','atomic','running',1795918195007152,NULL,1,0,2110918195007152,0,NULL);
INSERT INTO node_runs VALUES('node_run_76c2cafaeacc4083ac60352442428211','composite',3,'1',0,'deadline',2110918195452286,NULL,0,'{"node":{"created_at":"2026-11-29T02:09:55.247708Z","executor_binding":{"endpoint":"http://127.0.0.1:39641/","executor_instance_id":"arp-jarvis-composite-executor"},"extensions":{"decomposition_rounds":1,"jarvis.metadata":{"labels":{"env":"test","run":"composite"}},"jarvis.owner":{"subject":"dev"}},"inputs":{},"kind":"composite","node_run_id":"node_run_76c2cafaeacc4083ac60352442428211","node_type_ref":{"node_type_id":"composite.plan","version":"1.0.0"},"run_id":"composite","started_at":"2026-11-29T02:09:55.285667Z","state":"running"},"path":"1","children":1,"rounds":1,"attempt":1,"retries":0,"astray":false,"side_effect":null,"idempotent":false,"deadline":"2036-11-26T02:09:55.247708Z","waits":{"check_at":"2036-11-21T22:09:55.452286Z"}}','composite','running',1795918195285667,NULL,1,0,2111278195247708,0,NULL);
INSERT INTO node_runs VALUES('node_run_84b3fed006db49c093c4a243fb916fb2','composite',1,'1.2',0,'dispatch',1795918195452286,'owner_ae012ae7101846c9a8ae8af5eb75f92a',0,'{"node":{"created_at":"2026-11-29T02:09:55.452286Z","inputs":{"child":1},"kind":"atomic","node_run_id":"node_run_84b3fed006db49c093c4a243fb916fb2","node_type_ref":{"node_type_id":"atomic.echo","version":"1.0.0"},"parent_node_run_id":"node_run_76c2cafaeacc4083ac60352442428211","run_id":"composite","state":"queued"},"path":"1.2","children":0,"rounds":0,"attempt":0,"retries":0,"astray":false,"side_effect":null,"idempotent":false,"deadline":"2036-11-26T02:09:55.247708Z"}','atomic','queued',NULL,NULL,0,0,2111278195247708,0,NULL);
INSERT INTO node_runs VALUES('node_run_a3866a70c8d74517bd129558fc561a78','queued',1,'1',0,'dispatch',1795918195487702,'owner_ae012ae7101846c9a8ae8af5eb75f92a',0,'{"node":{"created_at":"2026-11-29T02:09:55.487702Z","extensions":{"jarvis.metadata":{"labels":{"env":"test","run":"queued"}},"jarvis.owner":{"subject":"dev"}},"inputs":{},"kind":"atomic","node_run_id":"node_run_a3866a70c8d74517bd129558fc561a78","node_type_ref":{"node_type_id":"atomic.echo","version":"1.0.0"},"run_id":"queued","state":"queued"},"path":"1","children":0,"rounds":0,"attempt":0,"retries":0,"astray":false,"side_effect":null,"idempotent":false,"deadline":"2036-11-26T02:09:55.487702Z"}','atomic','queued',NULL,NULL,0,0,2111278195487702,0,NULL);
CREATE TABLE events (
        run_id      TEXT NOT NULL,
        seq         INTEGER NOT NULL CHECK (seq > 0),
        path        TEXT,
        body        TEXT NOT NULL,
        PRIMARY KEY (run_id, seq)
    ) STRICT, WITHOUT ROWID;
INSERT INTO events VALUES('at-executor',1,NULL,'{"data":{"root_node_run_id":"node_run_dc0568da8ef6465fbac2c485d38aa4cd"},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"run_id":"at-executor","seq":1,"time":"2026-11-29T02:09:54.948622Z","type":"run_started"}');
INSERT INTO events VALUES('at-executor',2,'1','{"data":{"root":true},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"node_run_id":"node_run_dc0568da8ef6465fbac2c485d38aa4cd","run_id":"at-executor","seq":2,"time":"2026-11-29T02:09:54.948622Z","type":"node_run_assigned"}');
INSERT INTO events VALUES('at-executor',3,'1','{"data":{"action":"run.start","decision":"allow","reason_code":"policy_bypass"},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"node_run_id":"node_run_dc0568da8ef6465fbac2c485d38aa4cd","run_id":"at-executor","seq":3,"time":"2026-11-29T02:09:54.948622Z","type":"policy_decided"}');
INSERT INTO events VALUES('at-executor',4,'1','{"data":{"action":"node.run.execute","decision":"allow","reason_code":"policy_bypass"},"extensions":{"jarvis.actor":{"kind":"coordinator"}},"node_run_id":"node_run_dc0568da8ef6465fbac2c485d38aa4cd","run_id":"at-executor","seq":4,"time":"2026-11-29T02:09:55.007152Z","type":"policy_decided"}');
INSERT INTO events VALUES('canceled',1,NULL,'{"data":{"root_node_run_id":"node_run_b6b690b2dd1b47bdb3188bc06545dd28"},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"run_id":"canceled","seq":1,"time":"2026-11-29T02:09:53.640198Z","type":"run_started"}');
INSERT INTO events VALUES('canceled',2,'1','{"data":{"root":true},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"node_run_id":"node_run_b6b690b2dd1b47bdb3188bc06545dd28","run_id":"canceled","seq":2,"time":"2026-11-29T02:09:53.640198Z","type":"node_run_assigned"}');
INSERT INTO events VALUES('canceled',3,'1','{"data":{"action":"run.start","decision":"allow","reason_code":"policy_bypass"},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"node_run_id":"node_run_b6b690b2dd1b47bdb3188bc06545dd28","run_id":"canceled","seq":3,"time":"2026-11-29T02:09:53.640198Z","type":"policy_decided"}');
INSERT INTO events VALUES('canceled',4,'1','{"data":{"action":"node.run.execute","decision":"allow","reason_code":"policy_bypass"},"extensions":{"jarvis.actor":{"kind":"coordinator"}},"node_run_id":"node_run_b6b690b2dd1b47bdb3188bc06545dd28","run_id":"canceled","seq":4,"time":"2026-11-29T02:09:53.663096Z","type":"policy_decided"}');
INSERT INTO events VALUES('canceled',5,'1','{"data":{"state":"canceled"},"extensions":{"jarvis.actor":{"attempt":1,"kind":"caller","subject":"dev"}},"node_run_id":"node_run_b6b690b2dd1b47bdb3188bc06545dd28","run_id":"canceled","seq":5,"time":"2026-11-29T02:09:54.772035Z","type":"atomic_executed"}');
INSERT INTO events VALUES('canceled',6,NULL,'{"data":{"state":"canceled"},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"run_id":"canceled","seq":6,"time":"2026-11-29T02:09:54.772035Z","type":"run_completed"}');
INSERT INTO events VALUES('composite',1,NULL,'{"data":{"root_node_run_id":"node_run_76c2cafaeacc4083ac60352442428211"},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"run_id":"composite","seq":1,"time":"2026-11-29T02:09:55.247708Z","type":"run_started"}');
INSERT INTO events VALUES('composite',2,'1','{"data":{"root":true},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"node_run_id":"node_run_76c2cafaeacc4083ac60352442428211","run_id":"composite","seq":2,"time":"2026-11-29T02:09:55.247708Z","type":"node_run_assigned"}');
INSERT INTO events VALUES('composite',3,'1','{"data":{"action":"run.start","decision":"allow","reason_code":"policy_bypass"},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"node_run_id":"node_run_76c2cafaeacc4083ac60352442428211","run_id":"composite","seq":3,"time":"2026-11-29T02:09:55.247708Z","type":"policy_decided"}');
INSERT INTO events VALUES('composite',4,'1','{"data":{"action":"node.run.execute","decision":"allow","reason_code":"policy_bypass"},"extensions":{"jarvis.actor":{"kind":"coordinator"}},"node_run_id":"node_run_76c2cafaeacc4083ac60352442428211","run_id":"composite","seq":4,"time":"2026-11-29T02:09:55.285667Z","type":"policy_decided"}');
INSERT INTO events VALUES('composite',5,'1','{"data":{"node_run_count":1},"extensions":{"jarvis.actor":{"attempt":1,"kind":"caller","subject":"dev"}},"node_run_id":"node_run_76c2cafaeacc4083ac60352442428211","run_id":"composite","seq":5,"time":"2026-11-29T02:09:55.452286Z","type":"composite_decomposed"}');
INSERT INTO events VALUES('composite',6,'1.2','{"data":{"parent_node_run_id":"node_run_76c2cafaeacc4083ac60352442428211"},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"node_run_id":"node_run_84b3fed006db49c093c4a243fb916fb2","run_id":"composite","seq":6,"time":"2026-11-29T02:09:55.452286Z","type":"node_run_assigned"}');
INSERT INTO events VALUES('finished',1,NULL,'{"data":{"root_node_run_id":"node_run_a56257b0a7114f84990be111f5bb8660"},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"run_id":"finished","seq":1,"time":"2026-11-29T02:09:50.556496Z","type":"run_started"}');
INSERT INTO events VALUES('finished',2,'1','{"data":{"root":true},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"node_run_id":"node_run_a56257b0a7114f84990be111f5bb8660","run_id":"finished","seq":2,"time":"2026-11-29T02:09:50.556496Z","type":"node_run_assigned"}');
INSERT INTO events VALUES('finished',3,'1','{"data":{"action":"run.start","decision":"allow","reason_code":"policy_bypass"},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"node_run_id":"node_run_a56257b0a7114f84990be111f5bb8660","run_id":"finished","seq":3,"time":"2026-11-29T02:09:50.556496Z","type":"policy_decided"}');
INSERT INTO events VALUES('finished',4,'1','{"data":{"action":"node.run.execute","decision":"allow","reason_code":"policy_bypass"},"extensions":{"jarvis.actor":{"kind":"coordinator"}},"node_run_id":"node_run_a56257b0a7114f84990be111f5bb8660","run_id":"finished","seq":4,"time":"2026-11-29T02:09:50.583092Z","type":"policy_decided"}');
INSERT INTO events VALUES('finished',5,'1','{"data":{"reason_code":"atomic_completed","status":"success"},"extensions":{"jarvis.actor":{"attempt":1,"kind":"executor","node_run_id":"node_run_a56257b0a7114f84990be111f5bb8660"}},"node_run_id":"node_run_a56257b0a7114f84990be111f5bb8660","run_id":"finished","seq":5,"time":"2026-11-29T02:09:50.700505Z","type":"node_evaluated"}');
INSERT INTO events VALUES('finished',6,'1','{"data":{"state":"succeeded"},"extensions":{"jarvis.actor":{"attempt":1,"kind":"executor","node_run_id":"node_run_a56257b0a7114f84990be111f5bb8660"}},"node_run_id":"node_run_a56257b0a7114f84990be111f5bb8660","run_id":"finished","seq":6,"time":"2026-11-29T02:09:50.700505Z","type":"atomic_executed"}');
INSERT INTO events VALUES('finished',7,'1','{"data":{"state":"succeeded"},"extensions":{"jarvis.actor":{"attempt":1,"kind":"executor","node_run_id":"node_run_a56257b0a7114f84990be111f5bb8660"}},"node_run_id":"node_run_a56257b0a7114f84990be111f5bb8660","run_id":"finished","seq":7,"time":"2026-11-29T02:09:50.700505Z","type":"run_completed"}');
INSERT INTO events VALUES('lost',1,NULL,'{"data":{"root_node_run_id":"node_run_905eb323914e424c8ee2d01c9581a962"},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"run_id":"lost","seq":1,"time":"2026-11-29T02:09:51.668086Z","type":"run_started"}');
INSERT INTO events VALUES('lost',2,'1','{"data":{"root":true},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"node_run_id":"node_run_905eb323914e424c8ee2d01c9581a962","run_id":"lost","seq":2,"time":"2026-11-29T02:09:51.668086Z","type":"node_run_assigned"}');
INSERT INTO events VALUES('lost',3,'1','{"data":{"action":"run.start","decision":"allow","reason_code":"policy_bypass"},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"node_run_id":"node_run_905eb323914e424c8ee2d01c9581a962","run_id":"lost","seq":3,"time":"2026-11-29T02:09:51.668086Z","type":"policy_decided"}');
INSERT INTO events VALUES('lost',4,'1','{"data":{"action":"node.run.execute","decision":"allow","reason_code":"policy_bypass"},"extensions":{"jarvis.actor":{"kind":"coordinator"}},"node_run_id":"node_run_905eb323914e424c8ee2d01c9581a962","run_id":"lost","seq":4,"time":"2026-11-29T02:09:51.719616Z","type":"policy_decided"}');
INSERT INTO events VALUES('lost',5,'1','{"data":{"state":"failed"},"extensions":{"jarvis.actor":{"attempt":1,"kind":"coordinator"}},"node_run_id":"node_run_905eb323914e424c8ee2d01c9581a962","run_id":"lost","seq":5,"time":"2026-11-29T02:09:53.507253Z","type":"atomic_executed"}');
INSERT INTO events VALUES('lost',6,'1','{"data":{"state":"failed"},"extensions":{"jarvis.actor":{"attempt":1,"kind":"coordinator"}},"node_run_id":"node_run_905eb323914e424c8ee2d01c9581a962","run_id":"lost","seq":6,"time":"2026-11-29T02:09:53.507253Z","type":"run_completed"}');
INSERT INTO events VALUES('queued',1,NULL,'{"data":{"root_node_run_id":"node_run_a3866a70c8d74517bd129558fc561a78"},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"run_id":"queued","seq":1,"time":"2026-11-29T02:09:55.487702Z","type":"run_started"}');
INSERT INTO events VALUES('queued',2,'1','{"data":{"root":true},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"node_run_id":"node_run_a3866a70c8d74517bd129558fc561a78","run_id":"queued","seq":2,"time":"2026-11-29T02:09:55.487702Z","type":"node_run_assigned"}');
INSERT INTO events VALUES('queued',3,'1','{"data":{"action":"run.start","decision":"allow","reason_code":"policy_bypass"},"extensions":{"jarvis.actor":{"kind":"caller","subject":"dev"}},"node_run_id":"node_run_a3866a70c8d74517bd129558fc561a78","run_id":"queued","seq":3,"time":"2026-11-29T02:09:55.487702Z","type":"policy_decided"}');
CREATE TABLE attempts (
        node_run_id TEXT NOT NULL,
        attempt     INTEGER NOT NULL CHECK (attempt > 0),
        body        TEXT NOT NULL,
        PRIMARY KEY (node_run_id, attempt)
    ) STRICT, WITHOUT ROWID;
INSERT INTO attempts VALUES('node_run_905eb323914e424c8ee2d01c9581a962',1,'{"node_run_id":"node_run_905eb323914e424c8ee2d01c9581a962","run_id":"lost","attempt":1,"started_at":"2026-11-29T02:09:51.719616Z","ended_at":"2026-11-29T02:09:53.507253Z","outcome":"lost"}');
CREATE TABLE owners (
        owner_id    TEXT PRIMARY KEY NOT NULL,
        alive_until INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
INSERT INTO owners VALUES('owner_ae012ae7101846c9a8ae8af5eb75f92a',253402300799999999);
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
INSERT INTO outbox VALUES(1,1795918190556496,'finished',NULL,1,NULL,NULL);
INSERT INTO outbox VALUES(2,1795918190556496,'finished','node_run_a56257b0a7114f84990be111f5bb8660',1,NULL,NULL);
INSERT INTO outbox VALUES(3,1795918190556496,'finished',NULL,NULL,1,3);
INSERT INTO outbox VALUES(4,1795918190583092,'finished',NULL,0,NULL,NULL);
INSERT INTO outbox VALUES(5,1795918190583092,'finished','node_run_a56257b0a7114f84990be111f5bb8660',0,NULL,NULL);
INSERT INTO outbox VALUES(6,1795918190583092,'finished',NULL,NULL,4,4);
INSERT INTO outbox VALUES(7,1795918190700505,'finished',NULL,0,NULL,NULL);
INSERT INTO outbox VALUES(8,1795918190700505,'finished','node_run_a56257b0a7114f84990be111f5bb8660',0,NULL,NULL);
INSERT INTO outbox VALUES(9,1795918190700505,'finished',NULL,NULL,5,7);
INSERT INTO outbox VALUES(10,1795918191668086,'lost',NULL,1,NULL,NULL);
INSERT INTO outbox VALUES(11,1795918191668086,'lost','node_run_905eb323914e424c8ee2d01c9581a962',1,NULL,NULL);
INSERT INTO outbox VALUES(12,1795918191668086,'lost',NULL,NULL,1,3);
INSERT INTO outbox VALUES(13,1795918191719616,'lost',NULL,0,NULL,NULL);
INSERT INTO outbox VALUES(14,1795918191719616,'lost','node_run_905eb323914e424c8ee2d01c9581a962',0,NULL,NULL);
INSERT INTO outbox VALUES(15,1795918191719616,'lost',NULL,NULL,4,4);
INSERT INTO outbox VALUES(16,1795918193507253,'lost',NULL,0,NULL,NULL);
INSERT INTO outbox VALUES(17,1795918193507253,'lost','node_run_905eb323914e424c8ee2d01c9581a962',0,NULL,NULL);
INSERT INTO outbox VALUES(18,1795918193507253,'lost',NULL,NULL,5,6);
INSERT INTO outbox VALUES(19,1795918193514250,'lost','node_run_905eb323914e424c8ee2d01c9581a962',0,NULL,NULL);
INSERT INTO outbox VALUES(20,1795918193640198,'canceled',NULL,1,NULL,NULL);
INSERT INTO outbox VALUES(21,1795918193640198,'canceled','node_run_b6b690b2dd1b47bdb3188bc06545dd28',1,NULL,NULL);
INSERT INTO outbox VALUES(22,1795918193640198,'canceled',NULL,NULL,1,3);
INSERT INTO outbox VALUES(23,1795918193663096,'canceled',NULL,0,NULL,NULL);
INSERT INTO outbox VALUES(24,1795918193663096,'canceled','node_run_b6b690b2dd1b47bdb3188bc06545dd28',0,NULL,NULL);
INSERT INTO outbox VALUES(25,1795918193663096,'canceled',NULL,NULL,4,4);
INSERT INTO outbox VALUES(26,1795918193883286,'lost','node_run_905eb323914e424c8ee2d01c9581a962',0,NULL,NULL);
INSERT INTO outbox VALUES(27,1795918194772035,'canceled',NULL,0,NULL,NULL);
INSERT INTO outbox VALUES(28,1795918194772035,'canceled','node_run_b6b690b2dd1b47bdb3188bc06545dd28',0,NULL,NULL);
INSERT INTO outbox VALUES(29,1795918194772035,'canceled',NULL,NULL,5,6);
INSERT INTO outbox VALUES(30,1795918194851247,'canceled','node_run_b6b690b2dd1b47bdb3188bc06545dd28',0,NULL,NULL);
INSERT INTO outbox VALUES(31,1795918194948622,'at-executor',NULL,1,NULL,NULL);
INSERT INTO outbox VALUES(32,1795918194948622,'at-executor','node_run_dc0568da8ef6465fbac2c485d38aa4cd',1,NULL,NULL);
INSERT INTO outbox VALUES(33,1795918194948622,'at-executor',NULL,NULL,1,3);
INSERT INTO outbox VALUES(34,1795918195003463,'lost','node_run_905eb323914e424c8ee2d01c9581a962',0,NULL,NULL);
INSERT INTO outbox VALUES(35,1795918195007152,'at-executor',NULL,0,NULL,NULL);
INSERT INTO outbox VALUES(36,1795918195007152,'at-executor','node_run_dc0568da8ef6465fbac2c485d38aa4cd',0,NULL,NULL);
INSERT INTO outbox VALUES(37,1795918195007152,'at-executor',NULL,NULL,4,4);
INSERT INTO outbox VALUES(38,1795918195247708,'composite',NULL,1,NULL,NULL);
INSERT INTO outbox VALUES(39,1795918195247708,'composite','node_run_76c2cafaeacc4083ac60352442428211',1,NULL,NULL);
INSERT INTO outbox VALUES(40,1795918195247708,'composite',NULL,NULL,1,3);
INSERT INTO outbox VALUES(41,1795918195255315,'canceled','node_run_b6b690b2dd1b47bdb3188bc06545dd28',0,NULL,NULL);
INSERT INTO outbox VALUES(42,1795918195285667,'composite',NULL,0,NULL,NULL);
INSERT INTO outbox VALUES(43,1795918195285667,'composite','node_run_76c2cafaeacc4083ac60352442428211',0,NULL,NULL);
INSERT INTO outbox VALUES(44,1795918195285667,'composite',NULL,NULL,4,4);
INSERT INTO outbox VALUES(45,1795918195452286,'composite',NULL,0,NULL,NULL);
INSERT INTO outbox VALUES(46,1795918195452286,'composite','node_run_84b3fed006db49c093c4a243fb916fb2',1,NULL,NULL);
INSERT INTO outbox VALUES(47,1795918195452286,'composite','node_run_76c2cafaeacc4083ac60352442428211',0,NULL,NULL);
INSERT INTO outbox VALUES(48,1795918195452286,'composite',NULL,NULL,5,6);
INSERT INTO outbox VALUES(49,1795918195487702,'queued',NULL,1,NULL,NULL);
INSERT INTO outbox VALUES(50,1795918195487702,'queued','node_run_a3866a70c8d74517bd129558fc561a78',1,NULL,NULL);
INSERT INTO outbox VALUES(51,1795918195487702,'queued',NULL,NULL,1,3);
INSERT INTO outbox VALUES(52,1795918196039385,'canceled','node_run_b6b690b2dd1b47bdb3188bc06545dd28',0,NULL,NULL);
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
INSERT INTO audit_trail VALUES(1,1795918190556496,'finished','{"at":"2026-11-29T02:09:50.556496Z","actor":{"kind":"caller","subject":"dev"},"operation":"start_run","run_id":"finished","outcome":"applied","events":[1,3]}');
INSERT INTO audit_trail VALUES(2,1795918191668086,'lost','{"at":"2026-11-29T02:09:51.668086Z","actor":{"kind":"caller","subject":"dev"},"operation":"start_run","run_id":"lost","outcome":"applied","events":[1,3]}');
INSERT INTO audit_trail VALUES(3,1795918193640198,'canceled','{"at":"2026-11-29T02:09:53.640198Z","actor":{"kind":"caller","subject":"dev"},"operation":"start_run","run_id":"canceled","outcome":"applied","events":[1,3]}');
INSERT INTO audit_trail VALUES(4,1795918194772035,'canceled','{"at":"2026-11-29T02:09:54.772035Z","actor":{"kind":"caller","subject":"dev"},"operation":"cancel_run","run_id":"canceled","outcome":"applied","detail":"live node runs: 1","events":[5,6]}');
INSERT INTO audit_trail VALUES(5,1795918194948622,'at-executor','{"at":"2026-11-29T02:09:54.948622Z","actor":{"kind":"caller","subject":"dev"},"operation":"start_run","run_id":"at-executor","outcome":"applied","events":[1,3]}');
INSERT INTO audit_trail VALUES(6,1795918195247708,'composite','{"at":"2026-11-29T02:09:55.247708Z","actor":{"kind":"caller","subject":"dev"},"operation":"start_run","run_id":"composite","outcome":"applied","events":[1,3]}');
INSERT INTO audit_trail VALUES(7,1795918195452286,'composite','{"at":"2026-11-29T02:09:55.452286Z","actor":{"kind":"caller","subject":"dev"},"operation":"create_node_runs","run_id":"composite","node_run_id":"node_run_76c2cafaeacc4083ac60352442428211","outcome":"applied","detail":"new node runs: 1","events":[5,6]}');
INSERT INTO audit_trail VALUES(8,1795918195487702,'queued','{"at":"2026-11-29T02:09:55.487702Z","actor":{"kind":"caller","subject":"dev"},"operation":"start_run","run_id":"queued","outcome":"applied","events":[1,3]}');
CREATE TABLE run_list (
        started_at   INTEGER NOT NULL,
        run_id       TEXT NOT NULL,
        state        TEXT NOT NULL,
        ended_at     INTEGER,
        node_type    TEXT,
        node_version TEXT,
        owner        TEXT,
        error_code   TEXT, labels TEXT, held INTEGER NOT NULL DEFAULT 0 CHECK (held IN (0, 1)),
        PRIMARY KEY (started_at, run_id)
    ) STRICT, WITHOUT ROWID;
INSERT INTO run_list VALUES(1795918190556496,'finished','succeeded',1795918190700505,'atomic.echo','1.0.0','{"subject":"dev"}',NULL,'{"env":"test","run":"finished"}',0);
INSERT INTO run_list VALUES(1795918191668086,'lost','failed',1795918193507253,'atomic.echo','1.0.0','{"subject":"dev"}','executor_outcome_unknown','{"env":"test","run":"lost"}',0);
INSERT INTO run_list VALUES(1795918193640198,'canceled','canceled',1795918194772035,'atomic.echo','1.0.0','{"subject":"dev"}',NULL,'{"env":"test","run":"canceled"}',0);
INSERT INTO run_list VALUES(1795918194948622,'at-executor','running',NULL,'atomic.echo','1.0.0','{"subject":"dev"}',NULL,'{"env":"test","run":"at-executor"}',0);
INSERT INTO run_list VALUES(1795918195247708,'composite','running',NULL,'composite.plan','1.0.0','{"subject":"dev"}',NULL,'{"env":"test","run":"composite"}',0);
INSERT INTO run_list VALUES(1795918195487702,'queued','running',NULL,'atomic.echo','1.0.0','{"subject":"dev"}',NULL,'{"env":"test","run":"queued"}',0);
CREATE TABLE notices (
        id          INTEGER PRIMARY KEY,
        at          INTEGER NOT NULL,
        body        TEXT NOT NULL
    ) STRICT;
CREATE TABLE executors_reported (
        executor    TEXT NOT NULL,
        member      TEXT NOT NULL,
        is_down     INTEGER NOT NULL CHECK (is_down IN (0, 1)),
        at          INTEGER NOT NULL,
        PRIMARY KEY (executor, member)
    ) STRICT, WITHOUT ROWID;
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
CREATE TABLE run_labels (
        name         TEXT NOT NULL,
        value        TEXT NOT NULL,
        started_at   INTEGER NOT NULL,
        run_id       TEXT NOT NULL,
        PRIMARY KEY (name, value, started_at, run_id)
    ) STRICT, WITHOUT ROWID;
INSERT INTO run_labels VALUES('env','test',1795918190556496,'finished');
INSERT INTO run_labels VALUES('env','test',1795918191668086,'lost');
INSERT INTO run_labels VALUES('env','test',1795918193640198,'canceled');
INSERT INTO run_labels VALUES('env','test',1795918194948622,'at-executor');
INSERT INTO run_labels VALUES('env','test',1795918195247708,'composite');
INSERT INTO run_labels VALUES('env','test',1795918195487702,'queued');
INSERT INTO run_labels VALUES('run','at-executor',1795918194948622,'at-executor');
INSERT INTO run_labels VALUES('run','canceled',1795918193640198,'canceled');
INSERT INTO run_labels VALUES('run','composite',1795918195247708,'composite');
INSERT INTO run_labels VALUES('run','finished',1795918190556496,'finished');
INSERT INTO run_labels VALUES('run','lost',1795918191668086,'lost');
INSERT INTO run_labels VALUES('run','queued',1795918195487702,'queued');
CREATE TABLE run_counts (
        owner        TEXT NOT NULL,
        state        TEXT NOT NULL,
        runs         INTEGER NOT NULL CHECK (runs > 0),
        PRIMARY KEY (owner, state)
    ) STRICT, WITHOUT ROWID;
INSERT INTO run_counts VALUES('{"subject":"dev"}','canceled',1);
INSERT INTO run_counts VALUES('{"subject":"dev"}','failed',1);
INSERT INTO run_counts VALUES('{"subject":"dev"}','running',3);
INSERT INTO run_counts VALUES('{"subject":"dev"}','succeeded',1);
CREATE TABLE marks (
        name        TEXT PRIMARY KEY NOT NULL,
        at          INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
CREATE TABLE pauses (
        scope       TEXT PRIMARY KEY NOT NULL,
        body        TEXT NOT NULL
    ) STRICT, WITHOUT ROWID;
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
COMMIT;
