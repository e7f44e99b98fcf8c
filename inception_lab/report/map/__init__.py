"""The net drawn from its dataflow: boxes for modules, bands for what flows between them.

`units.py` says what is one box, `layout.py` where it stands, `drawing.py` draws it as SVG. The page's script
folds and unfolds it: the same layout, in `page.js`.
"""
