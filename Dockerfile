# The Run Coordinator in a container, in the place of the Python one: same port,
# same command, same variables. docs/operations.md says how to run it, and
# docs/migrating-from-python.md how to put it into the JARVIS stack.
#
#   docker build -t jarvis-run-coordinator .
#   docker run --env-file .env.local -p 8081:8081 -v run-coordinator-journal:/data jarvis-run-coordinator

FROM rust:1.95-slim-trixie AS build
WORKDIR /build

# First the dependencies, with nothing of ours but what names them: this layer is
# made anew when they change, and not with every line of code. Cargo wants to see
# each target of the workspace; empty ones will do.
COPY Cargo.toml Cargo.lock ./
COPY .cargo .cargo
COPY xtask/Cargo.toml xtask/
RUN mkdir -p src benches tests/attacks tests/integration tests/sim tests/stack tests/vectors xtask/src \
    && for main in build.rs src/main.rs benches/cascade.rs benches/load.rs tests/attacks/main.rs tests/integration/main.rs tests/sim/main.rs tests/stack/main.rs \
        tests/vectors/main.rs xtask/src/main.rs; do echo 'fn main() {}' > "$main"; done \
    && touch src/lib.rs xtask/src/lib.rs \
    && cargo build --release --locked --package jarvis-run-coordinator

# Newer than the empty files, so that cargo sees the difference.
COPY build.rs ./
COPY openapi openapi
COPY src src
RUN touch build.rs src/lib.rs src/main.rs \
    && cargo build --release --locked --package jarvis-run-coordinator \
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
