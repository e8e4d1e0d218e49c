"""Whatever way a search goes about it, by the words of a few or along an order of many, its pages are one list: the filters
of test_search.py, among so many doctors that every way is gone."""
from urllib.parse import quote, urlencode

import psycopg2
import pytest

from stack import Stack
from test_search import FILTERS, PEOPLE, SORTS, dated

DOCTORS, SLOTS_OF_EACH = 6000, 4


@pytest.fixture(scope="module")
def some():
    with Stack() as stack:
        with psycopg2.connect(stack.env["DATABASE_URL"]) as postgres, postgres.cursor() as cursor:
            cursor.execute(PEOPLE.replace("DOCTORS", str(DOCTORS)).replace("EACH", str(SLOTS_OF_EACH)))
            cursor.execute("ANALYZE")           # a sample is counted by it
        stack.someone = stack.token("patient", DOCTORS + 1)
        yield stack


def walk(stack, limit, total, **filters):
    """The ids of the first `total` who fit, page by page."""
    path, ids = "/users/doctors?" + urlencode({**filters, "limit": limit}, quote_via=quote), []
    while path and len(ids) < total:
        answer = stack.get(path, stack.someone)
        assert answer.status == 200, answer
        ids += [d["id"] for d in answer.json]
        path = (link := answer.headers.get("Link")) and link[link.index("<") + 1:link.index(">")].removeprefix("/api/v1")
    return ids[:total]


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("name", FILTERS)
def test_pages_of_any_size_are_one_list(some, name, sort):
    filters = {k: dated(some, v) for k, v in FILTERS[name].items()}
    whole = walk(some, 100, 100, sort=sort, **filters)
    assert walk(some, 41, 100, sort=sort, **filters) == whole and len(set(whole)) == len(whole)


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("filters, who", [
    ({"state": "SP"}, "SELECT user_id FROM users.address WHERE state = 'SP' ORDER BY 1"),
    ({"state": "BA"}, "SELECT user_id FROM users.address WHERE state = 'BA' ORDER BY 1"),
    ({"specialty": "otorrino"}, "SELECT user_id FROM users.doctor WHERE specialty = 'Otorrinolaringologia' ORDER BY 1"),
], ids=["most", "some", "of a specialty"])
def test_pages_to_the_last_one_have_everybody_once(some, filters, who, sort):
    assert sorted(walk(some, 100, DOCTORS, sort=sort, **filters)) == [id for id, in some.sql(who)]
