"""Files of places: what is read, and what is refused with its line."""

import gzip
import math

import numpy as np
import pytest

from bench.data.places import coordinates, parse_places, read_places
from bench.errors import UsageError

GOOD = 'code,name,latitude,longitude\natl,Hartsfield,33.6,-84.4\nord,"O\'Hare, Chicago",41.9,-87.9\n'


def test_columns_may_come_in_any_order(tmp_path):
    path = tmp_path / "places.csv"
    path.write_text("\ufeff Longitude ,latitude,code\r\n-84.4,33.6,atl\r\n\r\n-87.9,41.9,ord\r\n", encoding="utf-8")
    assert read_places(path) == parse_places(GOOD.encode(), "it") == {"atl": (33.6, -84.4), "ord": (41.9, -87.9)}


def test_words_that_are_no_places_have_no_coordinates():
    found = coordinates(("<unk>", "ord", "atl", "elsewhere"), parse_places(GOOD.encode(), "it"))
    assert found[1:3].tolist() == [[41.9, -87.9], [33.6, -84.4]]
    assert np.isnan(found[[0, 3]]).all()
    assert not found.flags.writeable
    assert coordinates((), {}).shape == (0, 2)
    assert math.isnan(coordinates(("a",), {})[0, 1])


@pytest.mark.parametrize(
    ("content", "shown"),
    [
        ("", "expected one column 'code' in line 1 of it, as in code,latitude,longitude; got nothing."),
        ("code;latitude;longitude\na;1;2\n", "expected one column 'code' in line 1 of it"),
        ("code,latitude\na,1\n", "expected one column 'longitude' in line 1 of it"),
        ("code,code,latitude,longitude\n", "expected one column 'code' in line 1"),
        ("code,latitude,longitude\n", "it has no places: expected one a line after the header"),
        ("code,latitude,longitude\na,1\n", "expected 3 fields in line 2 of it, as in its header, got 2."),
        ("code,latitude,longitude\na,1,2\na,1,2\n", "line 3 of it has the place 'a' again"),
        ("code,latitude,longitude\n,1,2\n", "expected a code without white space in line 2 of it, got ''."),
        ("code,latitude,longitude\na b,1,2\n", "expected a code without white space in line 2 of it, got 'a b'."),
        (
            "code,latitude,longitude\na,north,2\n",
            "expected a latitude from -90 to 90 degrees in line 2 of it, got 'north'",
        ),
        ("code,latitude,longitude\na,91,2\n", "expected a latitude from -90 to 90 degrees in line 2 of it, got '91'."),
        (
            "code,latitude,longitude\na,1,nan\n",
            "expected a longitude from -180 to 180 degrees in line 2 of it, got 'nan'",
        ),
        ('code,latitude,longitude\na,"1"x,2\n', "line 2 of it is not CSV"),
    ],
)
def test_what_is_refused(content, shown):
    with pytest.raises(UsageError) as caught:
        parse_places(content.encode(), "it")
    assert shown in str(caught.value)


def test_other_files_are_refused(tmp_path):
    with pytest.raises(UsageError, match="cannot read"):
        read_places(tmp_path / "none.csv")
    with pytest.raises(UsageError, match="cannot read"):
        read_places(tmp_path)
    packed = tmp_path / "places.csv.gz"
    packed.write_bytes(gzip.compress(GOOD.encode()))
    with pytest.raises(UsageError, match="packed by gzip"):
        read_places(packed)
    (tmp_path / "latin.csv").write_bytes(GOOD.replace("Hartsfield", "Zürich").encode("latin-1"))
    with pytest.raises(UsageError, match=r"line 2 of .* is not UTF-8"):
        read_places(tmp_path / "latin.csv")
    (tmp_path / "wide.csv").write_bytes(GOOD.encode("utf-16"))
    with pytest.raises(UsageError, match="UTF-16"):
        read_places(tmp_path / "wide.csv")
