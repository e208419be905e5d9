"""The language model of `cargo xtask stack`: the part of the OpenAI Responses API
that the JARVIS services call, with a script in the place of a model. It understands
goals like these:

    echo hello; sleep 0.2                 two steps, one after the other
    echo one; echo two and echo three     the second step is a plan of its own

A step is the last part of a type's name (`jarvis.core.echo`) and its input.
There are three questions: a plan for a goal, an action for a step, inputs for an
action. The members of the JSON in the last message say which one is asked.
"""

import json
import uuid

import serve

CORE = "jarvis.core."
PLANNER = "jarvis.composite.planner"


def plan(asked):
    goal = asked["task"]["goal"]
    steps = goal.split("; ") if "; " in goal else goal.split(" and ")
    subtasks = [{"subtask_id": None, "goal": step.strip(), "notes": None} for step in steps]
    return {"subtasks": subtasks, "summary": f"{len(steps)} steps"}


def choose(asked):
    goal = asked["subtask"]["goal"]
    nothing = {"candidates": [], "needs_planner": False, "blocked_reason": None, "missing_inputs": None}
    if " and " in goal:
        return nothing | {"needs_planner": True}
    wanted = CORE + goal.split()[0]
    if wanted not in {action["node_type_id"] for action in asked["available_actions"]}:
        return nothing | {"blocked_reason": f"there is no {wanted}"}
    chosen = {"node_type_id": wanted, "version": None, "score": 1.0, "rationale": "its name is in the goal"}
    return nothing | {"candidates": [chosen]}


def generate(asked):
    action, goal = asked["selected_action"]["node_type_id"], asked["subtask"]["goal"]
    value = goal.partition(" ")[2]
    if action.startswith(PLANNER):
        limits = {"max_steps": 8, "max_depth": 3, "depth": 1}
        return {"goal": goal, "prompt": None, "context": None, **limits}
    if action == CORE + "echo":
        return {"echo": value}
    if action == CORE + "sleep":
        return {"seconds": float(value), "duration_seconds": None}
    return {}


def respond(body):
    request = json.loads(body)
    asked = json.loads(request["input"][-1]["content"])
    question = plan if "task" in asked else choose if "available_actions" in asked else generate
    text = json.dumps(question(asked))
    print(f"{question.__name__}: {text}", flush=True)
    content = {"type": "output_text", "text": text, "annotations": [], "logprobs": []}
    message = {
        "id": f"msg_{uuid.uuid4().hex}",
        "type": "message",
        "role": "assistant",
        "status": "completed",
        "content": [content],
    }
    tokens = {"input_tokens": 0, "output_tokens": 0, "total_tokens": 0}
    details = {
        "input_tokens_details": {"cached_tokens": 0, "cache_write_tokens": 0},
        "output_tokens_details": {"reasoning_tokens": 0},
    }
    return 200, {
        "id": f"resp_{uuid.uuid4().hex}",
        "object": "response",
        "created_at": 0,
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "model": request["model"],
        "output": [message],
        "parallel_tool_calls": False,
        "temperature": None,
        "tool_choice": "auto",
        "tools": [],
        "top_p": None,
        "usage": tokens | details,
    }


if __name__ == "__main__":
    serve.main(lambda _: {("POST", "/v1/responses"): respond})
