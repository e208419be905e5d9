//! What is read at a scrape, because something knows it already.

use std::fmt;

use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric},
    metrics::{MetricType, counter::ConstCounter, gauge::ConstGauge},
};

use super::families::{Family, Type};

/// Knows some readings. Must not block.
pub(crate) type Source = Box<dyn Fn() -> Vec<Reading> + Send + Sync>;

/// The value of one series now.
#[derive(Clone, Debug)]
pub(crate) struct Reading {
    family: &'static Family,
    labels: Vec<(&'static str, String)>,
    value: f64,
}

impl Reading {
    pub(crate) fn new(family: &'static Family, value: f64) -> Self {
        Self { family, labels: Vec::new(), value }
    }

    /// The same with the values of its labels, in the order of the table.
    pub(crate) fn of(family: &'static Family, labels: &[&str], value: f64) -> Self {
        let labels = family.labels.iter().copied().zip(labels.iter().map(|&value| value.to_owned()));
        Self { family, labels: labels.collect(), value }
    }
}

/// Asks a source at each scrape.
pub(super) struct Readings(pub(super) Source);

impl fmt::Debug for Readings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Readings")
    }
}

impl Collector for Readings {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> Result<(), fmt::Error> {
        let mut readings = (self.0)();
        // All series of a family stand together.
        readings.sort_by_key(|reading| reading.family.name);
        for of_family in readings.chunk_by(|a, b| a.family.name == b.family.name) {
            let Some(Reading { family, .. }) = of_family.first() else { continue };
            let type_ = match family.type_ {
                Type::Counter => MetricType::Counter,
                Type::Gauge | Type::Histogram => MetricType::Gauge,
            };
            let mut metric = encoder.encode_descriptor(family.registered(), family.help, None, type_)?;
            for Reading { labels, value, .. } in of_family {
                let series = metric.encode_family(labels)?;
                match family.type_ {
                    Type::Counter => ConstCounter::new(*value).encode(series)?,
                    Type::Gauge | Type::Histogram => ConstGauge::new(*value).encode(series)?,
                }
            }
        }
        Ok(())
    }
}
