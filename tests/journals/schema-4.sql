PRAGMA application_id = 1246905162;
PRAGMA user_version = 4;
BEGIN TRANSACTION;
CREATE TABLE attempts (
        node_run_id TEXT NOT NULL,
        attempt     INTEGER NOT NULL CHECK (attempt > 0),
        body        TEXT NOT NULL,
        PRIMARY KEY (node_run_id, attempt)
    ) STRICT, WITHOUT ROWID;
INSERT INTO "attempts" VALUES('node_run_765f8f34f6e74490b912ec49108bad5d',1,'{"node_run_id":"node_run_765f8f34f6e74490b912ec49108bad5d","run_id":"lost","attempt":1,"started_at":"2026-11-28T12:16:11.477677Z","ended_at":"2026-11-28T12:16:11.570903Z","outcome":"lost"}');
CREATE TABLE events (
        run_id      TEXT NOT NULL,
        seq         INTEGER NOT NULL CHECK (seq > 0),
        path        TEXT,
        body        TEXT NOT NULL,
        PRIMARY KEY (run_id, seq)
    ) STRICT, WITHOUT ROWID;
INSERT INTO "events" VALUES('at-executor',1,NULL,'{"data":{"root_node_run_id":"node_run_6ca1e614ecf14052b55445ac70b591e9"},"run_id":"at-executor","seq":1,"time":"2026-11-28T12:16:11.677703Z","type":"run_started"}');
INSERT INTO "events" VALUES('at-executor',2,'1','{"data":{"root":true},"node_run_id":"node_run_6ca1e614ecf14052b55445ac70b591e9","run_id":"at-executor","seq":2,"time":"2026-11-28T12:16:11.677703Z","type":"node_run_assigned"}');
INSERT INTO "events" VALUES('at-executor',3,'1','{"data":{"action":"run.start","decision":"allow","reason_code":"policy_bypass"},"node_run_id":"node_run_6ca1e614ecf14052b55445ac70b591e9","run_id":"at-executor","seq":3,"time":"2026-11-28T12:16:11.677703Z","type":"policy_decided"}');
INSERT INTO "events" VALUES('at-executor',4,'1','{"data":{"action":"node.run.execute","decision":"allow","reason_code":"policy_bypass"},"node_run_id":"node_run_6ca1e614ecf14052b55445ac70b591e9","run_id":"at-executor","seq":4,"time":"2026-11-28T12:16:11.682759Z","type":"policy_decided"}');
INSERT INTO "events" VALUES('canceled',1,NULL,'{"data":{"root_node_run_id":"node_run_9b6db07319bc4196825bff311441bbac"},"run_id":"canceled","seq":1,"time":"2026-11-28T12:16:11.731009Z","type":"run_started"}');
INSERT INTO "events" VALUES('canceled',2,'1','{"data":{"root":true},"node_run_id":"node_run_9b6db07319bc4196825bff311441bbac","run_id":"canceled","seq":2,"time":"2026-11-28T12:16:11.731009Z","type":"node_run_assigned"}');
INSERT INTO "events" VALUES('canceled',3,'1','{"data":{"action":"run.start","decision":"allow","reason_code":"policy_bypass"},"node_run_id":"node_run_9b6db07319bc4196825bff311441bbac","run_id":"canceled","seq":3,"time":"2026-11-28T12:16:11.731009Z","type":"policy_decided"}');
INSERT INTO "events" VALUES('canceled',4,'1','{"data":{"action":"node.run.execute","decision":"allow","reason_code":"policy_bypass"},"node_run_id":"node_run_9b6db07319bc4196825bff311441bbac","run_id":"canceled","seq":4,"time":"2026-11-28T12:16:11.734087Z","type":"policy_decided"}');
INSERT INTO "events" VALUES('canceled',5,'1','{"data":{"state":"canceled"},"node_run_id":"node_run_9b6db07319bc4196825bff311441bbac","run_id":"canceled","seq":5,"time":"2026-11-28T12:16:11.787609Z","type":"atomic_executed"}');
INSERT INTO "events" VALUES('canceled',6,NULL,'{"data":{"state":"canceled"},"run_id":"canceled","seq":6,"time":"2026-11-28T12:16:11.787609Z","type":"run_completed"}');
INSERT INTO "events" VALUES('composite',1,NULL,'{"data":{"root_node_run_id":"node_run_3d17073671c64e8d9c28e580befc7e92"},"run_id":"composite","seq":1,"time":"2026-11-28T12:16:11.796155Z","type":"run_started"}');
INSERT INTO "events" VALUES('composite',2,'1','{"data":{"root":true},"node_run_id":"node_run_3d17073671c64e8d9c28e580befc7e92","run_id":"composite","seq":2,"time":"2026-11-28T12:16:11.796155Z","type":"node_run_assigned"}');
INSERT INTO "events" VALUES('composite',3,'1','{"data":{"action":"run.start","decision":"allow","reason_code":"policy_bypass"},"node_run_id":"node_run_3d17073671c64e8d9c28e580befc7e92","run_id":"composite","seq":3,"time":"2026-11-28T12:16:11.796155Z","type":"policy_decided"}');
INSERT INTO "events" VALUES('composite',4,'1','{"data":{"action":"node.run.execute","decision":"allow","reason_code":"policy_bypass"},"node_run_id":"node_run_3d17073671c64e8d9c28e580befc7e92","run_id":"composite","seq":4,"time":"2026-11-28T12:16:11.798366Z","type":"policy_decided"}');
INSERT INTO "events" VALUES('composite',5,'1','{"data":{"node_run_count":1},"node_run_id":"node_run_3d17073671c64e8d9c28e580befc7e92","run_id":"composite","seq":5,"time":"2026-11-28T12:16:12.354589Z","type":"composite_decomposed"}');
INSERT INTO "events" VALUES('composite',6,'1.2','{"data":{"parent_node_run_id":"node_run_3d17073671c64e8d9c28e580befc7e92"},"node_run_id":"node_run_263de00f2c7ae983990307ce2536a82a","run_id":"composite","seq":6,"time":"2026-11-28T12:16:12.354589Z","type":"node_run_assigned"}');
INSERT INTO "events" VALUES('finished',1,NULL,'{"data":{"root_node_run_id":"node_run_2d6d7771d9784e25969e7a2879b2efba"},"run_id":"finished","seq":1,"time":"2026-11-28T12:16:11.358671Z","type":"run_started"}');
INSERT INTO "events" VALUES('finished',2,'1','{"data":{"root":true},"node_run_id":"node_run_2d6d7771d9784e25969e7a2879b2efba","run_id":"finished","seq":2,"time":"2026-11-28T12:16:11.358671Z","type":"node_run_assigned"}');
INSERT INTO "events" VALUES('finished',3,'1','{"data":{"action":"run.start","decision":"allow","reason_code":"policy_bypass"},"node_run_id":"node_run_2d6d7771d9784e25969e7a2879b2efba","run_id":"finished","seq":3,"time":"2026-11-28T12:16:11.358671Z","type":"policy_decided"}');
INSERT INTO "events" VALUES('finished',4,'1','{"data":{"action":"node.run.execute","decision":"allow","reason_code":"policy_bypass"},"node_run_id":"node_run_2d6d7771d9784e25969e7a2879b2efba","run_id":"finished","seq":4,"time":"2026-11-28T12:16:11.360738Z","type":"policy_decided"}');
INSERT INTO "events" VALUES('finished',5,'1','{"data":{"reason_code":"atomic_completed","status":"success"},"node_run_id":"node_run_2d6d7771d9784e25969e7a2879b2efba","run_id":"finished","seq":5,"time":"2026-11-28T12:16:11.407459Z","type":"node_evaluated"}');
INSERT INTO "events" VALUES('finished',6,'1','{"data":{"state":"succeeded"},"node_run_id":"node_run_2d6d7771d9784e25969e7a2879b2efba","run_id":"finished","seq":6,"time":"2026-11-28T12:16:11.407459Z","type":"atomic_executed"}');
INSERT INTO "events" VALUES('finished',7,'1','{"data":{"state":"succeeded"},"node_run_id":"node_run_2d6d7771d9784e25969e7a2879b2efba","run_id":"finished","seq":7,"time":"2026-11-28T12:16:11.407459Z","type":"run_completed"}');
INSERT INTO "events" VALUES('lost',1,NULL,'{"data":{"root_node_run_id":"node_run_765f8f34f6e74490b912ec49108bad5d"},"run_id":"lost","seq":1,"time":"2026-11-28T12:16:11.474851Z","type":"run_started"}');
INSERT INTO "events" VALUES('lost',2,'1','{"data":{"root":true},"node_run_id":"node_run_765f8f34f6e74490b912ec49108bad5d","run_id":"lost","seq":2,"time":"2026-11-28T12:16:11.474851Z","type":"node_run_assigned"}');
INSERT INTO "events" VALUES('lost',3,'1','{"data":{"action":"run.start","decision":"allow","reason_code":"policy_bypass"},"node_run_id":"node_run_765f8f34f6e74490b912ec49108bad5d","run_id":"lost","seq":3,"time":"2026-11-28T12:16:11.474851Z","type":"policy_decided"}');
INSERT INTO "events" VALUES('lost',4,'1','{"data":{"action":"node.run.execute","decision":"allow","reason_code":"policy_bypass"},"node_run_id":"node_run_765f8f34f6e74490b912ec49108bad5d","run_id":"lost","seq":4,"time":"2026-11-28T12:16:11.477677Z","type":"policy_decided"}');
INSERT INTO "events" VALUES('lost',5,'1','{"data":{"state":"failed"},"node_run_id":"node_run_765f8f34f6e74490b912ec49108bad5d","run_id":"lost","seq":5,"time":"2026-11-28T12:16:11.570903Z","type":"atomic_executed"}');
INSERT INTO "events" VALUES('lost',6,'1','{"data":{"state":"failed"},"node_run_id":"node_run_765f8f34f6e74490b912ec49108bad5d","run_id":"lost","seq":6,"time":"2026-11-28T12:16:11.570903Z","type":"run_completed"}');
INSERT INTO "events" VALUES('queued',1,NULL,'{"data":{"root_node_run_id":"node_run_9f5f03a5cc2b4ac2a92b7f11dc9a4b48"},"run_id":"queued","seq":1,"time":"2026-11-28T12:16:12.407135Z","type":"run_started"}');
INSERT INTO "events" VALUES('queued',2,'1','{"data":{"root":true},"node_run_id":"node_run_9f5f03a5cc2b4ac2a92b7f11dc9a4b48","run_id":"queued","seq":2,"time":"2026-11-28T12:16:12.407135Z","type":"node_run_assigned"}');
INSERT INTO "events" VALUES('queued',3,'1','{"data":{"action":"run.start","decision":"allow","reason_code":"policy_bypass"},"node_run_id":"node_run_9f5f03a5cc2b4ac2a92b7f11dc9a4b48","run_id":"queued","seq":3,"time":"2026-11-28T12:16:12.407135Z","type":"policy_decided"}');
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
INSERT INTO "node_runs" VALUES('node_run_2d6d7771d9784e25969e7a2879b2efba','finished',3,'1',1,NULL,NULL,NULL,NULL,'{"node":{"created_at":"2026-11-28T12:16:11.358671Z","ended_at":"2026-11-28T12:16:11.407459Z","evaluation_result":{"reason_code":"atomic_completed","status":"success"},"executor_binding":{"endpoint":"http://127.0.0.1:8092/","executor_instance_id":"arp-jarvis-atomic-executor"},"inputs":{"text":"finished"},"kind":"atomic","node_run_id":"node_run_2d6d7771d9784e25969e7a2879b2efba","node_type_ref":{"node_type_id":"atomic.echo","version":"1.0.0"},"outputs":{"text":"finished"},"run_id":"finished","started_at":"2026-11-28T12:16:11.360738Z","state":"succeeded"},"path":"1","children":0,"rounds":0,"attempt":1,"retries":0,"astray":false,"side_effect":null,"idempotent":false,"deadline":"2125-02-22T03:22:51.358671Z"}');
INSERT INTO "node_runs" VALUES('node_run_765f8f34f6e74490b912ec49108bad5d','lost',10,'1',1,'cancel_executor',1795868174585449,NULL,3,'{"node":{"created_at":"2026-11-28T12:16:11.474851Z","ended_at":"2026-11-28T12:16:11.570903Z","executor_binding":{"endpoint":"http://127.0.0.1:8092/","executor_instance_id":"arp-jarvis-atomic-executor"},"extensions":{"completion_error":{"code":"executor_outcome_unknown","details":{"attempt":1},"message":"The coordinator stopped while the node was at its executor, and it may not be executed twice"}},"inputs":{"text":"lost"},"kind":"atomic","node_run_id":"node_run_765f8f34f6e74490b912ec49108bad5d","node_type_ref":{"node_type_id":"atomic.hang","version":"1.0.0"},"run_id":"lost","started_at":"2026-11-28T12:16:11.477677Z","state":"failed"},"path":"1","children":0,"rounds":0,"attempt":1,"retries":0,"astray":false,"side_effect":null,"idempotent":false,"deadline":"2125-02-22T03:22:51.474851Z"}');
INSERT INTO "node_runs" VALUES('node_run_6ca1e614ecf14052b55445ac70b591e9','at-executor',2,'1',0,'deadline',4895868171677703,'owner_4ab98cad81c046e89f662aef5f0d027a',0,'{"node":{"created_at":"2026-11-28T12:16:11.677703Z","executor_binding":{"endpoint":"http://127.0.0.1:8092/","executor_instance_id":"arp-jarvis-atomic-executor"},"inputs":{"text":"at-executor"},"kind":"atomic","node_run_id":"node_run_6ca1e614ecf14052b55445ac70b591e9","node_type_ref":{"node_type_id":"atomic.hang","version":"1.0.0"},"run_id":"at-executor","started_at":"2026-11-28T12:16:11.682759Z","state":"running"},"path":"1","children":0,"rounds":0,"attempt":1,"retries":0,"astray":false,"side_effect":null,"idempotent":false,"deadline":"2125-02-22T03:22:51.677703Z"}');
INSERT INTO "node_runs" VALUES('node_run_9b6db07319bc4196825bff311441bbac','canceled',8,'1',1,'cancel_executor',1795868174866227,NULL,3,'{"node":{"created_at":"2026-11-28T12:16:11.731009Z","ended_at":"2026-11-28T12:16:11.787609Z","executor_binding":{"endpoint":"http://127.0.0.1:8092/","executor_instance_id":"arp-jarvis-atomic-executor"},"inputs":{"text":"canceled"},"kind":"atomic","node_run_id":"node_run_9b6db07319bc4196825bff311441bbac","node_type_ref":{"node_type_id":"atomic.hang","version":"1.0.0"},"run_id":"canceled","started_at":"2026-11-28T12:16:11.734087Z","state":"canceled"},"path":"1","children":0,"rounds":0,"attempt":1,"retries":0,"astray":false,"side_effect":null,"idempotent":false,"deadline":"2125-02-22T03:22:51.731009Z"}');
INSERT INTO "node_runs" VALUES('node_run_3d17073671c64e8d9c28e580befc7e92','composite',3,'1',0,'deadline',4895868171796155,NULL,0,'{"node":{"created_at":"2026-11-28T12:16:11.796155Z","executor_binding":{"endpoint":"http://127.0.0.1:8092/","executor_instance_id":"arp-jarvis-composite-executor"},"extensions":{"decomposition_rounds":1},"inputs":{"text":"composite"},"kind":"composite","node_run_id":"node_run_3d17073671c64e8d9c28e580befc7e92","node_type_ref":{"node_type_id":"composite.accept","version":"1.0.0"},"run_id":"composite","started_at":"2026-11-28T12:16:11.798366Z","state":"running"},"path":"1","children":1,"rounds":1,"attempt":1,"retries":0,"astray":false,"side_effect":null,"idempotent":false,"deadline":"2125-02-22T03:22:51.796155Z"}');
INSERT INTO "node_runs" VALUES('node_run_263de00f2c7ae983990307ce2536a82a','composite',1,'1.2',0,'dispatch',1795868172354589,'owner_4ab98cad81c046e89f662aef5f0d027a',0,'{"node":{"created_at":"2026-11-28T12:16:12.354589Z","extensions":{"idempotency_key":"one"},"inputs":{"text":"child"},"kind":"atomic","node_run_id":"node_run_263de00f2c7ae983990307ce2536a82a","node_type_ref":{"node_type_id":"atomic.echo","version":"1.0.0"},"parent_node_run_id":"node_run_3d17073671c64e8d9c28e580befc7e92","run_id":"composite","state":"queued"},"path":"1.2","children":0,"rounds":0,"attempt":0,"retries":0,"astray":false,"side_effect":null,"idempotent":false,"deadline":"2125-02-22T03:22:51.796155Z"}');
INSERT INTO "node_runs" VALUES('node_run_9f5f03a5cc2b4ac2a92b7f11dc9a4b48','queued',1,'1',0,'dispatch',1795868172407135,'owner_4ab98cad81c046e89f662aef5f0d027a',0,'{"node":{"created_at":"2026-11-28T12:16:12.407135Z","inputs":{"text":"queued"},"kind":"atomic","node_run_id":"node_run_9f5f03a5cc2b4ac2a92b7f11dc9a4b48","node_type_ref":{"node_type_id":"atomic.echo","version":"1.0.0"},"run_id":"queued","state":"queued"},"path":"1","children":0,"rounds":0,"attempt":0,"retries":0,"astray":false,"side_effect":null,"idempotent":false,"deadline":"2125-02-22T03:22:52.407135Z"}');
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
INSERT INTO "outbox" VALUES(1,1795868171358671,'finished',NULL,1,NULL,NULL);
INSERT INTO "outbox" VALUES(2,1795868171358671,'finished','node_run_2d6d7771d9784e25969e7a2879b2efba',1,NULL,NULL);
INSERT INTO "outbox" VALUES(3,1795868171358671,'finished',NULL,NULL,1,3);
INSERT INTO "outbox" VALUES(4,1795868171360738,'finished',NULL,0,NULL,NULL);
INSERT INTO "outbox" VALUES(5,1795868171360738,'finished','node_run_2d6d7771d9784e25969e7a2879b2efba',0,NULL,NULL);
INSERT INTO "outbox" VALUES(6,1795868171360738,'finished',NULL,NULL,4,4);
INSERT INTO "outbox" VALUES(7,1795868171407459,'finished',NULL,0,NULL,NULL);
INSERT INTO "outbox" VALUES(8,1795868171407459,'finished','node_run_2d6d7771d9784e25969e7a2879b2efba',0,NULL,NULL);
INSERT INTO "outbox" VALUES(9,1795868171407459,'finished',NULL,NULL,5,7);
INSERT INTO "outbox" VALUES(10,1795868171474851,'lost',NULL,1,NULL,NULL);
INSERT INTO "outbox" VALUES(11,1795868171474851,'lost','node_run_765f8f34f6e74490b912ec49108bad5d',1,NULL,NULL);
INSERT INTO "outbox" VALUES(12,1795868171474851,'lost',NULL,NULL,1,3);
INSERT INTO "outbox" VALUES(13,1795868171477677,'lost',NULL,0,NULL,NULL);
INSERT INTO "outbox" VALUES(14,1795868171477677,'lost','node_run_765f8f34f6e74490b912ec49108bad5d',0,NULL,NULL);
INSERT INTO "outbox" VALUES(15,1795868171477677,'lost',NULL,NULL,4,4);
INSERT INTO "outbox" VALUES(16,1795868171570903,'lost',NULL,0,NULL,NULL);
INSERT INTO "outbox" VALUES(17,1795868171570903,'lost','node_run_765f8f34f6e74490b912ec49108bad5d',0,NULL,NULL);
INSERT INTO "outbox" VALUES(18,1795868171570903,'lost',NULL,NULL,5,6);
INSERT INTO "outbox" VALUES(19,1795868171577674,'lost','node_run_765f8f34f6e74490b912ec49108bad5d',0,NULL,NULL);
INSERT INTO "outbox" VALUES(20,1795868171677703,'at-executor',NULL,1,NULL,NULL);
INSERT INTO "outbox" VALUES(21,1795868171677703,'at-executor','node_run_6ca1e614ecf14052b55445ac70b591e9',1,NULL,NULL);
INSERT INTO "outbox" VALUES(22,1795868171677703,'at-executor',NULL,NULL,1,3);
INSERT INTO "outbox" VALUES(23,1795868171682759,'at-executor',NULL,0,NULL,NULL);
INSERT INTO "outbox" VALUES(24,1795868171682759,'at-executor','node_run_6ca1e614ecf14052b55445ac70b591e9',0,NULL,NULL);
INSERT INTO "outbox" VALUES(25,1795868171682759,'at-executor',NULL,NULL,4,4);
INSERT INTO "outbox" VALUES(26,1795868171731009,'canceled',NULL,1,NULL,NULL);
INSERT INTO "outbox" VALUES(27,1795868171731009,'canceled','node_run_9b6db07319bc4196825bff311441bbac',1,NULL,NULL);
INSERT INTO "outbox" VALUES(28,1795868171731009,'canceled',NULL,NULL,1,3);
INSERT INTO "outbox" VALUES(29,1795868171734087,'canceled',NULL,0,NULL,NULL);
INSERT INTO "outbox" VALUES(30,1795868171734087,'canceled','node_run_9b6db07319bc4196825bff311441bbac',0,NULL,NULL);
INSERT INTO "outbox" VALUES(31,1795868171734087,'canceled',NULL,NULL,4,4);
INSERT INTO "outbox" VALUES(32,1795868171787609,'canceled',NULL,0,NULL,NULL);
INSERT INTO "outbox" VALUES(33,1795868171787609,'canceled','node_run_9b6db07319bc4196825bff311441bbac',0,NULL,NULL);
INSERT INTO "outbox" VALUES(34,1795868171787609,'canceled',NULL,NULL,5,6);
INSERT INTO "outbox" VALUES(35,1795868171796155,'composite',NULL,1,NULL,NULL);
INSERT INTO "outbox" VALUES(36,1795868171796155,'composite','node_run_3d17073671c64e8d9c28e580befc7e92',1,NULL,NULL);
INSERT INTO "outbox" VALUES(37,1795868171796155,'composite',NULL,NULL,1,3);
INSERT INTO "outbox" VALUES(38,1795868171798366,'composite',NULL,0,NULL,NULL);
INSERT INTO "outbox" VALUES(39,1795868171798366,'composite','node_run_3d17073671c64e8d9c28e580befc7e92',0,NULL,NULL);
INSERT INTO "outbox" VALUES(40,1795868171798366,'composite',NULL,NULL,4,4);
INSERT INTO "outbox" VALUES(41,1795868171839644,'canceled','node_run_9b6db07319bc4196825bff311441bbac',0,NULL,NULL);
INSERT INTO "outbox" VALUES(42,1795868172051479,'lost','node_run_765f8f34f6e74490b912ec49108bad5d',0,NULL,NULL);
INSERT INTO "outbox" VALUES(43,1795868172346937,'canceled','node_run_9b6db07319bc4196825bff311441bbac',0,NULL,NULL);
INSERT INTO "outbox" VALUES(44,1795868172354589,'composite',NULL,0,NULL,NULL);
INSERT INTO "outbox" VALUES(45,1795868172354589,'composite','node_run_263de00f2c7ae983990307ce2536a82a',1,NULL,NULL);
INSERT INTO "outbox" VALUES(46,1795868172354589,'composite','node_run_3d17073671c64e8d9c28e580befc7e92',0,NULL,NULL);
INSERT INTO "outbox" VALUES(47,1795868172354589,'composite',NULL,NULL,5,6);
INSERT INTO "outbox" VALUES(48,1795868172407135,'queued',NULL,1,NULL,NULL);
INSERT INTO "outbox" VALUES(49,1795868172407135,'queued','node_run_9f5f03a5cc2b4ac2a92b7f11dc9a4b48',1,NULL,NULL);
INSERT INTO "outbox" VALUES(50,1795868172407135,'queued',NULL,NULL,1,3);
INSERT INTO "outbox" VALUES(51,1795868172970449,'lost','node_run_765f8f34f6e74490b912ec49108bad5d',0,NULL,NULL);
INSERT INTO "outbox" VALUES(52,1795868173210227,'canceled','node_run_9b6db07319bc4196825bff311441bbac',0,NULL,NULL);
CREATE TABLE owners (
        owner_id    TEXT PRIMARY KEY NOT NULL,
        alive_until INTEGER NOT NULL
    ) STRICT, WITHOUT ROWID;
INSERT INTO "owners" VALUES('owner_4ab98cad81c046e89f662aef5f0d027a',9223372036854775807);
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
CREATE TABLE runs (
        run_id      TEXT PRIMARY KEY NOT NULL,
        version     INTEGER NOT NULL CHECK (version > 0),
        terminal    INTEGER NOT NULL CHECK (terminal IN (0, 1)),
        deadline    INTEGER,
        body        TEXT NOT NULL, changed_at INTEGER NOT NULL DEFAULT 0,
        CONSTRAINT a_live_run_has_a_deadline CHECK (terminal = 1 OR deadline IS NOT NULL)
    ) STRICT;
INSERT INTO "runs" VALUES('finished',3,1,NULL,'{"run":{"ended_at":"2026-11-28T12:16:11.407459Z","root_node_run_id":"node_run_2d6d7771d9784e25969e7a2879b2efba","run_id":"finished","started_at":"2026-11-28T12:16:11.358671Z","state":"succeeded"},"last_seq":7,"nodes":1,"request_digest":"fbefadba2f393fda6d3bfbacfe43dec0eb8a1f5d50785b5f6427d615ef32289f","owner":"dev","deadline":null}',1795868171407459);
INSERT INTO "runs" VALUES('lost',3,1,NULL,'{"run":{"ended_at":"2026-11-28T12:16:11.570903Z","root_node_run_id":"node_run_765f8f34f6e74490b912ec49108bad5d","run_id":"lost","started_at":"2026-11-28T12:16:11.474851Z","state":"failed"},"last_seq":6,"nodes":1,"request_digest":"989cf8b6748402b25bdd3b2ad3997a27202c56a303023afee879cb7e0a45afaa","owner":"dev","deadline":null}',1795868171570903);
INSERT INTO "runs" VALUES('at-executor',2,0,4895868171677703,'{"run":{"root_node_run_id":"node_run_6ca1e614ecf14052b55445ac70b591e9","run_id":"at-executor","started_at":"2026-11-28T12:16:11.677703Z","state":"running"},"last_seq":4,"nodes":1,"request_digest":"41b0f6f50d721cf64ee4a04c29ca33a1bbbdc0108b71dbea11c465b8269a85c7","owner":"dev","deadline":"2125-02-22T03:22:51.677703Z"}',1795868171682759);
INSERT INTO "runs" VALUES('canceled',3,1,NULL,'{"run":{"ended_at":"2026-11-28T12:16:11.787609Z","root_node_run_id":"node_run_9b6db07319bc4196825bff311441bbac","run_id":"canceled","started_at":"2026-11-28T12:16:11.731009Z","state":"canceled"},"last_seq":6,"nodes":1,"request_digest":"dc2e27b87fab995849bece21d6a6ac1fa5ab51f099e7b21afdff7e39692cc9ec","owner":"dev","deadline":null}',1795868171787609);
INSERT INTO "runs" VALUES('composite',3,0,4895868171796155,'{"run":{"root_node_run_id":"node_run_3d17073671c64e8d9c28e580befc7e92","run_id":"composite","started_at":"2026-11-28T12:16:11.796155Z","state":"running"},"last_seq":6,"nodes":2,"request_digest":"5006dc3574bbe8f86d1076dd54a70eed0a9fdd7ffe5f0796a4392ce8861581b9","owner":"dev","deadline":"2125-02-22T03:22:51.796155Z"}',1795868172354589);
INSERT INTO "runs" VALUES('queued',1,0,4895868172407135,'{"run":{"root_node_run_id":"node_run_9f5f03a5cc2b4ac2a92b7f11dc9a4b48","run_id":"queued","started_at":"2026-11-28T12:16:12.407135Z","state":"running"},"last_seq":3,"nodes":1,"request_digest":"a5d086e623b3f10de720643a4a34430bf5d6fd36eaf56887367db86441731998","owner":"dev","deadline":"2125-02-22T03:22:52.407135Z"}',1795868172407135);
CREATE TABLE secrets (
        name        TEXT PRIMARY KEY NOT NULL,
        value       BLOB NOT NULL
    ) STRICT, WITHOUT ROWID;
CREATE INDEX runs_live ON runs (deadline) WHERE terminal = 0;
CREATE INDEX node_runs_live ON node_runs (run_id, path) WHERE terminal = 0;
CREATE INDEX wakes_owned ON node_runs (wake_owner) WHERE wake_owner IS NOT NULL;
CREATE INDEX runs_over ON runs (changed_at) WHERE terminal = 1;
CREATE INDEX node_runs_of_run ON node_runs (run_id);
CREATE INDEX wakes_free ON node_runs (wake_at, wake_job, run_id)
        WHERE wake_owner IS NULL AND wake_at IS NOT NULL;
DELETE FROM "sqlite_sequence";
INSERT INTO "sqlite_sequence" VALUES('outbox',52);
COMMIT;
