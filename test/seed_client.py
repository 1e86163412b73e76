"""Walks the endpoints of the first hour: health, add, batch, search, stats, a wrong key.

Nothing but the standard library is needed. Against a server of your own:

    python3 test/seed_client.py http://127.0.0.1:8000 [KEY]
"""

import json
import random
import sys
import urllib.error
import urllib.request

BASE = sys.argv[1] if len(sys.argv) > 1 else "http://127.0.0.1:8000"
KEY = sys.argv[2] if len(sys.argv) > 2 else None
DIMENSIONS = 128
BATCH_ROWS = 1000


def call(method, path, body=None, key=KEY):
    """Returns the status and the body as JSON, also of a refusal."""
    headers = {"Content-Type": "application/json"}
    if key is not None:
        headers["X-API-Key"] = key
    data = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(BASE + path, data=data, headers=headers, method=method)
    try:
        with urllib.request.urlopen(request, timeout=30) as response:
            return response.status, json.load(response)
    except urllib.error.HTTPError as error:
        return error.code, json.load(error)


def expect(what, holds, got):
    if not holds:
        sys.exit(f"{what}: {got}")
    print(f"ok  {what}")


def main():
    draw = random.Random(7)
    vector = lambda: [round(draw.uniform(-1, 1), 6) for _ in range(DIMENSIONS)]

    status, health = call("GET", "/health", key=None)
    expect("health needs no key", status == 200 and health["status"] == "healthy", health)

    first = vector()
    row = {"id": "first", "vector": first, "metadata": {"category": "seed", "n": 0}}
    status, added = call("POST", "/vectors/add", row)
    expect("add", status == 200 and added["status"] == "ok" and added["id"] == "first", added)

    rows = [
        {"id": f"row-{n}", "vector": vector(), "metadata": {"category": f"c{n % 10}", "n": n}}
        for n in range(BATCH_ROWS)
    ]
    status, batch = call("POST", "/vectors/batch", {"vectors": rows})
    expect("batch", status == 200 and batch["count"] == BATCH_ROWS, batch)

    status, found = call("POST", "/search", {"vector": first, "k": 5})
    results = found.get("results", [])
    isNearest = status == 200 and len(results) == 5 and results[0]["id"] == "first"
    expect("search finds the row itself first", isNearest, found)
    expect("its distance is 0, its score 1", results[0]["distance"] == 0 == 1 - results[0]["score"], results[0])
    expect("its metadata came back", results[0]["metadata"] == row["metadata"], results[0])
    distances = [result["distance"] for result in results]
    expect("results come nearest first", distances == sorted(distances), distances)

    query = {"vector": rows[3]["vector"], "k": 10, "filter": {"category": "c3"}}
    status, found = call("POST", "/search", query)
    categories = {result["metadata"]["category"] for result in found.get("results", [])}
    expect("search under a filter", status == 200 and categories == {"c3"}, found)

    status, stats = call("GET", "/stats")
    isRight = stats.get("vectors") == BATCH_ROWS + 1 and stats.get("dimensions") == DIMENSIONS
    expect("stats count them", status == 200 and isRight, stats)

    status, problem = call("POST", "/search", {"vector": [1.0], "k": 1})
    expect("a wrong length is 400", status == 400 and problem["code"] == "DIMENSION_MISMATCH", problem)

    if KEY is not None:
        for wrong in (None, KEY + "x"):
            status, problem = call("GET", "/stats", key=wrong)
            isRefused = status == 401 and problem["code"] == "UNAUTHENTICATED"
            expect("a wrong key is 401" if wrong else "no key is 401", isRefused, problem)
    print("all is well")


main()
