"""The site: ``sphinx-build -W docs site``. Pages are Markdown, the reference is what the docstrings and the commands say."""

from __future__ import annotations

from dwn_hw import __version__

project, author, copyright = "dwn-hw", "the founders of dwn-hw", "the founders of dwn-hw"
release = version = __version__

extensions = ["myst_parser", "sphinx.ext.autodoc", "sphinx_click"]
myst_heading_anchors = 3
#: Links that leave this folder lead to files of the checkout, which are no pages.
suppress_warnings = ["myst.xref_missing"]

autodoc_member_order = "bysource"
autodoc_typehints = "signature"
autodoc_typehints_format = "short"
#: Called as the code calls them: written out, these take lines.
autodoc_type_aliases = {name: name for name in ("npt.ArrayLike", "PathLike", "Shown")}
python_maximum_signature_line_length = 100

html_theme = "furo"
html_title = f"dwn-hw {__version__}"
