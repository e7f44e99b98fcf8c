"""The net drawn from its dataflow: boxes for modules, bands for what flows between them.

`units.py` says what is one box, `layout.py` where it stands, `drawing.py` draws it as SVG, `data.py` is what
the page's script needs to fold and unfold it: the same layout, in `page.js`.
"""
