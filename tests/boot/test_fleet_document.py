"""docs/microservices.md is what the applications of the fleet say."""

import sys
from pathlib import Path

FLEET = Path(__file__).resolve().parent.parent / "fleet"
sys.path.insert(0, str(FLEET))

import document  # noqa: E402

PAGE = FLEET.parents[1] / "docs/microservices.md"


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
