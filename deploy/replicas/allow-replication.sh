#!/bin/sh
# Lets the standby of compose.yaml connect. It runs once, when the primary is made.
set -e
echo 'host replication jarvis all scram-sha-256' >> "$PGDATA/pg_hba.conf"
