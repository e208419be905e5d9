//! The variables about traces. They have the names that OpenTelemetry gives them.

use super::own;
use crate::config::{
    kind::Kind,
    variable::{Group, Variable},
};

variables! {
    TRACES:
    "Traces: the standard variables of OpenTelemetry; values that are no use are ignored with a warning" {
        OTLP_ENDPOINT = own("OTEL_EXPORTER_OTLP_ENDPOINT", Kind::BaseUrl,
            "Collector that gets the spans, by OTLP over HTTP; /v1/traces is appended. With it, runs and requests \
             are traced.")
            .unset("no traces").example("http://127.0.0.1:4318");
        OTLP_TRACES_ENDPOINT = own("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", Kind::Url,
            "The same, as the whole URL. It precedes OTEL_EXPORTER_OTLP_ENDPOINT.")
            .unset("from OTEL_EXPORTER_OTLP_ENDPOINT").example("http://127.0.0.1:4318/v1/traces");
        OTLP_PROTOCOL = own("OTEL_EXPORTER_OTLP_PROTOCOL", Kind::Choice(&["http/protobuf"]),
            "Protocol of the collector. With any other, there are no traces.")
            .aliases(&["OTEL_EXPORTER_OTLP_TRACES_PROTOCOL"]).default("http/protobuf");
        OTLP_HEADERS = own("OTEL_EXPORTER_OTLP_HEADERS", Kind::Secret,
            "Headers for the collector, as NAME=VALUE,NAME=VALUE with percent-encoded values.")
            .aliases(&["OTEL_EXPORTER_OTLP_TRACES_HEADERS"]).example("authorization=Basic%20…");
        OTLP_TIMEOUT = own("OTEL_EXPORTER_OTLP_TIMEOUT", Kind::Count,
            "Time limit for one request to the collector, in milliseconds.")
            .aliases(&["OTEL_EXPORTER_OTLP_TRACES_TIMEOUT"]).between(1, 600_000).default("10000");
        OTEL_SERVICE_NAME = own("OTEL_SERVICE_NAME", Kind::Text, "The attribute service.name of all spans.")
            .unset("from OTEL_RESOURCE_ATTRIBUTES, else jarvis-run-coordinator").example("run-coordinator");
        OTEL_RESOURCE_ATTRIBUTES = own("OTEL_RESOURCE_ATTRIBUTES", Kind::Text,
            "Further attributes of all spans, as KEY=VALUE,KEY=VALUE with percent-encoded values.")
            .example("deployment.environment.name=prod");
        OTEL_TRACES_SAMPLER = own("OTEL_TRACES_SAMPLER", Kind::Choice(&["always_on", "always_off", "traceidratio",
            "parentbased_always_on", "parentbased_always_off", "parentbased_traceidratio"]),
            "Which traces are recorded that begin here. Of a trace that a caller continues, the caller decides, \
             whatever this says.")
            .default("parentbased_always_on");
        OTEL_TRACES_SAMPLER_ARG = own("OTEL_TRACES_SAMPLER_ARG", Kind::Text,
            "The share for traceidratio, from 0 to 1.").default("1");
        OTEL_BSP_MAX_QUEUE_SIZE = own("OTEL_BSP_MAX_QUEUE_SIZE", Kind::Count,
            "Maximum number of spans that wait for the collector. More are dropped, and counted.")
            .between(1, 1_000_000).default("2048");
        OTEL_BSP_MAX_EXPORT_BATCH_SIZE = own("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", Kind::Count,
            "Maximum number of spans that are sent at once.").between(1, 10_000).default("512");
        OTEL_BSP_SCHEDULE_DELAY = own("OTEL_BSP_SCHEDULE_DELAY", Kind::Count,
            "How long spans wait for a full batch, in milliseconds.").between(1, 3_600_000).default("5000");
        OTEL_SDK_DISABLED = own("OTEL_SDK_DISABLED", Kind::Switch, "No traces, whatever else is set.").default("false");
        OTEL_SEMCONV = own("OTEL_SEMCONV_STABILITY_OPT_IN", Kind::Text,
            "With gen_ai_latest_experimental, spans have the names and attributes of the GenAI conventions as well, \
             which are still in development. Others have no effect.")
            .example("gen_ai_latest_experimental");
    }
}
