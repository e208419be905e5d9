//! The headers by a table, and for any text.

use proptest::prelude::*;

use super::*;

const TRACE: &str = "4bf92f3577b34da6a3ce929d0e0e4736";
const SPAN: &str = "00f067aa0ba902b7";

#[test]
fn traceparent_is_read_as_the_standard_says() {
    for (text, flags) in [
        (format!("00-{TRACE}-{SPAN}-01"), Some(1)),
        (format!("00-{TRACE}-{SPAN}-00"), Some(0)),
        (format!("00-{TRACE}-{SPAN}-ff"), Some(0xff)),
        // A later version: what is known of it is read.
        (format!("cc-{TRACE}-{SPAN}-01"), Some(1)),
        (format!("cc-{TRACE}-{SPAN}-01-what-comes"), Some(1)),
        (format!("cc-{TRACE}-{SPAN}-01what"), None),
        (format!("00-{TRACE}-{SPAN}-01-more"), None),
        (format!("ff-{TRACE}-{SPAN}-01"), None),
        (format!("00-{}-{SPAN}-01", "0".repeat(32)), None),
        (format!("00-{TRACE}-{}-01", "0".repeat(16)), None),
        (format!("00-{}-{SPAN}-01", TRACE.to_uppercase()), None),
        (format!("00-{TRACE}-{SPAN}-1"), None),
        (format!("00-{TRACE}-{SPAN}-0g"), None),
        (format!("00-{TRACE}-{SPAN}-é"), None),
        (format!("0-{TRACE}-{SPAN}-011"), None),
        (format!(" 00-{TRACE}-{SPAN}-01"), None),
        (format!("00-{}-{SPAN}0-01", &TRACE[1..]), None),
        (String::new(), None),
        ("é".repeat(28), None),
    ] {
        let read = TraceParent::parse(&text);
        assert_eq!(read.map(|parent| parent.flags.byte()), flags, "{text}");
        if let Some(parent) = read {
            assert_eq!(
                (parent.trace_id.to_string(), parent.span_id.to_string()),
                (TRACE.into(), SPAN.into())
            );
            assert_eq!(parent.to_string(), format!("00-{TRACE}-{SPAN}-0{}", parent.flags.byte() & 1));
        }
    }
}

#[test]
fn tracestate_is_whole_or_missing() {
    let long = format!("a={}", "x".repeat(256));
    for (text, read) in [
        ("congo=t61rcWkgMzE,rojo=00f067aa0ba902b7", "congo=t61rcWkgMzE,rojo=00f067aa0ba902b7"),
        (" a=1 ,\t, b@c=2,", "a=1,b@c=2"),
        ("1t@sys=x y", "1t@sys=x y"),
        (&long, &long),
        ("a=1,a=2", ""),
        ("A=1", ""),
        ("1=1", ""),
        ("a=", ""),
        ("a=b=c", ""),
        ("a", ""),
        ("a=é", ""),
        ("t@1s=1", ""),
        ("a@b@c=1", ""),
        ("", ""),
    ] {
        assert_eq!(TraceState::parse(text).as_str(), read, "{text}");
    }
    let many = |count: usize| (0..count).map(|number| format!("k{number}=v")).collect::<Vec<_>>().join(",");
    assert_eq!(TraceState::parse(&many(32)).as_str(), many(32));
    assert!(TraceState::parse(&many(33)).is_empty(), "a member too many");
    let of_length = |length: usize| format!("a={},b={}", "x".repeat(256), "y".repeat(length - 261));
    assert_eq!(TraceState::parse(&of_length(512)).as_str().len(), 512);
    assert!(TraceState::parse(&of_length(513)).is_empty(), "a character too many");
}

#[test]
fn ids_of_zeros_do_not_exist() {
    assert_eq!((TraceId::new([0; 16]), SpanId::new([0; 8])), (None, None));
    let json = format!("\"{TRACE}\"");
    let id: TraceId = serde_json::from_str(&json).expect("an id");
    assert_eq!(serde_json::to_string(&id).expect("JSON"), json);
    assert!(serde_json::from_str::<SpanId>("\"0000000000000000\"").is_err());
}

proptest! {
    #[test]
    fn any_header_is_read_without_a_panic(parent in ".{0,80}", state in ".{0,600}") {
        _ = TraceParent::parse(&parent);
        let state = TraceState::parse(&state);
        prop_assert!(state.as_str().len() <= 512);
        prop_assert_eq!(TraceState::parse(state.as_str()), state, "reading it again changes nothing");
    }

    #[test]
    fn every_traceparent_is_read_as_it_was_written(trace: [u8; 16], span: [u8; 8], sampled: bool) {
        prop_assume!(trace != [0; 16] && span != [0; 8]);
        let parent = TraceParent {
            trace_id: TraceId::new(trace).expect("not zero"),
            span_id: SpanId::new(span).expect("not zero"),
            flags: TraceFlags::sampled(sampled),
        };
        prop_assert_eq!(TraceParent::parse(&parent.to_string()), Some(parent));
    }
}
