#!/usr/bin/env python3
"""Usage: pubsub_peer.py publish|pull|stream HOST:PORT MESSAGES
Google's Python client doing what pubsub_bench does: messages of 250 bytes, 1,000 a request. One round;
prints a row of the same table. `pull` and `stream` publish first, outside of the measured time."""

import os
import resource
import sys
import threading
import time

what, endpoint, count = sys.argv[1], sys.argv[2], int(sys.argv[3])
os.environ["PUBSUB_EMULATOR_HOST"] = endpoint

from google.api_core.exceptions import GoogleAPICallError  # noqa: E402
from google.cloud import pubsub_v1  # noqa: E402

DATA = b"x" * 250
publisher = pubsub_v1.PublisherClient(
    batch_settings=pubsub_v1.types.BatchSettings(max_messages=1000, max_bytes=9_000_000, max_latency=0.01)
)
subscriber = pubsub_v1.SubscriberClient()
name = f"python-{what}-{os.getpid()}"
topic = publisher.topic_path("bench", name)
subscription = subscriber.subscription_path("bench", name)


def publish():
    futures = [publisher.publish(topic, DATA) for _ in range(count)]
    for future in futures:
        future.result()


def pull():
    got = 0
    while got < count:
        response = subscriber.pull(subscription=subscription, max_messages=1000)
        ids = [received.ack_id for received in response.received_messages]
        if ids:
            subscriber.acknowledge(subscription=subscription, ack_ids=ids)
        got += len(ids)


def stream():
    done = threading.Event()
    lock = threading.Lock()
    left = [count]

    def on_message(message):
        message.ack()
        with lock:
            left[0] -= 1
            if left[0] <= 0:
                done.set()

    pulling = subscriber.subscribe(
        subscription, on_message, flow_control=pubsub_v1.types.FlowControl(max_messages=10_000)
    )
    done.wait()
    pulling.cancel()
    pulling.result()


def cpu_seconds():
    usage = resource.getrusage(resource.RUSAGE_SELF)
    return usage.ru_utime + usage.ru_stime


try:
    publisher.create_topic(name=topic)
    subscriber.create_subscription(name=subscription, topic=topic, ack_deadline_seconds=60)
    if what != "publish":
        publish()
except GoogleAPICallError as error:  # a service that keeps nothing has no topics either
    if error.grpc_status_code.name != "UNIMPLEMENTED":
        raise
wall, cpu = time.monotonic(), cpu_seconds()
{"publish": publish, "pull": pull, "stream": stream}[what]()
wall, cpu = time.monotonic() - wall, cpu_seconds() - cpu
print(f"| {what} | Python | {count / wall:.0f} messages/s | {cpu / count * 1e6:.3f} us CPU |")
