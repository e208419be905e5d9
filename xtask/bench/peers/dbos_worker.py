"""The DBOS peer: workflows of durable steps, each of which calls the executor of the bench.

    dbos_worker.py <URL of the database> <host of the executor> <its port>

It reads a line `<steps> <clients> <seconds>` from its input, makes each client's first workflow,
says `ready`, waits for a line, and prints the times of all workflows as JSON. The clients are
tasks of this process: DBOS is a library, and nothing before it costs anything.
"""

import asyncio
import json
import sys
import time

import uvloop
from dbos import DBOS, DBOSConfig

URL, HOST, PORT = sys.argv[1], sys.argv[2], int(sys.argv[3])
BODY = b'{"node_run_id":"step","inputs":{"n":1}}'
REQUEST = (
    b"POST /v1/atomic-node-runs:execute HTTP/1.1\r\nhost: executor\r\ncontent-type: application/json\r\n"
    b"content-length: " + str(len(BODY)).encode() + b"\r\n\r\n" + BODY
)
idle = []


@DBOS.step()
async def step() -> str:
    reader, writer = idle.pop() if idle else await asyncio.open_connection(HOST, PORT)
    writer.write(REQUEST)
    head = await reader.readuntil(b"\r\n\r\n")
    length = next(int(line[15:]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length:"))
    answer = await reader.readexactly(length)
    idle.append((reader, writer))
    return answer.decode()


@DBOS.workflow()
async def steps(count: int) -> str:
    last = ""
    for _ in range(count):
        last = await step()
    return last


async def client(count: int, until: float, times: list) -> None:
    while time.monotonic() < until:
        began = time.monotonic()
        assert "succeeded" in await steps(count)
        times.append(time.monotonic() - began)


async def main() -> None:
    loop = asyncio.get_running_loop()
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        count, clients, seconds = (int(word) for word in line.split())
        await asyncio.gather(*(steps(count) for _ in range(clients)))
        print("ready", flush=True)
        await loop.run_in_executor(None, sys.stdin.readline)
        times, began = [], time.monotonic()
        await asyncio.gather(*(client(count, began + seconds, times) for _ in range(clients)))
        print(json.dumps({"elapsed": time.monotonic() - began, "times": times}), flush=True)


config: DBOSConfig = {
    "name": "bench",
    "system_database_url": URL,
    "run_admin_server": False,
    "log_level": "ERROR",
}
DBOS(config=config)
DBOS.launch()
print("launched", flush=True)
uvloop.run(main())
