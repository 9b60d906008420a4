"""Claims about till beside Google's own clients, each a function whose name is the claim. Run by
tests/interop/run, which sets PUBSUB_EMULATOR_HOST, TILL, INTEROP_DIR and REFERENCE.

Every claim has a project of its own on the emulator. Where a reader has gone, the emulator keeps what
it had given to it until the ack deadline is over, so a subscription has one reader at a time here."""

import json
import os
import random
import shutil
import sqlite3
import subprocess
import sys
import time
import traceback
import urllib.request
from concurrent.futures import TimeoutError as FutureTimeout

from google.cloud import pubsub_v1

TILL = os.environ["TILL"]
HOST = os.environ["PUBSUB_EMULATOR_HOST"]
PATIENCE_S = 40


class Skip(Exception):
    """The claim cannot be looked at here."""


class World:
    """A project with till's topics, and Google's clients on it."""

    def __init__(self, name):
        self.project = f"interop-{name}-{os.getpid()}"
        self.directory = os.path.join(os.environ["INTEROP_DIR"], name)
        os.mkdir(self.directory)
        self.publisher = pubsub_v1.PublisherClient()
        self.subscriber = pubsub_v1.SubscriberClient()

    def till(self, *arguments, stdin=None):
        """Runs till to its end and gives what it printed."""
        environment = dict(
            os.environ, PUBSUB_PROJECT_ID=self.project, TILL_BUS_KIND="pubsub", TILL_PUBSUB_ACK_DEADLINE="10s"
        )
        ended = subprocess.run(
            [TILL, *arguments], cwd=self.directory, env=environment, input=stdin, text=True,
            capture_output=True, timeout=PATIENCE_S * 2, check=False,
        )
        assert ended.returncode == 0, f"till {arguments}: {ended.returncode}\n{ended.stdout}{ended.stderr}"
        return ended.stdout

    def publish(self, topic, messages):
        path = self.publisher.topic_path(self.project, topic)
        futures = [self.publisher.publish(path, body) for body in messages]
        for future in futures:
            future.result(timeout=PATIENCE_S)

    def consume_all(self, grace="0s"):
        self.till("consume", "all", "--once", "--idle", "2s", "--grace", grace, "--quiet")

    def query(self, sql, *values):
        with sqlite3.connect(f"file:{self.directory}/till-data/facts.db?mode=ro", uri=True) as facts:
            return facts.execute(sql, values).fetchall()

    def receive(self, subscription, count):
        """That many messages by StreamingPull, acked."""
        path = self.subscriber.subscription_path(self.project, subscription)
        messages = {}

        def on_message(message):
            messages[message.message_id] = message
            message.ack()

        pulling = self.subscriber.subscribe(path, on_message)
        end = time.monotonic() + PATIENCE_S
        while len(messages) < count and time.monotonic() < end:
            try:
                pulling.result(timeout=0.1)
            except FutureTimeout:
                pass
        pulling.cancel()
        pulling.result()
        assert len(messages) == count, f"{len(messages)} of {count} messages came from {subscription}"
        return list(messages.values())


# --- what the reference's producers publish ------------------------------------------------------


def order(order_id):
    return {
        "order_id": order_id,
        "customer_id": 500 + order_id,
        "item": random.choice(["Laptop", "Phone", "Größe M", "日本語"]),
        "quantity": 1 + order_id % 5,
        "price": 10.25 * order_id,
        "shipping_address": f"{order_id} Main St, City A",
        "order_status": "Pending",
        "creation_date": "2024-01-21",
    }


def payment(order_id):
    return {
        "payment_id": 1000 + order_id,
        "order_id": order_id,
        "payment_method": "Google Pay",
        "card_last_four": f"{1000 + order_id:04d}"[-4:],
        "payment_status": "Completed",
        "payment_datetime": f"2024-01-21T{order_id:02d}:01:30Z",
    }


def encoded(messages):
    return [json.dumps(message).encode() for message in messages]


# --- claims --------------------------------------------------------------------------------------


def what_python_publishes_becomes_facts():
    world = World("facts")
    world.till("setup")
    orders = [order(i) for i in range(1, 201)]
    world.publish("orders_data", encoded(orders))
    world.publish("payments_data", encoded(payment(i) for i in range(1, 201)))
    world.consume_all(grace="60s")
    rows = world.query("SELECT order_id, customer_id, item, quantity, payment_id, settlement"
                       " FROM orders_payments_facts ORDER BY order_id")
    expected = [
        (o["order_id"], o["customer_id"], o["item"], o["quantity"], 1000 + o["order_id"], "PAID") for o in orders
    ]
    assert rows == expected, f"{len(rows)} rows, the first is {rows[:1]}"


def files_of_the_reference_published_by_python_become_its_facts():
    world = World("reference")
    world.till("setup")
    for topic, name in (("orders_data", "orders.jsonl"), ("payments_data", "payments.jsonl")):
        with open(os.path.join(os.environ["REFERENCE"], name), "rb") as lines:
            world.publish(topic, lines.read().splitlines())
        if topic == "orders_data":
            world.till("consume", "orders", "--once", "--idle", "2s", "--quiet")
    world.consume_all()
    matched = world.query("SELECT count(*) FROM orders_payments_facts WHERE payment_id IS NOT NULL")[0][0]
    assert matched == 80, f"{matched} payments matched"
    dead = world.query("SELECT count(*) FROM dead_letters WHERE reason = 'E_UNMATCHED'")[0][0]
    assert dead == 420, f"{dead} dead letters"


def what_till_publishes_is_read_by_python():
    world = World("produced")
    world.till("setup")
    lines = [json.dumps(order(i)) for i in range(1, 51)]
    world.till("produce", "orders", "--from", "-", "--quiet", stdin="\n".join(lines) + "\n")
    bodies = sorted(message.data.decode() for message in world.receive("orders_data-sub", 50))
    assert bodies == sorted(lines), f"the first is {bodies[0]}"


def make_dead_letters(world):
    """One payment without an order, one order that is no order. till reads its own dead letters, so others
    read them from subscriptions of their own."""
    world.till("setup")
    for kind in ("orders", "payments"):
        world.subscriber.create_subscription(
            name=world.subscriber.subscription_path(world.project, f"{kind}-letters"),
            topic=world.publisher.topic_path(world.project, f"{kind}_dlq"),
        )
    world.publish("payments_data", encoded([payment(7)]))
    world.publish("orders_data", [b'{"order_id": "seven"}'])
    world.consume_all()


def dead_letters_have_their_body_and_attributes_for_python():
    world = World("letters")
    make_dead_letters(world)
    (letter,) = world.receive("payments-letters", 1)
    assert json.loads(letter.data) == payment(7), letter.data
    attributes = dict(letter.attributes)
    assert attributes["till_reason"] == "E_UNMATCHED", attributes
    assert attributes["till_source_topic"] == "payments_data", attributes
    for name in ("till_detail", "till_source_message_id", "till_first_seen", "till_attempts", "till_replay_count"):
        assert name in attributes, f"{name} is not in {attributes}"
    (letter,) = world.receive("orders-letters", 1)
    assert letter.data == b'{"order_id": "seven"}', letter.data
    assert letter.attributes["till_reason"].startswith("E_"), dict(letter.attributes)
    assert letter.attributes["till_source_topic"] == "orders_data", dict(letter.attributes)


def python_pulls_and_acks_while_till_goes_on():
    """A subscription of somebody else's on till's topic takes nothing from till."""
    world = World("beside")
    world.till("setup")
    other = world.subscriber.subscription_path(world.project, "analytics")
    world.subscriber.create_subscription(name=other, topic=world.publisher.topic_path(world.project, "orders_data"))
    world.publish("orders_data", encoded(order(i) for i in range(1, 31)))
    got = set()
    end = time.monotonic() + PATIENCE_S
    while len(got) < 30 and time.monotonic() < end:
        response = world.subscriber.pull(subscription=other, max_messages=100)
        got.update(received.message.message_id for received in response.received_messages)
        ids = [received.ack_id for received in response.received_messages]
        if ids:
            world.subscriber.acknowledge(subscription=other, ack_ids=ids)
    assert len(got) == 30
    world.consume_all()
    assert world.query("SELECT count(*) FROM orders_payments_facts")[0][0] == 30


def gcloud_shows_dead_letters():
    gcloud = shutil.which("gcloud")
    if gcloud is None:
        raise Skip("gcloud is not installed")
    world = World("gcloud")
    make_dead_letters(world)
    environment = dict(
        os.environ,
        CLOUDSDK_API_ENDPOINT_OVERRIDES_PUBSUB=f"http://{HOST}/",
        CLOUDSDK_AUTH_DISABLE_CREDENTIALS="true",
        CLOUDSDK_CORE_DISABLE_PROMPTS="true",
        CLOUDSDK_CONFIG=os.path.join(world.directory, "gcloud"),
    )
    ended = subprocess.run(
        [gcloud, "pubsub", "subscriptions", "pull", "payments-letters", "--project", world.project,
         "--limit", "10", "--auto-ack", "--format", "json"],
        env=environment, text=True, capture_output=True, timeout=PATIENCE_S, check=False,
    )
    assert ended.returncode == 0, ended.stderr
    (letter,) = json.loads(ended.stdout)
    assert letter["message"]["attributes"]["till_reason"] == "E_UNMATCHED", letter


def main():
    assert urllib.request.urlopen(f"http://{HOST}/", timeout=PATIENCE_S).status == 200
    claims = [
        what_python_publishes_becomes_facts,
        files_of_the_reference_published_by_python_become_its_facts,
        what_till_publishes_is_read_by_python,
        dead_letters_have_their_body_and_attributes_for_python,
        python_pulls_and_acks_while_till_goes_on,
        gcloud_shows_dead_letters,
    ]
    counts = {"passed": 0, "failed": 0, "skipped": 0}
    for claim in claims:
        begin = time.monotonic()
        try:
            claim()
            outcome = "passed"
        except Skip as skip:
            outcome = "skipped"
            print(f"SKIPPED: {claim.__name__}: {skip}", file=sys.stderr)
        except Exception:  # a claim that fails is told and the others go on
            outcome = "failed"
            traceback.print_exc()
        counts[outcome] += 1
        print(f"{outcome:8} {time.monotonic() - begin:5.1f} s  {claim.__name__}", flush=True)
    print(", ".join(f"{count} {outcome}" for outcome, count in counts.items()))
    return 1 if counts["failed"] > 0 else 0


sys.exit(main())
