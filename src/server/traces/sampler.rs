//! Which traces are recorded. A caller that continues a trace has decided already.

use crate::types::trace::TraceId;

/// The share of new traces that are recorded.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sampler {
    /// All of them.
    All,
    None,
    /// This share, of 0 to 1: the same traces wherever the share is the same.
    Share(f64),
}

impl Sampler {
    /// Records this share of the traces.
    pub fn of(share: f64) -> Self {
        if share >= 1.0 {
            Self::All
        } else if share > 0.0 {
            Self::Share(share)
        } else {
            Self::None
        }
    }

    /// Whether a trace that begins here is recorded.
    pub(super) fn samples(self, trace: &TraceId) -> bool {
        match self {
            Self::All => true,
            Self::None => false,
            // As the SDKs do: the lower 8 bytes of the id, without the highest bit.
            Self::Share(share) => {
                let mut low = [0; 8];
                low.copy_from_slice(&trace.bytes()[8..]);
                let place = u64::from_be_bytes(low) >> 1;
                // Exact enough: 53 bits of 63.
                (place as f64) < share * (1_u64 << 63) as f64
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn share_of_traces_is_sampled() {
        // Evenly spread, like the lower half of random ids.
        let ids = (0..1_000_u64).map(|number| {
            let mut bytes = [7; 16];
            bytes[8..].copy_from_slice(&(number * (u64::MAX / 1_000)).to_be_bytes());
            TraceId::new(bytes).expect("not zero")
        });
        let ids: Vec<TraceId> = ids.collect();
        let sampled = |sampler: Sampler| ids.iter().filter(|id| sampler.samples(id)).count();
        assert_eq!(sampled(Sampler::All), 1_000);
        assert_eq!(sampled(Sampler::None) + sampled(Sampler::Share(0.0)), 0);
        assert_eq!(sampled(Sampler::Share(0.25)), 250);
        assert_eq!(sampled(Sampler::Share(0.999_999)), 1_000);
        assert_eq!([1.0, 0.5, 0.0].map(Sampler::of), [Sampler::All, Sampler::Share(0.5), Sampler::None]);
    }
}
