import plotly.graph_objects as go
from plotly.subplots import make_subplots

from clm_ler.corridor import figures
from clm_ler.corridor.figures import Label


def test_a_finished_figure_has_the_look_of_all_and_keeps_it_when_stored():
    figure = figures.finish(go.Figure(), "Half of it", "of whom", height=200, showlegend=False)
    assert figure.layout.title.text == "<b>Half of it</b>"
    assert figure.layout.title.subtitle.text == "of whom"
    stored = figure.to_plotly_json()["layout"]["template"]["layout"]
    assert tuple(stored["colorway"]) == figures.PALETTE
    assert "color" not in stored["title"]["font"]  # black letters on kedro-viz's dark preview


def test_labels_at_lines_do_not_overlap_and_stay_in_the_panel():
    figure = make_subplots(1, 2)
    labels = [Label("a", 0.99, "#000000"), Label("b", 0.98, "#111111"), Label("c", 0.1, "#222222")]
    figures.write(figure, figures.label_lines(figure, labels, 0.0, 1.0, 170, row=1, col=2))
    assert [(note.text, round(note.y, 2)) for note in figure.layout.annotations] == [
        ("c", 0.1),
        ("b", 0.9),
        ("a", 1.0),
    ]
    assert {(note.xref, note.yref) for note in figure.layout.annotations} == {("x2 domain", "y2")}


def test_a_model_has_one_colour_and_others_one_by_number():
    assert figures.colour_of("clm_ler", 5) == figures.colour_of("fine-tuned model", 0)
    assert figures.colour_of("another", 1) == figures.PALETTE[1]
    assert figures.faint("#0072B2") == "rgba(0,114,178,0.13)"
