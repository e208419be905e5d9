//! Where two runs parted.
//!
//! ```text
//!   root ── root          children are paired by what they are for: their key or subtask, their
//!    ├ a ── a             type, and their number among the like; then each pair is compared,
//!    └ b ── b             and the differences are put in the order of time
//! ```

use std::{
    collections::{BTreeMap, HashMap},
    fmt,
    time::Duration,
};

use super::{bundle::NodeLine, verify::Bundle};
use crate::{
    record::{AttemptOutcome, NodePath},
    types::{JsonObject, NodeRun, NodeRunId, RunEvent, RunEventType},
};

/// Something in which the runs differ.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// The place of the node in the first run (in the second, if it is only there).
    pub path: NodePath,
    pub node_type: String,
    /// What differs.
    pub aspect: &'static str,
    pub first: String,
    pub second: String,
    /// When it came about, after the start of that run.
    pub after: Duration,
}

impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { path, node_type, aspect, first, second, after } = self;
        write!(f, "{path} ({node_type}), after {} s: {aspect}: {first} | {second}", after.as_secs_f64())
    }
}

/// All differences, in the order in which they came about: what a node is given when
/// it is made, what it gave when it ended. The first one is where the runs parted.
pub fn diff(first: &Bundle, second: &Bundle) -> Vec<Difference> {
    let (a, b) = (Tree::of(first), Tree::of(second));
    let mut differences = Vec::new();
    let mut pairs = vec![(a.root(), b.root())];
    while let Some((left, right)) = pairs.pop() {
        match (left, right) {
            (Some(left), Some(right)) => {
                compare((&a, left), (&b, right), &mut differences);
                pairs.extend(children(&a, left, &b, right));
            }
            (Some(only), None) => differences.push(alone(&a, only, "there", "missing")),
            (None, Some(only)) => differences.push(alone(&b, only, "missing", "there")),
            (None, None) => {}
        }
    }
    // Stable: the aspects of a node stay in their order. At the same time, what is
    // given comes from above, and what is given back from below.
    differences.sort_by_key(|difference| {
        let depth = i64::try_from(difference.path.depth()).unwrap_or(i64::MAX);
        let is_result = RESULTS.contains(&difference.aspect);
        (difference.after, is_result, if is_result { -depth } else { depth }, ordinal(&difference.path))
    });
    differences
}

const STATE: &str = "state";
const ERROR: &str = "error";
const OUTPUTS: &str = "outputs";

/// What a node gives when it ends.
const RESULTS: [&str; 3] = [STATE, ERROR, OUTPUTS];

/// The number of a node among all nodes of its run.
fn ordinal(path: &NodePath) -> u64 {
    path.as_str().rsplit('.').next().and_then(|last| last.parse().ok()).unwrap_or(u64::MAX)
}

fn alone(tree: &Tree<'_>, node: &NodeLine, first: &str, second: &str) -> Difference {
    tree.difference(node, "the node", first.into(), second.into())
}

type Pair<'b> = (Option<&'b NodeLine>, Option<&'b NodeLine>);

/// The children of two nodes, paired.
fn children<'b>(a: &Tree<'b>, left: &NodeLine, b: &Tree<'b>, right: &NodeLine) -> Vec<Pair<'b>> {
    let mut pairs: BTreeMap<Purpose, Pair<'b>> = BTreeMap::new();
    for (purpose, node) in purposes(a.children_of(left)) {
        pairs.entry(purpose).or_default().0 = Some(node);
    }
    for (purpose, node) in purposes(b.children_of(right)) {
        pairs.entry(purpose).or_default().1 = Some(node);
    }
    pairs.into_values().collect()
}

/// What a child is for: its key or subtask, its type, its number among the like.
type Purpose = (String, String, usize);

fn purposes<'b>(children: &[&'b NodeLine]) -> Vec<(Purpose, &'b NodeLine)> {
    let mut counted: HashMap<(String, String), usize> = HashMap::new();
    let purpose = |node: &'b NodeLine| {
        let key = (key(&node.node_run), node.node_run.node_type_ref.node_type_id.clone());
        let count = counted.entry(key.clone()).or_default();
        *count += 1;
        ((key.0, key.1, *count), node)
    };
    children.iter().copied().map(purpose).collect()
}

fn key(node: &NodeRun) -> String {
    own(node, "idempotency_key")
        .or_else(|| {
            let binding: JsonObject = serde_json::from_str(&own(node, "binding_decision")?).ok()?;
            binding.value("subtask_id").as_str().map(str::to_owned)
        })
        .unwrap_or_default()
}

/// One of the coordinator's own extensions, under either spelling.
fn own(node: &NodeRun, key: &str) -> Option<String> {
    let extensions = node.extensions.as_ref()?;
    extensions.raw(key).or_else(|| extensions.raw(&format!("jarvis.{key}"))).map(str::to_owned)
}

/// Compares a pair, causes first.
fn compare(first: (&Tree<'_>, &NodeLine), second: (&Tree<'_>, &NodeLine), found: &mut Vec<Difference>) {
    let ((a, left), (b, right)) = (first, second);
    let (l, r) = (&left.node_run, &right.node_run);
    let mut differ = |aspect, first: String, second: String| {
        if first != second {
            found.push(a.difference(left, aspect, first, second));
        }
    };
    differ("version of the type", l.node_type_ref.version.clone(), r.node_type_ref.version.clone());
    differ("inputs", shown(l.inputs.as_ref()), shown(r.inputs.as_ref()));
    let constraints = |node| own(node, "constraints").unwrap_or_else(|| "none".into());
    differ("constraints", constraints(l), constraints(r));
    differ("decisions of policy", a.decisions(l), b.decisions(r));
    let executor = |node: &NodeRun| {
        let binding = node.executor_binding.as_ref();
        binding.map_or_else(|| "none".into(), |binding| binding.executor_instance_id.clone())
    };
    differ("executor", executor(l), executor(r));
    differ("attempts", a.attempts(left), b.attempts(right));
    differ(STATE, l.state.to_string(), r.state.to_string());
    let error = |node| {
        let error =
            own(node, "completion_error").and_then(|text| serde_json::from_str::<JsonObject>(&text).ok());
        error.map_or_else(|| "none".into(), |error| error.value("code").as_str().unwrap_or("none").to_owned())
    };
    differ(ERROR, error(l), error(r));
    differ(OUTPUTS, shown(l.outputs.as_ref()), shown(r.outputs.as_ref()));
}

/// The longest text of a value in a difference, in characters.
const SHOWN: usize = 200;

/// A value, shortened; the hash shows a difference behind that.
fn shown(value: Option<&JsonObject>) -> String {
    use sha2::{Digest, Sha256};
    let Some(value) = value else { return "none".into() };
    let text = value.as_str();
    if text.chars().count() <= SHOWN {
        return text.to_owned();
    }
    let start: String = text.chars().take(SHOWN).collect();
    let hash: String = Sha256::digest(text).iter().take(4).map(|byte| format!("{byte:02x}")).collect();
    format!("{start}… ({} bytes, {hash})", text.len())
}

/// The nodes of a bundle as a tree.
struct Tree<'b> {
    bundle: &'b Bundle,
    children: HashMap<&'b NodeRunId, Vec<&'b NodeLine>>,
    decisions: HashMap<&'b NodeRunId, Vec<&'b RunEvent>>,
    attempts: HashMap<&'b NodeRunId, Vec<&'static str>>,
}

impl<'b> Tree<'b> {
    fn of(bundle: &'b Bundle) -> Self {
        let mut tree =
            Self { bundle, children: HashMap::new(), decisions: HashMap::new(), attempts: HashMap::new() };
        for node in &bundle.nodes {
            if let Some(parent) = &node.node_run.parent_node_run_id {
                tree.children.entry(parent).or_default().push(node);
            }
        }
        for children in tree.children.values_mut() {
            children.sort_by_key(|node| ordinal(&node.path));
        }
        for event in bundle.events.iter().filter(|event| event.type_ == RunEventType::PolicyDecided) {
            if let Some(node) = &event.node_run_id {
                tree.decisions.entry(node).or_default().push(event);
            }
        }
        for attempt in &bundle.attempts {
            tree.attempts.entry(&attempt.node_run_id).or_default().push(match attempt.outcome {
                AttemptOutcome::Late { .. } => "late",
                AttemptOutcome::Lost => "lost",
                AttemptOutcome::Failed { .. } => "failed",
                AttemptOutcome::FailedResult { .. } => "failed by result",
                AttemptOutcome::Fenced => "fenced",
            });
        }
        tree
    }

    fn root(&self) -> Option<&'b NodeLine> {
        self.bundle
            .nodes
            .iter()
            .find(|node| node.node_run.node_run_id == self.bundle.run.run.root_node_run_id)
    }

    fn difference(&self, node: &NodeLine, aspect: &'static str, first: String, second: String) -> Difference {
        let NodeRun { node_type_ref, created_at, ended_at, .. } = &node.node_run;
        let at = if RESULTS.contains(&aspect) { ended_at } else { created_at };
        let after =
            at.zip(self.bundle.run.run.started_at).map_or(Duration::ZERO, |(at, start)| at.since(start));
        let (path, node_type) = (node.path.clone(), node_type_ref.node_type_id.clone());
        Difference { path, node_type, aspect, first, second, after }
    }

    fn children_of(&self, node: &NodeLine) -> &[&'b NodeLine] {
        self.children.get(&node.node_run.node_run_id).map_or(&[], Vec::as_slice)
    }

    fn decisions(&self, node: &NodeRun) -> String {
        let events = self.decisions.get(&node.node_run_id).into_iter().flatten();
        let decided = events.filter_map(|event| {
            let member = |name| event.data.as_ref()?.value(name).as_str().map(str::to_owned);
            Some(format!("{} {}", member("action")?, member("decision")?))
        });
        let decided: Vec<String> = decided.collect();
        if decided.is_empty() { "none".into() } else { decided.join(", ") }
    }

    fn attempts(&self, node: &NodeLine) -> String {
        let outcomes = self.attempts.get(&node.node_run.node_run_id);
        match outcomes {
            None => node.attempts.to_string(),
            Some(outcomes) => format!("{} ({})", node.attempts, outcomes.join(", ")),
        }
    }
}
