"""Operations of other threads that do a forward's work: all are seen, in order, and of the right layer."""

import _thread
import asyncio
import threading
from concurrent.futures import Future, ProcessPoolExecutor, ThreadPoolExecutor
from multiprocessing.pool import ThreadPool
from queue import Queue, SimpleQueue

import pytest
import torch
from support.fingerprints import fingerprint, same
from torch import nn

import inception_lab as il
from inception_lab.errors import InceptionLabError
from inception_lab.running import threads

TIMEOUT = 20
PRODUCT = 8 * 8
"""Multiply-accumulates of a row of 8 by a matrix."""


def product(pair):
    return pair[0] @ pair[1]


class Task(threading.Thread):
    """A thread with a method of its own."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def run(self):
        self.result = self.function()


def one_by_one(function, items):
    return list(map(function, items))


def new_pool(function, items):
    with ThreadPoolExecutor(4) as pool:
        return list(pool.map(function, items))


def new_threads(function, items):
    results = [None] * len(items)

    def run(place):
        results[place] = function(items[place])

    workers = [threading.Thread(target=run, args=(place,)) for place in range(len(items))]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    return results


def own_threads(function, items):
    tasks = [Task(lambda item=item: function(item)) for item in items]
    for task in tasks:
        task.start()
    for task in tasks:
        task.join()
    return [task.result for task in tasks]


def bare_threads(function, items):
    answers = [Future() for _ in items]
    for answer, item in zip(answers, items, strict=True):
        _thread.start_new_thread(lambda a, i: a.set_result(function(i)), (answer, item))
    return [answer.result(TIMEOUT) for answer in answers]


def event_loop(function, items):
    async def run():
        return await asyncio.gather(*[asyncio.to_thread(function, item) for item in items])

    return asyncio.run(run())


def timer(function, items):
    answer = Future()
    threading.Timer(0.01, lambda: answer.set_result(list(map(function, items)))).start()
    return answer.result(TIMEOUT)


def pool_of_multiprocessing(function, items):
    with ThreadPool(2) as pool:
        return pool.map(function, items)


def tasks_one_by_one(function, items):
    with ThreadPool(2) as pool:
        answers = [pool.apply_async(function, (item,)) for item in items]
        return [answer.get(TIMEOUT) for answer in answers]


def iterated(function, items):
    with ThreadPool(2) as pool:
        return list(pool.imap(function, items))


def queue(function, items):
    """A consumer that starts before there is anything to consume."""
    tasks, results = Queue(), []

    def consume():
        while (item := tasks.get()) is not None:
            results.append(function(item))

    consumer = threading.Thread(target=consume)
    consumer.start()
    for item in (*items, None):
        tasks.put(item)
    consumer.join()
    return results


def under_a_lock(function, items):
    """Work that cannot begin before who hands it over has gone on."""
    lock = threading.Lock()

    def locked(item):
        with lock:
            return function(item)

    with ThreadPoolExecutor(2) as pool:
        with lock:
            answers = [pool.submit(locked, item) for item in items]
        return [answer.result(TIMEOUT) for answer in answers]


def nested(function, items):
    with ThreadPoolExecutor(2) as outer, ThreadPoolExecutor(2) as inner:
        halves = outer.map(lambda half: list(inner.map(function, half)), (items[:2], items[2:]))
        return [result for half in halves for result in half]


def forked(function, items):
    futures = [torch.jit.fork(function, item) for item in items]
    return [torch.jit.wait(future) for future in futures]


WAYS = [
    new_pool, new_threads, own_threads, bare_threads, event_loop, timer, pool_of_multiprocessing,
    tasks_one_by_one, iterated, queue, under_a_lock, nested, forked,
]  # fmt: skip
CONCURRENT = (queue, under_a_lock, pool_of_multiprocessing, iterated)
"""Those whose order is not told by who hands the work over."""


def ids(way):
    return way.__name__.replace("_", " ")


class Net(nn.Module):
    """A layer, then four products of its output that other threads may do."""

    def __init__(self, way):
        super().__init__()
        self.way, self.first = way, nn.Linear(8, 8)
        self.weights = nn.ParameterList([nn.Parameter(torch.ones(8, 8)) for _ in range(4)])

    def forward(self, x):
        y = self.first(x)
        return sum(self.way(lambda weight: y @ weight, list(self.weights)))


class Branches(nn.Module):
    """Four layers that other threads may call."""

    def __init__(self, way):
        super().__init__()
        self.way, self.first = way, nn.Linear(8, 8)
        self.branches = nn.ModuleList([nn.Sequential(nn.Linear(8, 8), nn.ReLU()) for _ in range(4)])

    def forward(self, x):
        y = self.first(x)
        return sum(self.way(lambda branch: branch(y), list(self.branches)))


def macs(trace, phase="forward"):
    return sum(op.macs for op in trace.ops if op.phase == phase)


def rows(trace):
    return il.layer_costs(trace).sort_values("layer").to_dict("list")


@pytest.mark.parametrize("options", [{}, {"device": "cpu"}, {"mode": "train"}], ids=["meta", "cpu", "train"])
@pytest.mark.parametrize("way", WAYS, ids=ids)
class TestEveryWay:
    def test_operations_are_those_of_one_thread(self, way, options):
        trace, plain = il.trace(Net(way), (1, 8), **options), il.trace(Net(one_by_one), (1, 8), **options)
        assert macs(trace) == 5 * PRODUCT
        assert trace.context.complete
        assert macs(trace, "backward") == macs(plain, "backward")
        if way not in CONCURRENT:
            assert [op.name for op in trace.ops] == [op.name for op in plain.ops]

    def test_layers_have_what_they_have_in_one_thread(self, way, options):
        trace = il.trace(Branches(way), (1, 8), **options)
        plain = il.trace(Branches(one_by_one), (1, 8), **options)
        assert rows(trace) == rows(plain)
        parents = {
            call.path: trace.calls[call.parent].path for call in trace.calls if call.parent is not None
        }
        assert (parents["branches.0"], parents["branches.0.0"]) == ("", "branches.0")

    def test_the_model_is_left_as_it_was(self, way, options):
        model = Branches(way)
        before = fingerprint(model)
        il.trace(model, (1, 8), **options)
        assert same(before, fingerprint(model))


@pytest.fixture
def pool():
    with ThreadPoolExecutor(2) as pool:
        list(pool.map(int, "12"))  # so that its threads are there
        yield pool


def test_a_pool_made_before_the_run(pool):
    model = Net(lambda function, items: pool.map(function, items))
    traces = [il.trace(model, (1, 8), mode="train") for _ in range(3)]
    assert {macs(trace) for trace in traces} == {5 * PRODUCT}
    assert all(trace == traces[0] for trace in traces)


def test_a_pool_of_multiprocessing_made_before_the_run():
    with ThreadPool(2) as pool:
        assert macs(il.trace(Net(pool.map), (1, 8))) == 5 * PRODUCT


def test_lifetimes_are_those_of_one_thread(pool):
    """What a piece of work was given lives as long as in a plain loop, whatever the worker does next."""

    def chain(way):
        def halves(function, items):
            return [function(item) for item in way(lambda weight: weight * 2, items)]

        return halves

    net, plain = Net(chain(lambda f, i: list(pool.map(f, i)))), Net(chain(one_by_one))
    peaks = {il.peak_memory(il.trace(net, (1, 8))).peak_bytes for _ in range(5)}
    assert peaks == {il.peak_memory(il.trace(plain, (1, 8))).peak_bytes}


@pytest.mark.parametrize("mode", ["eval", "train"])
def test_torchs_counter_agrees_and_fvcore_says_why_it_cannot(mode):
    result = il.crosscheck(Branches(new_pool), (1, 8), mode=mode)
    assert result.verdict == "agree"
    assert result.record.totals["torch_macs"] == 5 * PRODUCT
    assert result.record.context["not_run"] == {"fvcore": "the tracer follows no work in other threads"}


def test_an_error_in_a_thread_is_the_models():
    def failing(function, items):
        return new_threads(lambda item: function(item[:3]), items)

    with pytest.raises(InceptionLabError, match="cannot run on an input of 1x8: RuntimeError"):
        il.trace(Net(failing), (1, 8))


def test_a_question_that_meta_tensors_cannot_answer_has_the_model_run_for_real():
    def asking(function, items):
        return new_threads(lambda item: function(item) if item.sum() > 0 else None, items)

    trace = il.trace(Net(asking), (1, 8))
    assert (trace.context.device, macs(trace)) == ("cpu", 5 * PRODUCT)


def in_process(function, items):
    del function
    with ProcessPoolExecutor(1) as pool:
        return [pool.submit(product, (item.detach(), item.detach())).result(TIMEOUT) for item in items]


def test_another_process_makes_a_trace_partial():
    trace = il.trace(Net(in_process), (8, 8))
    assert not trace.context.complete
    assert trace.context.uncounted_ops["work in another process"] == 4


def test_a_thread_that_takes_work_from_a_queue_of_its_own_makes_a_trace_partial():
    tasks = SimpleQueue()

    def serve():
        while (task := tasks.get()) is not None:
            function, item, answer = task
            answer.set_result(function(item))

    def served(function, items):
        answers = [Future() for _ in items]
        for answer, item in zip(answers, items, strict=True):
            tasks.put((function, item, answer))
        return [answer.result(TIMEOUT) for answer in answers]

    service = threading.Thread(target=serve)
    service.start()
    try:
        trace = il.trace(Net(served), (1, 8))
    finally:
        tasks.put(None)
        service.join()
    assert (macs(trace), trace.context.uncounted_ops) == (PRODUCT, {"work in another thread": 4})


def test_other_threads_work_of_their_own_is_not_taken_for_the_models(pool):
    """Somebody else submits to a pool while a trace runs."""
    stop, sums = threading.Event(), []

    def somebody_else():
        while not stop.is_set():
            sums.append(pool.submit(lambda: float((torch.ones(4, 4) @ torch.ones(4, 4)).sum())).result())

    other = threading.Thread(target=somebody_else)
    other.start()
    try:
        traces = [il.trace(Net(new_pool), (1, 8)) for _ in range(5)]
    finally:
        stop.set()
        other.join()
    assert {macs(trace) for trace in traces} == {5 * PRODUCT}
    assert set(sums) == {64.0}


def test_a_thread_that_outlives_the_run_is_its_own_again():
    """A pool that a model makes in its first forward and keeps."""
    tasks, answers = SimpleQueue(), SimpleQueue()

    def work():
        while (task := tasks.get()) is not None:
            answers.put(task())

    class Keeping(nn.Module):
        def __init__(self):
            super().__init__()
            self.worker = []

        def forward(self, x):
            if not self.worker:
                self.worker.append(threading.Thread(target=work))
                self.worker[0].start()
            tasks.put(lambda: x @ x)
            return answers.get(timeout=TIMEOUT)

    trace = il.trace(Keeping(), (4, 4), device="cpu")
    assert macs(trace) == 4 * 4 * 4
    tasks.put(lambda: torch.ones(2, 2) @ torch.ones(2, 2))
    assert answers.get(timeout=TIMEOUT).tolist() == [[2, 2], [2, 2]]
    tasks.put(None)


def test_everything_is_taken_back():
    before = ThreadPoolExecutor.submit, threading.Thread.start, _thread.start_new_thread, ThreadPool.map
    il.trace(Net(new_pool), (1, 8))
    with pytest.raises(InceptionLabError):
        il.trace(Net(new_pool), (1, 7))
    after = ThreadPoolExecutor.submit, threading.Thread.start, _thread.start_new_thread, ThreadPool.map
    assert before == after
    assert threads._runs == []
    assert torch.ones(2).sum().item() == 2


def test_without_a_clock_of_threads_work_is_still_followed(monkeypatch):
    monkeypatch.setattr(threads, "thread_clock", lambda _: None)
    monkeypatch.setattr(threads, "_NO_CLOCK", 0.05)
    assert macs(il.trace(Net(queue), (1, 8))) == 5 * PRODUCT
    assert macs(il.trace(Net(new_pool), (1, 8))) == 5 * PRODUCT
