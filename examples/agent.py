"""An agent for the Run Coordinator: a composite node type that plans, and tools that
are atomic ones. It plans within its steps, gives each tool an allowance of money, goes
on without what its budget refuses, and waits for an approval before it does what cannot
be undone.

    python3 examples/agent.py --port 8082

docs/examples.md says how to start the coordinator and a run for it. What an executor
needs is in executor.py; this file is what an agent adds.
"""

import executor
from executor import budgets_of, child, error

DEGREES = {"Basel": 25, "Bern": 22, "Lugano": 27, "Zurich": 23}

# What a call of a tool costs, in the currency of the budgets.
PRICES = {"atomic.look_up": 0.02}


def look_up(inputs):
    return {"city": inputs["city"], "degrees": DEGREES[inputs["city"]]}


def send_letter(inputs):
    print(f"letter to {inputs['to']}: {inputs['text']}", flush=True)
    return {"sent_to": inputs["to"]}


def agent(node):
    """Finds out which city is the warmest, and writes to a person about it. Here an agent
    would ask a model what to do next; this one always does the same, to be tested."""
    cities = node.inputs["cities"]
    # The plan has to fit into the steps that are left; the last one is for the letter.
    steps = node.budgets.get("max_steps", len(cities) + 1)
    tools = [child("atomic.look_up", f"look-up-{city}", allowance("atomic.look_up"), city=city)
             for city in cities[:max(steps - 1, 0)]]
    looked_up = node.create_and_wait(tools) if tools else []
    known = [each["outputs"] for each in looked_up if each["state"] == "succeeded"]
    if not known:
        raise RuntimeError("nothing could be looked up")

    warmest = max(known, key=lambda each: each["degrees"])
    names = ", ".join(each["city"] for each in known)
    text = f"The warmest of {names} is {warmest['city']}, at {warmest['degrees']} degrees."
    letter = child("atomic.send_letter", "letter", {"gates": {"require_approval": True}},
                   to=node.inputs["send_to"], text=text)
    # It waits, for hours if need be, until a person has approved or denied it.
    [letter] = node.create_and_wait([letter])
    return {"text": text, "sent": letter["state"] == "succeeded",
            "unknown": [city for city in cities if city not in {each["city"] for each in known}]}


def allowance(node_type):
    """Constraints that reserve the price of a tool in the budget of the run before it is
    called: what all calls together may cost is never spent twice."""
    return {"budgets": {"max_cost": PRICES[node_type]}}


def execute(request):
    """As executor.py, for tools that cost something: none is called for more than its
    allowance, and each says what it has spent."""
    price = PRICES.get(request["node_type_ref"]["node_type_id"], 0)
    left = budgets_of(request).get("max_cost")
    if left is not None and price > left:
        spent = {"external_calls": 0, "cost": 0}
        answer = {"node_run_id": request["node_run_id"], "state": "failed",
                  "error": error("too_little_budget", f"it costs {price}, and {left} is left")}
    else:
        spent = {"external_calls": 1, "cost": price}
        answer = executor.execute(request)
    return {**answer, "extensions": {"jarvis.usage": spent}}


class Handler(executor.Handler):
    execute = staticmethod(execute)


if __name__ == "__main__":
    executor.ATOMIC.update({"atomic.look_up": look_up, "atomic.send_letter": send_letter})
    executor.COMPOSITE.update({"composite.agent": agent})
    executor.serve(Handler)
