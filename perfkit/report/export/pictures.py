"""Pictures of the figures of a page, drawn by a browser as the page draws them."""

from __future__ import annotations

import base64
import binascii
import json
import re
from dataclasses import dataclass
from html import unescape
from pathlib import Path
from tempfile import TemporaryDirectory

from perfkit.errors import UserError
from perfkit.file_names import file_name
from perfkit.report.export.browser import Browser
from perfkit.report.export.outputs import written_folder

DESCRIPTION = "pictures"

SCALE = 2
"""Pixels of a picture for each pixel of the page; enough for print at half the page's width."""

RESULT = "perfkit-pictures"
"""Identifier of the element that holds the pictures."""

NAME_BYTES = 60
"""Most bytes of the name of a picture."""

SCRIPT = f"""
<script>
(async () => {{
  const pictures = [];
  for (const plot of document.querySelectorAll(".js-plotly-plot")) {{
    const figure = plot.closest("figure") || document;
    const heading = figure.querySelector("h1, h2, h3, h4, h5, h6");
    const size = plot.getBoundingClientRect();
    const data = await Plotly.toImage(
      plot,
      {{format: "png", width: size.width, height: size.height, scale: {SCALE}}},
    );
    pictures.push({{heading: heading ? heading.textContent : "", data}});
  }}
  const result = document.createElement("pre");
  result.id = "{RESULT}";
  result.textContent = JSON.stringify(pictures);
  document.body.replaceChildren(result);
}})();
</script>
"""
"""Replaces the page by its figures, as data URLs: plotly.js draws each of them as it is shown."""

_FOUND = re.compile(rf'<pre id="{RESULT}">(.*?)</pre>', re.DOTALL)

_PREFIX = "data:image/png;base64,"


@dataclass(frozen=True)
class Picture:
    """One figure.

    Attributes
    ----------
    heading
        Heading of the figure.
    png
        Content of a PNG file.
    """

    heading: str
    png: bytes


def pictures_of(page: str, browser: Browser) -> list[Picture]:
    """The figures of a page, in their order.

    Parameters
    ----------
    page
        HTML of a page with figures of plotly.js.
    browser
        Browser that draws them.

    Returns
    -------
    list of Picture
        Empty if the page has no figures.

    Raises
    ------
    UserError
        The browser fails, or does not draw the figures.
    """
    if "plotly-graph-div" not in page:
        return []
    with TemporaryDirectory(prefix="perfkit-pictures-") as folder:
        path = Path(folder) / "page.html"
        body, end, rest = page.rpartition("</body>")
        path.write_text(f"{body}{SCRIPT}{end}{rest}", encoding="utf-8", errors="replace")
        document = browser.document(path)
    found = _FOUND.search(document)
    if found is None:
        raise UserError(f"the browser {browser.program} did not draw the figures of the page")
    try:
        drawn = json.loads(unescape(found[1]))
        return [
            Picture(one["heading"], base64.b64decode(one["data"].removeprefix(_PREFIX)))
            for one in drawn
        ]
    except (ValueError, KeyError, TypeError, binascii.Error) as error:
        raise UserError(
            f"the browser {browser.program} drew figures that cannot be read ({error})"
        ) from error


def write_pictures(folder: Path, pictures: list[Picture]) -> None:
    """Write each picture as a PNG file, named by its number and heading.

    Raises
    ------
    UserError
        The folder holds files of others, or cannot be written; see
        :func:`perfkit.report.export.outputs.written_folder`.
    """
    with written_folder(folder, DESCRIPTION) as files:
        for number, picture in enumerate(pictures, start=1):
            name = file_name(f"{number:02}-{picture.heading.lower()}", limit=NAME_BYTES)
            (files / f"{name.replace('_', '-')}.png").write_bytes(picture.png)
