PRAGMA application_id = 1246905162;
PRAGMA user_version = 5;
BEGIN TRANSACTION;
CREATE TABLE runs (
        run_id      TEXT PRIMARY KEY NOT NULL,
        version     INTEGER NOT NULL CHECK (version > 0),
        terminal    INTEGER NOT NULL CHECK (terminal IN (0, 1)),
        deadline    INTEGER,
        body        TEXT NOT NULL, changed_at INTEGER NOT NULL DEFAULT 0,
        CONSTRAINT a_live_run_has_a_deadline CHECK (terminal = 1 OR deadline IS NOT NULL)
    ) STRICT;
INSERT INTO runs VALUES('finished',3,1,NULL,'{"run":{"ended_at":"2026-11-28T19:00:19.237727Z","root_node_run_id":"node_run_06e8d799232c442a83fed1ec70a6e69a","run_id":"finished","started_at":"2026-11-28T19:00:19.230495Z","state":"succeeded"},"last_seq":7,"nodes":1,"request_digest":"fbefadba2f393fda6d3bfbacfe43dec0eb8a1f5d50785b5f6427d615ef32289f","owner":"dev","deadline":null}',1795892419237727);
INSERT INTO runs VALUES('lost',3,1,NULL,'{"run":{"ended_at":"2026-11-28T19:00:19.446598Z","root_node_run_id":"node_run_18134fe5e5b74230bcbc22b89b0703c3","run_id":"lost","started_at":"2026-11-28T19:00:19.330507Z","state":"failed"},"last_seq":6,"nodes":1,"request_digest":"989cf8b6748402b25bdd3b2ad3997a27202c56a303023afee879cb7e0a45afaa","owner":"dev","deadline":null}',1795892419446598);
INSERT INTO runs VALUES('canceled',3,1,NULL,'{"run":{"ended_at":"2026-11-28T19:00:19.616900Z","root_node_run_id":"node_run_ed742fe351da42e68b09f99c5125a74d","run_id":"canceled","started_at":"2026-11-28T19:00:19.558441Z","state":"canceled"},"last_seq":6,"nodes":1,"request_digest":"dc2e27b87fab995849bece21d6a6ac1fa5ab51f099e7b21afdff7e39692cc9ec","owner":"dev","deadline":null}',1795892419616900);
INSERT INTO runs VALUES('at-executor',2,0,2111252419621321,'{"run":{"root_node_run_id":"node_run_07d5391da9954cc2b105b2c34d48fa13","run_id":"at-executor","started_at":"2026-11-28T19:00:19.621321Z","state":"running"},"last_seq":4,"nodes":1,"request_digest":"41b0f6f50d721cf64ee4a04c29ca33a1bbbdc0108b71dbea11c465b8269a85c7","owner":"dev","deadline":"2036-11-25T19:00:19.621321Z"}',1795892419622236);
INSERT INTO runs VALUES('composite',3,0,2111252419718445,'{"run":{"root_node_run_id":"node_run_dce0c5b0bcba4c228ffc71d9565a97bc","run_id":"composite","started_at":"2026-11-28T19:00:19.718445Z","state":"running"},"last_seq":6,"nodes":2,"request_digest":"5006dc3574bbe8f86d1076dd54a70eed0a9fdd7ffe5f0796a4392ce8861581b9","owner":"dev","deadline":"2036-11-25T19:00:19.718445Z"}',1795892419723309);
INSERT INTO runs VALUES('queued',1,0,2111252419725346,'{"run":{"root_node_run_id":"node_run_d98aca66151e4572a057e9944077c34c","run_id":"queued","started_at":"2026-11-28T19:00:19.725346Z","state":"running"},"last_seq":3,"nodes":1,"request_digest":"a5d086e623b3f10de720643a4a34430bf5d6fd36eaf56887367db86441731998","owner":"dev","deadline":"2036-11-25T19:00:19.725346Z"}',1795892419725346);
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
INSERT INTO node_runs VALUES('node_run_06e8d799232c442a83fed1ec70a6e69a','finished',3,'1',1,NULL,NULL,NULL,NULL,'{"node":{"created_at":"2026-11-28T19:00:19.230495Z","ended_at":"2026-11-28T19:00:19.237727Z","evaluation_result":{"reason_code":"atomic_completed","status":"success"},"executor_binding":{"endpoint":"http://127.0.0.1:8092/","executor_instance_id":"arp-jarvis-atomic-executor"},"inputs":{"text":"finished"},"kind":"atomic","node_run_id":"node_run_06e8d799232c442a83fed1ec70a6e69a","node_type_ref":{"node_type_id":"atomic.echo","version":"1.0.0"},"outputs":{"text":"finished"},"run_id":"finished","started_at":"2026-11-28T19:00:19.231926Z","state":"succeeded"},"path":"1","children":0,"rounds":0,"attempt":1,"retries":0,"astray":false,"side_effect":null,"idempotent":false,"deadline":"2036-11-25T19:00:19.230495Z"}','atomic','succeeded',1795892419231926,1795892419237727,1,0,2111252419230495,0);
INSERT INTO node_runs VALUES('node_run_18134fe5e5b74230bcbc22b89b0703c3','lost',8,'1',1,'cancel_executor',1795892420725968,NULL,2,'{"node":{"created_at":"2026-11-28T19:00:19.330507Z","ended_at":"2026-11-28T19:00:19.446598Z","executor_binding":{"endpoint":"http://127.0.0.1:8092/","executor_instance_id":"arp-jarvis-atomic-executor"},"extensions":{"completion_error":{"code":"executor_outcome_unknown","details":{"attempt":1},"message":"The coordinator stopped while the node was at its executor, and it may not be executed twice"}},"inputs":{"text":"lost"},"kind":"atomic","node_run_id":"node_run_18134fe5e5b74230bcbc22b89b0703c3","node_type_ref":{"node_type_id":"atomic.hang","version":"1.0.0"},"run_id":"lost","started_at":"2026-11-28T19:00:19.331987Z","state":"failed"},"path":"1","children":0,"rounds":0,"attempt":1,"retries":0,"astray":false,"side_effect":null,"idempotent":false,"deadline":"2036-11-25T19:00:19.330507Z"}','atomic','failed',1795892419331987,1795892419446598,1,0,2111252419330507,0);
INSERT INTO node_runs VALUES('node_run_ed742fe351da42e68b09f99c5125a74d','canceled',6,'1',1,'cancel_executor',1795892420884253,NULL,2,'{"node":{"created_at":"2026-11-28T19:00:19.558441Z","executor_binding":{"endpoint":"http://127.0.0.1:8092/","executor_instance_id":"arp-jarvis-atomic-executor"},"inputs":{"text":"canceled"},"kind":"atomic","node_run_id":"node_run_ed742fe351da42e68b09f99c5125a74d","node_type_ref":{"node_type_id":"atomic.hang","version":"1.0.0"},"run_id":"canceled","started_at":"2026-11-28T19:00:19.560528Z","state":"running"},"path":"1","children":0,"rounds":0,"attempt":1,"retries":0,"astray":false,"side_effect":null,"idempotent":false,"deadline":"2036-11-25T19:00:19.558441Z"}','atomic','canceled',1795892419560528,1795892419616900,1,0,2111252419558441,0);
INSERT INTO node_runs VALUES('node_run_07d5391da9954cc2b105b2c34d48fa13','at-executor',2,'1',0,'deadline',2111252419621321,'owner_98f5427aa6224015b6561280e1944311',0,'{"node":{"created_at":"2026-11-28T19:00:19.621321Z","executor_binding":{"endpoint":"http://127.0.0.1:8092/","executor_instance_id":"arp-jarvis-atomic-executor"},"inputs":{"text":"at-executor"},"kind":"atomic","node_run_id":"node_run_07d5391da9954cc2b105b2c34d48fa13","node_type_ref":{"node_type_id":"atomic.hang","version":"1.0.0"},"run_id":"at-executor","started_at":"2026-11-28T19:00:19.622236Z","state":"running"},"path":"1","children":0,"rounds":0,"attempt":1,"retries":0,"astray":false,"side_effect":null,"idempotent":false,"deadline":"2036-11-25T19:00:19.621321Z"}','atomic','running',1795892419622236,NULL,1,0,2111252419621321,0);
INSERT INTO node_runs VALUES('node_run_dce0c5b0bcba4c228ffc71d9565a97bc','composite',3,'1',0,'deadline',2111252419718445,NULL,0,'{"node":{"created_at":"2026-11-28T19:00:19.718445Z","executor_binding":{"endpoint":"http://127.0.0.1:8092/","executor_instance_id":"arp-jarvis-composite-executor"},"extensions":{"decomposition_rounds":1},"inputs":{"text":"composite"},"kind":"composite","node_run_id":"node_run_dce0c5b0bcba4c228ffc71d9565a97bc","node_type_ref":{"node_type_id":"composite.accept","version":"1.0.0"},"run_id":"composite","started_at":"2026-11-28T19:00:19.719301Z","state":"running"},"path":"1","children":1,"rounds":1,"attempt":1,"retries":0,"astray":false,"side_effect":null,"idempotent":false,"deadline":"2036-11-25T19:00:19.718445Z"}','composite','running',1795892419719301,NULL,1,0,2111252419718445,0);
INSERT INTO node_runs VALUES('node_run_698786160dd1d1df88c7f164075f8f94','composite',1,'1.2',0,'dispatch',1795892419723309,'owner_98f5427aa6224015b6561280e1944311',0,'{"node":{"created_at":"2026-11-28T19:00:19.723309Z","extensions":{"idempotency_key":"one"},"inputs":{"text":"child"},"kind":"atomic","node_run_id":"node_run_698786160dd1d1df88c7f164075f8f94","node_type_ref":{"node_type_id":"atomic.echo","version":"1.0.0"},"parent_node_run_id":"node_run_dce0c5b0bcba4c228ffc71d9565a97bc","run_id":"composite","state":"queued"},"path":"1.2","children":0,"rounds":0,"attempt":0,"retries":0,"astray":false,"side_effect":null,"idempotent":false,"deadline":"2036-11-25T19:00:19.718445Z"}','atomic','queued',NULL,NULL,0,0,2111252419718445,0);
INSERT INTO node_runs VALUES('node_run_d98aca66151e4572a057e9944077c34c','queued',1,'1',0,'dispatch',1795892419725346,'owner_98f5427aa6224015b6561280e1944311',0,'{"node":{"created_at":"2026-11-28T19:00:19.725346Z","inputs":{"text":"queued"},"kind":"atomic","node_run_id":"node_run_d98aca66151e4572a057e9944077c34c","node_type_ref":{"node_type_id":"atomic.echo","version":"1.0.0"},"run_id":"queued","state":"queued"},"path":"1","children":0,"rounds":0,"attempt":0,"retries":0,"astray":false,"side_effect":null,"idempotent":false,"deadline":"2036-11-25T19:00:19.725346Z"}','atomic','queued',NULL,NULL,0,0,2111252419725346,0);
CREATE TABLE events (
        run_id      TEXT NOT NULL,
        seq         INTEGER NOT NULL CHECK (seq > 0),
        path        TEXT,
        body        TEXT NOT NULL,
        PRIMARY KEY (run_id, seq)
    ) STRICT, WITHOUT ROWID;
INSERT INTO events VALUES('at-executor',1,NULL,'{"data":{"root_node_run_id":"node_run_07d5391da9954cc2b105b2c34d48fa13"},"run_id":"at-executor","seq":1,"time":"2026-11-28T19:00:19.621321Z","type":"run_started"}');
INSERT INTO events VALUES('at-executor',2,'1','{"data":{"root":true},"node_run_id":"node_run_07d5391da9954cc2b105b2c34d48fa13","run_id":"at-executor","seq":2,"time":"2026-11-28T19:00:19.621321Z","type":"node_run_assigned"}');
INSERT INTO events VALUES('at-executor',3,'1','{"data":{"action":"run.start","decision":"allow","reason_code":"policy_bypass"},"node_run_id":"node_run_07d5391da9954cc2b105b2c34d48fa13","run_id":"at-executor","seq":3,"time":"2026-11-28T19:00:19.621321Z","type":"policy_decided"}');
INSERT INTO events VALUES('at-executor',4,'1','{"data":{"action":"node.run.execute","decision":"allow","reason_code":"policy_bypass"},"node_run_id":"node_run_07d5391da9954cc2b105b2c34d48fa13","run_id":"at-executor","seq":4,"time":"2026-11-28T19:00:19.622236Z","type":"policy_decided"}');
INSERT INTO events VALUES('canceled',1,NULL,'{"data":{"root_node_run_id":"node_run_ed742fe351da42e68b09f99c5125a74d"},"run_id":"canceled","seq":1,"time":"2026-11-28T19:00:19.558441Z","type":"run_started"}');
INSERT INTO events VALUES('canceled',2,'1','{"data":{"root":true},"node_run_id":"node_run_ed742fe351da42e68b09f99c5125a74d","run_id":"canceled","seq":2,"time":"2026-11-28T19:00:19.558441Z","type":"node_run_assigned"}');
INSERT INTO events VALUES('canceled',3,'1','{"data":{"action":"run.start","decision":"allow","reason_code":"policy_bypass"},"node_run_id":"node_run_ed742fe351da42e68b09f99c5125a74d","run_id":"canceled","seq":3,"time":"2026-11-28T19:00:19.558441Z","type":"policy_decided"}');
INSERT INTO events VALUES('canceled',4,'1','{"data":{"action":"node.run.execute","decision":"allow","reason_code":"policy_bypass"},"node_run_id":"node_run_ed742fe351da42e68b09f99c5125a74d","run_id":"canceled","seq":4,"time":"2026-11-28T19:00:19.560528Z","type":"policy_decided"}');
INSERT INTO events VALUES('canceled',5,'1','{"data":{"state":"canceled"},"node_run_id":"node_run_ed742fe351da42e68b09f99c5125a74d","run_id":"canceled","seq":5,"time":"2026-11-28T19:00:19.616900Z","type":"atomic_executed"}');
INSERT INTO events VALUES('canceled',6,NULL,'{"data":{"state":"canceled"},"run_id":"canceled","seq":6,"time":"2026-11-28T19:00:19.616900Z","type":"run_completed"}');
INSERT INTO events VALUES('composite',1,NULL,'{"data":{"root_node_run_id":"node_run_dce0c5b0bcba4c228ffc71d9565a97bc"},"run_id":"composite","seq":1,"time":"2026-11-28T19:00:19.718445Z","type":"run_started"}');
INSERT INTO events VALUES('composite',2,'1','{"data":{"root":true},"node_run_id":"node_run_dce0c5b0bcba4c228ffc71d9565a97bc","run_id":"composite","seq":2,"time":"2026-11-28T19:00:19.718445Z","type":"node_run_assigned"}');
INSERT INTO events VALUES('composite',3,'1','{"data":{"action":"run.start","decision":"allow","reason_code":"policy_bypass"},"node_run_id":"node_run_dce0c5b0bcba4c228ffc71d9565a97bc","run_id":"composite","seq":3,"time":"2026-11-28T19:00:19.718445Z","type":"policy_decided"}');
INSERT INTO events VALUES('composite',4,'1','{"data":{"action":"node.run.execute","decision":"allow","reason_code":"policy_bypass"},"node_run_id":"node_run_dce0c5b0bcba4c228ffc71d9565a97bc","run_id":"composite","seq":4,"time":"2026-11-28T19:00:19.719301Z","type":"policy_decided"}');
INSERT INTO events VALUES('composite',5,'1','{"data":{"node_run_count":1},"node_run_id":"node_run_dce0c5b0bcba4c228ffc71d9565a97bc","run_id":"composite","seq":5,"time":"2026-11-28T19:00:19.723309Z","type":"composite_decomposed"}');
INSERT INTO events VALUES('composite',6,'1.2','{"data":{"parent_node_run_id":"node_run_dce0c5b0bcba4c228ffc71d9565a97bc"},"node_run_id":"node_run_698786160dd1d1df88c7f164075f8f94","run_id":"composite","seq":6,"time":"2026-11-28T19:00:19.723309Z","type":"node_run_assigned"}');
INSERT INTO events VALUES('finished',1,NULL,'{"data":{"root_node_run_id":"node_run_06e8d799232c442a83fed1ec70a6e69a"},"run_id":"finished","seq":1,"time":"2026-11-28T19:00:19.230495Z","type":"run_started"}');
INSERT INTO events VALUES('finished',2,'1','{"data":{"root":true},"node_run_id":"node_run_06e8d799232c442a83fed1ec70a6e69a","run_id":"finished","seq":2,"time":"2026-11-28T19:00:19.230495Z","type":"node_run_assigned"}');
INSERT INTO events VALUES('finished',3,'1','{"data":{"action":"run.start","decision":"allow","reason_code":"policy_bypass"},"node_run_id":"node_run_06e8d799232c442a83fed1ec70a6e69a","run_id":"finished","seq":3,"time":"2026-11-28T19:00:19.230495Z","type":"policy_decided"}');
INSERT INTO events VALUES('finished',4,'1','{"data":{"action":"node.run.execute","decision":"allow","reason_code":"policy_bypass"},"node_run_id":"node_run_06e8d799232c442a83fed1ec70a6e69a","run_id":"finished","seq":4,"time":"2026-11-28T19:00:19.231926Z","type":"policy_decided"}');
INSERT INTO events VALUES('finished',5,'1','{"data":{"reason_code":"atomic_completed","status":"success"},"node_run_id":"node_run_06e8d799232c442a83fed1ec70a6e69a","run_id":"finished","seq":5,"time":"2026-11-28T19:00:19.237727Z","type":"node_evaluated"}');
INSERT INTO events VALUES('finished',6,'1','{"data":{"state":"succeeded"},"node_run_id":"node_run_06e8d799232c442a83fed1ec70a6e69a","run_id":"finished","seq":6,"time":"2026-11-28T19:00:19.237727Z","type":"atomic_executed"}');
INSERT INTO events VALUES('finished',7,'1','{"data":{"state":"succeeded"},"node_run_id":"node_run_06e8d799232c442a83fed1ec70a6e69a","run_id":"finished","seq":7,"time":"2026-11-28T19:00:19.237727Z","type":"run_completed"}');
INSERT INTO events VALUES('lost',1,NULL,'{"data":{"root_node_run_id":"node_run_18134fe5e5b74230bcbc22b89b0703c3"},"run_id":"lost","seq":1,"time":"2026-11-28T19:00:19.330507Z","type":"run_started"}');
INSERT INTO events VALUES('lost',2,'1','{"data":{"root":true},"node_run_id":"node_run_18134fe5e5b74230bcbc22b89b0703c3","run_id":"lost","seq":2,"time":"2026-11-28T19:00:19.330507Z","type":"node_run_assigned"}');
INSERT INTO events VALUES('lost',3,'1','{"data":{"action":"run.start","decision":"allow","reason_code":"policy_bypass"},"node_run_id":"node_run_18134fe5e5b74230bcbc22b89b0703c3","run_id":"lost","seq":3,"time":"2026-11-28T19:00:19.330507Z","type":"policy_decided"}');
INSERT INTO events VALUES('lost',4,'1','{"data":{"action":"node.run.execute","decision":"allow","reason_code":"policy_bypass"},"node_run_id":"node_run_18134fe5e5b74230bcbc22b89b0703c3","run_id":"lost","seq":4,"time":"2026-11-28T19:00:19.331987Z","type":"policy_decided"}');
INSERT INTO events VALUES('lost',5,'1','{"data":{"state":"failed"},"node_run_id":"node_run_18134fe5e5b74230bcbc22b89b0703c3","run_id":"lost","seq":5,"time":"2026-11-28T19:00:19.446598Z","type":"atomic_executed"}');
INSERT INTO events VALUES('lost',6,'1','{"data":{"state":"failed"},"node_run_id":"node_run_18134fe5e5b74230bcbc22b89b0703c3","run_id":"lost","seq":6,"time":"2026-11-28T19:00:19.446598Z","type":"run_completed"}');
INSERT INTO events VALUES('queued',1,NULL,'{"data":{"root_node_run_id":"node_run_d98aca66151e4572a057e9944077c34c"},"run_id":"queued","seq":1,"time":"2026-11-28T19:00:19.725346Z","type":"run_started"}');
INSERT INTO events VALUES('queued',2,'1','{"data":{"root":true},"node_run_id":"node_run_d98aca66151e4572a057e9944077c34c","run_id":"queued","seq":2,"time":"2026-11-28T19:00:19.725346Z","type":"node_run_assigned"}');
INSERT INTO events VALUES('queued',3,'1','{"data":{"action":"run.start","decision":"allow","reason_code":"policy_bypass"},"node_run_id":"node_run_d98aca66151e4572a057e9944077c34c","run_id":"queued","seq":3,"time":"2026-11-28T19:00:19.725346Z","type":"policy_decided"}');
CREATE TABLE attempts (
        node_run_id TEXT NOT NULL,
        attempt     INTEGER NOT NULL CHECK (attempt > 0),
        body        TEXT NOT NULL,
        PRIMARY KEY (node_run_id, attempt)
    ) STRICT, WITHOUT ROWID;
INSERT INTO attempts VALUES('node_run_18134fe5e5b74230bcbc22b89b0703c3',1,'{"node_run_id":"node_run_18134fe5e5b74230bcbc22b89b0703c3","run_id":"lost","attempt":1,"started_at":"2026-11-28T19:00:19.331987Z","ended_at":"2026-11-28T19:00:19.446598Z","outcome":"lost"}');
CREATE TABLE owners (
        owner_id    TEXT PRIMARY KEY NOT NULL,
        alive_until INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
INSERT INTO owners VALUES('owner_98f5427aa6224015b6561280e1944311',253402300799999999);
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
INSERT INTO outbox VALUES(1,1795892419230495,'finished',NULL,1,NULL,NULL);
INSERT INTO outbox VALUES(2,1795892419230495,'finished','node_run_06e8d799232c442a83fed1ec70a6e69a',1,NULL,NULL);
INSERT INTO outbox VALUES(3,1795892419230495,'finished',NULL,NULL,1,3);
INSERT INTO outbox VALUES(4,1795892419231926,'finished',NULL,0,NULL,NULL);
INSERT INTO outbox VALUES(5,1795892419231926,'finished','node_run_06e8d799232c442a83fed1ec70a6e69a',0,NULL,NULL);
INSERT INTO outbox VALUES(6,1795892419231926,'finished',NULL,NULL,4,4);
INSERT INTO outbox VALUES(7,1795892419237727,'finished',NULL,0,NULL,NULL);
INSERT INTO outbox VALUES(8,1795892419237727,'finished','node_run_06e8d799232c442a83fed1ec70a6e69a',0,NULL,NULL);
INSERT INTO outbox VALUES(9,1795892419237727,'finished',NULL,NULL,5,7);
INSERT INTO outbox VALUES(10,1795892419330507,'lost',NULL,1,NULL,NULL);
INSERT INTO outbox VALUES(11,1795892419330507,'lost','node_run_18134fe5e5b74230bcbc22b89b0703c3',1,NULL,NULL);
INSERT INTO outbox VALUES(12,1795892419330507,'lost',NULL,NULL,1,3);
INSERT INTO outbox VALUES(13,1795892419331987,'lost',NULL,0,NULL,NULL);
INSERT INTO outbox VALUES(14,1795892419331987,'lost','node_run_18134fe5e5b74230bcbc22b89b0703c3',0,NULL,NULL);
INSERT INTO outbox VALUES(15,1795892419331987,'lost',NULL,NULL,4,4);
INSERT INTO outbox VALUES(16,1795892419446598,'lost',NULL,0,NULL,NULL);
INSERT INTO outbox VALUES(17,1795892419446598,'lost','node_run_18134fe5e5b74230bcbc22b89b0703c3',0,NULL,NULL);
INSERT INTO outbox VALUES(18,1795892419446598,'lost',NULL,NULL,5,6);
INSERT INTO outbox VALUES(19,1795892419476845,'lost','node_run_18134fe5e5b74230bcbc22b89b0703c3',0,NULL,NULL);
INSERT INTO outbox VALUES(20,1795892419558441,'canceled',NULL,1,NULL,NULL);
INSERT INTO outbox VALUES(21,1795892419558441,'canceled','node_run_ed742fe351da42e68b09f99c5125a74d',1,NULL,NULL);
INSERT INTO outbox VALUES(22,1795892419558441,'canceled',NULL,NULL,1,3);
INSERT INTO outbox VALUES(23,1795892419560528,'canceled',NULL,0,NULL,NULL);
INSERT INTO outbox VALUES(24,1795892419560528,'canceled','node_run_ed742fe351da42e68b09f99c5125a74d',0,NULL,NULL);
INSERT INTO outbox VALUES(25,1795892419560528,'canceled',NULL,NULL,4,4);
INSERT INTO outbox VALUES(26,1795892419616900,'canceled',NULL,0,NULL,NULL);
INSERT INTO outbox VALUES(27,1795892419616900,'canceled','node_run_ed742fe351da42e68b09f99c5125a74d',0,NULL,NULL);
INSERT INTO outbox VALUES(28,1795892419616900,'canceled',NULL,NULL,5,6);
INSERT INTO outbox VALUES(29,1795892419621321,'at-executor',NULL,1,NULL,NULL);
INSERT INTO outbox VALUES(30,1795892419621321,'at-executor','node_run_07d5391da9954cc2b105b2c34d48fa13',1,NULL,NULL);
INSERT INTO outbox VALUES(31,1795892419621321,'at-executor',NULL,NULL,1,3);
INSERT INTO outbox VALUES(32,1795892419622236,'at-executor',NULL,0,NULL,NULL);
INSERT INTO outbox VALUES(33,1795892419622236,'at-executor','node_run_07d5391da9954cc2b105b2c34d48fa13',0,NULL,NULL);
INSERT INTO outbox VALUES(34,1795892419622236,'at-executor',NULL,NULL,4,4);
INSERT INTO outbox VALUES(35,1795892419662500,'canceled','node_run_ed742fe351da42e68b09f99c5125a74d',0,NULL,NULL);
INSERT INTO outbox VALUES(36,1795892419718445,'composite',NULL,1,NULL,NULL);
INSERT INTO outbox VALUES(37,1795892419718445,'composite','node_run_dce0c5b0bcba4c228ffc71d9565a97bc',1,NULL,NULL);
INSERT INTO outbox VALUES(38,1795892419718445,'composite',NULL,NULL,1,3);
INSERT INTO outbox VALUES(39,1795892419719301,'composite',NULL,0,NULL,NULL);
INSERT INTO outbox VALUES(40,1795892419719301,'composite','node_run_dce0c5b0bcba4c228ffc71d9565a97bc',0,NULL,NULL);
INSERT INTO outbox VALUES(41,1795892419719301,'composite',NULL,NULL,4,4);
INSERT INTO outbox VALUES(42,1795892419723309,'composite',NULL,0,NULL,NULL);
INSERT INTO outbox VALUES(43,1795892419723309,'composite','node_run_698786160dd1d1df88c7f164075f8f94',1,NULL,NULL);
INSERT INTO outbox VALUES(44,1795892419723309,'composite','node_run_dce0c5b0bcba4c228ffc71d9565a97bc',0,NULL,NULL);
INSERT INTO outbox VALUES(45,1795892419723309,'composite',NULL,NULL,5,6);
INSERT INTO outbox VALUES(46,1795892419725346,'queued',NULL,1,NULL,NULL);
INSERT INTO outbox VALUES(47,1795892419725346,'queued','node_run_d98aca66151e4572a057e9944077c34c',1,NULL,NULL);
INSERT INTO outbox VALUES(48,1795892419725346,'queued',NULL,NULL,1,3);
INSERT INTO outbox VALUES(49,1795892419813472,'lost','node_run_18134fe5e5b74230bcbc22b89b0703c3',0,NULL,NULL);
INSERT INTO outbox VALUES(50,1795892419947758,'canceled','node_run_ed742fe351da42e68b09f99c5125a74d',0,NULL,NULL);
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
DELETE FROM sqlite_sequence;
INSERT INTO sqlite_sequence VALUES('outbox',50);
CREATE INDEX runs_live ON runs (deadline) WHERE terminal = 0;
CREATE INDEX node_runs_live ON node_runs (run_id, path) WHERE terminal = 0;
CREATE INDEX wakes_owned ON node_runs (wake_owner) WHERE wake_owner IS NOT NULL;
CREATE INDEX runs_over ON runs (changed_at) WHERE terminal = 1;
CREATE INDEX node_runs_of_run ON node_runs (run_id);
CREATE INDEX wakes_free ON node_runs (wake_job, kind, wake_at, run_id)
        WHERE wake_owner IS NULL AND wake_at IS NOT NULL;
COMMIT;
