"""Proxies: objects of the package stay in the worker, and are used from here as if they were not."""

from __future__ import annotations

import copy
import functools
import gc
import pickle
from collections.abc import Callable

import pytest
from projects import Project

from tg.common.delivery.isolation.entry_point import IsolatedEntryPoint
from tg.common.delivery.isolation.proxy import Proxy
from tg.common.delivery.runtime.errors import UncrossableValue

pytestmark = pytest.mark.usefixtures("unchecked")

Isolate = Callable[..., IsolatedEntryPoint]

SHELF = '''
import enum
from dataclasses import dataclass, field

class Color(enum.Enum):
    RED = 1

@dataclass
class Book:
    """A book."""
    title: str
    color: Color = Color.RED

    def __lt__(self, other):
        return self.title < other.title

    @property
    def upper(self):
        return self.title.upper()

class Shelf:
    limit = 3

    def __init__(self):
        self.books = [Book("b"), Book("a")]
        self.is_open = False

    def __call__(self, *titles, **named):
        return titles, named

    def __len__(self):
        return len(self.books)

    def __getitem__(self, index):
        return self.books[index]

    def __setitem__(self, index, book):
        self.books[index] = book

    def __delitem__(self, index):
        del self.books[index]

    def __contains__(self, book):
        return any(book is one for one in self.books)

    def __iter__(self):
        return iter(self.books)

    def __enter__(self):
        self.is_open = True
        return self

    def __exit__(self, kind, error, traceback):
        self.is_open = False
        return kind is not None and issubclass(kind, KeyError)

    def __add__(self, number):
        return len(self.books) + number if isinstance(number, int) else NotImplemented

    def __iadd__(self, title):
        self.books.append(Book(title))
        return self

    def __repr__(self):
        return f"<Shelf of {len(self)}>"

    def first(self):
        return self.books[0]

    def by_title(self):
        return {"titles": [(one.title, one) for one in self.books]}

    def has(self, book, among=()):
        return [any(one is book for one in self.books), any(one is book for one in among)]

    def titles(self):
        for one in self.books:
            yield one.title

    def reader(self):
        return lambda book: book.title

    def kinds(self):
        return Book, Color

    def is_a_book(self, thing):
        return type(thing) is Book and thing.color is Color.RED

    @staticmethod
    def twice(number):
        return 2 * number
'''


@pytest.fixture
def shelf(isolate: Isolate) -> Proxy:
    loaded = isolate(SHELF, job="Shelf()").load_resource("job")
    assert isinstance(loaded, Proxy)
    return loaded


def test_a_proxy_is_called_as_the_object_is(shelf: Proxy) -> None:
    assert shelf(1, [2], three={4}) == ((1, [2]), {"three": {4}})
    assert shelf.twice(21) == 42


def test_attributes_are_read_written_and_deleted_in_the_worker(shelf: Proxy) -> None:
    assert (shelf.limit, shelf.is_open, shelf.first().upper) == (3, False, "B")
    shelf.limit = 4
    assert shelf.limit == 4
    del shelf.limit
    assert shelf.limit == 3
    with pytest.raises(AttributeError, match="nothing"):
        shelf.nothing  # noqa: B018
    assert not hasattr(shelf, "nothing")


def test_a_proxy_has_the_special_methods_that_the_class_has(shelf: Proxy) -> None:
    assert len(shelf) == 2
    assert shelf[1].title == "a"
    assert [book.title for book in shelf] == ["b", "a"]
    assert shelf.first() in shelf
    assert shelf + 40 == 42
    with pytest.raises(TypeError):
        shelf + "text"
    shelf[0] = shelf[1]
    del shelf[1]
    assert [book.title for book in shelf] == ["a"]
    assert repr(shelf) == str(shelf) == f"{shelf}" == "<Shelf of 1>"


def test_a_proxy_has_no_special_method_that_the_class_has_not(shelf: Proxy) -> None:
    book = shelf.first()
    with pytest.raises(TypeError, match="no len"):
        len(book)
    with pytest.raises(TypeError, match="not callable"):
        book()
    with pytest.raises(TypeError, match="unhashable"):
        hash(book)


def test_comparing_is_done_by_the_class(shelf: Proxy) -> None:
    b, a = shelf
    assert a < b
    assert [one.title for one in sorted(shelf)] == ["a", "b"]
    assert a != b
    assert a == a


def test_operations_in_place_leave_the_same_proxy(shelf: Proxy) -> None:
    before = shelf
    shelf += "c"
    assert shelf is before
    assert len(shelf) == 3


def test_a_context_is_entered_and_left_in_the_worker(shelf: Proxy) -> None:
    with shelf as entered:
        assert entered is shelf
        assert shelf.is_open
    assert not shelf.is_open
    with shelf:
        raise KeyError("which the shelf takes care of")
    with pytest.raises(ValueError, match="goes on"), shelf:
        raise ValueError("goes on")


def test_a_context_is_left_for_an_exception_that_only_this_side_knows(shelf: Proxy) -> None:
    class Own(Exception):
        pass

    with pytest.raises(Own), shelf:
        raise Own
    assert not shelf.is_open


def test_objects_of_the_package_are_proxies_inside_lists_and_dicts(shelf: Proxy) -> None:
    [(title, book), _] = shelf.by_title()["titles"]
    assert (title, book.title) == ("b", "b")
    assert isinstance(book, Proxy)


def test_the_same_object_is_the_same_proxy(shelf: Proxy) -> None:
    assert shelf.first() is shelf.first() is shelf[0] is shelf.by_title()["titles"][0][1]


def test_a_proxy_that_is_given_arrives_as_the_object(shelf: Proxy) -> None:
    book = shelf.first()
    assert shelf.has(book) == [True, False]
    assert shelf.has(book, among=[book]) == [True, True]


def test_a_method_of_a_proxy_can_be_kept_and_given(shelf: Proxy) -> None:
    has = shelf.has
    assert has(shelf.first()) == [True, False]
    assert (has == shelf.has, has == shelf.first, has.__name__, has.__self__ is shelf) == (True, False, "has", True)
    [[given], _] = shelf(has)
    assert given(shelf.first()) == [True, False]
    assert functools.partial(shelf.twice, 2)() == 4


def test_generators_functions_and_classes_are_proxies(shelf: Proxy) -> None:
    titles = shelf.titles()
    assert next(titles) == "b"
    assert list(titles) == ["a"]
    assert shelf.reader()(shelf.first()) == "b"
    book_class, colors = shelf.kinds()
    made = book_class("c")
    assert made.title == "c"
    assert isinstance(made, book_class)
    assert book_class.__name__ == "Book"
    assert colors.RED is shelf.first().color


def test_dir_shows_what_the_object_has(shelf: Proxy) -> None:
    assert {"books", "first", "limit"} <= set(dir(shelf))


def test_the_class_of_a_proxy_says_what_it_stands_for(shelf: Proxy) -> None:
    assert str(type(shelf.first())) == "<class 'my_job__1_0_0.tg.my.job.Proxy[Book]'>"
    assert type(shelf.first()).__doc__ == "A book."


def test_a_proxy_cannot_be_pickled_or_copied(shelf: Proxy) -> None:
    for attempt in (pickle.dumps, copy.copy, copy.deepcopy):
        with pytest.raises(
            TypeError, match=r"in a worker, which cannot be pickled or copied here\. Ask it for plain values"
        ):
            attempt(shelf)  # type: ignore[operator]


def test_a_proxy_of_another_worker_is_refused_by_name(isolate: Isolate, shelf: Proxy) -> None:
    other = isolate(SHELF, job="Shelf()", name="other").load_resource("job")
    with pytest.raises(UncrossableValue, match=r"argument 1, .* in another worker, of other__1_0_0"):
        shelf.has(other.first())
    assert shelf.has(shelf.first()) == [True, False]


def test_objects_that_no_proxy_stands_for_are_let_go_in_the_worker(isolate: Isolate) -> None:
    job = isolate("""
        import weakref
        class Thing:
            pass
        class Job:
            def __init__(self):
                self.alive = []
            def run(self):
                made = Thing()
                self.alive.append(weakref.ref(made))
                return made
            def again(self, thing):
                return [thing, thing]
            def count(self):
                return sum(one() is not None for one in self.alive)
            def __getstate__(self):
                return {}
            def __setstate__(self, state):
                self.alive = []
    """).load_resource("job")
    things = [job.run() for _ in range(3)]
    assert job.again(things[0]) == [things[0], things[0]]
    assert job.count() == 3
    del things[1]
    gc.collect()
    assert job.count() == 2
    del things
    gc.collect()
    assert job.count() == 0


def test_a_call_that_was_refused_lets_go_no_less(isolate: Isolate) -> None:
    job = isolate("""
        import weakref
        class Thing:
            pass
        class Job:
            def run(self):
                made = Thing()
                self.alive = weakref.ref(made)
                return made
            def is_alive(self):
                return self.alive() is not None
    """).load_resource("job")
    thing = job.run()
    del thing
    with pytest.raises(UncrossableValue):
        job.is_alive(Project)
    assert not job.is_alive()


def test_convert_takes_an_object_over_into_the_worker(isolate: Isolate, project: Project) -> None:
    file = project.write("tg/my/__init__.py", "")
    assert file.exists()
    project.write("tg/my/job.py", SHELF)
    package = project.deliver(job="tg.my.job:Shelf()")
    printed = project.run(f"""
        from tg.my.job import Book, Color
        from tg.common.delivery.delivery import install_package_and_get_loader
        with install_package_and_get_loader({str(package)!r}, silent=True, isolated=True) as entry_point:
            shelf = entry_point.load_resource("job")
            local = Book("mine", Color.RED)
            print(shelf.is_a_book(local), shelf.is_a_book([local][0]), shelf(Book)[0][0] is shelf.kinds()[0])
            there = entry_point.convert(local)
            print(type(there), there.title, shelf.is_a_book(there))
    """)
    assert printed.splitlines() == [
        "True True True",
        "<class 'my_job__1_0_0.tg.my.job.Proxy[Book]'> mine True",
    ]


def test_parameters_of_a_job_may_have_any_name(isolate: Isolate) -> None:
    job = isolate("""
        class Job:
            def run(this, name, target, self, arguments=None):
                return name, target, self, arguments
            def __call__(this, action, self, named):
                return action, self, named
    """).load_resource("job")
    assert job.run(name=1, target=2, self=3, arguments=4) == (1, 2, 3, 4)
    assert job(action=1, self=2, named=3) == (1, 2, 3)


def test_methods_of_a_class_of_the_package_are_called_in_the_worker(isolate: Isolate) -> None:
    job = isolate("""
        class Book(dict):
            @classmethod
            def of(cls, title):
                return cls(title=title)
            @staticmethod
            def twice(number):
                return 2 * number
        class Job:
            def kind(self):
                return Book
            def methods(self):
                return Book.of, Book.fromkeys, dict.fromkeys
    """).load_resource("job")
    kind = job.kind()
    assert (kind.of("a")["title"], kind.twice(2), list(kind.fromkeys("xy"))) == ("a", 4, ["x", "y"])
    of, fromkeys, of_dict = job.methods()
    assert isinstance(of("b"), kind)
    assert isinstance(fromkeys("z"), kind)
    assert of_dict == dict.fromkeys


def test_the_entry_point_that_a_job_has_kept_comes_and_goes(isolate: Isolate) -> None:
    entry_point = isolate("""
        class Job:
            def run(self, entry_point):
                self.entry_point = entry_point
                return entry_point, (part for part in [entry_point])
    """)
    job = entry_point.load_resource("job")
    for _ in range(2):
        [given, parts] = job.run(entry_point=entry_point)
        assert given.name == "my_job"
        assert [part is given for part in parts] == [True]
        del given, parts
        gc.collect()
    assert job.entry_point.version == "1.0.0"


def test_what_cannot_be_compared_there_is_not_equal(isolate: Isolate) -> None:
    source = """
        from dataclasses import dataclass
        @dataclass
        class Job:
            number: int = 1
    """
    one, other = (isolate(source, name=name).load_resource("job") for name in ("one", "other"))
    assert [one, other].index(other) == 1
    assert one != (number for number in [1])
    assert one != Project


def test_classes_that_describe_themselves_in_their_own_way_have_proxies(isolate: Isolate) -> None:
    job = isolate("""
        class Meta(type):
            def __dir__(cls):
                return [*super().__dir__(), "made_up"]
        class Job(metaclass=Meta):
            @property
            def __doc__(self):
                return "of the object"
            def run(self):
                return self
    """).load_resource("job")
    assert job.run() is job
