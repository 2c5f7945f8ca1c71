"""The two epochs of a pair take turns; what goes wrong in them is blamed on the right side."""

from __future__ import annotations

import itertools
import socket
import statistics
import time

from live_suites import epochs, journal, write_suite

from ics_bench.gate.channels import faults


def test_samples_of_both_sides_alternate_and_only_one_runs_at_a_time(project, live):
    write_suite(
        project,
        """
import time
def time_work():
    began = time.monotonic()
    while time.monotonic() < began + 0.002: pass
    with open(JOURNAL, "a") as file:
        file.write(json.dumps({"side": answers.ANSWER, "pid": os.getpid(), "time": (began, time.monotonic())}) + "\\n")
time_work.number = 1
def time_short(): time_work()
time_short.number, time_short.repeat = 1, 1
""",
    )
    ready = live()
    journal(project)
    assert all(
        pair.base.value >= 0.002
        for pair in ready.measure(["suite.time_work", "suite.time_short"], 1)["suite.time_work"]
    )
    taken = journal(project)
    assert len({entry["pid"] for entry in taken}) == 2
    spans = sorted(entry["time"] for entry in taken)
    assert all(end <= begin for (_, end), (begin, _) in itertools.pairwise(spans))
    sides = [entry["side"] for entry in sorted(taken, key=lambda entry: entry["time"])]
    fewer = min(sides.count(42), sides.count(43))  # after whose last sample the other one goes on alone
    assert sum(one != other for one, other in itertools.pairwise(sides)) > 1.5 * fewer


def test_waiting_is_no_part_of_what_is_measured_nor_of_how_long_it_is_measured(project, live):
    write_suite(
        project,
        """
calls = 0
def time_quick():
    global calls
    calls += 1
def time_count():
    note(calls)
time_count.number = time_count.repeat = 1
""",
    )
    ready = live()
    journal(project)
    found = ready.measure(["suite.time_quick", "suite.time_count"], 6)
    counted = [max(int(entry["name"]) for entry in epoch) for epoch in epochs(journal(project))]
    calls = [count for count in counted if count]  # 0 where the order was the other one
    assert len(calls) % 2 == 0
    assert min(calls) > 0.1 * max(calls) > 100
    ratios = [pair.head.value / pair.base.value for pair in found["suite.time_quick"]]
    assert 0.5 < statistics.median(ratios) < 2.0


def test_both_sides_may_use_what_only_one_can_hold(project, live):
    write_suite(
        project,
        """
import socket
class Server:
    def setup(self):
        self.socket = socket.socket()
        self.socket.bind(("127.0.0.1", PORT))
    def teardown(self):
        self.socket.close()
    def time_serve(self): self.socket.getsockname()
""".replace("PORT", str(free_port())),
    )
    ready = live()
    measure, (benchmark,) = ready.measure, ready.head
    found = measure([benchmark.name], 4)[benchmark.name]
    assert [(pair.base.error, pair.head.error) for pair in found] == [("", "")] * 4
    assert all(bool(pair.base.failed_in_turns) != bool(pair.head.failed_in_turns) for pair in found)
    assert faults(benchmark, found) == ""  # it met each side, where the other one came first
    (warning,) = measure.warnings.values()
    assert "suite.Server.time_serve failed while the sides took turns, on " in warning
    assert "Address already in use" in warning


def test_a_crash_on_head_alone_is_an_error_even_if_it_does_not_come_again(project, gate):
    write_suite(
        project,
        """
def time_crash():
    if answers.ANSWER == 43:
        looked = os.path.exists(JOURNAL) and f'"pid": {os.getpid()},' not in open(JOURNAL).read()
        if looked and not os.path.exists(JOURNAL + ".crashed"):
            open(JOURNAL + ".crashed", "w").close()
            os.kill(os.getpid(), 11)
        note("crash")
time_crash.number = 1
""",
    )
    done = gate("HEAD~1", "HEAD")
    assert (project.folder / "journal.crashed").exists()
    verdict, reason = done.results["suite.time_crash"]
    assert (verdict, done.code) == ("error", 2)
    assert (
        reason == "failed on head alone in 1 of 16 epochs, and not when measured again: its process killed by SIGSEGV"
    )
    told = " ".join(done.out.split())
    assert "suite.time_crash failed while the sides took turns, on head: its process killed by SIGSEGV" in told


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def test_a_child_left_behind_keeps_nobody_waiting(project, live):
    write_suite(
        project,
        """
import time
def time_fork():
    if os.fork() == 0:
        time.sleep(600)
time_fork.number, time_fork.repeat, time_fork.warmup_time = 1, 1, 0
""",
    )
    ready = live()
    began = time.monotonic()
    (pair,) = ready.measure(["suite.time_fork"], 1)["suite.time_fork"]
    assert (pair.base.error, pair.head.error) == ("", "")
    assert time.monotonic() - began < 60  # a wait for the child would last 600 s, or to the limit of 120


def test_a_crash_in_a_later_pair_is_blamed_on_its_side_and_the_other_goes_on(project, live):
    write_suite(
        project,
        """
def time_first(): pass
def time_crash():
    if answers.ANSWER == 43 and os.path.exists(JOURNAL + ".now"): os.kill(os.getpid(), 11)
def time_last(): pass
""",
    )
    ready = live()
    (project.folder / "journal.now").touch()
    found = ready.measure([f"suite.time_{name}" for name in ("first", "crash", "last")], 2)
    (crash,) = found["suite.time_crash"]
    assert (crash.base.error, crash.head.error) == ("", "its process killed by SIGSEGV")
    for name in ("first", "last"):
        assert [(pair.base.error, pair.head.error) for pair in found[f"suite.time_{name}"]] == [("", "")] * 2


def test_a_hang_in_a_later_pair_is_blamed_on_its_side(project, live, monkeypatch):
    monkeypatch.setattr("ics_bench.gate.epochs.STARTING_SECONDS", 5.0)
    write_suite(
        project,
        """
import time
def time_hang():
    if answers.ANSWER == 42 and os.path.exists(JOURNAL + ".now"): time.sleep(600)
def time_fine(): pass
time_hang.timeout = time_fine.timeout = 2
""",
    )
    ready = live()
    (project.folder / "journal.now").touch()
    found = ready.measure(["suite.time_hang", "suite.time_fine"], 1)
    (hang,), (fine,) = found["suite.time_hang"], found["suite.time_fine"]
    assert (hang.base.error, hang.head.error) == ("timed out after 2 s", "")
    assert fine.base.value > 0
    assert fine.head.value > 0
