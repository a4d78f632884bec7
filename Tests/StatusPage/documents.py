"""status.json as a worker writes it, for each headline."""

import copy
import math
from datetime import datetime, timedelta, timezone


def stamp(time):
    return time.astimezone(timezone.utc).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def ago(**distance):
    return stamp(datetime.now(timezone.utc) - timedelta(**distance))


def history(busy_minutes=()):
    """15 minutes of points, with a gap of one minute in the seventh."""
    points = []
    for index in range(180):
        minute = 15 - index // 12
        if minute == 7:
            continue
        base = 71 if minute in busy_minutes else 6
        points.append({
            "time": ago(seconds=5 * (179 - index)), "utilization_percent": round(base + 5 * math.sin(index / 3)),
            "memory_used_bytes": 21 << 30})
    return points


def gpu(index=0, **changes):
    return {
        "index": index, "name": "NVIDIA H100 80GB HBM3", "uuid": f"GPU-{index}", "utilization_percent": 7,
        "memory_used_bytes": 21 << 30, "memory_total_bytes": 80 << 30, "temperature_celsius": 41, "power_watts": 120.5,
        "history": history({12, 11, 4} if index == 0 else {9})} | changes


def completions(count=50):
    kinds = [(200, None), (200, None), (200, None), (503, "gpu_busy"), (200, None), (499, "client_gone"), (200, None),
             (502, "engine_unreachable")]
    # A refusal takes no time.
    return [
        {"time": ago(seconds=9 * index), "endpoint": "chat_completions" if index % 3 else "completions",
         "status": status, "code": code, "milliseconds": 1 if status == 503 else 400 + index * 731 % 9000, "bytes": 1234}
        for index in range(count) for status, code in [kinds[index % 8]]]


def accepting(**changes):
    """A machine where all is well."""
    outcomes = [
        {"endpoint": "chat_completions", "status": 200, "code": None, "count": 1312},
        {"endpoint": "chat_completions", "status": 499, "code": "client_gone", "count": 3},
        {"endpoint": "chat_completions", "status": 503, "code": "gpu_busy", "count": 27},
        {"endpoint": "completions", "status": 200, "code": None, "count": 94},
        {"endpoint": "health", "status": 200, "code": None, "count": 15}]
    return {
        "time": ago(), "headline": {"state": "accepting", "text": "Accepting requests"},
        "admission": {"accepting": True, "code": None, "reason": None},
        "gpu": {"state": "idle", "detail": None, "source": "nvml", "sample_age_seconds": 0.2},
        "gpus": [gpu(0), gpu(1)],
        "requests": {
            "in_flight": 2, "limit": 64, "since_start": {"since": ago(hours=50), "outcomes": outcomes},
            "last_15_minutes": {
                "outcomes": outcomes, "duration_seconds": {"p50": 1.5, "p95": 12.0},
                "time_to_first_byte_seconds": {"p50": 0.2, "p95": 1.1}}},
        "completions": completions(),
        "workers": [
            {"name": "provider-fcgi@1", "version": "0.1.0", "since": ago(hours=50, minutes=20)},
            {"name": "provider-fcgi@2", "version": "0.1.0", "since": ago(minutes=12)}],
        "engine": {
            "url": "http://127.0.0.1:11434", "up": True, "detail": None,
            "models": ["llama3.1:8b", "qwen2.5-coder:32b"], "checked": ago(seconds=3)},
        "public_url": "https://violet-otter.ngrok-free.app",
        "report": {
            "last_attempt": ago(minutes=2), "last_success": ago(minutes=2), "exit_status": 0, "outcome": "accepted",
            "response_status": 200, "interval_seconds": 300, "next_due": ago(minutes=-3)},
        "settings": {
            "max_in_flight": 64, "busy_threshold": 20, "busy_policy": "any", "admit_per_sample": 0, "devices": [],
            "forward": "worker", "scoreboard": "/run/provider-client/scoreboard"},
    } | changes


# In the order in which a worker looks; the word is the page's own.
HEADLINES = {
    "engine_down": ("The engine is down: cannot connect", "Fault"),
    "gpu_unknown": ("Refusing: the driver does not answer (nvidia-smi: exit status 9)", "Fault"),
    "gpu_busy": ("Refusing: GPU 0 at 63 %, the limit is 20 %", "Waiting"),
    "limit_reached": ("Refusing: 64 of 64 requests in flight", "Waiting"),
    "report_failed": ("The last report failed: central refused the key", "Warning"),
    "accepting": ("Accepting requests", "Ready"),
}
# The page's own states, and what nginx responds meanwhile. Without nginx there is no response.
FAILURES = {"no_worker": (502, b"{}"), "not_responding": (504, b"{}"), "unreadable": (404, b"{}"), "no_nginx": None}


def with_headline(state):
    # Each kind of completion twice.
    document = accepting(headline={"state": state, "text": HEADLINES[state][0]}, completions=completions(16))
    if state == "engine_down":
        document["engine"] |= {"up": False, "detail": "cannot connect", "models": None}
    return document


def unknown():
    """Every figure that a worker may not know is null."""
    document = copy.deepcopy(accepting(public_url=None, report=None))
    document["gpus"] = [gpu(
        name=None, utilization_percent=None, memory_used_bytes=None, memory_total_bytes=None, temperature_celsius=None,
        power_watts=None, history=[{"time": ago(), "utilization_percent": None, "memory_used_bytes": None}])]
    document["gpu"] |= {"state": "unreadable", "source": None, "sample_age_seconds": None}
    document["requests"]["last_15_minutes"] = {
        "outcomes": [], "duration_seconds": None, "time_to_first_byte_seconds": {"p50": None, "p95": None}}
    document["completions"] = []
    document["engine"] |= {"up": None, "models": None}
    return document
