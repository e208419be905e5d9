# The Run Coordinator in a container, in the place of the Python one: same port,
# same command, same variables. docs/operations.md says how to run it, and
# docs/migrating-from-python.md how to put it into the JARVIS stack.
#
#   docker build -t jarvis-run-coordinator --build-arg BUILD_COMMIT=$(git rev-parse HEAD) \
#     --build-arg SOURCE_DATE_EPOCH=$(git log -1 --format=%ct) .
#   docker run --env-file .env.local -p 8081:8081 -v run-coordinator-journal:/data jarvis-run-coordinator

FROM rust:1.95-slim-trixie AS build
WORKDIR /build
# jemalloc is built with it.
RUN apt-get update && apt-get install --yes --no-install-recommends make && rm -rf /var/lib/apt/lists/*

# First the dependencies, with nothing of ours but the manifests: this layer is
# rebuilt when they change, and not with every line of code. Cargo wants to see
# each target that a manifest names, and one target of each other package; empty
# files will do.
COPY Cargo.toml Cargo.lock ./
COPY .cargo .cargo
COPY tests/executor/Cargo.toml tests/executor/
COPY tests/postgres-server/Cargo.toml tests/postgres-server/
COPY tests/stack/Cargo.toml tests/stack/
COPY xtask/bench/Cargo.toml xtask/bench/
COPY xtask/chaos/Cargo.toml xtask/chaos/
COPY xtask/conformance/Cargo.toml xtask/conformance/
COPY xtask/package/Cargo.toml xtask/package/
COPY xtask/specification/Cargo.toml xtask/specification/
COPY xtask/stack/Cargo.toml xtask/stack/
COPY xtask/support/Cargo.toml xtask/support/
COPY xtask/tasks/Cargo.toml xtask/tasks/
RUN for main in build.rs src/main.rs benches/authority.rs benches/cascade.rs benches/outbox.rs benches/overload.rs benches/transport.rs examples/agent.rs tests/allocations/main.rs tests/attacks/main.rs tests/integration/main.rs \
        tests/postgres/main.rs tests/sim/main.rs tests/stack/main.rs tests/ui/main.rs tests/vectors/main.rs; do \
        mkdir -p "$(dirname "$main")" && echo 'fn main() {}' > "$main"; done \
    && for package in . tests/executor tests/postgres-server xtask/*; do mkdir -p "$package/src" && touch "$package/src/lib.rs"; done \
    && cargo build --release --locked --package jarvis-run-coordinator --no-default-features --features server

# Which commit this is, and when it was made: the folder of git does not get in here.
ARG BUILD_COMMIT
ARG SOURCE_DATE_EPOCH

# Newer than the empty files, so that cargo sees the difference.
COPY build.rs ./
COPY build build
COPY openapi openapi
COPY src src
RUN touch build.rs src/lib.rs src/main.rs \
    && cargo build --release --locked --package jarvis-run-coordinator --no-default-features --features server \
    && mkdir -p /out/bin /out/data \
    && cp target/release/jarvis-run-coordinator /out/bin/ \
    && ln -s jarvis-run-coordinator /out/bin/arp-jarvis-run-coordinator

# The C library, certificates, and nothing else: no shell, no package manager.
FROM gcr.io/distroless/cc-debian13:nonroot
COPY --from=build /out/bin/ /usr/local/bin/
# A new volume is owned as the folder is.
COPY --from=build --chown=nonroot:nonroot /out/data /data

ENV JARVIS_RUN_COORDINATOR_JOURNAL=/data/run-coordinator.db
VOLUME ["/data"]
EXPOSE 8081
# nonroot, as a number: Kubernetes can see then that it is not root.
USER 65532:65532
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=5s --start-period=10s CMD ["jarvis-run-coordinator", "health"]

# No entry point: the Python image has none, and people name the program.
CMD ["arp-jarvis-run-coordinator", "--host", "0.0.0.0", "--port", "8081"]
