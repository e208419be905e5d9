//! The limits for callers.

use super::{Limits, PerPrincipal, Rate, Settings};
use crate::config::{error::ConfigError, value, variables as v, vars::Vars};

impl Settings {
    pub(super) fn limits(vars: &dyn Vars) -> Result<Limits, ConfigError> {
        let size = |text: &str| usize::try_from(value::bytes(text)?).ok();
        let body_bytes = v::MAX_BODY_BYTES.read_required(vars, size)?;
        let body_values = v::MAX_BODY_VALUES.read_required(vars, value::count)? as u64;
        let body_timeout = v::BODY_TIMEOUT_SECS.read_required(vars, value::seconds)?;
        let array_items = v::MAX_ARRAY_ITEMS.read(vars, value::count)?;
        let rate = v::RATE_PER_PRINCIPAL.read(vars, value::number)?;
        let burst = v::RATE_BURST.read(vars, value::number)?;
        Ok(Limits {
            body_bytes,
            body_values,
            string_bytes: v::MAX_STRING_BYTES.read(vars, size)?.unwrap_or(body_bytes),
            array_items: array_items.map_or(body_values, |items| items as u64),
            body_timeout,
            idle_timeout: v::IDLE_TIMEOUT_SECS.read(vars, value::seconds)?.unwrap_or(body_timeout),
            answer_timeout: v::ANSWER_TIMEOUT_SECS.read_required(vars, value::seconds)?,
            max_wait: v::MAX_WAIT_SECS.read_required(vars, value::seconds_or_none)?,
            connections: v::MAX_CONNECTIONS.read_required(vars, value::count)?,
            requests: v::MAX_REQUESTS.read_required(vars, value::count)?,
            streams: v::MAX_STREAMS.read_required(vars, value::count)?,
            per_principal: PerPrincipal {
                rate: rate.map(|per_second| Rate { per_second, burst: burst.unwrap_or(per_second) }),
                requests: v::MAX_REQUESTS_PER_PRINCIPAL.read(vars, value::count)?,
                streams: v::MAX_STREAMS_PER_PRINCIPAL.read(vars, value::count)?,
            },
            answer_bytes: v::MAX_ANSWER_BYTES.read_required(vars, size)?,
        })
    }
}
