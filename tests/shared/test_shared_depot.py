"""Two writers in any order, kills at every step, damage of every kind."""

import threading

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from bench import record as records
from bench.errors import StorageError
from bench.shared.depot import MARK, Depot
from bench.shared.sharing import Shared

KEY = "a" * 64


class Turns:
    """Lets two threads do one operation at a time, in the order of a list."""

    def __init__(self, order):
        self.order = iter(order)
        self.may = [threading.Semaphore(0), threading.Semaphore(0)]
        self.waits = [threading.Event(), threading.Event()]
        self.ended = [threading.Event(), threading.Event()]
        self.changed = threading.Semaphore(0)

    def before(self, writer):
        def wait(operation, name):
            self.waits[writer].set()
            self.changed.release()
            self.may[writer].acquire()

        return wait

    def play(self, works):
        def run(writer):
            try:
                works[writer]()
            finally:
                self.ended[writer].set()
                self.changed.release()

        threads = [threading.Thread(target=run, args=(w,)) for w in (0, 1)]
        for thread in threads:
            thread.start()
        while not all(ended.is_set() for ended in self.ended):
            self.changed.acquire(timeout=5)
            ready = [w for w in (0, 1) if self.waits[w].is_set() and not self.ended[w].is_set()]
            busy = [w for w in (0, 1) if not self.waits[w].is_set() and not self.ended[w].is_set()]
            if ready and not busy:
                wish = next(self.order, ready[0])
                chosen = wish if wish in ready else ready[0]
                self.waits[chosen].clear()
                self.may[chosen].release()
        for thread in threads:
            thread.join()


def two_writers(world, folder, order, *, there=None, one_step=True):
    """Have two machines put different records of one key; return the store and their answers."""
    there = dict(there or {})
    turns, answers = Turns(order), [None, None]

    def work(writer):
        def put():
            objects = world.Bytes(there, one_step=one_step)
            depot = Depot(objects)
            depot.look_around()
            depot.find(KEY)
            objects.before = turns.before(writer)
            made = world.made(folder / str(writer), KEY, writer, f"of {writer}")
            answers[writer] = depot.put(KEY, *made)

        return put

    turns.play([work(0), work(1)])
    return there, answers


def agreed(there, answers):
    """Return whether one writer's record stands and the other one was told of it."""
    standing = there[f"cells/{KEY}.json"]
    told = [answer.content for answer in answers if answer is not None]
    return told == [standing]


@settings(max_examples=60)
@given(order=st.lists(st.integers(0, 1), max_size=14))
def test_of_two_writers_in_any_order_one_record_stands(order, world, tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    there, answers = two_writers(world, folder, order)
    assert world.is_whole(there)
    assert agreed(there, answers)


def test_the_order_is_noticed_where_a_store_only_looks(world, tmp_path):
    """The planted fault: without put-if-absent both believe to be first, and the check sees it."""
    order = [0, 0, 0, 1, 1, 1, 0, 1, 0, 1, 0, 1]
    there, answers = two_writers(world, tmp_path, order, one_step=False)
    assert world.is_whole(there)
    assert not agreed(there, answers)


@settings(max_examples=40)
@given(order=st.lists(st.integers(0, 1), max_size=16))
def test_a_damaged_record_is_replaced_by_a_whole_one(order, world, tmp_path_factory):
    folder = tmp_path_factory.mktemp("two")
    there, _ = two_writers(world, folder, order, there={f"cells/{KEY}.json": b"{}"})
    assert world.is_whole(there)


def test_a_kill_after_any_operation_leaves_no_record_without_its_files(world, tmp_path):
    operations = 0
    while True:
        there = {}
        depot = Depot(world.Bytes(there, world.after(operations, world.Killed())))
        made = world.made(tmp_path / "made", KEY, 1)
        try:
            depot.look_around()
            depot.mark()
            depot.put(KEY, *made)
            killed = False
        except world.Killed:
            killed = True
        assert f"cells/{KEY}.json" not in there or world.is_whole(there)
        again = Depot(world.Bytes(there))
        again.look_around()
        again.mark()
        again.put(KEY, *made)
        assert world.is_whole(there) and set(there) == {
            MARK, f"cells/{KEY}.json", f"blobs/{made[1]['number.txt'][1]['sha256']}"
        }  # fmt: skip
        if not killed:
            break
        operations += 1
    assert operations >= 6


def test_a_record_before_its_files_would_be_noticed(world, tmp_path):
    """The planted fault of the test above."""
    there = {}
    content, files = world.made(tmp_path, KEY, 1)
    depot = Depot(world.Bytes(there, world.after(1, world.Killed())))
    with pytest.raises(world.Killed):
        depot.objects.create(f"cells/{KEY}.json", content)
        depot.put_file(*files["number.txt"])
    assert not world.is_whole(there)


def newer(content):
    return content.replace(b'"format":1', b'"format":2')


@pytest.mark.parametrize(
    ("damage", "words"),
    [
        (lambda content: content[:-20], "not JSON"),
        (lambda content: content.replace(b'"value":1', b'"value":2'), "checksum"),
        (lambda content: content.replace(b"a" * 64, b"b" * 64), "checksum"),
        (lambda content: b"", "not JSON"),
        (lambda content: b"[" * 10_000, "nested"),
        (lambda content: b'"' + b"x" * records.LARGEST + b'"', "larger"),
    ],
)
def test_a_damaged_record_counts_as_absent_and_is_replaced(damage, words, world, tmp_path):
    content, files = world.made(tmp_path, KEY, 1)
    objects = world.Bytes({f"cells/{KEY}.json": damage(content)})
    notes = []
    depot = Depot(objects, notes.append)
    depot.look_around()
    assert depot.find(KEY) is None
    assert words in notes[0] and KEY[:12] in notes[0]
    assert depot.put(KEY, content, files) is None
    assert world.is_whole(objects.there)


def test_a_record_of_a_newer_format_is_left_to_those_who_read_it(world, tmp_path):
    content, files = world.made(tmp_path, KEY, 1)
    objects = world.Bytes({f"cells/{KEY}.json": newer(content)})
    depot = Depot(objects)
    depot.look_around()
    assert depot.find(KEY) is None
    assert depot.put(KEY, content, files) is None
    assert objects.there[f"cells/{KEY}.json"] == newer(content)


def test_a_name_that_is_no_key_is_told_and_never_read(world):
    objects = world.Bytes({"cells/../../x.json": b"{}", "cells/notes.txt": b"{}"})
    notes = []
    depot = Depot(objects, notes.append)
    depot.look_around()
    assert "2 names" in notes[0]
    assert not depot.is_listed("notes") and not depot.is_listed("../../x")


def test_a_missing_or_short_file_makes_the_record_absent(world, tmp_path):
    content, files = world.made(tmp_path, KEY, 1)
    blob = f"blobs/{files['number.txt'][1]['sha256']}"
    for held in ({}, {blob: b"on"}):
        depot = Depot(world.Bytes({f"cells/{KEY}.json": content, **held}))
        depot.look_around()
        assert depot.find(KEY) is None
        assert depot.put(KEY, content, files) is None
        assert world.is_whole(depot.objects.there)


def test_a_file_of_the_right_size_and_other_bytes_is_found_when_it_is_fetched(world, tmp_path):
    _, files = world.made(tmp_path, KEY, 1)
    path, facts = files["number.txt"]
    notes = []
    blob = f"blobs/{facts['sha256']}"
    depot = Depot(world.Bytes({blob: b"eno"}), notes.append)
    target = tmp_path / "target.txt"
    assert depot.has(facts) and not depot.fetch(facts, target)
    assert "damaged" in notes[0]
    assert not target.exists() and not list(tmp_path.glob(".*"))
    depot.put_file(path, facts)
    assert depot.fetch(facts, target) and target.read_text() == "one"


def test_a_file_that_claims_more_than_there_is_room_is_not_begun(world, tmp_path, monkeypatch):
    facts = {"sha256": "c" * 64, "bytes": 2**60}
    objects = world.Bytes({f"blobs/{facts['sha256']}": b""})
    objects.size = lambda name: 2**60
    objects.fetch = lambda name, target: pytest.fail("it was begun")
    with pytest.raises(StorageError, match="are free at"):
        Depot(objects).fetch(facts, tmp_path / "x")


def test_a_place_that_holds_something_else_is_refused(world):
    with pytest.raises(StorageError, match="not this version's"):
        Depot(world.Bytes({MARK: b'{"format":2}'})).mark()


def test_a_server_that_ignores_put_if_absent_is_told(world):
    class Careless(world.Bytes):
        def create(self, name, content):
            self.there[name] = content
            return True

    notes = []
    Depot(Careless(), notes.append).mark()
    assert "no put-if-absent" in notes[0]
    notes.clear()
    Depot(world.Bytes(), notes.append).mark()
    assert not notes


# ---------------------------------------------------------------- with a local store


def test_what_one_has_the_other_takes_over_byte_for_byte(world, tmp_path):
    objects = world.Bytes()
    mine = world.local(tmp_path / "a")
    first = world.kept(mine, 1)
    world.shared(objects).given(mine, first, replace=False)

    shared = world.shared(objects)
    theirs = world.local(tmp_path / "b", shared)
    known = shared.known(theirs, KEY, read=False)
    assert shared.offered(theirs, known) is None  # it is not here yet
    shared.taken_over(theirs, known)
    assert theirs.path(KEY).read_bytes() == mine.path(KEY).read_bytes()
    assert not theirs.folder(KEY).exists()  # nobody has read its file
    assert theirs.is_whole(known) and not theirs.is_here(known)
    assert theirs.file(KEY, "number.txt").read_text() == "one"
    assert theirs.is_here(known, hashed=True)


def test_a_file_that_is_gone_makes_the_record_not_whole(world, tmp_path):
    objects = world.Bytes()
    mine = world.local(tmp_path / "a")
    first = world.kept(mine, 1)
    world.shared(objects).given(mine, first, replace=False)
    shared = world.shared(objects)
    theirs = world.local(tmp_path / "b", shared)
    shared.taken_over(theirs, shared.known(theirs, KEY, read=False))
    for name in [name for name in objects.there if name.startswith("blobs/")]:
        del objects.there[name]
    shared = world.shared(objects)
    theirs = world.local(tmp_path / "b", shared)
    assert not theirs.is_whole(first) and not theirs.is_sound(first)
    with pytest.raises(StorageError, match="is missing"):
        theirs.file(KEY, "number.txt")


def test_the_second_writer_drops_its_own_and_has_the_first(world, tmp_path):
    objects = world.Bytes()
    one, two = world.local(tmp_path / "a"), world.local(tmp_path / "b")
    first, second = world.kept(one, 1, "one"), world.kept(two, 2, "two")
    shared = world.shared(objects)
    assert world.shared(objects).given(one, first, replace=False) == first
    assert shared.given(two, second, replace=False) == first
    assert two.peek(KEY) == first and two.is_here(first, hashed=True)
    assert two.file(KEY, "number.txt").read_text() == "one"
    assert len([name for name in objects.there if name.startswith("cells/")]) == 1


def test_a_fresh_one_replaces(world, tmp_path):
    objects = world.Bytes()
    one, two = world.local(tmp_path / "a"), world.local(tmp_path / "b")
    first, second = world.kept(one, 1, "one"), world.kept(two, 2, "two")
    world.shared(objects).given(one, first, replace=False)
    assert world.shared(objects).given(two, second, replace=True) == second
    assert objects.there[f"cells/{KEY}.json"] == two.path(KEY).read_bytes()


def test_a_first_one_whose_file_is_damaged_loses(world, tmp_path):
    objects = world.Bytes()
    one, two = world.local(tmp_path / "a"), world.local(tmp_path / "b")
    first, second = world.kept(one, 1, "one"), world.kept(two, 2, "two")
    shared = world.shared(objects)
    world.shared(objects).given(one, first, replace=False)
    sha = first["files"]["number.txt"]["sha256"]
    objects.there[f"blobs/{sha}"] = b"eno"
    assert shared.given(two, second, replace=False) == second
    assert objects.there[f"cells/{KEY}.json"] == two.path(KEY).read_bytes()
    assert world.is_whole(objects.there)


@pytest.mark.parametrize("status", ["failed", "skipped", "oom", "crashed", "timeout"])
def test_a_failure_stays_local(status, world, tmp_path):
    objects = world.Bytes()
    store = world.local(tmp_path / "a")
    record = store.put(world.record_of(KEY, status=status))
    world.shared(objects).given(store, record, replace=False)
    assert not objects.there


def test_a_known_answer_that_was_not_found_stays_local(world, tmp_path):
    objects = world.Bytes()
    store = world.local(tmp_path / "a")
    failed = store.put(world.record_of(KEY, task="canary", rows=[{"passed": False}]))
    world.shared(objects).given(store, failed, replace=False)
    assert not objects.there


def test_after_a_fault_at_any_step_nothing_is_lost_and_the_next_run_completes(world, tmp_path):
    for count in range(12):
        objects = world.Bytes()
        store = world.local(tmp_path / str(count))
        record = world.kept(store, 1)
        shared = world.shared(objects)
        objects.before = world.after(count, PermissionError("denied"))
        shared.prepare(store, [KEY])
        assert shared.given(store, record, replace=False) == record
        assert store.is_here(record, hashed=True)
        assert f"cells/{KEY}.json" not in objects.there or world.is_whole(objects.there)
        objects.before = lambda operation, name: None
        if shared.fault is None:
            break
        assert shared.fault.exit_code == 74 and "may not be written" in str(shared.fault)
        assert any("stay local" in note for note in shared.notes)
        again = world.shared(objects)
        again.prepare(store, [KEY])
        assert again.offered(store, record) == record
        assert again.fault is None and world.is_whole(objects.there)
    assert count >= 5


def test_a_missing_file_is_put_again_by_who_has_it(world, tmp_path):
    objects = world.Bytes()
    store = world.local(tmp_path / "a")
    record = world.kept(store, 1)
    world.shared(objects).given(store, record, replace=False)
    sha = record["files"]["number.txt"]["sha256"]
    del objects.there[f"blobs/{sha}"]
    world.shared(objects).offered(store, record)
    assert world.is_whole(objects.there)


def test_what_is_everywhere_costs_no_request(world, tmp_path):
    objects = world.Bytes()
    store = world.local(tmp_path / "a")
    record = world.kept(store, 1)
    world.shared(objects).given(store, record, replace=False)
    shared = world.shared(objects)
    objects.before = lambda operation, name: pytest.fail(f"{operation} {name}")
    assert shared.offered(store, record) == record
    assert shared.known(store, "b" * 64, read=False) is None


def test_unshared_is_shared_with_nobody(world, tmp_path):
    from bench.shared.sharing import Unshared

    alone = Unshared()
    store = world.local(tmp_path)
    record = world.kept(store, 1)
    assert alone.known(store, KEY, read=True) is None
    assert alone.offered(store, record) is alone.given(store, record, replace=True) is record
    assert isinstance(world.shared(world.Bytes()), Shared)
