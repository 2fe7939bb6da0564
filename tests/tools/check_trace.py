#!/usr/bin/env python3
"""check_trace.py FILE: whether a trace is valid JSON and its events belong together.

Each event has the fields that its phase needs; slices of a thread nest; each request that ends has
begun, not later.
"""

import json
import sys

NEEDED = {"M": (), "X": ("ts", "dur", "tid"), "b": ("ts", "id", "cat"), "e": ("ts", "id", "cat"),
          "i": ("ts", "s", "tid")}
SLACK = 0.002  # microseconds: times are rounded to a nanosecond


def problems(trace):
    began, slices = {}, {}
    for event in trace["traceEvents"]:
        phase = event["ph"]
        for field in ("name", "pid") + NEEDED[phase]:
            if field not in event:
                yield f"an event without {field}: {event}"
        if event.get("ts", 0) < 0 or event.get("dur", 0) < 0:
            yield f"a negative time: {event}"
        if phase == "b":
            began[event["id"]] = event["ts"]
        elif phase == "e":
            if began.pop(event["id"], float("inf")) > event["ts"] + SLACK:
                yield f"an end without a beginning before it: {event}"
        elif phase == "X":
            slices.setdefault(event["tid"], []).append((event["ts"], -event["dur"], event["name"]))
    if began:
        yield f"{len(began)} beginnings without an end"
    for of_thread in slices.values():
        open_until = []
        for begin, length, name in sorted(of_thread):
            end = begin - length
            while open_until and open_until[-1] <= begin + SLACK:
                open_until.pop()
            if open_until and end > open_until[-1] + SLACK:
                yield f"{name} at {begin} does not nest: it ends at {end}, not before {open_until[-1]}"
            open_until.append(end)


def main():
    with open(sys.argv[1], encoding="utf-8") as file:
        found = list(problems(json.load(file)))
    for line in found[:20]:
        print(line)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
