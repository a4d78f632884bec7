"""The pictures that the documents show: `scripts/test-page --screenshots docs/images -k picture`."""

import io

import pytest
from PIL import Image

PICTURES = {
    "light": dict(viewport={"width": 1120, "height": 100}, color_scheme="light"),
    "dark": dict(viewport={"width": 1120, "height": 100}, color_scheme="dark"),
    "narrow": dict(viewport={"width": 360, "height": 740}, color_scheme="light"),
}


@pytest.mark.parametrize("name", PICTURES)
def test_a_picture(open_page, request, tmp_path, name):
    folder = request.config.getoption("--screenshots") or tmp_path
    folder.mkdir(parents=True, exist_ok=True)
    page = open_page(**PICTURES[name], timezone_id="Europe/Berlin")
    # The narrow one as a phone shows it, the others whole.
    picture = Image.open(io.BytesIO(page.screenshot(full_page=name != "narrow")))
    # A third of the size. The method keeps colours that only a few pixels have.
    picture = picture.convert("RGB").quantize(256, method=Image.Quantize.MAXCOVERAGE, dither=Image.Dither.NONE)
    file = folder / f"status-{name}.png"
    picture.save(file, optimize=True)
    assert file.stat().st_size < 80 << 10
