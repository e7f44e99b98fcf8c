"""A check of where the texts of a plot lie."""

from matplotlib.figure import Figure
from matplotlib.text import Text


def title_of(figure: Figure) -> str:
    """The finding, without the subject behind it."""
    return str(figure.get_label()).partition(" · ")[0]


def check_layout(figure: Figure) -> None:
    """Every text lies on the canvas, and none lies on another one."""
    figure.canvas.draw()
    width, height = figure.get_size_inches() * figure.dpi
    texts = [t for t in figure.findobj(Text) if t.get_text().strip() and t.get_visible()]
    boxes = [(t.get_text(), t.get_window_extent()) for t in texts if t.get_window_extent().width > 0]
    for text, box in boxes:
        assert box.x0 >= 0, text
        assert box.y0 >= 0, text
        assert box.x1 <= width, text
        assert box.y1 <= height, text
    for number, (text, box) in enumerate(boxes):
        for other, beside in boxes[:number]:
            apart = (
                box.x1 <= beside.x0 + 1
                or beside.x1 <= box.x0 + 1
                or box.y1 <= beside.y0 + 3
                or beside.y1 <= box.y0 + 3
            )
            assert apart, (text, other)
