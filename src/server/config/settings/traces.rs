//! Where traces go, and which are recorded.
//!
//! The variables are those of OpenTelemetry, which many programs of a machine may
//! share. So a value that is no use here is no reason not to start: it is ignored, and
//! a warning says so.

use std::time::Duration;

use percent_encoding::percent_decode_str;

use crate::config::{
    value::{self, HttpUrl, Secret, switch},
    variable::Variable,
    variables as v,
    vars::Vars,
};

/// Where traces go, and which are recorded.
#[derive(Clone, Debug, PartialEq)]
pub struct TraceSettings {
    pub endpoint: HttpUrl,
    /// Names in lower case, and values.
    pub headers: Vec<(String, Secret)>,
    pub timeout: Duration,
    /// What all spans have, `service.name` among it.
    pub attributes: Vec<(String, String)>,
    /// The share of new traces that are recorded.
    pub share: f64,
    pub queue: usize,
    pub batch: usize,
    pub delay: Duration,
    /// With the names of the GenAI conventions.
    pub gen_ai: bool,
}

/// Reads variables, and keeps what is wrong with them.
struct Reader<'v> {
    vars: &'v dyn Vars,
    warnings: Vec<String>,
}

impl TraceSettings {
    /// `None`: there are no traces. What was ignored comes with it.
    pub(super) fn from_vars(vars: &dyn Vars) -> (Option<Self>, Vec<String>) {
        let mut reader = Reader { vars, warnings: Vec::new() };
        let settings = reader.settings();
        (settings, reader.warnings)
    }
}

impl Reader<'_> {
    fn settings(&mut self) -> Option<TraceSettings> {
        let named = self.read(&v::OTLP_TRACES_ENDPOINT, HttpUrl::exact);
        let based = self.read(&v::OTLP_ENDPOINT, HttpUrl::base);
        let based = based.and_then(|base| HttpUrl::exact(&format!("{}/v1/traces", base.as_str())));
        let protocol = self.read(&v::OTLP_PROTOCOL, |text| (text == "http/protobuf").then_some(()));
        let headers = self.read(&v::OTLP_HEADERS, headers).unwrap_or_default();
        let timeout = self.number(&v::OTLP_TIMEOUT);
        let name = v::OTEL_SERVICE_NAME.text(self.vars);
        let attributes = self.read(&v::OTEL_RESOURCE_ATTRIBUTES, pairs).unwrap_or_default();
        let argument = v::OTEL_TRACES_SAMPLER_ARG.text(self.vars);
        let share =
            argument.and_then(|text| text.parse::<f64>().ok()).filter(|share| (0.0..=1.0).contains(share));
        if share.is_none() {
            self.warn(&v::OTEL_TRACES_SAMPLER_ARG);
        }
        let share = share.unwrap_or(1.0);
        let share = self.read(&v::OTEL_TRACES_SAMPLER, |text| match text {
            "always_on" | "parentbased_always_on" => Some(1.0),
            "always_off" | "parentbased_always_off" => Some(0.0),
            "traceidratio" | "parentbased_traceidratio" => Some(share),
            _ => None,
        });
        let queue = self.number(&v::OTEL_BSP_MAX_QUEUE_SIZE);
        let batch = self.number(&v::OTEL_BSP_MAX_EXPORT_BATCH_SIZE);
        let delay = self.number(&v::OTEL_BSP_SCHEDULE_DELAY);
        let disabled = self.read(&v::OTEL_SDK_DISABLED, switch).unwrap_or_default();
        let opted = v::OTEL_SEMCONV.text(self.vars).unwrap_or_default();
        let endpoint = named.or(based).filter(|_| !disabled)?;
        protocol?;
        Some(TraceSettings {
            endpoint,
            headers,
            timeout: Duration::from_millis(timeout as u64),
            attributes: with_service_name(attributes, name),
            share: share.unwrap_or(1.0),
            queue,
            // A batch that never fills would wait for its time only.
            batch: batch.min(queue),
            delay: Duration::from_millis(delay as u64),
            gen_ai: opted.split(',').any(|part| part.trim() == "gen_ai_latest_experimental"),
        })
    }

    fn read<T>(&mut self, variable: &Variable, parse: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        match variable.read(self.vars, parse) {
            Ok(value) => value,
            Err(_) => {
                self.warn(variable);
                None
            }
        }
    }

    /// A count within its bounds, or the default.
    fn number(&mut self, variable: &Variable) -> usize {
        let parse = value::count;
        let nothing = std::collections::BTreeMap::new();
        let default = || variable.read(&nothing, parse).ok().flatten().unwrap_or(1);
        self.read(variable, parse).unwrap_or_else(default)
    }

    fn warn(&mut self, variable: &Variable) {
        let given = variable.given(self.vars).map(|given| given.name);
        self.warnings
            .push(format!("{} is ignored: its value is no use here", given.unwrap_or(variable.name)));
    }
}

/// `service.name` and the version come from us, unless they are given.
fn with_service_name(mut attributes: Vec<(String, String)>, name: Option<String>) -> Vec<(String, String)> {
    if let Some(name) = name {
        attributes.retain(|(key, _)| key != "service.name");
        attributes.push(("service.name".to_owned(), name));
    }
    for (key, value) in [
        ("service.name", env!("CARGO_PKG_NAME")),
        ("service.version", env!("CARGO_PKG_VERSION")),
        ("telemetry.sdk.language", "rust"),
        ("telemetry.sdk.name", env!("CARGO_PKG_NAME")),
        ("telemetry.sdk.version", env!("CARGO_PKG_VERSION")),
    ] {
        if !attributes.iter().any(|(known, _)| known == key) {
            attributes.push((key.to_owned(), value.to_owned()));
        }
    }
    attributes
}

/// The most pairs of a list.
const PAIRS_MAX: usize = 64;

/// `KEY=VALUE,KEY=VALUE`, the values percent-encoded.
fn pairs(text: &str) -> Option<Vec<(String, String)>> {
    let pair = |item: &str| {
        let (key, value) = item.split_once('=')?;
        let value = percent_decode_str(value.trim()).decode_utf8().ok()?;
        Some((key.trim().to_owned(), value.into_owned())).filter(|(key, _)| !key.is_empty())
    };
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    let pairs: Vec<_> = items.map(pair).collect::<Option<_>>()?;
    (pairs.len() <= PAIRS_MAX).then_some(pairs)
}

fn headers(text: &str) -> Option<Vec<(String, Secret)>> {
    let header = |(name, value): (String, String)| {
        let name = http::HeaderName::from_bytes(name.as_bytes()).ok()?;
        http::HeaderValue::from_str(&value).ok()?;
        Some((name.as_str().to_owned(), Secret::new(value)))
    };
    pairs(text)?.into_iter().map(header).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    fn read(more: &[(&str, &str)]) -> (Option<TraceSettings>, Vec<String>) {
        let vars: BTreeMap<String, String> =
            more.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        TraceSettings::from_vars(&vars)
    }

    const ENDPOINT: (&str, &str) = ("OTEL_EXPORTER_OTLP_ENDPOINT", "http://collector:4318/");

    fn settings(more: &[(&str, &str)]) -> TraceSettings {
        let (settings, warnings) = read(&[&[ENDPOINT], more].concat());
        assert_eq!(warnings, [""; 0], "{more:?}");
        settings.expect("traces")
    }

    #[test]
    fn traces_need_an_endpoint_and_nothing_else() {
        let defaults = settings(&[]);
        assert_eq!(defaults.endpoint.as_str(), "http://collector:4318/v1/traces");
        assert_eq!((defaults.share, defaults.queue, defaults.batch), (1.0, 2048, 512));
        assert_eq!((defaults.timeout, defaults.delay), (Duration::from_secs(10), Duration::from_secs(5)));
        assert_eq!(defaults.attributes[0], ("service.name".to_owned(), "jarvis-run-coordinator".to_owned()));
        assert_eq!(read(&[]), (None, Vec::new()));
        let whole = settings(&[("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "https://other/in?x=1")]);
        assert_eq!(whole.endpoint.as_str(), "https://other/in?x=1");
        for off in [("OTEL_SDK_DISABLED", "true"), ("OTEL_EXPORTER_OTLP_ENDPOINT", "")] {
            assert_eq!(read(&[ENDPOINT, off]).0, None, "{off:?}");
        }
    }

    #[test]
    fn value_that_is_no_use_is_ignored_with_a_warning() {
        for (name, value, keeps) in [
            ("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc", false),
            ("OTEL_EXPORTER_OTLP_ENDPOINT", "collector:4317", false),
            ("OTEL_TRACES_SAMPLER", "jaeger_remote", true),
            ("OTEL_TRACES_SAMPLER_ARG", "2", true),
            ("OTEL_BSP_MAX_QUEUE_SIZE", "0", true),
            ("OTEL_BSP_SCHEDULE_DELAY", "soon", true),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "-1", true),
            ("OTEL_EXPORTER_OTLP_HEADERS", "hush", true),
            ("OTEL_EXPORTER_OTLP_HEADERS", "a=%0Ahush", true),
            ("OTEL_RESOURCE_ATTRIBUTES", "a", true),
            ("OTEL_SDK_DISABLED", "maybe", true),
        ] {
            let (settings, warnings) = read(&[ENDPOINT, (name, value)]);
            assert_eq!(settings.is_some(), keeps, "{name}");
            assert_eq!(warnings, [format!("{name} is ignored: its value is no use here")]);
            if keeps {
                assert_eq!(settings, read(&[ENDPOINT]).0, "{name}: the default");
            }
        }
    }

    #[test]
    fn lists_are_decoded_and_headers_are_not_shown() {
        let settings = settings(&[
            ("OTEL_EXPORTER_OTLP_HEADERS", "Authorization=Basic%20aHVzaA==, x-scope = 1"),
            ("OTEL_RESOURCE_ATTRIBUTES", "service.name=of-list,a=b%2Cc"),
            ("OTEL_SERVICE_NAME", "named"),
            ("OTEL_TRACES_SAMPLER", "parentbased_traceidratio"),
            ("OTEL_TRACES_SAMPLER_ARG", "0.25"),
            ("OTEL_SEMCONV_STABILITY_OPT_IN", "http, gen_ai_latest_experimental"),
        ]);
        let headers: Vec<_> =
            settings.headers.iter().map(|(name, value)| (name.as_str(), value.expose())).collect();
        assert_eq!(headers, [("authorization", "Basic aHVzaA=="), ("x-scope", "1")]);
        let has = |key: &str, value: &str| settings.attributes.contains(&(key.to_owned(), value.to_owned()));
        assert!(has("a", "b,c") && has("service.name", "named") && !has("service.name", "of-list"));
        assert_eq!((settings.share, settings.gen_ai), (0.25, true));
        assert!(!format!("{settings:?}").contains("aHVzaA"), "{settings:?}");
    }
}
