"""The bench of the picture check at a reduced size, without its peers."""

import pytest

from bench import images
from bench.image_peers.programs import AbsentError, present
from bench.report import Report
from tasks.jobs.articles.misbehaviour import TRUTH

pytestmark = pytest.mark.slow

SMALL = images.Size(names=1, timeout=4.0, many=500, pictures_an_article=20)


def test_the_labelled_set_has_every_kind_and_is_judged_right() -> None:
    report = Report("images")

    wrong = images.measure_verdicts(SMALL, report)

    assert wrong == {}
    assert report.figures["labelled_urls"] == len(TRUTH) + 1
    assert report.met["labelled_kinds"]
    assert report.met["labelled_right_share"]
    assert not report.met["labelled_urls"]


def test_at_its_full_size_the_set_is_as_large_as_promised() -> None:
    assert len(images.labelled("http://127.0.0.1:1/", images.Size().names)) >= 1_400


def test_speed_and_memory_are_taken_on_the_same_pictures_and_all_must_be_good() -> None:
    with images.misbehaving_server() as url:
        port = int(url.rstrip("/").rpartition(":")[2])
        pictures = images.Origin(port, port, ("_images/project.png", "_images/camera_rgb.jpg"))
        urls = list(pictures.urls(40, 1))
        assert len(set(urls)) == 40
        assert images.ours(urls, connections=8, per_host=8) > 0
        with pytest.raises(AssertionError, match="gone"):
            images.ours([f"{url}kinds/gone/_images/project.png"], connections=8, per_host=8)


def test_a_peer_that_is_not_to_be_had_is_named_and_nothing_is_invented() -> None:
    report = Report("images")
    absent: list[str] = []
    figures: list[float] = []

    images._try(figures, absent, lambda: float(len(str(present("there is no apt-get here")))))

    assert figures == []
    assert absent == ["there is no apt-get here"]
    assert report.met == {}
    with pytest.raises(AbsentError, match="apt-get"):
        present("there is no apt-get here")
