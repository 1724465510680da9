"""docs/microservices.md is what the applications of the fleet say, and the pictures of docs/diagram are what their sources say."""

import sys
from pathlib import Path

FLEET = Path(__file__).resolve().parent.parent / "fleet"
DOCS = FLEET.parents[1] / "docs"
sys.path[:0] = [str(FLEET), str(DOCS / "diagram")]

import document  # noqa: E402
import draw  # noqa: E402

PAGE = DOCS / "microservices.md"


def test_the_page_is_as_the_applications_are(binary):
    made = document.page(str(binary))
    assert PAGE.read_text() == made, "python3 tests/fleet/document.py target/debug/bootagent >docs/microservices.md"


def test_a_service_that_the_page_does_not_name_is_told(binary, monkeypatch):
    monkeypatch.setattr(document, "ORDER", document.ORDER[1:])
    try:
        document.page(str(binary))
    except SystemExit as error:
        assert "auth-service" in str(error)
    else:
        raise AssertionError("a service was left out")


def test_the_pictures_are_as_their_sources_are():
    sources = sorted((DOCS / "diagram").glob("*.json"))
    assert sources
    for source in sources:
        for file, text in draw.drawings(source.stem).items():
            assert source.with_name(file).read_text() == text, f"python3 docs/diagram/draw.py {source.stem}"
