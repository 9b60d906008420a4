"""Claims about till beside the official Python driver of Cassandra, each a function whose name is the claim.
Run by tests/interop/run_cassandra, which sets NODE, TILL, CQL_VALUES and INTEROP_DIR.

Floats and doubles are among the types that are tried; till itself stores none."""

import datetime
import json
import math
import os
import subprocess
import sys
import time
import traceback
import uuid
from collections import Counter, namedtuple
from decimal import Decimal

from cassandra import ConsistencyLevel
from cassandra.cluster import EXEC_PROFILE_DEFAULT, Cluster, ExecutionProfile
from cassandra.policies import RoundRobinPolicy
from cassandra.util import Date, Duration, Time

TILL = os.environ["TILL"]
CQL_VALUES = os.environ["CQL_VALUES"]
NODE = os.environ["NODE"]
HOST, PORT = NODE.split(",", 1)[0].rsplit(":", 1)
KEYSPACE = f"interop_{os.getpid()}"
PATIENCE_S = 300

NEVER_NULL = (
    "order_id", "customer_id", "item", "quantity", "price", "shipping_address", "order_status", "creation_date",
    "currency", "order_total", "amount_paid", "amount_refunded", "amount_charged_back", "settlement", "match_issue",
    "n_events",
)
OF_A_PAYMENT = ("payment_method", "payment_status", "payment_datetime", "amount")
MONEY = ("price", "amount", "order_total", "amount_paid", "amount_refunded", "amount_charged_back")

TYPES = (
    "a_ascii ascii, a_bigint bigint, a_blob blob, a_boolean boolean, a_date date, a_decimal decimal, a_double double,"
    " a_duration duration, a_float float, a_inet inet, a_int int, a_smallint smallint, a_text text, a_time time,"
    " a_timestamp timestamp, a_timeuuid timeuuid, a_tinyint tinyint, a_uuid uuid, a_varint varint,"
    " a_list frozen<list<text>>, a_set frozen<set<int>>, a_map frozen<map<text, decimal>>,"
    " a_tuple frozen<tuple<int, text>>, a_type frozen<named>, a_vector vector<float, 3>"
)
COLUMNS = [column.strip().split(" ", 1)[0] for column in TYPES.split(", a_")]
COLUMNS = [COLUMNS[0]] + ["a_" + column for column in COLUMNS[1:]]

Named = namedtuple("named", "name amount")
HIGHEST_FLOAT = 3.4028234663852886e38
LOWEST_FLOAT = 1.401298464324817e-45


def till(*arguments):
    """Runs till to its end and gives what it printed."""
    environment = dict(
        os.environ, TILL_STORE_KIND="cassandra", TILL_CASSANDRA_CONTACT_POINTS=NODE, TILL_CASSANDRA_KEYSPACE=KEYSPACE
    )
    for name in ("NODE", "TILL"):
        environment.pop(name)
    ended = subprocess.run(
        [TILL, *arguments], cwd=os.environ["INTEROP_DIR"], env=environment, text=True, capture_output=True,
        timeout=PATIENCE_S, check=False,
    )
    assert ended.returncode == 0, f"till {arguments}: {ended.returncode}\n{ended.stdout}{ended.stderr}"
    return ended.stdout


# --- what till writes ----------------------------------------------------------------------------


def driver_reads_the_facts_that_till_wrote(session):
    till("run", "--generate", "2000", "--seed", "7", "--once", "--quiet", "--orphan", "5%", "--partial", "5%",
         "--refund", "5%", "--overpay", "5%", "--chargeback", "5%", "--failed-retry", "5%", "--data-dir", "facts")
    rows = list(session.execute(f"SELECT * FROM {KEYSPACE}.orders_payments_facts"))
    shown = [json.loads(line) for line in till("query", "--output", "jsonl", "--limit", "100000000").splitlines()]
    assert len(rows) == len(shown) > 1900, f"{len(rows)} rows by the driver, {len(shown)} by till"
    by_key = {(fact["order_id"], fact["payment_id"]): fact for fact in shown}
    for row in rows:
        assert_same_fact(row._asdict(), by_key[(row.order_id, row.payment_id)])
    assert any(row.amount_refunded > 0 for row in rows), "no refund is among them"
    return len(rows)


def assert_same_fact(row, fact):
    for name in NEVER_NULL:
        assert row[name] is not None, f"{name} is null: {row}"
    for name in OF_A_PAYMENT:
        assert row["payment_id"] is None or row[name] is not None, f"{name} is null: {row}"
    for name, value in row.items():
        if name in MONEY and value is not None:
            assert type(value) is Decimal, f"{name} is {type(value)}"
            assert str(value) == fact[name], f"{name}: {value} is not {fact[name]}"
        elif name not in MONEY:
            assert (value or None) == (fact[name] or None), f"{name}: {value!r} is not {fact[name]!r}"


def money_of_the_events_is_exact(session):
    """Decimals have the digits of their currency."""
    events = list(session.execute(f"SELECT price, amount, currency FROM {KEYSPACE}.order_events"))
    digits = {"JPY": 0, "KWD": 3}
    stated = Counter()
    for event in events:
        for value in (event.price, event.amount):
            if value is not None:
                assert type(value) is Decimal, repr(value)
                assert -value.as_tuple().exponent == digits.get(event.currency, 2), event
                stated[event.currency] += 1
    assert stated["USD"] > 1000 and stated["JPY"] > 0 and stated["KWD"] > 0, stated


# --- values of all types -------------------------------------------------------------------------


def milliseconds(value):
    return datetime.datetime(1970, 1, 1) + datetime.timedelta(milliseconds=value)


def usual():
    return [
        "plain", 42, b"\x00\xff\x10", True, Date("2024-01-21"), Decimal("1299.99"), 0.1, Duration(1, 2, 3000000000),
        0.5, "127.0.0.1", -7, 300, "Größe 日本語 😀", Time(45296789012345), milliseconds(1705831290250),
        uuid.UUID("d2177dd0-eaa2-11de-a572-001b779c76e3"), 5, uuid.UUID("550e8400-e29b-41d4-a716-446655440000"),
        12345678901234567890, ["b", "a"], {1, 2, 300}, {"x": Decimal("0.10"), "y": Decimal("-3")}, (1, "one"),
        Named("n", Decimal("12.50")), [1.0, -2.5, 0.0],
    ]


def least():
    return [
        "", -(2**63), b"", False, Date(-719162), Decimal("-1E-40"), -sys.float_info.max, Duration(-1, -1, -1), -0.0,
        "::", -(2**31), -(2**15), "", Time(0), milliseconds(-1), uuid.UUID("00000000-0000-1000-8080-808080808080"),
        -128, uuid.UUID(int=0), -(2**127), [], set(), {}, (None, None), Named(None, None), [0.0, 0.0, 0.0],
    ]


def most():
    return [
        "~~~~~~~~~~\x7f", 2**63 - 1, b"\xab" * 70000, True, Date(2932896), Decimal("9" * 38 + "E+10"), 5e-324,
        Duration(2**31 - 1, 2**31 - 1, 2**63 - 1), HIGHEST_FLOAT, "2001:db8::ff", 2**31 - 1, 2**15 - 1, "日" * 10000,
        Time(86399999999999), milliseconds(253402300799000), uuid.UUID("ffffffff-ffff-1fff-bfff-7f7f7f7f7f7f"), 127,
        uuid.UUID(int=2**128 - 1), 2**127, [str(i) for i in range(1000)], {-(2**31), 2**31 - 1},
        {"": Decimal("0.00")}, (2**31 - 1, ""), Named("", Decimal(2**63 - 1).scaleb(-2)),
        [HIGHEST_FLOAT, LOWEST_FLOAT, -0.0],
    ]


def rows_of_values():
    return [usual(), least(), most(), [None] * len(COLUMNS)]


def make_natives(session):
    session.execute(f"CREATE TYPE IF NOT EXISTS {KEYSPACE}.named (name text, amount decimal)")
    session.execute(f"CREATE TABLE IF NOT EXISTS {KEYSPACE}.natives (id int PRIMARY KEY, {TYPES})")
    session.cluster.register_user_type(KEYSPACE, "named", Named)


def cql_values(command):
    ended = subprocess.run([CQL_VALUES, command, NODE, KEYSPACE], text=True, capture_output=True, timeout=PATIENCE_S,
                           check=False)
    assert ended.returncode == 0, ended.stderr


def same(found, expected):
    """Decimals with their digits, zeros with their sign; containers of the driver as plain ones."""
    if isinstance(expected, Decimal):
        return isinstance(found, Decimal) and found.as_tuple() == expected.as_tuple()
    if isinstance(expected, float):
        return found == expected and math.copysign(1, found) == math.copysign(1, expected)
    if isinstance(expected, dict):
        return dict(found) == expected and all(same(found[key], expected[key]) for key in expected)
    if isinstance(expected, set):
        return set(found) == expected
    if isinstance(expected, (list, tuple)):
        return len(found) == len(expected) and all(same(a, b) for a, b in zip(found, expected))
    return type(found) is type(expected) and found == expected


def driver_reads_all_types_that_the_client_wrote(session):
    make_natives(session)
    cql_values("write")
    for number, expected in enumerate(rows_of_values(), start=1):
        row = session.execute(f"SELECT {', '.join(COLUMNS)} FROM {KEYSPACE}.natives WHERE id = {number}").one()
        for name, found, value in zip(COLUMNS, row, expected):
            assert same(found, value), f"row {number}, {name}: {str(found)[:200]!r} is not {str(value)[:200]!r}"


def client_reads_all_types_that_the_driver_wrote(session):
    """Byte for byte what the client wrote itself."""
    make_natives(session)
    insert = session.prepare(
        f"INSERT INTO {KEYSPACE}.natives (id, {', '.join(COLUMNS)}) VALUES ({', '.join('?' * (len(COLUMNS) + 1))})"
    )
    for number, values in enumerate(rows_of_values(), start=101):
        session.execute(insert, [number, *values])
    cql_values("write")
    cql_values("compare")


def main():
    profile = ExecutionProfile(
        load_balancing_policy=RoundRobinPolicy(), consistency_level=ConsistencyLevel.LOCAL_QUORUM, request_timeout=60
    )
    cluster = Cluster([HOST], port=int(PORT), execution_profiles={EXEC_PROFILE_DEFAULT: profile}, connect_timeout=60)
    session = cluster.connect()
    till("setup", "--quiet")
    claims = [
        driver_reads_the_facts_that_till_wrote,
        money_of_the_events_is_exact,
        driver_reads_all_types_that_the_client_wrote,
        client_reads_all_types_that_the_driver_wrote,
    ]
    counts = Counter(passed=0, failed=0, skipped=0)
    for claim in claims:
        begin = time.monotonic()
        try:
            claim(session)
            outcome = "passed"
        except Exception:  # a claim that fails is told and the others go on
            outcome = "failed"
            traceback.print_exc()
        counts[outcome] += 1
        print(f"{outcome:8} {time.monotonic() - begin:5.1f} s  {claim.__name__}", flush=True)
    cluster.shutdown()
    print(", ".join(f"{count} {outcome}" for outcome, count in counts.items()))
    return 1 if counts["failed"] > 0 else 0


sys.exit(main())
